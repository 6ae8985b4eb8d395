//! Asking a run to cancel itself, and ending it by order.

use crate::{
    CancelRequest, ExternalSource, ParentRef, Rejection, Reply, Termination,
    draft::{Draft, Entry},
    proto::{Attributes, WorkflowExecution, WorkflowExecutionCancelRequestedEventAttributes},
};

impl Draft<'_> {
    pub(crate) fn request_cancel(&mut self, request: CancelRequest) -> Result<Reply, Rejection> {
        // A closed run needs no cancelling: who asks has what they want.
        if !self.state().is_running() {
            return Ok(Reply::Done);
        }
        self.check_chain(&request.first_execution_run_id)?;
        self.check_parent(request.only_child_of.as_ref())?;
        if let Some(source) = &request.external
            && source.child_workflow_only
        {
            self.check_is_child_of(source)?;
        }
        // Asking twice changes nothing: the workflow was told.
        if self.state().recorded.cancel_requested {
            return Ok(Reply::Done);
        }
        let (execution, initiated_event_id) = request
            .external
            .map_or((None, 0), |source| (Some(source.execution), source.initiated_event_id));
        let attributes = WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason,
            external_initiated_event_id: initiated_event_id,
            external_workflow_execution: execution,
            identity: request.identity,
        };
        self.record(
            Entry::from(Attributes::WorkflowExecutionCancelRequestedEventAttributes(attributes)).links(request.links),
        );
        // Not even a start delay or a cron schedule keeps the workflow from hearing of it.
        self.wake_at_once();
        Ok(Reply::Done)
    }

    pub(crate) fn terminate(&mut self, order: Termination) -> Result<Reply, Rejection> {
        self.check_running()?;
        self.check_chain(&order.first_execution_run_id)?;
        self.check_parent(order.only_child_of.as_ref())?;
        self.close_as_terminated(order);
        Ok(Reply::Done)
    }

    pub(crate) fn check_running(&self) -> Result<(), Rejection> {
        if self.state().is_running() {
            Ok(())
        } else {
            Err(Rejection::closed())
        }
    }

    fn check_chain(&self, first_run_id: &str) -> Result<(), Rejection> {
        if first_run_id.is_empty() || first_run_id == self.state().first_run_id() {
            return Ok(());
        }
        Err(Rejection::NotFound("workflow execution not found".to_owned()))
    }

    fn check_parent(&self, parent: Option<&ParentRef>) -> Result<(), Rejection> {
        if parent.is_none() || parent == self.state().parent().as_ref() {
            Ok(())
        } else {
            Err(not_its_parent())
        }
    }

    pub(crate) fn check_is_child_of(&self, sender: &ExternalSource) -> Result<(), Rejection> {
        let is_sender = |parent: &WorkflowExecution| {
            parent.workflow_id == sender.execution.workflow_id
                && (parent.run_id == sender.execution.run_id || sender.former_run_ids.contains(&parent.run_id))
        };
        let parent = &self.state().started_attributes().parent_workflow_execution;
        if parent.as_ref().is_some_and(is_sender) {
            Ok(())
        } else {
            Err(not_its_parent())
        }
    }
}

fn not_its_parent() -> Rejection {
    Rejection::NotFound("workflow parent does not match".to_owned())
}
