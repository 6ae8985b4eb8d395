//! Commands about timers.

use super::{CommandFailure, CommandResult, Commands, check_timeout};
use crate::{
    proto::{
        Attributes, CancelTimerCommandAttributes, Command, StartTimerCommandAttributes, TimerCanceledEventAttributes,
        TimerStartedEventAttributes, WorkflowTaskFailedCause as Cause,
    },
    timestamp::proto_duration,
};

impl Commands<'_, '_, '_> {
    pub(super) fn start_timer(&mut self, a: &StartTimerCommandAttributes, command: &Command) -> CommandResult {
        const CAUSE: Cause = Cause::BadStartTimerAttributes;
        self.check_id(CAUSE, "TimerId", &a.timer_id)?;
        let timeout = check_timeout(CAUSE, "StartToFireTimeout", a.start_to_fire_timeout.as_ref())?;
        if self.draft.state().recorded.timer_ids.contains(a.timer_id.as_str()) {
            let message = format!("timer {} is running already.", a.timer_id);
            return Err(CommandFailure::new(Cause::StartTimerDuplicateId, message));
        }
        self.record(
            Attributes::TimerStartedEventAttributes(TimerStartedEventAttributes {
                timer_id: a.timer_id.clone(),
                start_to_fire_timeout: Some(proto_duration(timeout)),
                workflow_task_completed_event_id: self.completed_id,
            }),
            command,
        );
        Ok(())
    }

    pub(super) fn cancel_timer(&mut self, a: &CancelTimerCommandAttributes, command: &Command) -> CommandResult {
        const CAUSE: Cause = Cause::BadCancelTimerAttributes;
        self.check_id(CAUSE, "TimerId", &a.timer_id)?;
        let pending = self
            .draft
            .state()
            .recorded
            .timer_ids
            .get(a.timer_id.as_str())
            .map(|id| **id);
        let started_event_id = match pending {
            Some(id) => id,
            // It fired while this task was in flight, and the code does not know yet: then it never fired. [trap 4]
            None => self.unfire(&a.timer_id).ok_or_else(|| {
                CommandFailure::new(
                    CAUSE,
                    format!(
                        "no timer {} is running: it was never started, or it is over.",
                        a.timer_id
                    ),
                )
            })?,
        };
        self.record(
            Attributes::TimerCanceledEventAttributes(TimerCanceledEventAttributes {
                timer_id: a.timer_id.clone(),
                started_event_id,
                workflow_task_completed_event_id: self.completed_id,
                identity: String::new(),
            }),
            command,
        );
        Ok(())
    }

    fn unfire(&mut self, timer_id: &str) -> Option<i64> {
        let fired = self.draft.unbuffer(
            |attributes| matches!(attributes, Attributes::TimerFiredEventAttributes(a) if a.timer_id == timer_id),
        )?;
        match fired.attributes {
            Some(Attributes::TimerFiredEventAttributes(a)) => Some(a.started_event_id),
            _ => None,
        }
    }
}
