//! Whoever decides about access is asked about every call, before it does anything.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use helve_engine::{Access, Caller, Denied, Done, Need, Services, Wanted};
use helve_protocol::RPCS;
use http_body_util::{BodyExt, Full};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::{TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
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
#[derive(Default, Clone)]
struct Guard {
    namespace: Option<&'static str>,
    /// The one queue whose tasks they may have.
    queue: Option<&'static str>,
    /// They may not operate.
    is_analyst: bool,
    asked: Arc<Mutex<Vec<Asked>>>,
    recorded: Arc<Mutex<Vec<String>>>,
}

type Asked = (Need, Option<String>, Option<String>);

struct Guarded(Guard);

impl Access for Guard {
    fn identify(
        &self,
        headers: &HeaderMap,
        _: &http::Extensions,
        _: Option<IpAddr>,
    ) -> Result<Arc<dyn Caller>, Denied> {
        match headers.contains_key("authorization") {
            true => Ok(Arc::new(Guarded(self.clone()))),
            false => Err(Denied::Unknown("who is there?".to_owned())),
        }
    }
}

impl Caller for Guarded {
    fn may(&self, wanted: Wanted<'_>) -> Result<(), Denied> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let asked = (wanted.need, owned(wanted.namespace), owned(wanted.queue));
        let Self(guard) = self;
        guard.asked.lock().unwrap().push(asked);
        let elsewhere = wanted.need == Need::Work
            && guard.queue.is_some()
            && wanted.queue.is_some_and(|queue| guard.queue != Some(queue));
        let too_much = guard.is_analyst && matches!(wanted.need, Need::Operate | Need::Administer);
        let good = wanted.need == Need::Known && guard.namespace.is_some();
        match good || (guard.namespace.is_some() && wanted.namespace == guard.namespace && !elsewhere && !too_much) {
            true => Ok(()),
            false => Err(Denied::Forbidden("not you".to_owned())),
        }
    }

    fn record<'a>(&'a self, done: Done<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let row = format!("{} {} {}", done.rpc, done.namespace.unwrap_or("-"), done.what);
            self.0.recorded.lock().unwrap().push(row);
            match done.what {
                "unwritable" => Err("no room".to_owned()),
                _ => Ok(()),
            }
        })
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

/// Calls it as whoever the guard lets in.
async fn code<M: Message>(services: &Services, rpc: &str, message: M) -> Code {
    call(services, WORKFLOWS, rpc, true, message.encode_to_vec())
        .await
        .0
        .code()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_other_queues_are_answered_by_nobody_who_is_limited_to_one() {
    let world = World::new().await;
    let of = |queue| Guard {
        namespace: Some(NAMESPACE),
        queue: Some(queue),
        ..Guard::default()
    };
    let services = |queue| world.engine.guarded_routes(Arc::new(of(queue)));
    let (theirs, others) = (services(QUEUE), services("mine"));
    world.client.start("w").await;
    let task = world.client.poll().await;
    // The token is no secret: all of it is in the history, for who knows how tokens are made.
    for (rpc, message) in [
        (
            "RespondWorkflowTaskCompleted",
            completion(&task, vec![complete_workflow("forged")]).encode_to_vec(),
        ),
        (
            "RespondWorkflowTaskFailed",
            RespondWorkflowTaskFailedRequest {
                task_token: task.task_token.clone(),
                namespace: NAMESPACE.to_owned(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "ResetStickyTaskQueue",
            ResetStickyTaskQueueRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution("w"),
            }
            .encode_to_vec(),
        ),
    ] {
        let (status, _) = call(&others, WORKFLOWS, rpc, true, message).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{rpc}: {status:?}");
    }
    let completed = completion(&task, vec![schedule_activity("a")]);
    assert_eq!(code(&theirs, "RespondWorkflowTaskCompleted", completed).await, Code::Ok);
    // Before anybody has it, and with the token of who has.
    let by_id = |result| RespondActivityTaskCompletedByIdRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: "w".to_owned(),
        activity_id: "a".to_owned(),
        result: payloads(result),
        ..Default::default()
    };
    assert_eq!(
        code(&others, "RespondActivityTaskCompletedById", by_id("forged")).await,
        Code::PermissionDenied
    );
    let activity = world.client.poll_activity().await;
    let token = || activity.task_token.clone();
    let namespace = NAMESPACE.to_owned();
    let heartbeat = RecordActivityTaskHeartbeatRequest {
        task_token: token(),
        namespace: namespace.clone(),
        ..Default::default()
    };
    assert_eq!(
        code(&others, "RecordActivityTaskHeartbeat", heartbeat).await,
        Code::PermissionDenied
    );
    let failed = RespondActivityTaskFailedRequest {
        task_token: token(),
        namespace: namespace.clone(),
        ..Default::default()
    };
    assert_eq!(
        code(&others, "RespondActivityTaskFailed", failed).await,
        Code::PermissionDenied
    );
    let canceled = RespondActivityTaskCanceledRequest {
        task_token: token(),
        namespace,
        ..Default::default()
    };
    assert_eq!(
        code(&others, "RespondActivityTaskCanceled", canceled).await,
        Code::PermissionDenied
    );
    assert_eq!(
        code(&theirs, "RespondActivityTaskCompletedById", by_id("done")).await,
        Code::Ok
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sticky_queue_gives_runs_of_its_own_normal_queue_alone() {
    let world = World::new().await;
    let poll = |normal: &str| PollWorkflowTaskQueueRequest {
        task_queue: Some(TaskQueue {
            normal_name: normal.to_owned(),
            ..sticky_queue("sticky")
        }),
        ..poll_request(QUEUE)
    };
    let client = world.client.clone();
    let theft = poll("mine");
    let thief = tokio::spawn(async move {
        let polled: PollWorkflowTaskQueueResponse = client.rpc("PollWorkflowTaskQueue", theft).await.unwrap();
        polled
    });
    let client = world.client.clone();
    let honest = tokio::spawn(async move { client.poll_on("sticky").await });
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete_sticky(&task, Vec::new(), "sticky").await;
    world.client.signal("w", "s").await.unwrap();
    assert_eq!(honest.await.unwrap().workflow_execution.unwrap().workflow_id, "w");
    assert!(!thief.is_finished());
    thief.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_start_may_not_end_what_others_started_nor_start_for_ever() {
    let world = World::new().await;
    let guard = Guard {
        namespace: Some(NAMESPACE),
        is_analyst: true,
        ..Guard::default()
    };
    let services = world.engine.guarded_routes(Arc::new(guard));
    world.client.start("w").await;
    #[expect(deprecated, reason = "the older way to say it is heard still")]
    let reuse = WorkflowIdReusePolicy::TerminateIfRunning as i32;
    let worse = [
        StartWorkflowExecutionRequest {
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::TerminateExisting as i32,
            ..start_request("w")
        },
        StartWorkflowExecutionRequest {
            workflow_id_reuse_policy: reuse,
            ..start_request("w")
        },
        StartWorkflowExecutionRequest {
            cron_schedule: "* * * * *".to_owned(),
            ..start_request("v")
        },
    ];
    for request in worse {
        let with_signal = SignalWithStartWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_id: request.workflow_id.clone(),
            workflow_type: request.workflow_type.clone(),
            task_queue: request.task_queue.clone(),
            signal_name: "s".to_owned(),
            cron_schedule: request.cron_schedule.clone(),
            workflow_id_reuse_policy: request.workflow_id_reuse_policy,
            workflow_id_conflict_policy: request.workflow_id_conflict_policy,
            ..Default::default()
        };
        let many = ExecuteMultiOperationRequest {
            namespace: NAMESPACE.to_owned(),
            operations: vec![execute_multi_operation_request::Operation {
                operation: Some(execute_multi_operation_request::operation::Operation::StartWorkflow(
                    request.clone(),
                )),
            }],
            ..Default::default()
        };
        assert_eq!(
            code(&services, "StartWorkflowExecution", request).await,
            Code::PermissionDenied
        );
        assert_eq!(
            code(&services, "SignalWithStartWorkflowExecution", with_signal).await,
            Code::PermissionDenied
        );
        assert_eq!(
            code(&services, "ExecuteMultiOperation", many).await,
            Code::PermissionDenied
        );
    }
    assert_eq!(
        code(&services, "StartWorkflowExecution", start_request("x")).await,
        Code::Ok
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operates_is_written_down_before_it_is_done_and_not_done_else() {
    let world = World::new().await;
    let guard = Guard {
        namespace: Some(NAMESPACE),
        ..Guard::default()
    };
    let recorded = Arc::clone(&guard.recorded);
    let services = world.engine.guarded_routes(Arc::new(guard));
    let terminate = |id: &str| TerminateWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution(id),
        ..Default::default()
    };
    for id in ["w", "unwritable"] {
        assert_eq!(
            code(&services, "StartWorkflowExecution", start_request(id)).await,
            Code::Ok
        );
    }
    assert_eq!(
        code(&services, "TerminateWorkflowExecution", terminate("w")).await,
        Code::Ok
    );
    assert_eq!(
        code(&services, "TerminateWorkflowExecution", terminate("unwritable")).await,
        Code::Unavailable
    );
    let rows = ["w", "unwritable"].map(|id| format!("terminate_workflow_execution {NAMESPACE} {id}"));
    assert_eq!(*recorded.lock().unwrap(), rows);
    let status = |id: &'static str| world.client.status(id);
    assert_eq!(status("w").await.as_str_name(), "WORKFLOW_EXECUTION_STATUS_TERMINATED");
    assert_eq!(
        status("unwritable").await.as_str_name(),
        "WORKFLOW_EXECUTION_STATUS_RUNNING"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_says_goodbye_in_one_namespace_ends_no_polls_of_another() {
    let world = World::new().await;
    let _: RegisterNamespaceResponse = (world.client)
        .rpc("RegisterNamespace", crate::namespaces::registration("other"))
        .await
        .unwrap();
    let goodbye = ShutdownWorkerRequest {
        namespace: "other".to_owned(),
        worker_instance_key: "key".to_owned(),
        sticky_task_queue: "sticky".to_owned(),
        ..Default::default()
    };
    let _: ShutdownWorkerResponse = world.client.rpc("ShutdownWorker", goodbye).await.unwrap();
    world.client.start("w").await;
    let poll = PollWorkflowTaskQueueRequest {
        worker_instance_key: "key".to_owned(),
        ..poll_request(QUEUE)
    };
    let task: PollWorkflowTaskQueueResponse = world.client.rpc("PollWorkflowTaskQueue", poll).await.unwrap();
    assert_eq!(task.workflow_execution.unwrap().workflow_id, "w");
}
