//! A tiny client: raw messages through the engine's own stack, without a port.
#![allow(dead_code)] // each test program uses a part of it

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use helve_engine::{Engine, EngineOptions, InProcess, ManualClock, Timestamp};
use prost::Message;
use temporalio_protos::temporal::api::{
    command::v1::{Command, command::Attributes, *},
    common::v1::*,
    enums::v1::*,
    history::v1::{HistoryEvent, history_event},
    query::v1::{WorkflowQuery, WorkflowQueryResult},
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::*,
};
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, HeaderValue},
};

pub(crate) const NAMESPACE: &str = "default";
pub(crate) const QUEUE: &str = "q";

/// An engine in a temporary directory, with a clock that stands still.
pub(crate) struct World {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> World {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        World::open(Arc::new(tempfile::tempdir().unwrap()), clock).await
    }

    async fn open(dir: Arc<tempfile::TempDir>, clock: Arc<ManualClock>) -> World {
        let options = options(dir.path(), &clock);
        World::open_with(dir, clock, options).await
    }

    pub(crate) async fn open_with(
        dir: Arc<tempfile::TempDir>,
        clock: Arc<ManualClock>,
        options: EngineOptions,
    ) -> World {
        let engine = Arc::new(Engine::open(options).await.unwrap());
        let client = Client {
            call: engine.in_process(),
        };
        World {
            dir,
            clock,
            engine,
            client,
        }
    }

    /// Shuts the engine down and opens it again.
    pub(crate) async fn restart(self) -> World {
        self.engine.shutdown().await;
        let World {
            dir,
            clock,
            engine,
            client,
        } = self;
        drop((engine, client));
        World::open(dir, clock).await
    }

    /// What a crash at this moment would leave: the files as they are.
    pub(crate) async fn crash(&self) -> World {
        let dir = tempfile::tempdir().unwrap();
        for name in ["engine.db", "engine.db-wal"] {
            if self.dir.path().join(name).exists() {
                std::fs::copy(self.dir.path().join(name), dir.path().join(name)).unwrap();
            }
        }
        World::open(Arc::new(dir), self.clock.clone()).await
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) fn options(dir: &Path, clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions {
        clock: clock.clone(),
        role: "a test".to_owned(),
        ..EngineOptions::new(dir)
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) call: InProcess,
}

impl Client {
    pub(crate) async fn rpc<A: Message + Default>(&self, rpc: &str, request: impl Message) -> Result<A, Status> {
        self.rpc_with(rpc, HeaderMap::new(), request).await
    }

    pub(crate) async fn rpc_with<A: Message + Default>(
        &self,
        rpc: &str,
        headers: HeaderMap,
        request: impl Message,
    ) -> Result<A, Status> {
        let service = "temporal.api.workflowservice.v1.WorkflowService";
        let (_, bytes) = self
            .call
            .call(service, rpc, headers, request.encode_to_vec().into())
            .await?;
        Ok(A::decode(bytes.as_slice()).unwrap())
    }

    pub(crate) async fn start(&self, id: &str) -> String {
        self.start_with(start_request(id)).await.unwrap().run_id
    }

    pub(crate) async fn start_with(
        &self,
        request: StartWorkflowExecutionRequest,
    ) -> Result<StartWorkflowExecutionResponse, Status> {
        self.rpc("StartWorkflowExecution", request).await
    }

    pub(crate) async fn poll(&self) -> PollWorkflowTaskQueueResponse {
        self.poll_on(QUEUE).await
    }

    pub(crate) async fn poll_on(&self, queue: &str) -> PollWorkflowTaskQueueResponse {
        self.rpc("PollWorkflowTaskQueue", poll_request(queue)).await.unwrap()
    }

    /// A poll that waits in the background.
    pub(crate) fn polling(&self, queue: &str) -> tokio::task::JoinHandle<PollWorkflowTaskQueueResponse> {
        let (client, queue) = (self.clone(), queue.to_owned());
        tokio::spawn(async move { client.poll_on(&queue).await })
    }

    pub(crate) async fn poll_activity(&self) -> PollActivityTaskQueueResponse {
        self.rpc("PollActivityTaskQueue", poll_activity_request(QUEUE))
            .await
            .unwrap()
    }

    pub(crate) async fn complete(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: Vec<Command>,
    ) -> RespondWorkflowTaskCompletedResponse {
        self.try_complete(task, commands).await.unwrap()
    }

    pub(crate) async fn try_complete(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: Vec<Command>,
    ) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
        self.rpc("RespondWorkflowTaskCompleted", completion(task, commands))
            .await
    }

    /// Completes and asks for the next tasks on a sticky queue.
    pub(crate) async fn complete_sticky(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: Vec<Command>,
        queue: &str,
    ) -> RespondWorkflowTaskCompletedResponse {
        let request = RespondWorkflowTaskCompletedRequest {
            sticky_attributes: Some(StickyExecutionAttributes {
                worker_task_queue: Some(sticky_queue(queue)),
                schedule_to_start_timeout: Some(seconds(10)),
            }),
            ..completion(task, commands)
        };
        self.rpc("RespondWorkflowTaskCompleted", request).await.unwrap()
    }

    pub(crate) async fn complete_activity(&self, task: &PollActivityTaskQueueResponse, result: &str) {
        let _: RespondActivityTaskCompletedResponse = self
            .rpc(
                "RespondActivityTaskCompleted",
                RespondActivityTaskCompletedRequest {
                    task_token: task.task_token.clone(),
                    result: payloads(result),
                    namespace: NAMESPACE.to_owned(),
                    ..Default::default()
                },
            )
            .await
            .unwrap();
    }

    pub(crate) async fn signal(&self, id: &str, name: &str) -> Result<SignalWorkflowExecutionResponse, Status> {
        self.rpc("SignalWorkflowExecution", signal_request(id, name)).await
    }

    pub(crate) async fn terminate(&self, id: &str) -> Result<TerminateWorkflowExecutionResponse, Status> {
        self.rpc(
            "TerminateWorkflowExecution",
            TerminateWorkflowExecutionRequest {
                namespace: NAMESPACE.to_owned(),
                workflow_execution: execution(id),
                reason: "for the test".to_owned(),
                ..Default::default()
            },
        )
        .await
    }

    pub(crate) async fn describe(&self, id: &str) -> DescribeWorkflowExecutionResponse {
        self.rpc(
            "DescribeWorkflowExecution",
            DescribeWorkflowExecutionRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution(id),
            },
        )
        .await
        .unwrap()
    }

    pub(crate) async fn status(&self, id: &str) -> WorkflowExecutionStatus {
        self.describe(id).await.workflow_execution_info.unwrap().status()
    }

    /// The whole history as people see it, page by page.
    pub(crate) async fn history(&self, id: &str) -> Vec<HistoryEvent> {
        let mut events = Vec::new();
        let mut token = Vec::new();
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("client-name", HeaderValue::from_static("temporal-cli"));
            let page: GetWorkflowExecutionHistoryResponse = self
                .rpc_with(
                    "GetWorkflowExecutionHistory",
                    headers,
                    GetWorkflowExecutionHistoryRequest {
                        namespace: NAMESPACE.to_owned(),
                        execution: execution(id),
                        next_page_token: token,
                        ..Default::default()
                    },
                )
                .await
                .unwrap();
            events.extend(page.history.unwrap_or_default().events);
            if page.next_page_token.is_empty() {
                return events;
            }
            token = page.next_page_token;
        }
    }

    pub(crate) async fn event_types(&self, id: &str) -> Vec<EventType> {
        self.history(id).await.iter().map(|event| event.event_type()).collect()
    }

    pub(crate) async fn query(&self, id: &str, name: &str) -> Result<QueryWorkflowResponse, Status> {
        self.rpc("QueryWorkflow", query_request(id, name)).await
    }

    pub(crate) async fn list(&self, query: &str) -> Result<ListWorkflowExecutionsResponse, Status> {
        self.rpc(
            "ListWorkflowExecutions",
            ListWorkflowExecutionsRequest {
                namespace: NAMESPACE.to_owned(),
                query: query.to_owned(),
                ..Default::default()
            },
        )
        .await
    }
}

pub(crate) fn start_request(id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType {
            name: "kind".to_owned(),
        }),
        task_queue: normal_queue(QUEUE),
        request_id: uuid::Uuid::new_v4().to_string(),
        identity: "starter".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn poll_request(queue: &str) -> PollWorkflowTaskQueueRequest {
    let task_queue = match queue {
        "sticky" => Some(sticky_queue(queue)),
        _ => normal_queue(queue),
    };
    PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue,
        identity: "worker".to_owned(),
        worker_instance_key: "instance".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn poll_activity_request(queue: &str) -> PollActivityTaskQueueRequest {
    PollActivityTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: normal_queue(queue),
        identity: "worker".to_owned(),
        worker_instance_key: "instance".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn completion(
    task: &PollWorkflowTaskQueueResponse,
    commands: Vec<Command>,
) -> RespondWorkflowTaskCompletedRequest {
    RespondWorkflowTaskCompletedRequest {
        task_token: task.task_token.clone(),
        commands,
        identity: "worker".to_owned(),
        namespace: NAMESPACE.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn signal_request(id: &str, name: &str) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution(id),
        signal_name: name.to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    }
}

pub(crate) fn query_request(id: &str, name: &str) -> QueryWorkflowRequest {
    QueryWorkflowRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution(id),
        query: Some(WorkflowQuery {
            query_type: name.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn answer(text: &str) -> WorkflowQueryResult {
    WorkflowQueryResult {
        result_type: QueryResultType::Answered as i32,
        answer: payloads(text),
        ..Default::default()
    }
}

pub(crate) fn execution(id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution {
        workflow_id: id.to_owned(),
        run_id: String::new(),
    })
}

pub(crate) fn normal_queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal as i32,
        normal_name: String::new(),
    })
}

pub(crate) fn sticky_queue(name: &str) -> TaskQueue {
    TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Sticky as i32,
        normal_name: QUEUE.to_owned(),
    }
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(crate) fn payloads(text: &str) -> Option<Payloads> {
    let metadata = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Some(Payloads {
        payloads: vec![Payload {
            metadata,
            data: text.as_bytes().to_vec(),
            ..Default::default()
        }],
    })
}

pub(crate) fn text(payloads: Option<Payloads>) -> String {
    String::from_utf8(payloads.unwrap().payloads.remove(0).data).unwrap()
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command {
        command_type: kind as i32,
        attributes: Some(attributes),
        ..Default::default()
    }
}

pub(crate) fn complete_workflow(result: &str) -> Command {
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
            result: payloads(result),
        }),
    )
}

pub(crate) fn start_timer(id: &str, after: i64) -> Command {
    command(
        CommandType::StartTimer,
        Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
            timer_id: id.to_owned(),
            start_to_fire_timeout: Some(seconds(after)),
        }),
    )
}

pub(crate) fn schedule_activity(id: &str) -> Command {
    command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: id.to_owned(),
            activity_type: Some(ActivityType { name: "act".to_owned() }),
            task_queue: normal_queue(QUEUE),
            start_to_close_timeout: Some(seconds(30)),
            retry_policy: Some(RetryPolicy {
                initial_interval: Some(seconds(5)),
                backoff_coefficient: 2.0,
                maximum_attempts: 3,
                ..Default::default()
            }),
            ..Default::default()
        }),
    )
}

pub(crate) fn start_child(id: &str) -> Command {
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(StartChildWorkflowExecutionCommandAttributes {
            workflow_id: id.to_owned(),
            workflow_type: Some(WorkflowType {
                name: "child".to_owned(),
            }),
            task_queue: normal_queue(QUEUE),
            ..Default::default()
        }),
    )
}

pub(crate) fn signal_external(id: &str, name: &str) -> Command {
    command(
        CommandType::SignalExternalWorkflowExecution,
        Attributes::SignalExternalWorkflowExecutionCommandAttributes(
            SignalExternalWorkflowExecutionCommandAttributes {
                execution: execution(id),
                signal_name: name.to_owned(),
                ..Default::default()
            },
        ),
    )
}

pub(crate) fn continue_as_new() -> Command {
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(ContinueAsNewWorkflowExecutionCommandAttributes {
            workflow_type: Some(WorkflowType {
                name: "kind".to_owned(),
            }),
            task_queue: normal_queue(QUEUE),
            ..Default::default()
        }),
    )
}

pub(crate) fn events(task: &PollWorkflowTaskQueueResponse) -> &[HistoryEvent] {
    task.history.as_ref().map_or(&[], |history| &history.events)
}

pub(crate) fn signal_names(events: &[HistoryEvent]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match &event.attributes {
            Some(history_event::Attributes::WorkflowExecutionSignaledEventAttributes(a)) => Some(a.signal_name.clone()),
            _ => None,
        })
        .collect()
}

/// Waits for what the engine does by itself. Not for time: the engine's clock stands still.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let patience = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    });
    patience.await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

pub(crate) fn assert_code<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> Status {
    let status = result.expect_err("was not refused");
    assert_eq!(status.code(), code, "{}", status.message());
    status
}

/// Waits until somebody waits at a workflow task queue.
/// As [`poll_request`] names the queue.
pub(crate) async fn wait_for_poller(world: &World, queue: &str) {
    wait_for_poller_of(world, poll_request(queue).task_queue).await;
}

pub(crate) async fn wait_for_poller_of(world: &World, queue: Option<TaskQueue>) {
    let client = world.client.clone();
    eventually("the poll waits", async || {
        let queue: DescribeTaskQueueResponse = client
            .rpc(
                "DescribeTaskQueue",
                DescribeTaskQueueRequest {
                    namespace: NAMESPACE.to_owned(),
                    task_queue: queue.clone(),
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        !queue.pollers.is_empty()
    })
    .await;
}
