//! One workflow with 100 children at once; the wall time from start to result.

use anyhow::Result;

use super::Bench;
use super::clients::{Until, closed_loop};
use crate::measured::{Measured, Meter};
use crate::sdk;

const CHILDREN: u64 = 100;

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let rounds = Until::Count(bench.count(20, 1));
    let load = async {
        let meter = Meter::start(bench.host.pid());
        let (client, queue) = (client.clone(), queue.clone());
        let latencies = closed_loop(1, rounds, move |number| {
            let (client, queue) = (client.clone(), queue.clone());
            let id = format!("{queue}-{number}");
            async move { sdk::execute(&client, &queue, &id, sdk::Family::run, CHILDREN).await }
        })
        .await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}
