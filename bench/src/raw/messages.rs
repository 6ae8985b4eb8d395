//! Answers of the server, with only the fields that the driver looks at: the rest is skipped, not decoded. The server
//! sends the same bytes whoever reads them.

use prost::Message;

/// PollWorkflowTaskQueueResponse.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkflowTask {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) task_token: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) execution: Option<Execution>,
    #[prost(message, optional, tag = "8")]
    pub(crate) history: Option<History>,
    /// Not empty when there is more history than fits into one answer.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) next_page_token: Vec<u8>,
}

/// temporal.api.common.v1.WorkflowExecution.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Execution {
    #[prost(string, tag = "1")]
    pub(crate) workflow_id: String,
    #[prost(string, tag = "2")]
    pub(crate) run_id: String,
}

/// temporal.api.history.v1.History.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct History {
    #[prost(message, repeated, tag = "1")]
    pub(crate) events: Vec<Event>,
}

/// temporal.api.history.v1.HistoryEvent.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
    /// A temporal.api.enums.v1.EventType.
    #[prost(int32, tag = "3")]
    pub(crate) kind: i32,
}

/// PollActivityTaskQueueResponse.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ActivityTask {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) task_token: Vec<u8>,
}

/// GetWorkflowExecutionHistoryResponse.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistoryPage {
    #[prost(message, optional, tag = "1")]
    pub(crate) history: Option<History>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) next_page_token: Vec<u8>,
}

/// StartWorkflowExecutionResponse.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Started {
    #[prost(string, tag = "1")]
    pub(crate) run_id: String,
}

/// Any answer of which nothing is needed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Nothing {}

#[cfg(test)]
mod tests {
    use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
    use temporalio_protos::temporal::api::enums::v1::EventType;
    use temporalio_protos::temporal::api::history::v1 as history;
    use temporalio_protos::temporal::api::workflowservice::v1 as service;

    use super::*;

    #[test]
    fn the_fields_are_those_of_the_protocol() {
        let event = history::HistoryEvent {
            event_id: 7,
            event_type: EventType::ActivityTaskCompleted.into(),
            ..Default::default()
        };
        let full = service::PollWorkflowTaskQueueResponse {
            task_token: vec![1, 2],
            workflow_execution: Some(WorkflowExecution {
                workflow_id: "w".into(),
                run_id: "r".into(),
            }),
            history: Some(history::History { events: vec![event] }),
            started_event_id: 9,
            next_page_token: vec![5],
            ..Default::default()
        };
        let task = WorkflowTask::decode(full.encode_to_vec().as_slice()).unwrap();
        assert_eq!((task.task_token, task.next_page_token), (vec![1, 2], vec![5]));
        let execution = task.execution.unwrap();
        assert_eq!((execution.workflow_id.as_str(), execution.run_id.as_str()), ("w", "r"));
        let kind = EventType::ActivityTaskCompleted.into();
        assert_eq!(task.history.unwrap().events, [Event { id: 7, kind }]);

        let full = service::GetWorkflowExecutionHistoryResponse {
            history: full.history,
            next_page_token: vec![3],
            ..Default::default()
        };
        let page = HistoryPage::decode(full.encode_to_vec().as_slice()).unwrap();
        assert_eq!((page.history.unwrap().events.len(), page.next_page_token), (1, vec![3]));

        let full = service::StartWorkflowExecutionResponse {
            run_id: "r".into(),
            ..Default::default()
        };
        assert_eq!(Started::decode(full.encode_to_vec().as_slice()).unwrap().run_id, "r");
        let full = service::PollActivityTaskQueueResponse {
            task_token: vec![4],
            ..Default::default()
        };
        let task = ActivityTask::decode(full.encode_to_vec().as_slice()).unwrap();
        assert_eq!(task.task_token, [4]);
    }
}
