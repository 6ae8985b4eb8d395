//! What a history says about updates.

use std::sync::Arc;

use crate::{
    EventId,
    proto::{Attributes, HistoryEvent},
    shared::SharedMap,
};

/// The updates of a run's history, by their ids. One that was only admitted in memory, or rejected, is not among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RecordedUpdates {
    /// Admitted by an event (a reset hands updates on this way), and not answered yet: the Admitted event.
    pub(crate) admitted: SharedMap<Arc<str>, EventId>,
    /// Accepted, but not completed: the Accepted event.
    pub(crate) accepted: SharedMap<Arc<str>, EventId>,
    /// Completed: the Completed event, which holds the outcome.
    pub(crate) completed: SharedMap<Arc<str>, EventId>,
}

impl RecordedUpdates {
    /// Takes in an event, when it has its place.
    pub(crate) fn number(&mut self, event: &HistoryEvent) {
        let id = event.event_id;
        match &event.attributes {
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a)) => {
                let meta = a.request.as_ref().and_then(|request| request.meta.as_ref());
                if let Some(meta) = meta {
                    self.admitted.insert(meta.update_id.as_str().into(), id);
                }
            }
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                self.admitted.remove(a.protocol_instance_id.as_str());
                self.accepted.insert(a.protocol_instance_id.as_str().into(), id);
            }
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                let update_id = a.meta.as_ref().map_or("", |meta| meta.update_id.as_str());
                self.accepted.remove(update_id);
                self.completed.insert(update_id.into(), id);
            }
            Some(Attributes::WorkflowTaskCompletedEventAttributes(a)) => self.forget_answered(a.started_event_id),
            _ => {}
        }
    }

    /// A completed workflow task answers every update whose Admitted event it showed to the worker. A rejection leaves no
    /// event, so this is how history says it.
    fn forget_answered(&mut self, started_event_id: EventId) {
        for update_id in self.shown_by(started_event_id) {
            self.admitted.remove(&update_id);
        }
    }

    /// The updates whose Admitted events a workflow task with this Started event showed to the worker.
    pub(crate) fn shown_by(&self, started_event_id: EventId) -> Vec<Arc<str>> {
        let shown = self.admitted.iter().filter(|(_, id)| ***id < started_event_id);
        shown.map(|(update_id, _)| Arc::clone(update_id)).collect()
    }
}
