//! A run as `DescribeWorkflowExecution` shows it.

use temporalio_protos::temporal::api::{
    workflow::v1::{
        PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, WorkflowExecutionConfig,
        WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
        pending_activity_info::{
            PauseInfo,
            pause_info::{Manual, PausedBy},
        },
    },
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};

use crate::{
    RunState, Timestamp,
    attempt::{Pause, Phase},
    proto::{Memo, PendingActivityState, PendingWorkflowTaskState, SearchAttributes, WorkflowType},
    recorded::Activity,
    timestamp::proto_duration,
    workflow_task::{WorkflowTask, normal_queue},
};

impl RunState {
    /// All of the run's description. Pending callbacks, Nexus operations and versioning are not there.
    pub fn describe(&self) -> DescribeWorkflowExecutionResponse {
        DescribeWorkflowExecutionResponse {
            execution_config: Some(self.describe_config()),
            workflow_execution_info: Some(self.describe_execution()),
            pending_activities: self
                .recorded
                .activities
                .values()
                .map(|activity| describe_activity(activity))
                .collect(),
            pending_children: self.describe_children(),
            pending_workflow_task: self.describe_workflow_task(),
            workflow_extended_info: Some(self.describe_extended()),
            ..DescribeWorkflowExecutionResponse::default()
        }
    }

    /// The part of it that lists show, too.
    pub fn describe_execution(&self) -> WorkflowExecutionInfo {
        let a = self.started_attributes();
        let close_time = self.close_time();
        WorkflowExecutionInfo {
            execution: Some(self.key.execution()),
            r#type: Some(WorkflowType {
                name: self.workflow_type().to_owned(),
            }),
            start_time: Some(self.start_time().into()),
            close_time: close_time.map(Into::into),
            status: self.status().into(),
            history_length: self.history_length(),
            parent_namespace_id: a.parent_workflow_namespace_id.clone(),
            parent_execution: a.parent_workflow_execution.clone(),
            execution_time: Some(self.execution_time().into()),
            memo: Some(Memo {
                fields: self.memo().clone(),
            }),
            search_attributes: Some(SearchAttributes {
                indexed_fields: self.search_attributes().into_owned(),
            }),
            task_queue: self.task_queue().to_owned(),
            state_transition_count: self.transition_count(),
            history_size_bytes: i64::try_from(self.history_size()).unwrap_or(i64::MAX),
            execution_duration: close_time.map(|time| proto_duration(time.since(self.execution_time()))),
            root_execution: Some(self.root()),
            first_run_id: self.first_run_id().to_owned(),
            priority: a.priority.clone(),
            ..WorkflowExecutionInfo::default()
        }
    }

    fn describe_config(&self) -> WorkflowExecutionConfig {
        let a = self.started_attributes();
        WorkflowExecutionConfig {
            task_queue: Some(normal_queue(self.task_queue())),
            workflow_execution_timeout: a.workflow_execution_timeout,
            workflow_run_timeout: a.workflow_run_timeout,
            default_workflow_task_timeout: a.workflow_task_timeout,
            user_metadata: self.user_metadata().cloned(),
        }
    }

    fn describe_extended(&self) -> WorkflowExecutionExtendedInfo {
        WorkflowExecutionExtendedInfo {
            execution_expiration_time: self.recorded.execution_expiration().map(Into::into),
            run_expiration_time: self.recorded.run_expiration().map(Into::into),
            cancel_requested: self.cancel_requested(),
            original_start_time: Some(self.recorded.started.time.into()),
            last_reset_time: self.recorded.resets.last().map(|reset| reset.time.into()),
            reset_run_id: self.facts.reset_run_id.clone(),
            request_id_infos: self.request_id_infos().collect(),
            ..WorkflowExecutionExtendedInfo::default()
        }
    }

    fn describe_children(&self) -> Vec<PendingChildExecutionInfo> {
        if !self.is_running() {
            return Vec::new();
        }
        let describe = |(id, child): (&i64, &std::sync::Arc<crate::recorded::Child>)| PendingChildExecutionInfo {
            workflow_id: child.initiated.workflow_id.clone(),
            run_id: child.started.as_ref().map(|run| run.run_id.clone()).unwrap_or_default(),
            workflow_type_name: child
                .initiated
                .workflow_type
                .as_ref()
                .map(|t| t.name.clone())
                .unwrap_or_default(),
            initiated_id: *id,
            parent_close_policy: child.initiated.parent_close_policy,
        };
        self.recorded.children.iter().map(describe).collect()
    }

    fn describe_workflow_task(&self) -> Option<PendingWorkflowTaskInfo> {
        let (state, task, started_time) = match &self.facts.workflow_task {
            WorkflowTask::Idle { .. } => return None,
            WorkflowTask::Scheduled(task) => (PendingWorkflowTaskState::Scheduled, task, None),
            WorkflowTask::Started(task, started) => (PendingWorkflowTaskState::Started, task, Some(started.time)),
        };
        Some(PendingWorkflowTaskInfo {
            state: state.into(),
            scheduled_time: Some(task.time.into()),
            original_scheduled_time: Some(task.original_time.into()),
            started_time: started_time.map(Into::into),
            attempt: i32::try_from(task.attempt).unwrap_or(i32::MAX),
        })
    }
}

fn describe_activity(activity: &Activity) -> PendingActivityInfo {
    let (attempt, scheduled) = (&activity.attempt, &activity.scheduled);
    let (state, next) = match (&attempt.phase, &attempt.paused) {
        (Phase::Started(_), _) if activity.cancel_requested.is_some() => (PendingActivityState::CancelRequested, None),
        (Phase::Started(_), Some(_)) => (PendingActivityState::PauseRequested, None),
        (Phase::Started(_), None) => (PendingActivityState::Started, None),
        (_, Some(_)) => (PendingActivityState::Paused, None),
        (Phase::Ready { .. }, None) => (PendingActivityState::Scheduled, None),
        (Phase::BackingOff { until }, None) => (PendingActivityState::Scheduled, Some(*until)),
    };
    let options = activity.options();
    // When its task was, or is, put up for pollers.
    let scheduled_time = match &attempt.phase {
        Phase::Ready { since } => *since,
        Phase::BackingOff { until } => *until,
        Phase::Started(started) => started.ready_since,
    };
    let time = |time: Option<Timestamp>| time.map(Into::into);
    PendingActivityInfo {
        activity_id: scheduled.activity_id.clone(),
        activity_type: scheduled.activity_type.clone(),
        state: state.into(),
        heartbeat_details: attempt.heartbeat.as_deref().cloned(),
        last_heartbeat_time: time(attempt.heartbeat_time),
        last_started_time: time(attempt.started().map(|started| started.time)),
        attempt: i32::try_from(attempt.number).unwrap_or(i32::MAX),
        maximum_attempts: options
            .retry_policy
            .as_ref()
            .map_or(0, |policy| policy.maximum_attempts),
        scheduled_time: time(Some(scheduled_time)),
        expiration_time: time(activity.expiration()),
        last_failure: attempt.last_failure.as_deref().cloned(),
        last_worker_identity: attempt.last_worker.clone(),
        current_retry_interval: next
            .zip(attempt.last_ended)
            .map(|(next, ended)| proto_duration(next.since(ended))),
        last_attempt_complete_time: time(attempt.last_ended),
        next_attempt_schedule_time: time(next),
        paused: attempt.paused.is_some(),
        pause_info: attempt.paused.as_deref().map(describe_pause),
        priority: options.priority.clone(),
        activity_options: Some(options),
        ..PendingActivityInfo::default()
    }
}

fn describe_pause(pause: &Pause) -> PauseInfo {
    PauseInfo {
        pause_time: Some(pause.time.into()),
        paused_by: Some(PausedBy::Manual(Manual {
            identity: pause.identity.clone(),
            reason: pause.reason.clone(),
        })),
    }
}
