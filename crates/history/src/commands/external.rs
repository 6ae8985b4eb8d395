//! Commands to other runs.

use super::{CommandFailure, CommandResult, Commands, size};
use crate::proto::{
    Attributes, Command, RequestCancelExternalWorkflowExecutionCommandAttributes,
    RequestCancelExternalWorkflowExecutionInitiatedEventAttributes, SignalExternalWorkflowExecutionCommandAttributes,
    SignalExternalWorkflowExecutionInitiatedEventAttributes, WorkflowExecution, WorkflowTaskFailedCause as Cause,
};

#[expect(
    deprecated,
    reason = "old SDKs name the namespace and correlate by the control field"
)]
impl Commands<'_, '_, '_> {
    pub(super) fn signal_external(
        &mut self,
        a: &SignalExternalWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadSignalWorkflowExecutionAttributes;
        self.check_namespace(CAUSE, &a.namespace)?;
        self.check_id(
            CAUSE,
            "WorkflowId",
            a.execution.as_ref().map_or("", |execution| &execution.workflow_id),
        )?;
        check_run_id(CAUSE, a.execution.as_ref().map_or("", |execution| &execution.run_id))?;
        self.check_id(CAUSE, "SignalName", &a.signal_name)?;
        self.check_size(
            size(a.input.as_ref()),
            CAUSE,
            "SignalExternalWorkflowExecutionCommandAttributes.Input",
        )?;
        let max = self.draft.env.limits.pending_external_signals_max;
        if self.draft.state().recorded.external_signals.len() >= max {
            let message = format!(
                "the number of pending signals to external workflows, {max}, has reached the per-workflow limit of {max}"
            );
            return Err(CommandFailure::new(Cause::PendingSignalsLimitExceeded, message));
        }
        let attributes = SignalExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: self.completed_id,
            namespace: self.draft.state().key.namespace.clone(),
            namespace_id: self.draft.env.namespace_id.to_owned(),
            workflow_execution: a.execution.clone(),
            signal_name: a.signal_name.clone(),
            input: a.input.clone(),
            control: a.control.clone(),
            child_workflow_only: a.child_workflow_only,
            header: a.header.clone(),
        };
        self.record(
            Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(attributes),
            command,
        );
        Ok(())
    }

    pub(super) fn cancel_external(
        &mut self,
        a: &RequestCancelExternalWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadRequestCancelExternalWorkflowExecutionAttributes;
        self.check_namespace(CAUSE, &a.namespace)?;
        self.check_id(CAUSE, "WorkflowId", &a.workflow_id)?;
        check_run_id(CAUSE, &a.run_id)?;
        let max = self.draft.env.limits.pending_external_cancels_max;
        if self.draft.state().recorded.external_cancels.len() >= max {
            let message = format!(
                "the number of pending requests to cancel external workflows, {max}, has reached the per-workflow limit of {max}"
            );
            return Err(CommandFailure::new(Cause::PendingRequestCancelLimitExceeded, message));
        }
        let attributes = RequestCancelExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: self.completed_id,
            namespace: self.draft.state().key.namespace.clone(),
            namespace_id: self.draft.env.namespace_id.to_owned(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: a.workflow_id.clone(),
                run_id: a.run_id.clone(),
            }),
            control: a.control.clone(),
            child_workflow_only: a.child_workflow_only,
            reason: a.reason.clone(),
        };
        self.record(
            Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(attributes),
            command,
        );
        Ok(())
    }
}

/// Whoever names a run of the other workflow names one that can exist.
fn check_run_id(cause: Cause, run_id: &str) -> CommandResult {
    if run_id.is_empty() || uuid::Uuid::parse_str(run_id).is_ok() {
        return Ok(());
    }
    let message = format!("the run id `{run_id}` of the other workflow is not a UUID");
    Err(CommandFailure::new(cause, message))
}
