//! How each event changes [`Recorded`]: one function per concern, used live, when loading, and when buffered events
//! are flushed.
//!
//! An event has two effects. What it *means* ([`Recorded::absorb`]) counts at once, even while the event is buffered: an
//! activity whose completion waits in the buffer is closed. Where it *stands* ([`Recorded::number`]) is known when it
//! gets its id. Folding stored history does both at once; the results agree because meaning never depends on order
//! beyond what ids express.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prost::Message;

use crate::{
    EventId, RunKind, Timestamp,
    attempt::Attempt,
    proto::{Attributes, HistoryEvent, Payload},
    recorded::{Activity, Child, ChildRun, ExternalCancel, ExternalSignal, Recorded, ResetPoint, RunStarted, Timer},
    shared::SharedMap,
    timestamp::duration,
};

impl Recorded {
    /// Takes in a stored event: what it means and where it stands.
    pub(crate) fn apply(&mut self, event: &HistoryEvent) {
        if self.kind == RunKind::Activity && self.absorb_standalone(event) {
            self.number(event);
            return;
        }
        self.absorb(event);
        self.number(event);
    }

    /// Takes in where an event stands.
    pub(crate) fn number(&mut self, event: &HistoryEvent) {
        self.length = event.event_id;
        self.size += event.encoded_len() as u64;
        self.last_time = self.last_time.max(event_time(event));
        if let Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(a)) = &event.attributes
            && let Some(run) = self
                .children
                .get_mut(&a.initiated_event_id)
                .and_then(|child| child.started.as_mut())
        {
            run.started_event_id = Some(event.event_id);
        }
        self.updates.number(event);
        self.note_request(event);
    }

    /// Takes in what an event means.
    pub(crate) fn absorb(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        let id = event.event_id;
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(a) => {
                self.memo = Arc::new(a.memo.as_ref().map(|m| m.fields.clone()).unwrap_or_default());
                self.search_attributes = Arc::new(
                    a.search_attributes
                        .as_ref()
                        .map(|s| s.indexed_fields.clone())
                        .unwrap_or_default(),
                );
                self.started = Arc::new(RunStarted {
                    attributes: a.clone(),
                    time: event_time(event),
                    user_metadata: event.user_metadata.clone(),
                    links: event.links.clone(),
                });
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(_)
            | Attributes::WorkflowExecutionFailedEventAttributes(_)
            | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
            | Attributes::WorkflowExecutionCanceledEventAttributes(_)
            | Attributes::WorkflowExecutionTerminatedEventAttributes(_)
            | Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_) => self.absorb_close(event),

            Attributes::WorkflowTaskScheduledEventAttributes(_) => self.had_workflow_task = true,
            Attributes::WorkflowTaskCompletedEventAttributes(a) => self.last_completed_started_id = a.started_event_id,
            // A worker may name any cause, but no base run.
            Attributes::WorkflowTaskFailedEventAttributes(a) if !a.base_run_id.is_empty() => {
                self.absorb_reset(event, &a.base_run_id);
            }

            Attributes::WorkflowExecutionSignaledEventAttributes(a) => {
                self.signals += 1;
                if !a.request_id.is_empty() {
                    self.signal_ids.insert(a.request_id.as_str().into());
                }
            }
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => self.cancel_requested = true,
            Attributes::UpsertWorkflowSearchAttributesEventAttributes(a) => {
                merge(
                    &mut self.search_attributes,
                    a.search_attributes.as_ref().map(|s| &s.indexed_fields),
                );
            }
            Attributes::WorkflowPropertiesModifiedEventAttributes(a) => {
                merge(&mut self.memo, a.upserted_memo.as_ref().map(|m| &m.fields));
            }

            Attributes::ActivityTaskScheduledEventAttributes(a) => {
                let scheduled_time = event_time(event);
                let start_delay = match self.kind {
                    RunKind::Workflow => Duration::ZERO,
                    RunKind::Activity => self.started.backoff(),
                };
                self.activity_ids.insert(a.activity_id.as_str().into(), id);
                self.activities.insert(
                    id,
                    Activity {
                        scheduled: Arc::new(a.clone()),
                        scheduled_time,
                        start_delay,
                        cancel_requested: None,
                        attempt: Attempt::first(scheduled_time, start_delay),
                    },
                );
            }
            Attributes::ActivityTaskCancelRequestedEventAttributes(a) => {
                if let Some(activity) = self.activities.get_mut(&a.scheduled_event_id) {
                    activity.cancel_requested = Some(id);
                }
            }
            Attributes::ActivityTaskCompletedEventAttributes(a) => self.absorb_activity_closed(a.scheduled_event_id),
            Attributes::ActivityTaskFailedEventAttributes(a) => self.absorb_activity_closed(a.scheduled_event_id),
            Attributes::ActivityTaskTimedOutEventAttributes(a) => self.absorb_activity_closed(a.scheduled_event_id),
            Attributes::ActivityTaskCanceledEventAttributes(a) => self.absorb_activity_closed(a.scheduled_event_id),

            Attributes::TimerStartedEventAttributes(a) => {
                let fires_at = event_time(event) + duration(a.start_to_fire_timeout.as_ref());
                self.timer_ids.insert(a.timer_id.as_str().into(), id);
                self.timers.insert(
                    id,
                    Timer {
                        id: a.timer_id.clone(),
                        fires_at,
                    },
                );
            }
            Attributes::TimerFiredEventAttributes(a) => self.absorb_timer_closed(a.started_event_id),
            Attributes::TimerCanceledEventAttributes(a) => self.absorb_timer_closed(a.started_event_id),

            _ => self.absorb_about_other_runs(event, attributes),
        }
    }

    fn absorb_about_other_runs(&mut self, event: &HistoryEvent, attributes: &Attributes) {
        let id = event.event_id;
        match attributes {
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a) => self.children.insert(
                id,
                Child {
                    initiated: Arc::new(a.clone()),
                    user_metadata: event.user_metadata.clone(),
                    started: None,
                },
            ),
            Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => {
                if let Some(child) = self.children.get_mut(&a.initiated_event_id) {
                    let run_id = a
                        .workflow_execution
                        .as_ref()
                        .map(|e| e.run_id.clone())
                        .unwrap_or_default();
                    child.started = Some(ChildRun {
                        run_id,
                        started_event_id: None,
                    });
                }
            }
            Attributes::StartChildWorkflowExecutionFailedEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }
            Attributes::ChildWorkflowExecutionFailedEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }
            Attributes::ChildWorkflowExecutionCanceledEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }
            Attributes::ChildWorkflowExecutionTimedOutEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }
            Attributes::ChildWorkflowExecutionTerminatedEventAttributes(a) => {
                self.children.remove(&a.initiated_event_id);
            }

            Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a) => {
                self.external_signals.insert(
                    id,
                    ExternalSignal {
                        initiated: Arc::new(a.clone()),
                    },
                );
            }
            Attributes::ExternalWorkflowExecutionSignaledEventAttributes(a) => {
                self.external_signals.remove(&a.initiated_event_id);
            }
            Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(a) => {
                self.external_signals.remove(&a.initiated_event_id);
            }

            Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a) => {
                self.external_cancels.insert(
                    id,
                    ExternalCancel {
                        initiated: Arc::new(a.clone()),
                    },
                );
            }
            Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => {
                self.external_cancels.remove(&a.initiated_event_id);
            }
            Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => {
                self.external_cancels.remove(&a.initiated_event_id);
            }
            Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
            | Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(_) => self.note_request(event),
            // Markers, and what a workflow task did besides completing, leave nothing to remember.
            _ => {}
        }
    }

    /// Of a closed run only what it still owes to others is kept: children and messages under way.
    fn absorb_close(&mut self, event: &HistoryEvent) {
        self.close = Some(Arc::new(event.clone()));
        self.activities.clear();
        self.activity_ids.clear();
        self.timers.clear();
        self.timer_ids.clear();
    }

    /// Another run begins here. What an attempt of an activity did belongs to the run before: all of them wait for their
    /// first one, and their time begins anew. Timers keep theirs. [trap 15]
    fn absorb_reset(&mut self, event: &HistoryEvent, base_run_id: &str) {
        let time = event_time(event);
        let pending: Vec<EventId> = self.activities.keys().copied().collect();
        for id in pending {
            if let Some(activity) = self.activities.get_mut(&id) {
                activity.scheduled_time = time;
                activity.attempt = Attempt::first(time, activity.start_delay);
            }
        }
        Arc::make_mut(&mut self.resets).push(ResetPoint {
            event_id: event.event_id,
            base_run_id: base_run_id.to_owned(),
            time,
        });
    }

    fn absorb_activity_closed(&mut self, scheduled_event_id: EventId) {
        if let Some(activity) = self.activities.remove(&scheduled_event_id) {
            remove_if(
                &mut self.activity_ids,
                &activity.scheduled.activity_id,
                scheduled_event_id,
            );
        }
    }

    fn absorb_timer_closed(&mut self, started_event_id: EventId) {
        if let Some(timer) = self.timers.remove(&started_event_id) {
            remove_if(&mut self.timer_ids, &timer.id, started_event_id);
        }
    }
}

/// Ids may be used again once their holder is closed, so an id may already name a newer holder.
fn remove_if(ids: &mut SharedMap<Arc<str>, EventId>, id: &str, holder: EventId) {
    if ids.get(id).is_some_and(|current| **current == holder) {
        ids.remove(id);
    }
}

/// Upserts `changes`; an empty payload deletes its key.
fn merge(into: &mut Arc<HashMap<String, Payload>>, changes: Option<&HashMap<String, Payload>>) {
    let Some(changes) = changes.filter(|changes| !changes.is_empty()) else {
        return;
    };
    let into = Arc::make_mut(into);
    for (key, value) in changes {
        if is_deletion(value) {
            into.remove(key);
        } else {
            into.insert(key.clone(), value.clone());
        }
    }
}

/// SDKs delete a memo field or a search attribute by an empty payload, or an encoded null or empty list.
pub(crate) fn is_deletion(value: &Payload) -> bool {
    let encoding = value.metadata.get("encoding").map(Vec::as_slice);
    value.data.is_empty() && value.external_payloads.is_empty()
        || encoding == Some(b"binary/null")
        || (encoding == Some(b"json/plain") && matches!(value.data.as_slice(), b"null" | b"[]"))
}

/// When an event happened.
pub(crate) fn event_time(event: &HistoryEvent) -> Timestamp {
    event.event_time.map(Timestamp::from).unwrap_or_default()
}
