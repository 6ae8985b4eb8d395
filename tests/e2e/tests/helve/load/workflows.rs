//! Workflows: each has an activity, a timer, two signals and an update, and ends when it has had all of them. Clients ask for these
//! until they are acknowledged; workers speak plain gRPC, so that it is known what they were told.

mod calls;
mod worker;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use helve_e2e::process::LIMIT;
use helve_judge::{Call, HistoryEvent, Outcome};
use temporalio_protos::temporal::api::common::v1::{WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::{EventType, UpdateWorkflowExecutionLifecycleStage};
use temporalio_protos::temporal::api::history::v1::HistoryEvent as Event;
use temporalio_protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_protos::temporal::api::update::v1::{Input, Meta, Request, WaitPolicy};
use temporalio_protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse, ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse, SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse,
    StartWorkflowExecutionRequest, StartWorkflowExecutionResponse, UpdateWorkflowExecutionRequest,
    UpdateWorkflowExecutionResponse,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tonic::Code;

use super::Shared;
use calls::{Caller, NAMESPACE, Told};

const KIND: &str = "judged";
const QUEUE: &str = "judged-tasks";
const CLIENTS: u32 = 4;
const WORKERS: u32 = 3;
/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(8);
/// What nobody answers at once is asked for again after this.
const AGAIN: Duration = Duration::from_millis(50);

/// Clients and workers, on a thread of their own.
pub(super) struct Workflows {
    runtime: Runtime,
    clients: JoinHandle<()>,
    workers: JoinSet<()>,
}

impl Workflows {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        let entering = Arc::clone(shared);
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || entering.enter())
            .build()
            .expect("a runtime");
        // Connections belong to the runtime that they are made in.
        let within = runtime.enter();
        let mut workers = JoinSet::new();
        for number in 0..WORKERS {
            let caller = Caller::new(&shared.nodes, 200 + number);
            workers.spawn_on(worker::workflows(caller.clone()), runtime.handle());
            workers.spawn_on(worker::activities(caller, Arc::clone(shared)), runtime.handle());
        }
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let caller = Caller::new(&shared.nodes, 100 + number);
            clients.spawn_on(client(caller, Arc::clone(shared)), runtime.handle());
        }
        drop(within);
        let handle = runtime.handle().clone();
        let clients = thread::spawn(move || {
            handle.block_on(clients.join_all());
        });
        Self {
            runtime,
            clients,
            workers,
        }
    }

    /// When the clients have ended: waits for the end of all workflows, and looks at them.
    pub(super) fn end(self, shared: &Arc<Shared>) {
        self.clients.join().expect("a client found something that cannot be");
        let within = self.runtime.enter();
        let caller = Caller::new(&shared.nodes, 300);
        drop(within);
        let looking = self.runtime.spawn(look(caller, Arc::clone(shared)));
        self.runtime.block_on(looking).expect("what is there can be looked at");
        drop(self.workers);
    }
}

fn execution(workflow: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution {
        workflow_id: workflow.to_owned(),
        run_id: String::new(),
    })
}

/// Starts workflows, one after the other, and gives each what it needs.
async fn client(mut caller: Caller, shared: Arc<Shared>) {
    while !shared.ends() {
        let workflow = format!("workflow-{}", shared.number());
        start(&mut caller, &shared, &workflow).await;
        for number in 0..2 {
            signal(&mut caller, &shared, &workflow, &format!("{workflow}/signal-{number}")).await;
        }
        update(&mut caller, &shared, &workflow, &format!("{workflow}/update")).await;
    }
}

/// Makes one call until it is acknowledged or refused, and writes down each time.
macro_rules! asked {
    ($caller:expr, $shared:expr, $kind:literal, $name:expr, $rpc:literal, $request:expr => $answer:ty, $is_done:expr) => {{
        let deadline = Instant::now() + LIMIT;
        loop {
            let began = $shared.now();
            let told = $caller.call::<_, $answer>($rpc, $request, ANSWER).await;
            let outcome = match &told {
                Told::Answer(answer) if $is_done(answer) => Outcome::Done,
                // It has ended: what was asked before has arrived, or never will.
                Told::Refused(status) if status.code() == Code::NotFound => Outcome::Failed,
                Told::Refused(status) => panic!("{} {} is refused: {status}", $kind, $name),
                Told::NotSent => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Told::Answer(_) | Told::Lost => Outcome::Unknown,
            };
            let (kind, name) = ($kind.to_owned(), $name.to_owned());
            $shared.note($caller.client, began, outcome, Call::Ask { kind, name });
            if outcome != Outcome::Unknown {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{} {} is not answered by any node",
                $kind,
                $name
            );
            tokio::time::sleep(AGAIN).await;
        }
    }};
}

async fn start(caller: &mut Caller, shared: &Shared, workflow: &str) {
    let request = || StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: workflow.to_owned(),
        request_id: workflow.to_owned(),
        workflow_type: Some(WorkflowType { name: KIND.to_owned() }),
        task_queue: calls::queue(QUEUE),
        workflow_task_timeout: Duration::from_secs(2).try_into().ok(),
        ..Default::default()
    };
    let done = |answer: &StartWorkflowExecutionResponse| !answer.run_id.is_empty();
    asked!(caller, shared, "start", workflow, "StartWorkflowExecution", request() => StartWorkflowExecutionResponse, done);
}

async fn signal(caller: &mut Caller, shared: &Shared, workflow: &str, name: &str) {
    let request = || SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution(workflow),
        signal_name: name.to_owned(),
        request_id: name.to_owned(),
        ..Default::default()
    };
    let done = |_: &SignalWorkflowExecutionResponse| true;
    asked!(caller, shared, "signal", name, "SignalWorkflowExecution", request() => SignalWorkflowExecutionResponse, done);
}

async fn update(caller: &mut Caller, shared: &Shared, workflow: &str, name: &str) {
    let request = || UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution(workflow),
        wait_policy: Some(WaitPolicy {
            lifecycle_stage: UpdateWorkflowExecutionLifecycleStage::Completed.into(),
        }),
        request: Some(Request {
            meta: Some(Meta {
                update_id: name.to_owned(),
                ..Default::default()
            }),
            input: Some(Input {
                name: "update".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    // Without an outcome it is not done yet.
    let done = |answer: &UpdateWorkflowExecutionResponse| answer.outcome.is_some();
    asked!(caller, shared, "update", name, "UpdateWorkflowExecution", request() => UpdateWorkflowExecutionResponse, done);
}

/// Writes down what is there.
async fn look(mut caller: Caller, shared: Arc<Shared>) {
    let client = caller.client;
    let note = |call| shared.note(client, shared.now(), Outcome::Done, call);
    for workflow in list(&mut caller).await {
        note(found("start", &workflow));
        let events = closed(&mut caller, &workflow).await;
        for event in &events {
            match &event.attributes {
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(signaled)) => {
                    note(found("signal", &signaled.signal_name));
                }
                Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(updated)) => {
                    let meta = updated.meta.clone().unwrap_or_default();
                    note(found("update", &meta.update_id));
                }
                Some(Attributes::ActivityTaskCompletedEventAttributes(_)) => note(found("completion", &workflow)),
                _ => {}
            }
        }
        let events = events.iter().map(seen).collect();
        note(Call::History {
            workflow,
            events,
            closed: true,
        });
    }
    for kind in ["start", "signal", "update", "completion"] {
        note(Call::Searched { kind: kind.to_owned() });
    }
}

fn found(kind: &str, name: &str) -> Call {
    Call::Found {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// All runs, by the id of their workflow.
async fn list(caller: &mut Caller) -> Vec<String> {
    let (mut runs, mut token) = (Vec::new(), Vec::new());
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.to_owned(),
            query: format!("WorkflowType = '{KIND}'"),
            page_size: 500,
            next_page_token: token.clone(),
        };
        let page: ListWorkflowExecutionsResponse = caller.surely("ListWorkflowExecutions", request, ANSWER).await;
        let ids = page.executions.into_iter().filter_map(|info| info.execution);
        runs.extend(ids.map(|execution| execution.workflow_id));
        token = page.next_page_token;
        if token.is_empty() {
            return runs;
        }
    }
}

/// All events of a workflow, as soon as it has ended.
async fn closed(caller: &mut Caller, workflow: &str) -> Vec<Event> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (mut events, mut token) = (Vec::new(), Vec::new());
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution(workflow),
                next_page_token: token.clone(),
                ..Default::default()
            };
            let rpc = "GetWorkflowExecutionHistory";
            let page: GetWorkflowExecutionHistoryResponse = caller.surely(rpc, request, ANSWER).await;
            events.extend(page.history.unwrap_or_default().events);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let last = events.last().map(Event::event_type);
        if last == Some(EventType::WorkflowExecutionCompleted) {
            return events;
        }
        let events: Vec<_> = events.iter().map(Event::event_type).collect();
        assert!(Instant::now() < deadline, "{workflow} does not end: {events:?}");
        tokio::time::sleep(AGAIN).await;
    }
}

/// An event as the judge wants it.
fn seen(event: &Event) -> HistoryEvent {
    use Attributes::*;
    let (of, asked) = match &event.attributes {
        Some(ActivityTaskStartedEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(ActivityTaskCompletedEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(ActivityTaskTimedOutEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(WorkflowTaskStartedEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(WorkflowTaskCompletedEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(WorkflowTaskFailedEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(WorkflowTaskTimedOutEventAttributes(of)) => (Some(of.scheduled_event_id), None),
        Some(TimerFiredEventAttributes(of)) => (Some(of.started_event_id), None),
        Some(WorkflowExecutionSignaledEventAttributes(of)) => (None, Some(of.signal_name.clone())),
        Some(WorkflowExecutionUpdateAcceptedEventAttributes(of)) => (None, Some(of.protocol_instance_id.clone())),
        Some(WorkflowExecutionUpdateCompletedEventAttributes(of)) => (Some(of.accepted_event_id), None),
        _ => (None, None),
    };
    HistoryEvent {
        id: event.event_id,
        kind: format!("{:?}", event.event_type()),
        of,
        asked,
    }
}
