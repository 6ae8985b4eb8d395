//! What a client asks: start a workflow, wait until it closes.

use std::time::Duration;

use temporalio_protos::temporal::api::common::v1::{WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::{EventType, HistoryEventFilterType};
use temporalio_protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, StartWorkflowExecutionRequest,
};
use tonic::Status;

use super::messages::{Event, HistoryPage};
use super::worker::task_queue;
use super::{Caller, IDENTITY, NAMESPACE, Rpc};

/// The server answers the question for a result before this, with or without one.
const LONG_POLL: Duration = Duration::from_secs(70);

/// A workflow of this type, without input.
pub(crate) fn start_request(kind: &str, queue: &str, workflow_id: String) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_type: Some(WorkflowType { name: kind.to_owned() }),
        task_queue: task_queue(queue),
        request_id: workflow_id.clone(),
        workflow_id,
        identity: IDENTITY.to_owned(),
        ..Default::default()
    }
}

/// Waits for the event that closes a run, and returns its type.
pub(crate) async fn wait_for_close(caller: &mut Caller, workflow_id: &str, run_id: &str) -> Result<EventType, Status> {
    let mut next_page_token = Vec::new();
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                run_id: run_id.to_owned(),
            }),
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
            next_page_token,
            ..Default::default()
        };
        let page: HistoryPage = caller.long_poll(Rpc::GET_HISTORY, request, LONG_POLL).await?;
        if let Some(kind) = page
            .history
            .iter()
            .flat_map(|history| &history.events)
            .find_map(closing)
        {
            return Ok(kind);
        }
        next_page_token = page.next_page_token;
    }
}

fn closing(event: &Event) -> Option<EventType> {
    let kind = EventType::try_from(event.kind).ok()?;
    let closes = matches!(
        kind,
        EventType::WorkflowExecutionCompleted
            | EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionTimedOut
            | EventType::WorkflowExecutionCanceled
            | EventType::WorkflowExecutionTerminated
            | EventType::WorkflowExecutionContinuedAsNew
    );
    closes.then_some(kind)
}
