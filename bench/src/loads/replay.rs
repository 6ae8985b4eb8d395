//! A history of 10,000 events. On plain gRPC: read from its beginning to its end. On the SDK: a worker that has never seen
//! the workflow answers a query, for which it fetches and replays all of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use temporalio_client::{WorkflowQueryOptions, WorkflowStartOptions};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::enums::v1::EventType;
use temporalio_protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryRequest;

use super::Bench;
use super::clients::{Until, closed_loop, workflow};
use super::scripts::{complete, count_of, marker, schedule_activity};
use crate::measured::{Measured, Meter};
use crate::raw::{Event, HistoryPage, NAMESPACE, Pollers, Rpc, Server, Step, Workers};
use crate::sdk;

const EVENTS: usize = 10_000;
/// Markers in one workflow task, which make most of the history.
const MARKERS: usize = 1_999;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let id = format!("{queue}-long");
    let pollers = Pollers {
        workflow: 2,
        activity: 2,
        sticky: false,
    };
    Workers::start(&server, &queue, script, pollers)
        .during(workflow(server.clone(), "long", queue.clone(), id.clone()))
        .await?;
    let meter = Meter::start(bench.host.pid());
    let latencies = closed_loop(1, Until::after(bench.time()), move |_| read(server.clone(), id.clone())).await?;
    Ok(meter.stop(latencies.len(), latencies))
}

async fn read(server: Server, workflow_id: String) -> Result<()> {
    let mut caller = server.caller();
    let (mut events, mut next_page_token) = (0, Vec::new());
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.clone(),
                run_id: String::new(),
            }),
            next_page_token,
            ..Default::default()
        };
        let page: HistoryPage = caller.call(Rpc::GET_HISTORY, request).await?;
        events += page.history.map_or(0, |history| history.events.len());
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            ensure!(events >= EVENTS, "the history has {events} events");
            return Ok(());
        }
    }
}

fn script(queue: &str, events: &[Event]) -> Step {
    if events.len() >= EVENTS {
        return complete();
    }
    let mut commands: Vec<_> = (0..MARKERS).map(|_| marker()).collect();
    commands.push(schedule_activity(
        count_of(events, EventType::ActivityTaskCompleted),
        queue,
    ));
    Step::goes_on(commands)
}

pub(super) async fn sdk(bench: &mut Bench<'_>) -> Result<Measured> {
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let rounds = sdk::Long::rounds_of(EVENTS);
    let pollers = bench.options.pollers;
    let made = sdk::with_worker(&client, &queue, pollers, async {
        let options = WorkflowStartOptions::new(queue.clone(), format!("{queue}-long")).build();
        let handle = client.start_workflow(sdk::Long::run, rounds, options).await?;
        while handle
            .query(sdk::Long::rounds, (), WorkflowQueryOptions::default())
            .await?
            < rounds
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(handle)
    });
    let handle = made.await.context("making the history")?;
    let meter = Meter::start(bench.host.pid());
    let mut latencies = Vec::new();
    for _ in 0..bench.count(5, 2) {
        let took = sdk::with_worker(&client, &queue, pollers, async {
            let began = Instant::now();
            handle
                .query(sdk::Long::rounds, (), WorkflowQueryOptions::default())
                .await?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        });
        latencies.push(took.await?);
    }
    Ok(meter.stop(latencies.len(), latencies))
}
