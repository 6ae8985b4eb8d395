//! Calls of the workflow service at whichever node answers.

use std::time::{Duration, Instant};

use helve_e2e::process::LIMIT;
use prost::Message;
use temporalio_protos::temporal::api::enums::v1::TaskQueueKind;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::load::Nodes;

pub(super) const NAMESPACE: &str = "default";
/// A node that is cut off does not say so.
const CONNECT: Duration = Duration::from_millis(700);
const ALIVE: Duration = Duration::from_secs(1);

/// What became of a call.
pub(super) enum Told<A> {
    /// It was answered.
    Answer(A),
    /// It was refused for good.
    Refused(Status),
    /// It never left.
    NotSent,
    /// It may have been done.
    Lost,
}

/// A client, with a connection to each node.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) client: u32,
    nodes: Vec<Grpc<Channel>>,
    token: String,
    at: usize,
}

impl Caller {
    pub(super) fn new(nodes: &Nodes, client: u32) -> Self {
        let connect = |address: &String| {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("nodes have addresses");
            endpoint
                .connect_timeout(CONNECT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(ALIVE)
                .keep_alive_timeout(ALIVE * 2)
                .keep_alive_while_idle(true)
        };
        let endpoints: Vec<_> = nodes.grpc.iter().map(connect).collect();
        Self {
            client,
            nodes: endpoints
                .into_iter()
                .map(|endpoint| Grpc::new(endpoint.connect_lazy()))
                .collect(),
            token: format!("Bearer {}", nodes.token),
            at: client as usize % nodes.grpc.len(),
        }
    }

    /// One call. When it is not answered, the next one goes to another node.
    pub(super) async fn call<Q, A>(&mut self, rpc: &str, request: Q, limit: Duration) -> Told<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let told = self.tried(rpc, request, limit).await;
        if matches!(told, Told::NotSent | Told::Lost) {
            self.at = (self.at + 1) % self.nodes.len();
        }
        told
    }

    async fn tried<Q, A>(&mut self, rpc: &str, request: Q, limit: Duration) -> Told<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = format!("/temporal.api.workflowservice.v1.WorkflowService/{rpc}");
        let path: PathAndQuery = path.parse().expect("names are ASCII");
        let mut request = Request::new(request);
        request.set_timeout(limit);
        let bearer: MetadataValue<_> = self.token.parse().expect("tokens are ASCII");
        request.metadata_mut().insert("authorization", bearer);
        let node = &mut self.nodes[self.at];
        if node.ready().await.is_err() {
            return Told::NotSent;
        }
        let call = node.unary(request, path, ProstCodec::<Q, A>::default());
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(answer)) => Told::Answer(answer.into_inner()),
            Ok(Err(status)) => match status.code() {
                Code::NotFound
                | Code::InvalidArgument
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::FailedPrecondition
                | Code::Unauthenticated
                | Code::Unimplemented => Told::Refused(status),
                _ => Told::Lost,
            },
            Err(_) => Told::Lost,
        }
    }

    /// A call that can be made again until it is answered.
    pub(super) async fn surely<Q, A>(&mut self, rpc: &str, request: Q, limit: Duration) -> A
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.call(rpc, request.clone(), limit).await {
                Told::Answer(answer) => return answer,
                Told::Refused(status) => panic!("{rpc} is refused: {status}"),
                Told::NotSent | Told::Lost => tokio::time::sleep(super::AGAIN).await,
            }
            assert!(Instant::now() < deadline, "{rpc} is not answered by any node");
        }
    }
}

/// A queue that everybody may poll.
pub(super) fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        ..Default::default()
    })
}
