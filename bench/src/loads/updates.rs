//! Updates to 20 open workflows, one at a time each, from the request to the outcome.

use std::sync::Arc;

use anyhow::Result;
use temporalio_client::{WorkflowExecuteUpdateOptions, WorkflowStartOptions};

use super::Bench;
use super::clients::{Until, closed_loop};
use crate::measured::{Measured, Meter};
use crate::sdk;

const OPEN: usize = 20;

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let load = async {
        let start = async |number: usize| {
            let options = WorkflowStartOptions::new(queue.clone(), format!("{queue}-{number}")).build();
            Ok(client.start_workflow(sdk::Counter::run, u64::MAX, options).await?)
        };
        let handles = Arc::new(sdk::each(OPEN, OPEN, start).await?);
        let meter = Meter::start(bench.host.pid());
        let latencies = closed_loop(OPEN, Until::after(bench.time()), move |number| {
            let handles = Arc::clone(&handles);
            async move {
                let options = WorkflowExecuteUpdateOptions::default();
                handles[number % OPEN]
                    .execute_update(sdk::Counter::add, 1, options)
                    .await?;
                Ok(())
            }
        })
        .await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}
