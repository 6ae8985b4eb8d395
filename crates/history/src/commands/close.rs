//! Commands that close the run. None of them may hide from the code what happened meanwhile. [trap 3]

use helve_schedule::cron;

use super::{CommandFailure, CommandResult, Commands, check_timeout, size};
use crate::{
    draft::Entry,
    proto::{
        Attributes, CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
        ContinueAsNewInitiator, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, RetryState, WorkflowExecutionCanceledEventAttributes,
        WorkflowExecutionCompletedEventAttributes, WorkflowExecutionContinuedAsNewEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowExecutionStartedEventAttributes,
        WorkflowTaskFailedCause as Cause,
    },
    retry,
    start::Timeouts,
    successor::Successor,
    timestamp::{duration, proto_duration},
    workflow_task::normal_queue,
};

impl Commands<'_, '_, '_> {
    fn check_nothing_unseen(&self) -> CommandResult {
        if self.draft.has_buffered() {
            Err(CommandFailure::unhandled())
        } else {
            Ok(())
        }
    }

    pub(super) fn complete_workflow(
        &mut self,
        a: &CompleteWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        self.check_nothing_unseen()?;
        self.check_size(
            size(a.result.as_ref()),
            Cause::BadCompleteWorkflowExecutionAttributes,
            "CompleteWorkflowExecutionCommandAttributes.Result",
        )?;
        let successor = self.draft.cron_successor(a.result.clone(), None);
        let attributes = WorkflowExecutionCompletedEventAttributes {
            result: a.result.clone(),
            workflow_task_completed_event_id: self.completed_id,
            new_execution_run_id: Successor::run_id(successor.as_ref()),
        };
        self.close(
            Attributes::WorkflowExecutionCompletedEventAttributes(attributes),
            successor,
            command,
        );
        Ok(())
    }

    pub(super) fn fail_workflow(
        &mut self,
        a: &FailWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadFailWorkflowExecutionAttributes;
        self.check_nothing_unseen()?;
        let Some(failure) = &a.failure else {
            return Err(CommandFailure::new(CAUSE, "Failure is not set on command."));
        };
        self.check_size(
            size(Some(failure)),
            CAUSE,
            "FailWorkflowExecutionCommandAttributes.Failure",
        )?;
        let recorded = &self.draft.state().recorded;
        let retry = retry::next(
            recorded.started.attributes.retry_policy.as_ref(),
            self.draft.run_attempt(),
            Some(failure),
            self.draft.now,
            recorded.execution_expiration(),
        );
        let (successor, retry_state) = match retry {
            Ok(backoff) => (
                Some(self.draft.retry_successor(backoff, failure.clone())),
                RetryState::InProgress,
            ),
            Err(state) => (self.draft.cron_successor(None, Some(failure.clone())), state),
        };
        let attributes = WorkflowExecutionFailedEventAttributes {
            failure: a.failure.clone(),
            retry_state: retry_state.into(),
            workflow_task_completed_event_id: self.completed_id,
            new_execution_run_id: Successor::run_id(successor.as_ref()),
        };
        self.close(
            Attributes::WorkflowExecutionFailedEventAttributes(attributes),
            successor,
            command,
        );
        Ok(())
    }

    pub(super) fn cancel_workflow(
        &mut self,
        a: &CancelWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        self.check_nothing_unseen()?;
        self.check_size(
            size(a.details.as_ref()),
            Cause::BadCancelWorkflowExecutionAttributes,
            "CancelWorkflowExecutionCommandAttributes.Details",
        )?;
        let attributes = WorkflowExecutionCanceledEventAttributes {
            workflow_task_completed_event_id: self.completed_id,
            details: a.details.clone(),
        };
        self.close(
            Attributes::WorkflowExecutionCanceledEventAttributes(attributes),
            None,
            command,
        );
        Ok(())
    }

    pub(super) fn continue_as_new(
        &mut self,
        a: &ContinueAsNewWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        self.check_nothing_unseen()?;
        let next = self.next_run(a)?;
        let backoff = duration(a.backoff_start_interval.as_ref());
        #[expect(
            deprecated,
            reason = "people look for the failure of the event, though it is deprecated"
        )]
        let event = WorkflowExecutionContinuedAsNewEventAttributes {
            new_execution_run_id: self.draft.env.fresh_run_id.to_owned(),
            workflow_type: next.workflow_type.clone(),
            task_queue: next.task_queue.clone(),
            input: next.input.clone(),
            workflow_run_timeout: next.workflow_run_timeout,
            workflow_task_timeout: next.workflow_task_timeout,
            workflow_task_completed_event_id: self.completed_id,
            backoff_start_interval: Some(proto_duration(backoff)),
            initiator: next.initiator,
            failure: a.failure.clone(),
            last_completion_result: a.last_completion_result.clone(),
            header: a.header.clone(),
            memo: next.memo.clone(),
            search_attributes: next.search_attributes.clone(),
            ..WorkflowExecutionContinuedAsNewEventAttributes::default()
        };
        let successor = self.draft.successor(next, backoff);
        self.close(
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(event),
            Some(successor),
            command,
        );
        Ok(())
    }

    /// The first event of the run that continues this one: what the command does not say stays as it is.
    fn next_run(
        &self,
        a: &ContinueAsNewWorkflowExecutionCommandAttributes,
    ) -> Result<WorkflowExecutionStartedEventAttributes, CommandFailure> {
        const CAUSE: Cause = Cause::BadContinueAsNewAttributes;
        let bad = |message: String| CommandFailure::new(CAUSE, message);
        let old = self.draft.state().started_attributes();
        let or_old = |given, old: Option<&_>| {
            if duration(given).is_zero() {
                duration(old)
            } else {
                duration(given)
            }
        };
        check_timeout(CAUSE, "BackoffStartInterval", a.backoff_start_interval.as_ref())?;
        check_timeout(CAUSE, "WorkflowRunTimeout", a.workflow_run_timeout.as_ref())?;
        check_timeout(CAUSE, "WorkflowTaskTimeout", a.workflow_task_timeout.as_ref())?;
        let timeouts = Timeouts::normalize(
            duration(old.workflow_execution_timeout.as_ref()),
            or_old(a.workflow_run_timeout.as_ref(), old.workflow_run_timeout.as_ref()),
            or_old(a.workflow_task_timeout.as_ref(), old.workflow_task_timeout.as_ref()),
            &self.draft.env,
        );
        let kind = a.workflow_type.clone().filter(|kind| !kind.name.is_empty());
        let kind = kind.or_else(|| old.workflow_type.clone()).unwrap_or_default();
        self.check_id(CAUSE, "WorkflowType", &kind.name)?;
        let queue = a
            .task_queue
            .as_ref()
            .map(|queue| queue.name.as_str())
            .filter(|name| !name.is_empty());
        let queue = queue.unwrap_or_else(|| self.draft.state().task_queue());
        self.check_queue(CAUSE, queue)?;
        let retry_policy = match a.retry_policy.clone() {
            None => None,
            Some(policy) => Some(retry::normalize(policy, self.draft.env.limits).map_err(bad)?),
        };
        cron::validate(&a.cron_schedule).map_err(bad)?;
        self.check_search_attributes(a.search_attributes.as_ref())?;
        self.check_size(
            size(a.input.as_ref()),
            CAUSE,
            "ContinueAsNewWorkflowExecutionCommandAttributes.Input",
        )?;
        self.check_size(
            size(a.memo.as_ref()),
            CAUSE,
            "ContinueAsNewWorkflowExecutionCommandAttributes.Memo",
        )?;

        let (memo, search_attributes) = self.draft.properties();
        Ok(WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(kind),
            task_queue: Some(normal_queue(queue)),
            input: a.input.clone(),
            header: a.header.clone(),
            workflow_run_timeout: Some(proto_duration(timeouts.run)),
            workflow_task_timeout: Some(proto_duration(timeouts.task)),
            retry_policy,
            cron_schedule: a.cron_schedule.clone(),
            initiator: match a.initiator() {
                ContinueAsNewInitiator::Unspecified => ContinueAsNewInitiator::Workflow.into(),
                given => given.into(),
            },
            continued_failure: a.failure.clone(),
            last_completion_result: a.last_completion_result.clone(),
            memo: a.memo.clone().or(memo),
            search_attributes: a.search_attributes.clone().or(search_attributes),
            ..self.draft.inherited()
        })
    }

    fn close(&mut self, attributes: Attributes, successor: Option<Successor>, command: &Command) {
        self.draft.close(Entry::from(attributes).by_command(command), successor);
    }
}
