//! Workflow tasks that fail or time out.

use super::{ScheduledTask, StartedTask, TaskKind, WorkflowTask};
use crate::{
    Rejection, Reply, WorkflowTaskFailure, WorkflowTaskToken,
    draft::Draft,
    failure::bounded,
    problems::Problem,
    proto::{
        Attributes, Failure, TimeoutType, WorkflowTaskFailedCause, WorkflowTaskFailedEventAttributes,
        WorkflowTaskTimedOutEventAttributes,
    },
};

/// Why a started task is over without a completion.
pub(crate) struct TaskFailure<'a> {
    pub(crate) cause: WorkflowTaskFailedCause,
    pub(crate) failure: Option<Failure>,
    pub(crate) identity: &'a str,
    pub(crate) binary_checksum: &'a str,
}

impl TaskFailure<'_> {
    pub(crate) fn new(cause: WorkflowTaskFailedCause) -> Self {
        Self {
            cause,
            failure: None,
            identity: "",
            binary_checksum: "",
        }
    }
}

impl Draft<'_> {
    /// The started task that `token` names. All of it must match: virtual ids and even attempts repeat. [trap 9]
    pub(crate) fn check_token(&self, token: &WorkflowTaskToken) -> Result<(&ScheduledTask, &StartedTask), Rejection> {
        match &self.state().facts.workflow_task {
            WorkflowTask::Started(scheduled, started)
                if self.state().is_running()
                    && token.run_id == self.state().key.run_id
                    && token.scheduled_event_id == scheduled.event_id
                    && token.started_event_id == started.event_id
                    && token.attempt == scheduled.attempt
                    && token.started_time() == started.time =>
            {
                Ok((scheduled, started))
            }
            _ => Err(Rejection::workflow_task_not_found()),
        }
    }

    /// A worker says that it cannot do its task.
    pub(crate) fn fail_workflow_task(&mut self, report: WorkflowTaskFailure) -> Result<Reply, Rejection> {
        self.check_token(&report.token)?;
        if report.cause == WorkflowTaskFailedCause::GrpcMessageTooLarge {
            // The worker could not even send its answer, and never will.
            self.terminate_by_engine("GrpcMessageTooLarge");
            return Ok(Reply::Done);
        }
        self.end_task_as_failed(TaskFailure {
            cause: report.cause,
            failure: report.failure.map(|failure| bounded(failure, self.env.limits)),
            identity: &report.identity,
            binary_checksum: &report.binary_checksum,
        });
        self.schedule_workflow_task(self.now);
        Ok(Reply::Done)
    }

    /// Ends the started task as failed. The caller schedules the next one.
    pub(crate) fn end_task_as_failed(&mut self, reason: TaskFailure<'_>) {
        let WorkflowTask::Started(scheduled, started) = self.state().facts.workflow_task.clone() else {
            return;
        };
        if scheduled.kind != TaskKind::Transient {
            self.note_problem(Problem::Failed(reason.cause));
        }
        self.end_attempt(scheduled.attempt, Raise::UnlessSticky);
        self.edit().facts.close_attempted = reason.cause == WorkflowTaskFailedCause::UnhandledCommand;
        if scheduled.kind != TaskKind::Transient {
            #[expect(
                deprecated,
                reason = "old workers still send a binary checksum, and people look for it"
            )]
            self.record(Attributes::WorkflowTaskFailedEventAttributes(
                WorkflowTaskFailedEventAttributes {
                    scheduled_event_id: scheduled.event_id,
                    started_event_id: started.event_id,
                    cause: reason.cause.into(),
                    failure: reason.failure,
                    identity: reason.identity.to_owned(),
                    binary_checksum: reason.binary_checksum.to_owned(),
                    ..WorkflowTaskFailedEventAttributes::default()
                },
            ));
        }
    }

    /// Handles the task's own deadlines.
    pub(crate) fn time_out_workflow_task(&mut self) {
        let due = self
            .state()
            .workflow_task_deadline()
            .is_some_and(|deadline| deadline <= self.now);
        if !due {
            return;
        }
        match self.state().facts.workflow_task.clone() {
            WorkflowTask::Idle { .. } => {}
            WorkflowTask::Scheduled(scheduled) => {
                // The sticky worker did not come. The attempt stays, else the next task became transient. [trap 7]
                self.end_attempt(scheduled.attempt, Raise::Never);
                self.record_task_timeout(&scheduled, None, TimeoutType::ScheduleToStart);
                self.schedule_workflow_task(scheduled.original_time);
            }
            WorkflowTask::Started(scheduled, started) => {
                self.end_task_as_timed_out(&scheduled, &started);
                self.schedule_workflow_task(self.now);
            }
        }
    }

    /// Ends the started task as timed out. The caller schedules the next one.
    pub(crate) fn end_task_as_timed_out(&mut self, scheduled: &ScheduledTask, started: &StartedTask) {
        if scheduled.kind != TaskKind::Transient {
            self.note_problem(Problem::TimedOut(TimeoutType::StartToClose));
        }
        self.end_attempt(scheduled.attempt, Raise::UnlessSticky);
        self.edit().facts.close_attempted = false;
        self.record_task_timeout(scheduled, Some(started), TimeoutType::StartToClose);
    }

    fn record_task_timeout(&mut self, scheduled: &ScheduledTask, started: Option<&StartedTask>, kind: TimeoutType) {
        if scheduled.kind != TaskKind::Transient {
            self.record(Attributes::WorkflowTaskTimedOutEventAttributes(
                WorkflowTaskTimedOutEventAttributes {
                    scheduled_event_id: scheduled.event_id,
                    started_event_id: started.map_or(0, |started| started.event_id),
                    timeout_type: kind.into(),
                },
            ));
        }
    }

    /// A failure on a sticky queue may be the cache's fault: the next attempt is a fresh one elsewhere. [trap 7]
    fn end_attempt(&mut self, attempt: u32, raise: Raise) {
        let facts = &mut self.edit().facts;
        let was_sticky = facts.sticky.take().is_some();
        let counts = matches!(raise, Raise::UnlessSticky) && !was_sticky;
        let next_attempt = if counts { attempt.saturating_add(1) } else { 1 };
        facts.workflow_task = WorkflowTask::Idle { next_attempt };
        self.count_failed_task(counts);
    }
}

enum Raise {
    UnlessSticky,
    Never,
}
