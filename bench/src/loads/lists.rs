//! Lists and counts over 100,000 closed executions, one call after the other.

use anyhow::Result;
use prost::Message;
use temporalio_protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
};

use super::Bench;
use super::clients::{Until, closed_loop};
use crate::fill;
use crate::measured::{Measured, Meter};
use crate::raw::{NAMESPACE, Rpc};

/// Executions in the database.
const CLOSED: usize = 100_000;
const PAGE: i32 = 100;

/// The first page of a list with a filter, as people and programs ask for it most.
pub(super) async fn list(bench: &mut Bench<'_>) -> Result<Measured> {
    let request = ListWorkflowExecutionsRequest {
        namespace: NAMESPACE.to_owned(),
        page_size: PAGE,
        query: format!("WorkflowType = '{}' AND ExecutionStatus = 'Completed'", fill::KIND),
        ..Default::default()
    };
    call::<_, ListWorkflowExecutionsResponse>(bench, Rpc::LIST, request).await
}

/// All of them, counted by status.
pub(super) async fn count(bench: &mut Bench<'_>) -> Result<Measured> {
    let request = CountWorkflowExecutionsRequest {
        namespace: NAMESPACE.to_owned(),
        query: "GROUP BY ExecutionStatus".to_owned(),
    };
    call::<_, CountWorkflowExecutionsResponse>(bench, Rpc::COUNT, request).await
}

async fn call<Q, A>(bench: &mut Bench<'_>, rpc: Rpc, request: Q) -> Result<Measured>
where
    Q: Message + Clone + 'static,
    A: Message + Default + 'static,
{
    let closed = if bench.options.quick { CLOSED / 10 } else { CLOSED };
    fill::closed_executions(&mut bench.host, closed).await?;
    let server = bench.server().await?;
    let meter = Meter::start(bench.host.pid());
    let latencies = closed_loop(1, Until::after(bench.time() / 2), move |_| {
        let mut caller = server.caller();
        let request = request.clone();
        async move {
            let _: A = caller.call(rpc, request).await?;
            Ok(())
        }
    })
    .await?;
    Ok(meter.stop(latencies.len(), latencies))
}
