//! Starting a child.

use helve_schedule::cron;

use super::{CommandFailure, CommandResult, Commands, check_timeout, size};
use crate::{
    check_priority,
    proto::{
        Attributes, Command, ParentClosePolicy, StartChildWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionInitiatedEventAttributes, WorkflowIdReusePolicy, WorkflowTaskFailedCause as Cause,
    },
    retry,
    start::Timeouts,
    timestamp::proto_duration,
    workflow_task::normal_queue,
};

impl Commands<'_, '_, '_> {
    #[expect(
        deprecated,
        reason = "old SDKs name the namespace and correlate by the control field"
    )]
    pub(super) fn start_child(
        &mut self,
        a: &StartChildWorkflowExecutionCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadStartChildExecutionAttributes;
        let bad = |message: String| CommandFailure::new(CAUSE, message);
        self.check_namespace(CAUSE, &a.namespace)?;
        self.check_id(CAUSE, "WorkflowId", &a.workflow_id)?;
        self.check_id(
            CAUSE,
            "WorkflowType",
            a.workflow_type.as_ref().map_or("", |kind| &kind.name),
        )?;
        let timeouts = Timeouts::normalize(
            check_timeout(CAUSE, "WorkflowExecutionTimeout", a.workflow_execution_timeout.as_ref())?,
            check_timeout(CAUSE, "WorkflowRunTimeout", a.workflow_run_timeout.as_ref())?,
            check_timeout(CAUSE, "WorkflowTaskTimeout", a.workflow_task_timeout.as_ref())?,
            &self.draft.env,
        );
        let retry_policy = match a.retry_policy.clone() {
            None => None,
            Some(policy) => Some(retry::normalize(policy, self.draft.env.limits).map_err(bad)?),
        };
        cron::validate(&a.cron_schedule).map_err(bad)?;
        check_priority(a.priority.as_ref()).map_err(|error| bad(error.to_owned()))?;
        self.check_size(
            size(a.input.as_ref()),
            CAUSE,
            "StartChildWorkflowExecutionCommandAttributes.Input",
        )?;
        self.check_size(
            size(a.memo.as_ref()),
            CAUSE,
            "StartChildWorkflowExecutionCommandAttributes.Memo",
        )?;
        self.check_search_attributes(a.search_attributes.as_ref())?;
        let max = self.draft.env.limits.pending_children_max;
        if self.draft.state().recorded.children.len() >= max {
            let message = format!(
                "the number of pending child workflow executions, {max}, has reached the per-workflow limit of {max}"
            );
            return Err(CommandFailure::new(Cause::PendingChildWorkflowsLimitExceeded, message));
        }

        let state = self.draft.state();
        let queue = a
            .task_queue
            .as_ref()
            .map(|queue| queue.name.as_str())
            .filter(|name| !name.is_empty());
        let queue = queue.unwrap_or_else(|| state.task_queue());
        self.check_queue(CAUSE, queue)?;
        let attributes = StartChildWorkflowExecutionInitiatedEventAttributes {
            namespace: state.key.namespace.clone(),
            namespace_id: self.draft.env.namespace_id.to_owned(),
            workflow_id: a.workflow_id.clone(),
            workflow_type: a.workflow_type.clone(),
            task_queue: Some(normal_queue(queue)),
            input: a.input.clone(),
            workflow_execution_timeout: Some(proto_duration(timeouts.execution)),
            workflow_run_timeout: Some(proto_duration(timeouts.run)),
            workflow_task_timeout: Some(proto_duration(timeouts.task)),
            parent_close_policy: match a.parent_close_policy() {
                ParentClosePolicy::Unspecified => ParentClosePolicy::Terminate.into(),
                given => given.into(),
            },
            control: a.control.clone(),
            workflow_task_completed_event_id: self.completed_id,
            workflow_id_reuse_policy: match a.workflow_id_reuse_policy() {
                WorkflowIdReusePolicy::Unspecified => WorkflowIdReusePolicy::AllowDuplicate.into(),
                given => given.into(),
            },
            retry_policy,
            cron_schedule: a.cron_schedule.clone(),
            header: a.header.clone(),
            memo: a.memo.clone(),
            search_attributes: a.search_attributes.clone(),
            priority: a.priority.clone(),
            versioning_override: a.versioning_override.clone(),
            ..StartChildWorkflowExecutionInitiatedEventAttributes::default()
        };
        self.record(
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(attributes),
            command,
        );
        Ok(())
    }
}
