//! Requests that a run remembers by their ids: what became of them can be asked, and sent again they change nothing.

use std::sync::Arc;

use temporalio_protos::temporal::api::workflow::v1::RequestIdInfo;

use crate::{
    Attachment, EventId, Rejection, Reply, RunState,
    draft::{Draft, Entry},
    proto::{Attributes, EventType, HistoryEvent, WorkflowExecutionOptionsUpdatedEventAttributes},
    recorded::Recorded,
};

/// The event that a request led to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestEvent {
    pub(crate) event_type: EventType,
    /// `None` while the event is buffered and has no id yet.
    pub(crate) event_id: Option<EventId>,
}

impl Recorded {
    /// Takes in the request that an event carries out, if it names one: what it means, or where it stands.
    pub(crate) fn note_request(&mut self, event: &HistoryEvent) {
        let request_id = match &event.attributes {
            Some(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a)) => &a.attached_request_id,
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a)) => match &a.request {
                Some(request) => &request.request_id,
                None => return,
            },
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => match &a.accepted_request {
                Some(request) => &request.request_id,
                None => return,
            },
            _ => return,
        };
        if !request_id.is_empty() {
            let noted = RequestEvent {
                event_type: event.event_type(),
                event_id: (event.event_id > 0).then_some(event.event_id),
            };
            self.requests.insert(request_id.as_str().into(), noted);
        }
    }
}

impl RunState {
    /// Was this request carried out by the run, after its start?
    pub fn knows_request(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.recorded.requests.contains(request_id)
    }

    /// The requests that the run remembers, with the events that they led to.
    pub(crate) fn request_id_infos(&self) -> impl Iterator<Item = (String, RequestIdInfo)> {
        let start = RequestIdInfo {
            event_type: EventType::WorkflowExecutionStarted.into(),
            event_id: 1,
            buffered: false,
        };
        let start = (!self.start_request_id().is_empty()).then(|| (self.start_request_id().to_owned(), start));
        let later = |(id, noted): (&Arc<str>, &Arc<RequestEvent>)| {
            let info = RequestIdInfo {
                event_type: noted.event_type.into(),
                event_id: noted.event_id.unwrap_or(0),
                buffered: noted.event_id.is_none(),
            };
            (id.to_string(), info)
        };
        start.into_iter().chain(self.recorded.requests.iter().map(later))
    }
}

impl Draft<'_> {
    /// A start met this open run and leaves what it brought. The workflow is not told.
    pub(crate) fn attach(&mut self, attachment: Attachment) -> Result<Reply, Rejection> {
        let Attachment { request_id, links } = attachment;
        if self.state().knows_request(&request_id) {
            return Ok(Reply::Done);
        }
        self.check_running()?;
        let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
            attached_request_id: request_id,
            ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
        };
        self.record(Entry::from(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes)).links(links));
        Ok(Reply::Done)
    }
}
