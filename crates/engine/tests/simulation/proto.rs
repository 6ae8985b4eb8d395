//! Short names for parts of messages.

use std::collections::HashMap;

use temporalio_protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution},
    enums::v1::{EventType, TaskQueueKind},
    history::v1::HistoryEvent,
    taskqueue::v1::TaskQueue,
};

pub(crate) const NAMESPACE: &str = "default";
pub(crate) const QUEUE: &str = "queue";

pub(crate) fn namespace() -> String {
    NAMESPACE.to_owned()
}

pub(crate) fn execution(id: &str) -> Option<WorkflowExecution> {
    run(id, "")
}

pub(crate) fn run(id: &str, run_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution {
        workflow_id: id.to_owned(),
        run_id: run_id.to_owned(),
    })
}

pub(crate) fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal as i32,
        normal_name: String::new(),
    })
}

pub(crate) fn sticky_queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Sticky as i32,
        normal_name: QUEUE.to_owned(),
    })
}

pub(crate) fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
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

pub(crate) fn text(payloads: Option<&Payloads>) -> String {
    let first = payloads.and_then(|payloads| payloads.payloads.first());
    first.map_or_else(String::new, |first| String::from_utf8_lossy(&first.data).into_owned())
}

pub(crate) fn is_close(event: &HistoryEvent) -> bool {
    use EventType as T;
    matches!(
        event.event_type(),
        T::WorkflowExecutionCompleted
            | T::WorkflowExecutionFailed
            | T::WorkflowExecutionTimedOut
            | T::WorkflowExecutionCanceled
            | T::WorkflowExecutionTerminated
            | T::WorkflowExecutionContinuedAsNew
    )
}
