//! The four timeouts of an activity, and the end of a backoff.

use std::sync::Arc;

use crate::{
    EventId, Timestamp,
    activity::expiration,
    attempt::{Phase, StartedAttempt},
    draft::Draft,
    failure::timeout_failure,
    proto::{ActivityTaskTimedOutEventAttributes, Attributes, RetryState, TimeoutType},
    recorded::Activity,
    timestamp::duration,
};

/// When the activity has to be looked at next.
pub(crate) fn activity_deadline(activity: &Activity) -> Option<Timestamp> {
    let timeouts = timeouts(activity).into_iter().flatten().map(|(time, _)| time);
    let backoff = match activity.attempt.phase {
        Phase::BackingOff { until } => Some(until),
        Phase::Ready { .. } | Phase::Started(_) => None,
    };
    timeouts.chain(backoff).min()
}

/// The timeouts that run now.
fn timeouts(activity: &Activity) -> [Option<(Timestamp, TimeoutType)>; 3] {
    let scheduled = &activity.scheduled;
    let after = |start: Timestamp, timeout: Option<&prost_types::Duration>, kind| {
        let timeout = duration(timeout);
        (!timeout.is_zero()).then(|| (start + timeout, kind))
    };
    let to_close = expiration(activity).map(|time| (time, TimeoutType::ScheduleToClose));
    match &activity.attempt.phase {
        Phase::BackingOff { .. } => [to_close, None, None],
        Phase::Ready { since } => [
            to_close,
            after(
                *since,
                scheduled.schedule_to_start_timeout.as_ref(),
                TimeoutType::ScheduleToStart,
            ),
            None,
        ],
        Phase::Started(StartedAttempt { time, .. }) => {
            let alive = activity
                .attempt
                .heartbeat_time
                .map_or(*time, |heartbeat| heartbeat.max(*time));
            [
                to_close,
                after(
                    *time,
                    scheduled.start_to_close_timeout.as_ref(),
                    TimeoutType::StartToClose,
                ),
                after(alive, scheduled.heartbeat_timeout.as_ref(), TimeoutType::Heartbeat),
            ]
        }
    }
}

impl Draft<'_> {
    pub(crate) fn tick_activities(&mut self) {
        let now = self.now;
        let due: Vec<(EventId, Arc<Activity>)> = self
            .state()
            .recorded
            .activities
            .iter()
            .filter(|(_, activity)| activity_deadline(activity).is_some_and(|deadline| deadline <= now))
            .map(|(id, activity)| (*id, Arc::clone(activity)))
            .collect();
        for (id, activity) in due {
            // The earliest one counts; of two at once the one that ends the activity for good, as it is listed first.
            let timeout = timeouts(&activity)
                .into_iter()
                .flatten()
                .filter(|(time, _)| *time <= now)
                .min_by_key(|(time, _)| *time);
            match timeout {
                Some((_, kind)) => self.time_out_activity(id, &activity, kind),
                None => self.edit_activity(id, |activity| activity.attempt.phase = Phase::Ready { since: now }),
            }
        }
    }

    fn time_out_activity(&mut self, id: EventId, activity: &Activity, kind: TimeoutType) {
        let details = activity.attempt.heartbeat.as_deref().cloned();
        let mut failure = timeout_failure(format!("activity {} timeout", name(kind)), kind, details.clone());
        let Err(retry_state) = self.retry_activity(id, activity, &failure) else {
            return;
        };
        if retry_state == RetryState::Timeout {
            // There is no time for another attempt: what ran out is the time for all of them.
            failure = timeout_failure(
                "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
                    .to_owned(),
                TimeoutType::ScheduleToClose,
                details,
            );
        }
        failure.cause = activity.attempt.last_failure.as_deref().cloned().map(Box::new);
        let started_event_id = self.record_started(id, activity, None);
        self.record(Attributes::ActivityTaskTimedOutEventAttributes(
            ActivityTaskTimedOutEventAttributes {
                failure: Some(failure),
                scheduled_event_id: id,
                started_event_id,
                retry_state: retry_state.into(),
            },
        ));
        self.wake();
    }
}

fn name(kind: TimeoutType) -> &'static str {
    match kind {
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
        TimeoutType::Unspecified => "unspecified",
    }
}
