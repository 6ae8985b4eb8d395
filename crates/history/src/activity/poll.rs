//! Handing an activity to a worker. No event yet: it comes with the close event, for the attempt that counts. [trap 8]

use std::sync::Arc;

use crate::{
    ActivityPoll, ActivityStarted, ActivityToken, EventId, Rejection, Reply, RunKind,
    attempt::{Phase, StartedAttempt},
    draft::Draft,
    proto::WorkflowType,
    recorded::Activity,
};

impl Draft<'_> {
    pub(crate) fn start_activity(&mut self, poll: &ActivityPoll) -> Result<Reply, Rejection> {
        let id = poll.scheduled_event_id;
        let Some(activity) = self.state().recorded.activities.get(&id) else {
            return Err(Rejection::Obsolete("the activity is closed"));
        };
        // A poll whose answer was lost asks again, whatever happened to the activity meanwhile.
        let repeats = |started: &StartedAttempt| started.request_id == poll.request_id;
        if activity.attempt.stamp != poll.stamp && !activity.attempt.started().is_some_and(repeats) {
            return Err(Rejection::Obsolete("the activity is at another attempt"));
        }
        let started = match &activity.attempt.phase {
            Phase::BackingOff { .. } => return Err(Rejection::Obsolete("the activity waits for its next attempt")),
            Phase::Started(started) if repeats(started) => self.started_activity(id, activity, started),
            Phase::Started(_) => return Err(Rejection::Obsolete("another poller has the activity")),
            Phase::Ready { .. } => {
                let started = self
                    .start_activity_now(id, &poll.identity, &poll.request_id)
                    .ok_or(Rejection::Obsolete("the activity is not ready"))?;
                if started.standalone {
                    let sdk = poll.sdk.clone().map(Arc::new);
                    self.edit_activity(id, |activity| activity.attempt.last_sdk = sdk);
                }
                started
            }
        };
        Ok(Reply::ActivityStarted(Box::new(started)))
    }

    /// Starts a ready activity for a worker.
    pub(crate) fn start_activity_now(
        &mut self,
        id: EventId,
        identity: &str,
        request_id: &str,
    ) -> Option<ActivityStarted> {
        let activity = self.state().recorded.activities.get(&id)?.clone();
        let Phase::Ready { since } = activity.attempt.phase else {
            return None;
        };
        if activity.attempt.paused.is_some() {
            return None;
        }
        let started = StartedAttempt {
            time: self.now,
            request_id: request_id.to_owned(),
            identity: identity.to_owned(),
            ready_since: since,
        };
        let reply = self.started_activity(id, &activity, &started);
        self.edit_activity(id, |activity| {
            activity.attempt.last_worker.clone_from(&started.identity);
            activity.attempt.last_started = Some(started.time);
            activity.attempt.phase = Phase::Started(started);
        });
        Some(reply)
    }

    fn started_activity(&self, id: EventId, activity: &Activity, started: &StartedAttempt) -> ActivityStarted {
        let (state, scheduled) = (self.state(), &activity.scheduled);
        ActivityStarted {
            token: ActivityToken {
                namespace: state.key.namespace.clone(),
                workflow_id: state.key.workflow_id.clone(),
                run_id: state.key.run_id.clone(),
                standalone: state.key.kind == RunKind::Activity,
                scheduled_event_id: id,
                activity_id: scheduled.activity_id.clone(),
                attempt: activity.attempt.number,
                started_time_nanos: started.time.as_nanos(),
            },
            execution: state.key.execution(),
            workflow_type: WorkflowType {
                name: state.workflow_type().to_owned(),
            },
            standalone: state.key.kind == RunKind::Activity,
            workflow_namespace: state.key.namespace.clone(),
            activity_type: scheduled.activity_type.clone().unwrap_or_default(),
            activity_id: scheduled.activity_id.clone(),
            header: scheduled.header.clone(),
            input: scheduled.input.clone(),
            heartbeat_details: activity.attempt.heartbeat.as_deref().cloned(),
            scheduled_time: activity.scheduled_time,
            current_attempt_scheduled_time: started.ready_since,
            started_time: started.time,
            attempt: activity.attempt.number,
            schedule_to_close_timeout: activity.schedule_to_close(),
            start_to_close_timeout: activity.start_to_close(),
            heartbeat_timeout: activity.heartbeat_timeout(),
            retry_policy: activity.retry_policy().cloned(),
            priority: state.activity_priority(activity),
        }
    }
}
