//! One workflow with 500 activities at once; the wall time from start to result.

use anyhow::Result;
use temporalio_protos::temporal::api::enums::v1::EventType;

use super::Bench;
use super::clients::{Until, closed_loop, workflows};
use super::scripts::{complete, count_of, schedule_activity};
use crate::measured::{Measured, Meter};
use crate::raw::{Event, Pollers, Step, Workers};
use crate::sdk;

const ACTIVITIES: usize = 500;

/// Sticky, as every SDK does it: else each workflow task brings the whole history again.
pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let pollers = Pollers {
        workflow: 3,
        activity: bench.options.pollers.unwrap_or(64),
        sticky: true,
    };
    let rounds = Until::Count(bench.count(10, 1));
    let load = async {
        let meter = Meter::start(bench.host.pid());
        let latencies = workflows(&server, "parallel", &queue, 1, rounds).await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    Workers::start(&server, &queue, script, pollers).during(load).await
}

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let rounds = Until::Count(bench.count(10, 1));
    let load = async {
        let meter = Meter::start(bench.host.pid());
        let (client, queue) = (client.clone(), queue.clone());
        let latencies = closed_loop(1, rounds, move |number| {
            let (client, queue) = (client.clone(), queue.clone());
            let id = format!("{queue}-{number}");
            async move { sdk::execute(&client, &queue, &id, sdk::Parallel::run, ACTIVITIES as u64).await }
        })
        .await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}

fn script(queue: &str, events: &[Event]) -> Step {
    if count_of(events, EventType::ActivityTaskScheduled) == 0 {
        return Step::goes_on((0..ACTIVITIES).map(|number| schedule_activity(number, queue)).collect());
    }
    match count_of(events, EventType::ActivityTaskCompleted) {
        ACTIVITIES => complete(),
        _ => Step::goes_on(Vec::new()),
    }
}
