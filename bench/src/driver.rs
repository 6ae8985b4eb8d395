//! Workers and clients that speak raw gRPC: nothing but the protocol, so that what is measured is the server.
//!
//! The workflow runs three activities one after the other. Per run that is 1 start, 4 workflow tasks, 3 activities and
//! one wait for the result: 16 calls, 23 events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Request, Status};
use temporalio_client::{Connection, ConnectionOptions, Url};
use temporalio_protos::temporal::api::command::v1::command::Attributes;
use temporalio_protos::temporal::api::command::v1::{
    Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
};
use temporalio_protos::temporal::api::common::v1::{ActivityType, WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::{CommandType, EventType, HistoryEventFilterType, TaskQueueKind};
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1 as service;
use tokio::task::JoinSet;

const NAMESPACE: &str = "default";
const ACTIVITIES: usize = 3;
/// Connections that all clients and workers share.
const CONNECTIONS: usize = 8;
/// A workflow that takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(180);
/// An activity that a worker took and lost is given out again after this.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(60);
/// A server answers a poll within a minute.
const LONG_POLL: Duration = Duration::from_secs(70);

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    /// From start to result as the client sees it, the median.
    pub(crate) latency_ms: f64,
}

/// Runs workflows for a while, this many at a time.
pub(crate) async fn load(address: &str, at_once: usize, time: Duration) -> Result<Measured> {
    // A queue of its own: the polls that the load before left open take nothing away from this one.
    let queue = Arc::new(format!("bench-{}", jiff::Timestamp::now()));
    // Connections first: making them is not what is measured. Many calls share one, as the SDKs do it.
    let mut connections = Vec::new();
    for _ in 0..at_once.min(CONNECTIONS) {
        connections.push(connect(address).await?);
    }
    let mut next = connections.iter().cycle().cloned();
    let mut connection = || next.next().context("there is at least one connection");
    let mut workers = JoinSet::new();
    for _ in 0..pollers(at_once) {
        workers.spawn(workflow_worker(connection()?, Arc::clone(&queue)));
        workers.spawn(activity_worker(connection()?, Arc::clone(&queue)));
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..at_once {
        clients.spawn(start_in_a_row(connection()?, Arc::clone(&queue), client, began + time));
    }
    let mut latencies = Vec::new();
    loop {
        tokio::select! {
            done = clients.join_next() => match done {
                Some(done) => latencies.extend(done??),
                None => break,
            },
            Some(worker) = workers.join_next() => worker?.context("a worker gave up")?,
        }
    }
    let took = began.elapsed();
    workers.abort_all();
    if latencies.is_empty() {
        bail!("no workflow finished");
    }
    let per_second = latencies.len() as f64 / took.as_secs_f64();
    Ok(Measured {
        per_second,
        latency_ms: crate::table::median(latencies),
    })
}

fn pollers(at_once: usize) -> usize {
    at_once.clamp(2, 32)
}

async fn connect(address: &str) -> Result<Connection> {
    let options = ConnectionOptions::new(Url::parse(&format!("http://{address}"))?)
        .identity("helve-bench".to_owned())
        .client_name("helve-bench")
        .client_version(env!("CARGO_PKG_VERSION"))
        .dns_load_balancing(None)
        .build();
    Connection::connect(options)
        .await
        .with_context(|| format!("connecting to {address}"))
}

/// The server answers a poll before this, with a task or without. Given up earlier, a poll may take a task with it.
fn long_poll<T>(request: T) -> Request<T> {
    let mut request = request.into_request();
    request.set_timeout(LONG_POLL);
    request
}

fn task_queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        ..Default::default()
    })
}

/// One client: starts a workflow, waits for its result, starts the next.
async fn start_in_a_row(connection: Connection, queue: Arc<String>, client: usize, until: Instant) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let id = format!("{queue}-{client}-{}", latencies.len());
        tokio::time::timeout(PATIENCE, one(connection.clone(), &queue, id))
            .await
            .context("a workflow did not end")??;
        latencies.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

async fn one(mut connection: Connection, queue: &str, workflow_id: String) -> Result<(), Status> {
    let request = service::StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: workflow_id.clone(),
        workflow_type: Some(WorkflowType {
            name: "three-steps".to_owned(),
        }),
        task_queue: task_queue(queue),
        request_id: workflow_id.clone(),
        identity: "helve-bench".to_owned(),
        ..Default::default()
    };
    let run_id = connection
        .start_workflow_execution(request.into_request())
        .await?
        .into_inner()
        .run_id;
    let mut token = Vec::new();
    loop {
        let request = service::GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.clone(),
                run_id: run_id.clone(),
            }),
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
            next_page_token: token,
            ..Default::default()
        };
        let answer = connection
            .get_workflow_execution_history(request.into_request())
            .await?
            .into_inner();
        let closed = answer.history.is_some_and(|history| {
            history
                .events
                .iter()
                .any(|event| event.event_type() == EventType::WorkflowExecutionCompleted)
        });
        if closed {
            return Ok(());
        }
        token = answer.next_page_token;
    }
}

/// Answers workflow tasks: schedules the next activity, or completes.
async fn workflow_worker(mut connection: Connection, queue: Arc<String>) -> Result<(), Status> {
    loop {
        let request = service::PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: task_queue(&queue),
            identity: "helve-bench".to_owned(),
            ..Default::default()
        };
        let task = connection
            .poll_workflow_task_queue(long_poll(request))
            .await?
            .into_inner();
        if task.task_token.is_empty() {
            continue;
        }
        let events = task.history.unwrap_or_default().events;
        let done = events
            .iter()
            .filter(|event| event.event_type() == EventType::ActivityTaskCompleted)
            .count();
        let request = service::RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token,
            commands: vec![if done < ACTIVITIES {
                schedule(done, &queue)
            } else {
                complete()
            }],
            identity: "helve-bench".to_owned(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        };
        connection
            .respond_workflow_task_completed(request.into_request())
            .await?;
    }
}

fn schedule(number: usize, queue: &str) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: number.to_string(),
        activity_type: Some(ActivityType {
            name: "nothing".to_owned(),
        }),
        task_queue: task_queue(queue),
        start_to_close_timeout: ACTIVITY_TIMEOUT.try_into().ok(),
        ..Default::default()
    };
    Command {
        command_type: CommandType::ScheduleActivityTask.into(),
        attributes: Some(Attributes::ScheduleActivityTaskCommandAttributes(attributes)),
        ..Default::default()
    }
}

fn complete() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes::default();
    Command {
        command_type: CommandType::CompleteWorkflowExecution.into(),
        attributes: Some(Attributes::CompleteWorkflowExecutionCommandAttributes(attributes)),
        ..Default::default()
    }
}

/// Answers activity tasks at once.
async fn activity_worker(mut connection: Connection, queue: Arc<String>) -> Result<(), Status> {
    loop {
        let request = service::PollActivityTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: task_queue(&queue),
            identity: "helve-bench".to_owned(),
            ..Default::default()
        };
        let task = connection
            .poll_activity_task_queue(long_poll(request))
            .await?
            .into_inner();
        if task.task_token.is_empty() {
            continue;
        }
        let request = service::RespondActivityTaskCompletedRequest {
            task_token: task.task_token,
            identity: "helve-bench".to_owned(),
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        };
        connection
            .respond_activity_task_completed(request.into_request())
            .await?;
    }
}
