//! Commands about activities.

use super::{CommandFailure, CommandResult, Commands, check_timeout, size};
use crate::{
    activity::{Timeouts, canceled},
    attempt::Phase,
    check_priority,
    failure::string_payloads,
    proto::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskScheduledEventAttributes, Attributes, Command,
        HistoryEvent, RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
        WorkflowTaskFailedCause as Cause,
    },
    retry,
    timestamp::{duration, proto_duration},
    workflow_task::normal_queue,
};

impl Commands<'_, '_, '_> {
    pub(super) fn schedule_activity(
        &mut self,
        a: &ScheduleActivityTaskCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadScheduleActivityAttributes;
        self.check_id(CAUSE, "ActivityId", &a.activity_id)?;
        self.check_id(
            CAUSE,
            "ActivityType",
            a.activity_type.as_ref().map_or("", |kind| &kind.name),
        )?;
        let queue = a.task_queue.as_ref().map_or("", |queue| &queue.name);
        self.check_queue(CAUSE, queue)?;
        let timeouts = self.activity_timeouts(a)?;
        let retry_policy = retry::normalize(a.retry_policy.clone().unwrap_or_default(), self.draft.env.limits)
            .map_err(|error| CommandFailure::new(CAUSE, format!("invalid ActivityRetryPolicy: {error}")))?;
        check_priority(a.priority.as_ref()).map_err(|error| CommandFailure::new(CAUSE, error))?;
        self.check_size(
            size(a.input.as_ref()),
            CAUSE,
            "ScheduleActivityTaskCommandAttributes.Input",
        )?;

        let recorded = &self.draft.state().recorded;
        if recorded.activity_ids.contains(a.activity_id.as_str()) {
            let message = format!("activity {} is pending already.", a.activity_id);
            return Err(CommandFailure::new(Cause::ScheduleActivityDuplicateId, message));
        }
        let max = self.draft.env.limits.pending_activities_max;
        if recorded.activities.len() >= max {
            let message =
                format!("the number of pending activities, {max}, has reached the per-workflow limit of {max}");
            return Err(CommandFailure::new(Cause::PendingActivitiesLimitExceeded, message));
        }

        let attributes = ActivityTaskScheduledEventAttributes {
            activity_id: a.activity_id.clone(),
            activity_type: a.activity_type.clone(),
            task_queue: Some(normal_queue(queue)),
            header: a.header.clone(),
            input: a.input.clone(),
            schedule_to_close_timeout: Some(proto_duration(timeouts.schedule_to_close)),
            schedule_to_start_timeout: Some(proto_duration(timeouts.schedule_to_start)),
            start_to_close_timeout: Some(proto_duration(timeouts.start_to_close)),
            heartbeat_timeout: Some(proto_duration(timeouts.heartbeat)),
            workflow_task_completed_event_id: self.completed_id,
            retry_policy: Some(retry_policy),
            priority: a.priority.clone(),
            ..ActivityTaskScheduledEventAttributes::default()
        };
        let id = self.record(Attributes::ActivityTaskScheduledEventAttributes(attributes), command);
        if a.request_eager_execution {
            self.outcome.eager.push(id);
        }
        Ok(())
    }

    /// Makes the timeouts consistent: none is longer than schedule-to-close, and none longer than the run.
    fn activity_timeouts(&self, a: &ScheduleActivityTaskCommandAttributes) -> Result<Timeouts, CommandFailure> {
        const CAUSE: Cause = Cause::BadScheduleActivityAttributes;
        let given = Timeouts {
            schedule_to_close: check_timeout(CAUSE, "ScheduleToCloseTimeout", a.schedule_to_close_timeout.as_ref())?,
            schedule_to_start: check_timeout(CAUSE, "ScheduleToStartTimeout", a.schedule_to_start_timeout.as_ref())?,
            start_to_close: check_timeout(CAUSE, "StartToCloseTimeout", a.start_to_close_timeout.as_ref())?,
            heartbeat: check_timeout(CAUSE, "HeartbeatTimeout", a.heartbeat_timeout.as_ref())?,
        };
        let run = duration(self.draft.state().started_attributes().workflow_run_timeout.as_ref());
        given.consistent(run).ok_or_else(|| {
            CommandFailure::new(
                CAUSE,
                format!(
                    "A valid StartToClose or ScheduleToCloseTimeout is not set on command. ActivityId={}",
                    a.activity_id
                ),
            )
        })
    }

    pub(super) fn request_cancel_activity(
        &mut self,
        a: RequestCancelActivityTaskCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadRequestCancelActivityAttributes;
        let id = a.scheduled_event_id;
        let activity = self.draft.state().recorded.activities.get(&id).cloned();
        if activity.is_none() && !self.closes_in_buffer(id) {
            return Err(CommandFailure::new(
                CAUSE,
                format!("no pending activity has ScheduledEventId {id}."),
            ));
        }
        if activity
            .as_ref()
            .is_some_and(|activity| activity.cancel_requested.is_some())
        {
            return Err(CommandFailure::new(
                CAUSE,
                format!("activity {id} was asked to cancel already."),
            ));
        }
        let requested_id = self.record(
            Attributes::ActivityTaskCancelRequestedEventAttributes(ActivityTaskCancelRequestedEventAttributes {
                scheduled_event_id: id,
                workflow_task_completed_event_id: self.completed_id,
            }),
            command,
        );
        // No worker has it: nobody need be asked.
        let unstarted = activity.is_some_and(|activity| !matches!(activity.attempt.phase, Phase::Started(_)));
        if unstarted {
            let details = string_payloads("ACTIVITY_ID_NOT_STARTED");
            self.draft
                .record(canceled(id, 0, requested_id, Some(details), String::new()));
            self.outcome.must_wake = true;
        }
        Ok(())
    }

    /// The activity closed while this task was in flight, unseen by the code that asks to cancel it.
    fn closes_in_buffer(&self, id: i64) -> bool {
        self.draft
            .state()
            .buffered_events()
            .iter()
            .any(|HistoryEvent { attributes, .. }| match attributes {
                Some(Attributes::ActivityTaskCompletedEventAttributes(a)) => a.scheduled_event_id == id,
                Some(Attributes::ActivityTaskFailedEventAttributes(a)) => a.scheduled_event_id == id,
                Some(Attributes::ActivityTaskTimedOutEventAttributes(a)) => a.scheduled_event_id == id,
                Some(Attributes::ActivityTaskCanceledEventAttributes(a)) => a.scheduled_event_id == id,
                _ => false,
            })
    }
}
