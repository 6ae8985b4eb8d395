//! A client and a worker that do one thing after the other.

use helve_engine::InProcess;
use prost::Message;
use temporalio_protos::temporal::api::command::v1::command::Attributes;
use temporalio_protos::temporal::api::command::v1::{
    Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
};
use temporalio_protos::temporal::api::common::v1::{ActivityType, WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::CommandType;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1::*;
use tonic::codegen::http::HeaderMap;

const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
const NAMESPACE: &str = "default";

/// Of answers only what is looked at is decoded: what is counted shall be the engine's.
#[derive(Clone, PartialEq, Message)]
struct Task {
    #[prost(bytes = "vec", tag = "1")]
    task_token: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Page {
    #[prost(message, optional, tag = "1")]
    history: Option<Events>,
}

#[derive(Clone, PartialEq, Message)]
struct Events {
    #[prost(message, repeated, tag = "1")]
    events: Vec<Event>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Event {
    #[prost(int64, tag = "1")]
    id: i64,
}

/// The engine as clients and workers see it.
pub(crate) struct Driver(pub(crate) InProcess);

fn queue() -> Option<TaskQueue> {
    Some(TaskQueue {
        name: "q".to_owned(),
        ..Default::default()
    })
}

impl Driver {
    pub(crate) async fn call<A: Message + Default>(&self, rpc: &str, request: impl Message) -> A {
        let message = request.encode_to_vec().into();
        let answer = self.0.call(SERVICE, rpc, HeaderMap::new(), message).await;
        let (_, bytes) = answer.unwrap_or_else(|status| panic!("{rpc}: {status}"));
        A::decode(bytes.as_slice()).unwrap()
    }

    pub(crate) async fn start(&self, workflow_id: String) {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            request_id: workflow_id.clone(),
            workflow_id,
            workflow_type: Some(WorkflowType {
                name: "kind".to_owned(),
            }),
            task_queue: queue(),
            ..Default::default()
        };
        self.call::<StartWorkflowExecutionResponse>("StartWorkflowExecution", request)
            .await;
    }

    pub(crate) async fn signal(&self, workflow_id: &str, number: usize) {
        let request = SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: execution(workflow_id),
            signal_name: "news".to_owned(),
            request_id: number.to_string(),
            ..Default::default()
        };
        self.call::<SignalWorkflowExecutionResponse>("SignalWorkflowExecution", request)
            .await;
    }

    /// Takes the next workflow task and answers it.
    pub(crate) async fn workflow_task(&self, commands: Vec<Command>) {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: queue(),
            ..Default::default()
        };
        let task: Task = self.call("PollWorkflowTaskQueue", request).await;
        assert!(!task.task_token.is_empty(), "no workflow task");
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token: task.task_token,
            commands,
            ..Default::default()
        };
        self.call::<RespondWorkflowTaskCompletedResponse>("RespondWorkflowTaskCompleted", request)
            .await;
    }

    pub(crate) async fn activity_task(&self) {
        let request = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: queue(),
            ..Default::default()
        };
        let task: Task = self.call("PollActivityTaskQueue", request).await;
        assert!(!task.task_token.is_empty(), "no activity task");
        let request = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token: task.task_token,
            ..Default::default()
        };
        self.call::<RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", request)
            .await;
    }

    pub(crate) async fn history(&self, workflow_id: &str) -> usize {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: execution(workflow_id),
            ..Default::default()
        };
        let page: Page = self.call("GetWorkflowExecutionHistory", request).await;
        page.history.map_or(0, |history| history.events.len())
    }

    pub(crate) async fn list(&self) -> usize {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.to_owned(),
            page_size: 100,
            query: "WorkflowType = 'kind' AND ExecutionStatus = 'Completed'".to_owned(),
            ..Default::default()
        };
        let page: ListWorkflowExecutionsResponse = self.call("ListWorkflowExecutions", request).await;
        page.executions.len()
    }
}

fn execution(workflow_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution {
        workflow_id: workflow_id.to_owned(),
        run_id: String::new(),
    })
}

pub(crate) fn schedule(number: usize) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: number.to_string(),
        activity_type: Some(ActivityType { name: "act".to_owned() }),
        task_queue: queue(),
        start_to_close_timeout: std::time::Duration::from_secs(60).try_into().ok(),
        ..Default::default()
    };
    Command {
        command_type: CommandType::ScheduleActivityTask.into(),
        attributes: Some(Attributes::ScheduleActivityTaskCommandAttributes(attributes)),
        ..Default::default()
    }
}

pub(crate) fn complete() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes::default();
    Command {
        command_type: CommandType::CompleteWorkflowExecution.into(),
        attributes: Some(Attributes::CompleteWorkflowExecutionCommandAttributes(attributes)),
        ..Default::default()
    }
}
