//! What workers say about an activity: heartbeats, results, failures, cancellation.

use std::{sync::Arc, time::Duration};

use prost::Message;

use super::end::ActivityEnd;
use crate::{
    ActivityRef, EventId, Rejection, Reply,
    attempt::Phase,
    draft::Draft,
    failure::{bounded, server_failure, truncate},
    proto::{Failure, FailureInfo, Payloads, RetryState, TimeoutType},
    recorded::Activity,
    retry,
};

const HEARTBEAT_TOO_LARGE: &str = "Heartbeat details exceed size limit.";

impl Draft<'_> {
    pub(crate) fn heartbeat(
        &mut self,
        reference: &ActivityRef,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, activity) = self.find_started(reference)?;
        if self.is_too_large(details.as_ref()) {
            self.end_as_too_large(id, &activity, HEARTBEAT_TOO_LARGE, identity);
            return Ok(Reply::Heartbeat {
                cancel_requested: true,
                paused: false,
                reset: false,
            });
        }
        self.record_heartbeat(id, details);
        let attempt = &activity.attempt;
        let (cancel_requested, reset) = (activity.cancel_requested.is_some(), attempt.reset.is_some());
        Ok(Reply::Heartbeat {
            cancel_requested,
            // A standalone activity is told one thing at a time.
            paused: attempt.paused.is_some() && !(self.is_standalone() && reset),
            reset,
        })
    }

    fn record_heartbeat(&mut self, id: EventId, details: Option<Payloads>) {
        let now = self.now;
        self.edit_activity(id, |activity| {
            activity.attempt.heartbeat = details.map(Arc::new);
            activity.attempt.heartbeat_time = Some(now);
            activity.attempt.heartbeats += 1;
        });
    }

    pub(crate) fn complete_activity(
        &mut self,
        reference: &ActivityRef,
        result: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        // Who knows its id may complete an activity that no worker has.
        let (id, activity) = self.find_activity(reference)?;
        if self.is_too_large(result.as_ref()) {
            self.end_as_too_large(id, &activity, "Complete result exceeds size limit.", identity);
        } else {
            self.end_activity(id, &activity, ActivityEnd::Completed { result }, Some(identity));
        }
        Ok(Reply::Done)
    }

    pub(crate) fn fail_activity(
        &mut self,
        reference: &ActivityRef,
        failure: Option<Failure>,
        last_heartbeat_details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, mut activity) = self.find_started(reference)?;
        let mut too_large = Vec::new();
        let failure = failure.unwrap_or_else(unexplained);
        let fits = failure.encoded_len() <= self.env.limits.failure_size_max;
        let failure = bounded(failure, self.env.limits);
        if self.is_too_large(last_heartbeat_details.as_ref()) {
            too_large.push(server_failure(HEARTBEAT_TOO_LARGE, true));
        } else if last_heartbeat_details.is_some() {
            self.record_heartbeat(id, last_heartbeat_details);
            activity = self.find_activity(reference)?.1;
        }
        if !fits {
            too_large.push(failure.clone());
        }
        if let Err(retry_state) = self.retry_activity(id, &activity, &failure) {
            let end = ActivityEnd::Failed { failure, retry_state };
            self.end_activity(id, &activity, end, Some(identity));
        }
        Ok(match too_large.is_empty() {
            true => Reply::Done,
            false => Reply::TooLarge(too_large),
        })
    }

    pub(crate) fn cancel_activity(
        &mut self,
        reference: &ActivityRef,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, activity) = self.find_started(reference)?;
        let Some(cancel_requested_event_id) = activity.cancel_requested else {
            return Err(Rejection::invalid(
                "unable to mark activity as canceled without activity being request canceled first",
            ));
        };
        if self.is_too_large(details.as_ref()) {
            self.end_as_too_large(id, &activity, "Cancel details exceed size limit.", identity);
        } else {
            let end = ActivityEnd::Canceled {
                details,
                cancel_requested_event_id,
            };
            self.end_activity(id, &activity, end, Some(identity));
        }
        Ok(Reply::Done)
    }

    fn end_as_too_large(&mut self, id: EventId, activity: &Activity, message: &str, identity: &str) {
        let end = ActivityEnd::Failed {
            failure: server_failure(message, true),
            retry_state: RetryState::NonRetryableFailure,
        };
        self.end_activity(id, activity, end, Some(identity));
    }

    /// Sets up the next attempt, or says why there is none.
    pub(crate) fn retry_activity(
        &mut self,
        id: EventId,
        activity: &Activity,
        failure: &Failure,
    ) -> Result<(), RetryState> {
        if activity.cancel_requested.is_some() {
            return Err(RetryState::CancelRequested);
        }
        if ends_all_attempts(failure) {
            return Err(RetryState::Timeout);
        }
        let (attempt, policy) = (&activity.attempt, activity.retry_policy());
        let next = if self.is_standalone() && attempt.reset.is_some() {
            Next::StartOver
        } else if !self.is_standalone() && attempt.paused.is_some() {
            // However often it failed: whoever paused it decides what comes next.
            retry::check(policy, failure)?;
            Next::Wait
        } else {
            let interval = retry::next(policy, attempt.number, Some(failure), self.now, activity.expiration())?;
            Next::After {
                interval,
                requested: retry::requested_delay(failure).is_some(),
            }
        };
        let failure = Arc::new(truncate(failure.clone(), self.env.limits.activity_failure_size_max));
        let now = self.now;
        self.edit_activity(id, |activity| {
            activity.attempt.last_failure = Some(failure);
            activity.attempt.last_ended = Some(now);
            let reset = activity.attempt.reset.take().unwrap_or_default();
            if reset.clear_heartbeat {
                activity.attempt.clear_heartbeat();
            }
            if reset.restore_options {
                activity.restore_options();
            }
            let attempt = &mut activity.attempt;
            match next {
                Next::StartOver => {
                    attempt.start_over();
                    attempt.dispatch_at(now, now);
                }
                Next::Wait => {
                    attempt.number += 1;
                    attempt.retry_interval = Duration::ZERO;
                    attempt.dispatch_at(now, now);
                }
                Next::After { interval, requested } => {
                    attempt.number += 1;
                    attempt.stamp += 1;
                    attempt.retry_interval = interval;
                    attempt.interval_requested = requested;
                    attempt.phase = Phase::BackingOff { until: now + interval };
                }
            }
        });
        Ok(())
    }

    fn is_too_large(&self, payloads: Option<&Payloads>) -> bool {
        payloads.map_or(0, Message::encoded_len) > self.env.limits.blob_size_max
    }
}

/// What follows a failed attempt.
enum Next {
    /// Attempt 1, at once: the activity was reset.
    StartOver,
    /// The next one, when the activity is not paused any more.
    Wait,
    After {
        interval: Duration,
        requested: bool,
    },
}

/// Time that is up for all attempts together is not given to another one.
fn ends_all_attempts(failure: &Failure) -> bool {
    matches!(&failure.failure_info, Some(FailureInfo::TimeoutFailureInfo(info))
        if matches!(info.timeout_type(), TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose))
}

fn unexplained() -> Failure {
    Failure {
        message: "activity task failed without failure details".to_owned(),
        ..Failure::default()
    }
}
