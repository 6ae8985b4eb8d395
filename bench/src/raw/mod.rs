//! A driver without an SDK: clients and workers that speak plain gRPC and do as little else as they can, so that what is
//! measured is the server.

mod client;
mod messages;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

pub(crate) use client::{start_request, wait_for_close};
pub(crate) use messages::{Event, HistoryPage, Nothing, Started, WorkflowTask};
pub(crate) use worker::{Pollers, Step, Workers, task_queue};

pub(crate) const NAMESPACE: &str = "default";
pub(crate) const IDENTITY: &str = "helve-bench";
/// Many calls share a connection, as the SDKs do it; frames of several calls then travel in one system call.
const CONNECTIONS: usize = 4;
/// The largest answer that is read: a page of a long history.
const MAX_ANSWER: usize = 256 << 20;

/// An RPC of the workflow service, by its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rpc(&'static str);

macro_rules! rpc {
    ($($constant:ident = $name:literal;)*) => {
        impl Rpc {
            $(pub(crate) const $constant: Rpc = Rpc(concat!("/temporal.api.workflowservice.v1.WorkflowService/", $name));)*
        }
    };
}

rpc! {
    COUNT = "CountWorkflowExecutions";
    DESCRIBE = "DescribeWorkflowExecution";
    DESCRIBE_NAMESPACE = "DescribeNamespace";
    GET_HISTORY = "GetWorkflowExecutionHistory";
    GET_SYSTEM_INFO = "GetSystemInfo";
    LIST = "ListWorkflowExecutions";
    POLL_ACTIVITY_TASK = "PollActivityTaskQueue";
    POLL_WORKFLOW_TASK = "PollWorkflowTaskQueue";
    RESPOND_ACTIVITY_TASK_COMPLETED = "RespondActivityTaskCompleted";
    RESPOND_WORKFLOW_TASK_COMPLETED = "RespondWorkflowTaskCompleted";
    SIGNAL = "SignalWorkflowExecution";
    START = "StartWorkflowExecution";
}

/// Connections to a server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    channels: Arc<Vec<Channel>>,
    next: Arc<AtomicUsize>,
    gzip: bool,
}

impl Server {
    pub(crate) async fn connect(address: &str, gzip: bool) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = endpoint.connect().await;
            channels.push(channel.with_context(|| format!("connecting to {address}"))?);
        }
        Ok(Self {
            channels: Arc::new(channels),
            next: Arc::default(),
            gzip,
        })
    }

    /// Somebody who calls; each takes the next connection in turn.
    pub(crate) fn caller(&self) -> Caller {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        let grpc = Grpc::new(self.channels[index].clone()).max_decoding_message_size(MAX_ANSWER);
        Caller(match self.gzip {
            true => grpc
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip),
            false => grpc,
        })
    }
}

/// Makes calls on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Grpc<Channel>);

impl Caller {
    pub(crate) async fn call<Q, A>(&mut self, rpc: Rpc, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.send(rpc, Request::new(request)).await
    }

    /// A call that the server must answer within this time, with or without news.
    pub(crate) async fn long_poll<Q, A>(&mut self, rpc: Rpc, request: Q, limit: Duration) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = Request::new(request);
        request.set_timeout(limit);
        self.send(rpc, request).await
    }

    async fn send<Q, A>(&mut self, rpc: Rpc, request: Request<Q>) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.0
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = self
            .0
            .unary(request, PathAndQuery::from_static(rpc.0), ProstCodec::<Q, A>::default())
            .await?;
        Ok(answer.into_inner())
    }
}
