//! 1,000 workflows on a timer of 5 s, all started at once. What counts is how late they are.

use std::time::Duration;

use anyhow::Result;
use temporalio_protos::temporal::api::enums::v1::EventType;

use super::Bench;
use super::clients::{Until, closed_loop, workflows};
use super::scripts::{complete, count_of, start_timer};
use crate::measured::{Measured, Meter};
use crate::raw::{Event, Pollers, Step, Workers};
use crate::sdk;

const TIMER: Duration = Duration::from_secs(5);

/// On the real server fewer: it starts some tens of workflows a second.
fn workflows_at_once(bench: &Bench<'_>) -> usize {
    bench.count(1_000, 50)
}

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let pollers = Pollers {
        workflow: bench.options.pollers.unwrap_or(64),
        activity: 0,
        sticky: bench.options.sticky,
    };
    let count = workflows_at_once(bench);
    let load = async {
        let meter = Meter::start(bench.host.pid());
        let latencies = workflows(&server, "timer", &queue, count, Until::Count(count)).await?;
        Ok(meter.stop(latencies.len(), late(latencies)))
    };
    Workers::start(&server, &queue, script, pollers).during(load).await
}

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let count = workflows_at_once(bench);
    let load = async {
        let meter = Meter::start(bench.host.pid());
        let (client, queue) = (client.clone(), queue.clone());
        let latencies = closed_loop(count, Until::Count(count), move |number| {
            let (client, queue) = (client.clone(), queue.clone());
            let id = format!("{queue}-{number}");
            async move { sdk::execute(&client, &queue, &id, sdk::Timer::run, TIMER.as_millis() as u64).await }
        })
        .await?;
        Ok(meter.stop(latencies.len(), late(latencies)))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}

/// How long after the 5 s the results came.
fn late(latencies: Vec<f64>) -> Vec<f64> {
    let timer = TIMER.as_secs_f64() * 1e3;
    latencies.into_iter().map(|took| took - timer).collect()
}

fn script(_queue: &str, events: &[Event]) -> Step {
    match count_of(events, EventType::TimerFired) {
        0 if count_of(events, EventType::TimerStarted) == 0 => Step::goes_on(vec![start_timer(TIMER)]),
        0 => Step::goes_on(Vec::new()),
        _ => complete(),
    }
}
