//! A standalone activity as `DescribeActivityExecution` and `PollActivityExecution` show it.

use temporalio_protos::temporal::api::{
    activity::v1::{ActivityExecutionInfo, ActivityExecutionOutcome, activity_execution_outcome::Value},
    workflowservice::v1::{DescribeActivityExecutionRequest, DescribeActivityExecutionResponse},
};

use super::Stage;
use crate::{
    RunState, Timestamp,
    attempt::Phase,
    proto::{
        Attributes, CanceledFailureInfo, Failure, FailureInfo, PendingActivityState, SearchAttributes,
        TerminatedFailureInfo,
    },
    recorded::Activity,
    timestamp::proto_duration,
};

impl RunState {
    /// What the request asks of a standalone activity; without the token for long polls. `None`: it is none.
    pub fn describe_activity(
        &self,
        request: &DescribeActivityExecutionRequest,
    ) -> Option<DescribeActivityExecutionResponse> {
        let (_, activity) = self.standalone_activity()?;
        let mut info = self.activity_info(activity);
        if request.include_heartbeat_details {
            info.heartbeat_details = activity.attempt.heartbeat.as_deref().cloned();
        }
        if request.include_last_failure {
            info.last_failure = activity.attempt.last_failure.as_deref().cloned();
        }
        Some(DescribeActivityExecutionResponse {
            run_id: self.key.run_id.clone(),
            info: Some(info),
            input: activity.scheduled.input.clone().filter(|_| request.include_input),
            outcome: self.activity_outcome().filter(|_| request.include_outcome),
            ..DescribeActivityExecutionResponse::default()
        })
    }

    /// How a standalone activity ended; `None` while it is open.
    pub fn activity_outcome(&self) -> Option<ActivityExecutionOutcome> {
        use Attributes as A;
        let (value, retry_state) = match self.close_event()?.attributes.as_ref()? {
            A::ActivityTaskCompletedEventAttributes(a) => (Value::Result(a.result.clone().unwrap_or_default()), 0),
            A::ActivityTaskFailedEventAttributes(a) => {
                (Value::Failure(a.failure.clone().unwrap_or_default()), a.retry_state)
            }
            A::ActivityTaskTimedOutEventAttributes(a) => {
                (Value::Failure(a.failure.clone().unwrap_or_default()), a.retry_state)
            }
            A::ActivityTaskCanceledEventAttributes(a) => {
                let cancel = self.recorded.standalone.as_deref().and_then(|s| s.cancel.as_ref());
                let info = CanceledFailureInfo {
                    details: a.details.clone(),
                    identity: cancel.map(|cancel| cancel.identity.clone()).unwrap_or_default(),
                };
                let failure = Failure {
                    message: "Activity canceled".to_owned(),
                    failure_info: Some(FailureInfo::CanceledFailureInfo(info)),
                    ..Failure::default()
                };
                (Value::Failure(failure), 0)
            }
            A::WorkflowExecutionTerminatedEventAttributes(a) => {
                let info = TerminatedFailureInfo {
                    identity: a.identity.clone(),
                };
                let failure = Failure {
                    message: a.reason.clone(),
                    failure_info: Some(FailureInfo::TerminatedFailureInfo(info)),
                    ..Failure::default()
                };
                (Value::Failure(failure), 0)
            }
            _ => return None,
        };
        Some(ActivityExecutionOutcome {
            value: Some(value),
            retry_state,
        })
    }

    fn activity_info(&self, activity: &Activity) -> ActivityExecutionInfo {
        let (attempt, scheduled, stage) = (&activity.attempt, &activity.scheduled, self.stage(activity));
        let time = |time: Option<Timestamp>| time.map(Into::into);
        let standalone = self.recorded.standalone.as_deref();
        let next = match attempt.phase {
            Phase::BackingOff { until } if stage == Stage::Scheduled => Some(until),
            _ => None,
        };
        let options = activity.options();
        let sdk = attempt.last_sdk.as_deref().cloned().unwrap_or_default();
        ActivityExecutionInfo {
            activity_id: scheduled.activity_id.clone(),
            run_id: self.key.run_id.clone(),
            activity_type: scheduled.activity_type.clone(),
            status: stage.status().into(),
            run_state: self.run_state(activity, stage).into(),
            task_queue: activity.task_queue().to_owned(),
            schedule_to_close_timeout: options.schedule_to_close_timeout,
            schedule_to_start_timeout: options.schedule_to_start_timeout,
            start_to_close_timeout: options.start_to_close_timeout,
            heartbeat_timeout: options.heartbeat_timeout,
            retry_policy: options.retry_policy,
            last_heartbeat_time: time(attempt.heartbeat_time),
            last_started_time: time(attempt.last_started),
            attempt: i32::try_from(attempt.number).unwrap_or(i32::MAX),
            execution_duration: self
                .close_time()
                .map(|close| proto_duration(close.since(activity.scheduled_time))),
            schedule_time: time(Some(activity.scheduled_time)),
            expiration_time: time(activity.expiration()),
            close_time: time(self.close_time()),
            last_worker_identity: attempt.last_worker.clone(),
            current_retry_interval: next
                .filter(|_| !attempt.retry_interval.is_zero())
                .map(|_| proto_duration(attempt.retry_interval)),
            last_attempt_complete_time: time(attempt.last_ended),
            next_attempt_schedule_time: time(next),
            priority: options.priority,
            state_transition_count: self.transition_count(),
            state_size_bytes: i64::try_from(self.history_size()).unwrap_or(i64::MAX),
            search_attributes: Some(SearchAttributes {
                indexed_fields: self.search_attributes().into_owned(),
            }),
            header: scheduled.header.clone(),
            user_metadata: self.user_metadata().cloned(),
            canceled_reason: standalone
                .and_then(|s| s.cancel.as_ref())
                .map(|cancel| cancel.cause.clone())
                .unwrap_or_default(),
            links: standalone.map(|s| s.links.clone()).unwrap_or_default(),
            total_heartbeat_count: i64::try_from(attempt.heartbeats).unwrap_or(i64::MAX),
            sdk_name: sdk.name,
            sdk_version: sdk.version,
            start_delay: options.start_delay,
            execution_time: time(Some(activity.first_due())),
            ..ActivityExecutionInfo::default()
        }
    }

    fn run_state(&self, activity: &Activity, stage: Stage) -> PendingActivityState {
        match stage {
            Stage::Scheduled => PendingActivityState::Scheduled,
            Stage::ResetRequested if activity.attempt.paused.is_some() => PendingActivityState::PauseRequested,
            Stage::Started | Stage::ResetRequested => PendingActivityState::Started,
            Stage::Paused => PendingActivityState::Paused,
            Stage::PauseRequested => PendingActivityState::PauseRequested,
            Stage::CancelRequested => PendingActivityState::CancelRequested,
            Stage::Completed | Stage::Failed | Stage::TimedOut | Stage::Canceled | Stage::Terminated => {
                PendingActivityState::Unspecified
            }
        }
    }
}
