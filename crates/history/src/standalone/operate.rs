//! What operators do to a standalone activity. See [`Draft::operate_activities`] for those of workflows.

use std::{sync::Arc, time::Duration};

use super::Stage;
use crate::{
    ActivityOperation, EventId, OptionsUpdate, Rejection, Reply, ResetOrder, Timestamp,
    activity::{Mask, precondition, recompute_interval},
    attempt::Reset,
    draft::Draft,
    recorded::Activity,
};

impl Draft<'_> {
    pub(crate) fn operate_standalone(&mut self, operation: &ActivityOperation) -> Result<Reply, Rejection> {
        let (id, activity, stage) = self.the_activity()?;
        match operation {
            ActivityOperation::Pause {
                identity,
                reason,
                request_id,
            } => {
                if activity.attempt.repeats(request_id, |last| &last.pause) {
                    return Ok(Reply::Done);
                }
                if !matches!(stage, Stage::Scheduled | Stage::Started) {
                    return Err(wrong_state("non-pausable", stage));
                }
                self.pause(id, identity, reason, request_id);
                self.edit_activity(id, |activity| {
                    activity.attempt.remember(|last| last.pause.clone_from(request_id));
                });
                Ok(Reply::Done)
            }
            ActivityOperation::Unpause { jitter, request_id, .. } => {
                if !activity.attempt.repeats(request_id, |last| &last.unpause) {
                    self.unpause_standalone(id, &activity, stage, *jitter)?;
                    self.edit_activity(id, |activity| {
                        activity.attempt.remember(|last| last.unpause.clone_from(request_id));
                    });
                }
                Ok(Reply::Done)
            }
            ActivityOperation::Reset(order) => {
                if !activity.attempt.repeats(&order.request_id, |last| &last.reset) {
                    self.reset_standalone(id, &activity, stage, order)?;
                    self.edit_activity(id, |activity| {
                        activity
                            .attempt
                            .remember(|last| last.reset.clone_from(&order.request_id));
                    });
                }
                Ok(Reply::Done)
            }
            ActivityOperation::UpdateOptions { update, request_id } => {
                if !activity.attempt.repeats(request_id, |last| &last.update) {
                    self.update_standalone(id, &activity, stage, update)?;
                    self.edit_activity(id, |activity| {
                        activity.attempt.remember(|last| last.update.clone_from(request_id));
                    });
                }
                let (_, activity, _) = self.the_activity()?;
                Ok(Reply::ActivityOptions(Box::new(activity.options())))
            }
        }
    }

    /// The one activity of the run.
    pub(super) fn the_activity(&self) -> Result<(EventId, Arc<Activity>, Stage), Rejection> {
        let state = self.state();
        let (id, activity) = state
            .standalone_activity()
            .ok_or_else(|| precondition("the execution is not an activity"))?;
        Ok((id, activity.clone(), state.stage(activity)))
    }

    fn unpause_standalone(
        &mut self,
        id: EventId,
        activity: &Activity,
        stage: Stage,
        jitter: Duration,
    ) -> Result<(), Rejection> {
        let now = self.now;
        let at = no_earlier_than_first(activity, self.jittered(id, jitter));
        match stage {
            // What is left of its backoff is still to be waited for.
            Stage::Paused => self.edit_activity(id, |activity| {
                activity.attempt.paused = None;
                let at = activity.attempt.retry_due().map_or(at, |due| due.max(at));
                activity.attempt.dispatch_at(at, now);
            }),
            Stage::PauseRequested => self.edit_activity(id, |activity| activity.attempt.paused = None),
            _ if stage.is_closed() => return Err(in_terminal_state(stage)),
            _ => return Err(wrong_state("non-unpausable", stage)),
        }
        Ok(())
    }

    fn reset_standalone(
        &mut self,
        id: EventId,
        activity: &Activity,
        stage: Stage,
        order: &ResetOrder,
    ) -> Result<(), Rejection> {
        let now = self.now;
        let at = self.jittered(id, order.jitter);
        match stage {
            Stage::CancelRequested => Err(precondition("cannot reset an activity with a pending cancellation")),
            Stage::ResetRequested => Err(precondition("cannot reset an activity with a pending reset")),
            Stage::Started | Stage::PauseRequested => {
                // The worker may end its attempt undisturbed.
                self.edit_activity(id, |activity| {
                    if !order.keep_paused {
                        activity.attempt.paused = None;
                    }
                    activity.attempt.reset = Some(Reset {
                        clear_heartbeat: order.reset_heartbeat,
                        restore_options: order.restore_original_options,
                    });
                });
                Ok(())
            }
            Stage::Scheduled | Stage::Paused => {
                let was_started = activity.attempt.last_started.is_some();
                self.edit_activity(id, |activity| {
                    if order.restore_original_options {
                        activity.restore_options();
                    }
                    if order.reset_heartbeat {
                        activity.attempt.clear_heartbeat();
                    }
                    if !order.keep_paused {
                        activity.attempt.paused = None;
                    }
                    activity.attempt.start_over();
                    let at = if was_started { at } else { at.max(activity.first_due()) };
                    activity.attempt.dispatch_at(at, now);
                });
                Ok(())
            }
            _ => Err(precondition("activity execution is not running")),
        }
    }

    fn update_standalone(
        &mut self,
        id: EventId,
        activity: &Activity,
        stage: Stage,
        update: &OptionsUpdate,
    ) -> Result<(), Rejection> {
        if stage.is_closed() || matches!(stage, Stage::CancelRequested | Stage::ResetRequested) {
            let state = stage.name();
            return Err(precondition(format!(
                "Cannot update options for activity in state {state}"
            )));
        }
        if let OptionsUpdate::Fields { paths, .. } = update
            && let Some(path) = Mask::unsupported(paths)
        {
            return Err(Rejection::invalid(format!("unsupported update_mask path: {path:?}")));
        }
        let now = self.now;
        let (changed, mask) = self.changed_options(activity, update)?;
        if mask.as_ref().is_some_and(|mask| mask.has("startDelay")) {
            let waits =
                activity.attempt.last_started.is_none() && (stage == Stage::Paused || activity.first_due() > now);
            if !waits {
                return Err(precondition(
                    "cannot update start_delay: the first activity attempt has already been dispatched",
                ));
            }
        }
        self.edit_activity(id, |activity| {
            match changed {
                Some(options) => activity.attempt.options = Some(Arc::new(options)),
                None => activity.restore_options(),
            }
            if matches!(stage, Stage::Scheduled | Stage::Paused) && mask.is_none_or(|mask| mask.touches_retry_policy())
            {
                recompute_interval(activity);
            }
            if stage == Stage::Scheduled {
                let at = activity
                    .attempt
                    .retry_due()
                    .unwrap_or_else(|| no_earlier_than_first(activity, now));
                activity.attempt.dispatch_at(at, now);
            } else {
                activity.attempt.stamp += 1;
            }
        });
        Ok(())
    }
}

/// A start delay counts until the first attempt was started, whatever was done to the activity meanwhile.
fn no_earlier_than_first(activity: &Activity, time: Timestamp) -> Timestamp {
    if activity.attempt.last_started.is_some() {
        time
    } else {
        time.max(activity.first_due())
    }
}

fn wrong_state(which: &str, stage: Stage) -> Rejection {
    precondition(format!("activity is in {which} state {}", stage.name()))
}

pub(super) fn in_terminal_state(stage: Stage) -> Rejection {
    precondition(format!("activity is in terminal state {}", stage.name()))
}
