//! What operators do to activities: pause, unpause, reset, change options.
//!
//! Activities of a workflow and standalone ones know the same operations, but Temporal is stricter with the latter: they
//! refuse what makes no sense in their state, and put a reset off until the attempt under way has ended.

use std::{sync::Arc, time::Duration};

use super::options::{Mask, merge};
use crate::{
    ActivityOperation, ActivitySelection, EventId, OptionsUpdate, Rejection, Reply, ResetOrder, Timestamp,
    attempt::{Pause, Reset},
    draft::Draft,
    proto::ActivityOptions,
    recorded::Activity,
    retry,
};

impl Draft<'_> {
    pub(crate) fn operate_activities(
        &mut self,
        selection: &ActivitySelection,
        operation: &ActivityOperation,
    ) -> Result<Reply, Rejection> {
        if self.is_standalone() {
            return self.operate_standalone(operation);
        }
        self.check_running()?;
        let selected = self.select_activities(selection)?;
        let mut options = None;
        for (id, activity) in selected {
            match operation {
                ActivityOperation::Pause {
                    identity,
                    reason,
                    request_id,
                } => match &activity.attempt.paused {
                    Some(pause) if pause.request_id == *request_id => {}
                    Some(_) => return Err(precondition("activity is already paused")),
                    None => self.pause(id, identity, reason, request_id),
                },
                ActivityOperation::Unpause {
                    reset_attempts,
                    reset_heartbeat,
                    jitter,
                    ..
                } => {
                    if activity.attempt.paused.is_some() {
                        self.unpause(id, *reset_attempts, *reset_heartbeat, *jitter);
                    }
                }
                ActivityOperation::Reset(order) => self.reset(id, order),
                ActivityOperation::UpdateOptions { update, .. } => {
                    options = Some(self.update_options(id, &activity, update)?);
                }
            }
        }
        Ok(options.map_or(Reply::Done, |options| Reply::ActivityOptions(Box::new(options))))
    }

    fn select_activities(&self, selection: &ActivitySelection) -> Result<Vec<(EventId, Arc<Activity>)>, Rejection> {
        let is_selected = |activity: &Activity| match selection {
            ActivitySelection::Id(id) => activity.scheduled.activity_id == *id,
            ActivitySelection::Type(name) => activity
                .scheduled
                .activity_type
                .as_ref()
                .is_some_and(|kind| kind.name == *name),
            ActivitySelection::All => true,
        };
        let selected: Vec<_> = self
            .state()
            .recorded
            .activities
            .iter()
            .filter(|(_, activity)| is_selected(activity))
            .map(|(id, activity)| (*id, activity.clone()))
            .collect();
        if selected.is_empty() {
            return Err(Rejection::NotFound(
                "Can't find pending activity with such ID. Invalid activityID or activity already completed".to_owned(),
            ));
        }
        Ok(selected)
    }

    pub(crate) fn pause(&mut self, id: EventId, identity: &str, reason: &str, request_id: &str) {
        let pause = Pause {
            time: self.now,
            identity: identity.to_owned(),
            reason: reason.to_owned(),
            request_id: request_id.to_owned(),
        };
        self.edit_activity(id, |activity| {
            // A worker that has it may finish the attempt; a task that waits must not be taken.
            if activity.attempt.started().is_none() {
                activity.attempt.stamp += 1;
            }
            activity.attempt.paused = Some(Arc::new(pause));
        });
    }

    fn unpause(&mut self, id: EventId, reset_attempts: bool, reset_heartbeat: bool, jitter: Duration) {
        let (now, at) = (self.now, self.jittered(id, jitter));
        self.edit_activity(id, |activity| {
            let attempt = &mut activity.attempt;
            attempt.paused = None;
            if reset_attempts {
                attempt.start_over();
            }
            if reset_heartbeat {
                attempt.clear_heartbeat();
            }
            if attempt.started().is_none() {
                attempt.retry_interval = Duration::ZERO;
                begin_anew(activity, at, now);
            }
        });
    }

    fn reset(&mut self, id: EventId, order: &ResetOrder) {
        let (now, at) = (self.now, self.jittered(id, order.jitter));
        self.edit_activity(id, |activity| {
            // Whoever has a later attempt now can no longer answer for it.
            activity.attempt.start_over();
            activity.attempt.reset = Some(Reset {
                clear_heartbeat: order.reset_heartbeat,
                restore_options: false,
            });
            if order.restore_original_options {
                activity.restore_options();
            }
            if !order.keep_paused {
                activity.attempt.paused = None;
            }
            if activity.attempt.started().is_none() && activity.attempt.paused.is_none() {
                begin_anew(activity, at, now);
            }
        });
    }

    fn update_options(
        &mut self,
        id: EventId,
        activity: &Activity,
        update: &OptionsUpdate,
    ) -> Result<ActivityOptions, Rejection> {
        let now = self.now;
        let (changed, mask) = self.changed_options(activity, update)?;
        let mut result = ActivityOptions::default();
        self.edit_activity(id, |activity| {
            match changed {
                Some(options) => activity.attempt.options = Some(Arc::new(options)),
                None => activity.restore_options(),
            }
            result = activity.options();
            if activity.attempt.started().is_some() {
                activity.attempt.stamp += 1;
                return;
            }
            if mask.is_none_or(|mask| mask.touches_retry_policy()) {
                recompute_interval(activity);
            }
            let at = activity.attempt.retry_due().unwrap_or(now).max(now);
            begin_anew(activity, at, now);
        });
        Ok(result)
    }

    /// The options as an update wants them, `None` for the original ones; and what it is about.
    pub(crate) fn changed_options(
        &self,
        activity: &Activity,
        update: &OptionsUpdate,
    ) -> Result<(Option<ActivityOptions>, Option<Mask>), Rejection> {
        let OptionsUpdate::Fields { options: from, paths } = update else {
            return Ok((None, None));
        };
        let mask = Mask::new(paths);
        let mut options = activity.options();
        merge(&mut options, from, &mask, self.env.limits).map_err(Rejection::InvalidArgument)?;
        Ok((Some(options), Some(mask)))
    }

    /// A time between now and the end of the jitter, other for every activity and every decision.
    pub(crate) fn jittered(&self, id: EventId, jitter: Duration) -> Timestamp {
        // The id that the shell made for this decision is random already; it only has to be made a number.
        let seed = self.env.fresh_run_id.bytes().chain(id.to_le_bytes());
        let hash = seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.now + jitter.mul_f64((hash >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Puts an activity that no worker has up for pollers, with nothing left of its last failure.
fn begin_anew(activity: &mut Activity, at: Timestamp, now: Timestamp) {
    let attempt = &mut activity.attempt;
    if attempt.reset.take().is_some_and(|reset| reset.clear_heartbeat) {
        attempt.clear_heartbeat();
    }
    attempt.last_failure = None;
    attempt.dispatch_at(at, now);
}

/// A changed retry policy counts for a retry that waits already, unless the failing code asked for its delay.
pub(crate) fn recompute_interval(activity: &mut Activity) {
    let attempt = &activity.attempt;
    if attempt.interval_requested || attempt.retry_interval.is_zero() {
        return;
    }
    let interval = activity.retry_policy().map_or(Duration::ZERO, |policy| {
        retry::interval(policy, attempt.number.saturating_sub(1))
    });
    activity.attempt.retry_interval = interval;
}

pub(crate) fn precondition(message: impl Into<String>) -> Rejection {
    Rejection::FailedPrecondition(message.into())
}
