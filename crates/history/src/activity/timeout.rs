//! The four timeouts of an activity, and the end of a backoff.

use std::{sync::Arc, time::Duration};

use super::end::ActivityEnd;
use crate::{
    EventId, Timestamp,
    attempt::{Phase, StartedAttempt},
    draft::Draft,
    failure::timeout_failure,
    proto::{RetryState, TimeoutType},
    recorded::Activity,
};

/// When the activity has to be looked at next.
pub(crate) fn activity_deadline(activity: &Activity) -> Option<Timestamp> {
    let timeouts = timeouts(activity).into_iter().flatten().map(|(time, _)| time);
    let backoff = match activity.attempt.phase {
        Phase::BackingOff { until } if activity.attempt.paused.is_none() => Some(until),
        _ => None,
    };
    timeouts.chain(backoff).min()
}

/// The timeouts that run now; of two at once the first one counts. A paused activity need not be started in time.
fn timeouts(activity: &Activity) -> [Option<(Timestamp, TimeoutType)>; 3] {
    let after = |start: Timestamp, timeout: Duration, kind| (!timeout.is_zero()).then(|| (start + timeout, kind));
    let to_close = activity.expiration().map(|time| (time, TimeoutType::ScheduleToClose));
    match &activity.attempt.phase {
        Phase::BackingOff { .. } => [to_close, None, None],
        Phase::Ready { .. } if activity.attempt.paused.is_some() => [to_close, None, None],
        Phase::Ready { since } => [
            after(*since, activity.schedule_to_start(), TimeoutType::ScheduleToStart),
            to_close,
            None,
        ],
        Phase::Started(StartedAttempt { time, .. }) => {
            let alive = activity
                .attempt
                .heartbeat_time
                .map_or(*time, |heartbeat| heartbeat.max(*time));
            [
                to_close,
                after(*time, activity.start_to_close(), TimeoutType::StartToClose),
                after(alive, activity.heartbeat_timeout(), TimeoutType::Heartbeat),
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
            // The earliest one counts.
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
        let of_attempt = matches!(kind, TimeoutType::StartToClose | TimeoutType::Heartbeat);
        let names_the_last_straw = of_attempt || (kind == TimeoutType::ScheduleToClose && !self.is_standalone());
        if retry_state == RetryState::Timeout && names_the_last_straw {
            // There is no time for another attempt: what ran out is the time for all of them.
            failure = timeout_failure(
                "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
                    .to_owned(),
                TimeoutType::ScheduleToClose,
                details,
            );
        }
        if self.is_standalone() {
            failure.source.clear();
        }
        failure.cause = activity.attempt.last_failure.as_deref().cloned().map(Box::new);
        self.end_activity(id, activity, ActivityEnd::TimedOut { failure, retry_state }, None);
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
