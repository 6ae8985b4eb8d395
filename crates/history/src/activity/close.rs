//! What workers say about an activity: heartbeats, results, failures, cancellation.

use std::sync::Arc;

use prost::Message;

use crate::{
    ActivityRef, EventId, Rejection, Reply,
    attempt::Phase,
    draft::{Draft, Entry},
    failure::{bounded, server_failure, truncate},
    proto::{
        ActivityTaskCanceledEventAttributes, ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes,
        ActivityTaskStartedEventAttributes, Attributes, Failure, Payloads, RetryState,
    },
    recorded::Activity,
    retry,
};

impl Draft<'_> {
    pub(crate) fn heartbeat(
        &mut self,
        reference: &ActivityRef,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, activity) = self.find_activity(reference)?;
        if activity.attempt.started().is_none() {
            return Err(Rejection::activity_task_not_found());
        }
        if self.is_too_large(details.as_ref()) {
            let failure = server_failure("Heartbeat details exceed size limit.", true);
            self.close_as_failed(id, &activity, failure, RetryState::NonRetryableFailure, identity);
            return Ok(Reply::Heartbeat { cancel_requested: true });
        }
        let now = self.now;
        self.edit_activity(id, |activity| {
            if details.is_some() {
                activity.attempt.heartbeat = details.map(Arc::new);
            }
            activity.attempt.heartbeat_time = Some(now);
        });
        Ok(Reply::Heartbeat {
            cancel_requested: activity.cancel_requested.is_some(),
        })
    }

    pub(crate) fn complete_activity(
        &mut self,
        reference: &ActivityRef,
        result: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, activity) = self.find_activity(reference)?;
        if self.is_too_large(result.as_ref()) {
            let failure = server_failure("Complete result exceeds size limit.", true);
            self.close_as_failed(id, &activity, failure, RetryState::NonRetryableFailure, identity);
            return Ok(Reply::Done);
        }
        let started_event_id = self.record_started(id, &activity, Some(identity));
        self.record(Attributes::ActivityTaskCompletedEventAttributes(
            ActivityTaskCompletedEventAttributes {
                result,
                scheduled_event_id: id,
                started_event_id,
                identity: identity.to_owned(),
                ..ActivityTaskCompletedEventAttributes::default()
            },
        ));
        self.wake();
        Ok(Reply::Done)
    }

    pub(crate) fn fail_activity(
        &mut self,
        reference: &ActivityRef,
        failure: Option<Failure>,
        last_heartbeat_details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, mut activity) = self.find_activity(reference)?;
        let failure = bounded(failure.unwrap_or_default(), self.env.limits);
        if last_heartbeat_details.is_some() && !self.is_too_large(last_heartbeat_details.as_ref()) {
            let now = self.now;
            self.edit_activity(id, |activity| {
                activity.attempt.heartbeat = last_heartbeat_details.map(Arc::new);
                activity.attempt.heartbeat_time = Some(now);
            });
            activity = self.find_activity(reference)?.1;
        }
        if let Err(retry_state) = self.retry_activity(id, &activity, &failure) {
            self.close_as_failed(id, &activity, failure, retry_state, identity);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn cancel_activity(
        &mut self,
        reference: &ActivityRef,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<Reply, Rejection> {
        let (id, activity) = self.find_activity(reference)?;
        let Some(cancel_requested_event_id) = activity.cancel_requested else {
            return Err(Rejection::invalid(format!(
                "activity {} was not asked to cancel itself; complete or fail it",
                activity.scheduled.activity_id
            )));
        };
        if self.is_too_large(details.as_ref()) {
            let failure = server_failure("Cancel details exceed size limit.", true);
            self.close_as_failed(id, &activity, failure, RetryState::NonRetryableFailure, identity);
            return Ok(Reply::Done);
        }
        let started_event_id = self.record_started(id, &activity, Some(identity));
        self.record_canceled(id, started_event_id, cancel_requested_event_id, details, identity);
        self.wake();
        Ok(Reply::Done)
    }

    pub(crate) fn record_canceled(
        &mut self,
        id: EventId,
        started_event_id: EventId,
        latest_cancel_requested_event_id: EventId,
        details: Option<Payloads>,
        identity: &str,
    ) {
        self.record(Attributes::ActivityTaskCanceledEventAttributes(
            ActivityTaskCanceledEventAttributes {
                details,
                latest_cancel_requested_event_id,
                scheduled_event_id: id,
                started_event_id,
                identity: identity.to_owned(),
                ..ActivityTaskCanceledEventAttributes::default()
            },
        ));
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
        let interval = retry::next(
            activity.scheduled.retry_policy.as_ref(),
            activity.attempt.number,
            Some(failure),
            self.now,
            super::expiration(activity),
        )?;
        let failure = Arc::new(truncate(failure.clone(), self.env.limits.activity_failure_size_max));
        let now = self.now;
        self.edit_activity(id, |activity| {
            let attempt = &mut activity.attempt;
            attempt.number += 1;
            attempt.last_failure = Some(failure);
            attempt.last_ended = Some(now);
            attempt.retry_interval = interval;
            attempt.phase = Phase::BackingOff { until: now + interval };
        });
        Ok(())
    }

    fn close_as_failed(
        &mut self,
        id: EventId,
        activity: &Activity,
        failure: Failure,
        retry_state: RetryState,
        identity: &str,
    ) {
        let started_event_id = self.record_started(id, activity, Some(identity));
        self.record(Attributes::ActivityTaskFailedEventAttributes(
            ActivityTaskFailedEventAttributes {
                failure: Some(failure),
                scheduled_event_id: id,
                started_event_id,
                identity: identity.to_owned(),
                retry_state: retry_state.into(),
                ..ActivityTaskFailedEventAttributes::default()
            },
        ));
        self.wake();
    }

    /// Records the Started event that was left out so far, with the time it really happened. An activity that was never
    /// started, but is closed by a caller who knows its id, is made to have been started by that caller. [trap 8]
    pub(crate) fn record_started(&mut self, id: EventId, activity: &Activity, caller: Option<&str>) -> EventId {
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

    fn is_too_large(&self, payloads: Option<&Payloads>) -> bool {
        payloads.map_or(0, Message::encoded_len) > self.env.limits.blob_size_max
    }
}
