//! Tasks as workers get them.

use std::time::Duration;

use helve_history::ActivityStarted;
use helve_protocol::WithHistory;
use prost::{DecodeError, Message};
use temporalio_protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::TaskQueueKind,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse},
};

use tonic::Status;

use crate::{
    error::{Failed, Fault},
    tasks::{QueryHandout, WorkflowTaskHandout},
};

/// Names a query that a worker got as a task of its own.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct QueryToken {
    #[prost(string, tag = "1")]
    pub(super) namespace: String,
    #[prost(string, tag = "2")]
    pub(super) query_id: String,
}

pub(super) fn workflow_task(task: WorkflowTaskHandout) -> WithHistory<PollWorkflowTaskQueueResponse> {
    let WorkflowTaskHandout { started, page, queries } = task;
    let message = PollWorkflowTaskQueueResponse {
        task_token: started.token.encode_to_vec(),
        workflow_execution: Some(started.execution),
        workflow_type: Some(started.workflow_type),
        previous_started_event_id: started.previous_started_event_id,
        started_event_id: started.started_event_id,
        attempt: i32::try_from(started.attempt).unwrap_or(i32::MAX),
        next_page_token: page.next,
        workflow_execution_task_queue: Some(started.task_queue),
        scheduled_time: Some(started.scheduled_time.into()),
        started_time: Some(started.started_time.into()),
        queries,
        messages: started.messages,
        ..Default::default()
    };
    WithHistory {
        message,
        history: Some(page.history),
    }
}

/// The same as part of another answer.
pub(super) fn nested_workflow_task(task: WorkflowTaskHandout) -> Result<PollWorkflowTaskQueueResponse, Status> {
    workflow_task(task).decode_history().map_err(damaged)
}

/// What a stored history that cannot be decoded is answered with.
pub(super) fn damaged(error: DecodeError) -> Status {
    Failed::from(Fault::Corrupt(format!("a history cannot be decoded: {error}"))).into()
}

pub(super) fn query_task(task: QueryHandout) -> WithHistory<PollWorkflowTaskQueueResponse> {
    let token = QueryToken {
        namespace: task.slot.key.namespace.clone(),
        query_id: task.query.id.clone(),
    };
    let message = PollWorkflowTaskQueueResponse {
        task_token: token.encode_to_vec(),
        workflow_execution: Some(task.slot.key.execution()),
        workflow_type: Some(WorkflowType {
            name: task.workflow_type,
        }),
        previous_started_event_id: task.previous_started_event_id,
        attempt: 1,
        next_page_token: task.page.next,
        query: Some(task.query.query.clone()),
        workflow_execution_task_queue: Some(TaskQueue {
            name: task.task_queue,
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        ..Default::default()
    };
    WithHistory {
        message,
        history: Some(task.page.history),
    }
}

pub(super) fn activity(started: ActivityStarted) -> PollActivityTaskQueueResponse {
    let (workflow_type, execution, activity_run_id) = if started.standalone {
        (None, WorkflowExecution::default(), started.execution.run_id)
    } else {
        (Some(started.workflow_type), started.execution, String::new())
    };
    PollActivityTaskQueueResponse {
        task_token: started.token.encode_to_vec(),
        workflow_namespace: started.workflow_namespace,
        workflow_type,
        workflow_execution: Some(execution),
        activity_run_id,
        activity_type: Some(started.activity_type),
        activity_id: started.activity_id,
        header: started.header,
        input: started.input,
        heartbeat_details: started.heartbeat_details,
        scheduled_time: Some(started.scheduled_time.into()),
        current_attempt_scheduled_time: Some(started.current_attempt_scheduled_time.into()),
        started_time: Some(started.started_time.into()),
        attempt: i32::try_from(started.attempt).unwrap_or(i32::MAX),
        schedule_to_close_timeout: Some(duration(started.schedule_to_close_timeout)),
        start_to_close_timeout: Some(duration(started.start_to_close_timeout)),
        heartbeat_timeout: Some(duration(started.heartbeat_timeout)),
        retry_policy: started.retry_policy,
        priority: started.priority,
        ..Default::default()
    }
}

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}
