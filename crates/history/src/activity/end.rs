//! How an activity closes: one place for all of its ends.
//!
//! A workflow hears of it by events and wakes. A standalone activity closes its run: its close event is the run's.

use crate::{
    EventId,
    draft::{Draft, Entry},
    proto::{
        ActivityTaskCanceledEventAttributes, ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes,
        ActivityTaskStartedEventAttributes, ActivityTaskTimedOutEventAttributes, Attributes, Failure, FailureInfo,
        Payloads, RetryState, TimeoutType,
    },
    recorded::Activity,
};

/// The end of an activity.
pub(crate) enum ActivityEnd {
    Completed {
        result: Option<Payloads>,
    },
    Failed {
        failure: Failure,
        retry_state: RetryState,
    },
    TimedOut {
        failure: Failure,
        retry_state: RetryState,
    },
    Canceled {
        details: Option<Payloads>,
        cancel_requested_event_id: EventId,
    },
}

impl Draft<'_> {
    /// Closes an activity. `caller`: who says so, if it is not the engine.
    pub(crate) fn end_activity(&mut self, id: EventId, activity: &Activity, end: ActivityEnd, caller: Option<&str>) {
        if self.is_standalone() {
            self.note_last_attempt(id, &end, caller);
        }
        let started_event_id = self.record_started(id, activity, caller);
        let identity = caller.unwrap_or_default().to_owned();
        let entry = match end {
            ActivityEnd::Completed { result } => {
                Attributes::ActivityTaskCompletedEventAttributes(ActivityTaskCompletedEventAttributes {
                    result,
                    scheduled_event_id: id,
                    started_event_id,
                    identity,
                    ..ActivityTaskCompletedEventAttributes::default()
                })
            }
            ActivityEnd::Failed { failure, retry_state } => {
                Attributes::ActivityTaskFailedEventAttributes(ActivityTaskFailedEventAttributes {
                    failure: Some(failure),
                    scheduled_event_id: id,
                    started_event_id,
                    identity,
                    retry_state: retry_state.into(),
                    ..ActivityTaskFailedEventAttributes::default()
                })
            }
            ActivityEnd::TimedOut { failure, retry_state } => {
                Attributes::ActivityTaskTimedOutEventAttributes(ActivityTaskTimedOutEventAttributes {
                    failure: Some(failure),
                    scheduled_event_id: id,
                    started_event_id,
                    retry_state: retry_state.into(),
                })
            }
            ActivityEnd::Canceled {
                details,
                cancel_requested_event_id,
            } => canceled(id, started_event_id, cancel_requested_event_id, details, identity),
        };
        if self.is_standalone() {
            self.close(entry, None);
        } else {
            self.record(entry);
            self.wake();
        }
    }

    /// A standalone activity still shows its last attempt when it is closed.
    fn note_last_attempt(&mut self, id: EventId, end: &ActivityEnd, caller: Option<&str>) {
        let now = self.now;
        self.edit_activity(id, |activity| {
            let attempt = &mut activity.attempt;
            match end {
                ActivityEnd::Completed { .. } => attempt.last_ended = Some(now),
                ActivityEnd::Failed { failure, .. } => {
                    attempt.last_ended = Some(now);
                    attempt.last_failure = Some(failure.clone().into());
                }
                ActivityEnd::TimedOut { failure, .. } if of_one_attempt(failure) => {
                    attempt.last_ended = Some(now);
                    attempt.last_failure = Some(failure.clone().into());
                }
                ActivityEnd::TimedOut { .. } | ActivityEnd::Canceled { .. } => {}
            }
            if let (Some(caller), ActivityEnd::Completed { .. } | ActivityEnd::Failed { .. }) = (caller, end) {
                caller.clone_into(&mut attempt.last_worker);
                attempt.last_started.get_or_insert(now);
            }
            attempt.paused = None;
            attempt.reset = None;
        });
    }

    /// Records the Started event that was left out so far, with the time it really happened. An activity that was never
    /// started, but is closed by a caller who knows its id, is made to have been started by that caller. [trap 8]
    fn record_started(&mut self, id: EventId, activity: &Activity, caller: Option<&str>) -> EventId {
        let (time, identity, request_id) = match (activity.attempt.started(), caller) {
            (Some(started), _) => (started.time, started.identity.clone(), started.request_id.clone()),
            (None, Some(caller)) => (self.now, caller.to_owned(), String::new()),
            (None, None) => return 0,
        };
        let attributes = ActivityTaskStartedEventAttributes {
            scheduled_event_id: id,
            identity,
            request_id,
            attempt: i32::try_from(activity.attempt.number).unwrap_or(i32::MAX),
            last_failure: activity.attempt.last_failure.as_deref().cloned(),
            ..ActivityTaskStartedEventAttributes::default()
        };
        self.record(Entry::from(Attributes::ActivityTaskStartedEventAttributes(attributes)).at(time))
    }
}

/// The event of an activity that closes as cancelled.
pub(crate) fn canceled(
    id: EventId,
    started_event_id: EventId,
    latest_cancel_requested_event_id: EventId,
    details: Option<Payloads>,
    identity: String,
) -> Attributes {
    Attributes::ActivityTaskCanceledEventAttributes(ActivityTaskCanceledEventAttributes {
        details,
        latest_cancel_requested_event_id,
        scheduled_event_id: id,
        started_event_id,
        identity,
        ..ActivityTaskCanceledEventAttributes::default()
    })
}

fn of_one_attempt(failure: &Failure) -> bool {
    matches!(&failure.failure_info, Some(FailureInfo::TimeoutFailureInfo(info))
        if matches!(info.timeout_type(), TimeoutType::StartToClose | TimeoutType::Heartbeat))
}
