//! Whoever decides about access is asked about every call, before it does anything.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use helve_engine::{Access, Caller, Denied, Need, Services, Wanted};
use helve_protocol::RPCS;
use http_body_util::{BodyExt, Full};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::TaskQueueKind,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        ListNamespacesRequest, ListNamespacesResponse, PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest,
    },
};
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{self, HeaderMap, Request},
    codegen::{Bytes, Service},
};

use crate::client::*;

const WORKFLOWS: &str = "temporal.api.workflowservice.v1.WorkflowService";
const HEALTH: &str = "grpc.health.v1.Health";

/// Lets in who presents anything, and then allows what is good for one namespace.
#[derive(Default)]
struct Guard {
    namespace: Option<&'static str>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Asked = (Need, Option<String>, Option<String>);

struct Guarded(Option<&'static str>, Arc<Mutex<Vec<Asked>>>);

impl Access for Guard {
    fn identify(
        &self,
        headers: &HeaderMap,
        _: &http::Extensions,
        _: Option<IpAddr>,
    ) -> Result<Arc<dyn Caller>, Denied> {
        match headers.contains_key("authorization") {
            true => Ok(Arc::new(Guarded(self.namespace, Arc::clone(&self.asked)))),
            false => Err(Denied::Unknown("who is there?".to_owned())),
        }
    }
}

impl Caller for Guarded {
    fn may(&self, wanted: Wanted<'_>) -> Result<(), Denied> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let asked = (wanted.need, owned(wanted.namespace), owned(wanted.queue));
        self.1.lock().unwrap().push(asked);
        let good = wanted.need == Need::Known && self.0.is_some();
        match good || (self.0.is_some() && wanted.namespace == self.0) {
            true => Ok(()),
            false => Err(Denied::Forbidden("not you".to_owned())),
        }
    }
}

/// Calls it as somebody, or as nobody. The status, and what came.
async fn call(services: &Services, service: &str, rpc: &str, known: bool, message: Vec<u8>) -> (Status, Vec<u8>) {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    let mut request = Request::post(format!("/{service}/{rpc}")).header("content-type", "application/grpc");
    if known {
        request = request.header("authorization", "Bearer anything");
    }
    let body = Body::new(Full::new(Bytes::from(frame)));
    let response = services.clone().call(request.body(body).unwrap()).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return (status, Vec::new());
    }
    if service == HEALTH {
        // Watching has no end.
        return (Status::ok(""), Vec::new());
    }
    let collected = response.into_body().collect().await.unwrap();
    let status = collected.trailers().and_then(Status::from_header_map);
    let bytes = collected.to_bytes();
    (
        status.unwrap_or_else(|| Status::ok("")),
        bytes.get(5..).unwrap_or_default().to_vec(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_comes_in_unknown_and_none_does_what_its_caller_may_not() {
    let world = World::new().await;
    let guard = Guard::default();
    let asked = Arc::clone(&guard.asked);
    let open = world.engine.routes();
    let services = world.engine.guarded_routes(Arc::new(guard));
    for (service, rpc) in RPCS {
        let (unknown, _) = call(&services, service, rpc, false, Vec::new()).await;
        if *service == HEALTH {
            assert_ne!(
                unknown.code(),
                Code::Unauthenticated,
                "{rpc}: whether it lives is no secret"
            );
            continue;
        }
        assert_eq!(unknown.code(), Code::Unauthenticated, "{service}/{rpc}: {unknown:?}");
        let (forbidden, _) = call(&services, service, rpc, true, Vec::new()).await;
        let is_served = forbidden.code() != Code::Unimplemented;
        if is_served {
            assert_eq!(
                forbidden.code(),
                Code::PermissionDenied,
                "{service}/{rpc}: {forbidden:?}"
            );
        } else {
            let (open, _) = call(&open, service, rpc, false, Vec::new()).await;
            assert_eq!(
                open.code(),
                Code::Unimplemented,
                "{service}/{rpc} is served, and nobody is asked"
            );
        }
    }
    assert!(asked.lock().unwrap().len() > 80, "there are many RPCs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_asked_about_with_the_queue_that_its_worker_serves() {
    let world = World::new().await;
    let guard = Guard::default();
    let asked = Arc::clone(&guard.asked);
    let services = world.engine.guarded_routes(Arc::new(guard));
    let queue = |name: &str, kind: TaskQueueKind, normal_name: &str| {
        Some(TaskQueue {
            name: name.to_owned(),
            kind: kind.into(),
            normal_name: normal_name.to_owned(),
        })
    };
    let sticky = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: queue("made-up", TaskQueueKind::Sticky, "mine"),
        ..Default::default()
    };
    let normal = PollActivityTaskQueueRequest {
        namespace: "elsewhere".to_owned(),
        task_queue: queue("theirs", TaskQueueKind::Normal, "mine"),
        ..Default::default()
    };
    call(
        &services,
        WORKFLOWS,
        "PollWorkflowTaskQueue",
        true,
        sticky.encode_to_vec(),
    )
    .await;
    call(
        &services,
        WORKFLOWS,
        "PollActivityTaskQueue",
        true,
        normal.encode_to_vec(),
    )
    .await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        *asked.lock().unwrap(),
        [
            (Need::Work, text(NAMESPACE), text("mine")),
            (Need::Work, text("elsewhere"), text("theirs")),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_that_somebody_may_not_see_are_not_listed() {
    let world = World::new().await;
    let guard = Guard {
        namespace: Some(NAMESPACE),
        ..Guard::default()
    };
    let services = world.engine.guarded_routes(Arc::new(guard));
    let request = ListNamespacesRequest::default().encode_to_vec();
    let (status, bytes) = call(&services, WORKFLOWS, "ListNamespaces", true, request.clone()).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    let listed = ListNamespacesResponse::decode(bytes.as_slice()).unwrap();
    let names: Vec<_> = listed
        .namespaces
        .iter()
        .map(|n| n.namespace_info.clone().unwrap().name)
        .collect();
    assert_eq!(names, [NAMESPACE]);
    let (_, bytes) = call(&world.engine.routes(), WORKFLOWS, "ListNamespaces", false, request).await;
    let all = ListNamespacesResponse::decode(bytes.as_slice()).unwrap();
    assert!(all.namespaces.len() > 1);
}
