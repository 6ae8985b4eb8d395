//! Signals to 1,000 open workflows, 50 at once, as fast as they are acknowledged; a worker handles them meanwhile.

use std::sync::Arc;

use anyhow::Result;
use temporalio_client::{WorkflowSignalOptions, WorkflowStartOptions};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::workflowservice::v1::SignalWorkflowExecutionRequest;

use super::Bench;
use super::clients::{Until, closed_loop, start_only};
use crate::measured::{Measured, Meter};
use crate::raw::{Event, IDENTITY, NAMESPACE, Nothing, Pollers, Rpc, Step, Workers};
use crate::sdk;

const AT_ONCE: usize = 50;

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let pollers = Pollers {
        workflow: bench.options.pollers.unwrap_or(64),
        activity: 0,
        sticky: true,
    };
    let open = bench.count(1_000, 50);
    let until = bench.time();
    let load = async {
        start_only(&server, "listener", &queue, AT_ONCE, Until::Count(open)).await?;
        let meter = Meter::start(bench.host.pid());
        let (server, queue) = (server.clone(), queue.clone());
        let latencies = closed_loop(AT_ONCE, Until::after(until), move |number| {
            let mut caller = server.caller();
            let request = signal(format!("{queue}-{}", number % open), number);
            async move {
                let _: Nothing = caller.call(Rpc::SIGNAL, request).await?;
                Ok(())
            }
        })
        .await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    Workers::start(&server, &queue, idle, pollers).during(load).await
}

pub(super) fn signal(workflow_id: String, number: usize) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id,
            run_id: String::new(),
        }),
        signal_name: "news".to_owned(),
        request_id: number.to_string(),
        identity: IDENTITY.to_owned(),
        ..Default::default()
    }
}

/// A workflow that hears everything and does nothing.
pub(super) fn idle(_queue: &str, _events: &[Event]) -> Step {
    Step::goes_on(Vec::new())
}

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let open = bench.count(1_000, 50);
    let load = async {
        let start = async |number: usize| {
            let options = WorkflowStartOptions::new(queue.clone(), format!("{queue}-{number}")).build();
            Ok(client.start_workflow(sdk::Counter::run, u64::MAX, options).await?)
        };
        let handles = Arc::new(sdk::each(open, AT_ONCE, start).await?);
        let meter = Meter::start(bench.host.pid());
        let latencies = closed_loop(AT_ONCE, Until::after(bench.time()), move |number| {
            let handles = Arc::clone(&handles);
            async move {
                let options = WorkflowSignalOptions::default();
                handles[number % open]
                    .signal(sdk::Counter::increment, 1, options)
                    .await?;
                Ok(())
            }
        })
        .await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}
