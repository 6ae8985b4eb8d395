//! Children: what the parent's history says of them. The rest of their life is their own.

use std::sync::Arc;

use crate::{
    ChildClose, ChildClosed, EventId, MessageId, Reply,
    draft::Draft,
    proto::{
        Attributes, ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
        ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
        ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes,
        StartChildWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedEventAttributes,
        StartChildWorkflowExecutionInitiatedEventAttributes as Initiated, WorkflowExecution,
    },
};

impl Draft<'_> {
    pub(crate) fn child_started(&mut self, initiated_event_id: EventId, run_id: &str) -> Reply {
        if !self.state().is_running() {
            self.child_started_too_late(initiated_event_id);
            return Reply::Done;
        }
        let Some(child) = self.state().recorded.children.get(&initiated_event_id) else {
            return Reply::Done;
        };
        if child.started.is_some() {
            return Reply::Done;
        }
        let initiated = Arc::clone(&child.initiated);
        self.record_child_started(initiated_event_id, &initiated, run_id);
        self.wake();
        Reply::Done
    }

    /// The child came into being while its parent closed. If it is to share its parent's fate, it has to be told (again).
    fn child_started_too_late(&mut self, initiated_event_id: EventId) {
        self.message_delivered(MessageId::StartChild(initiated_event_id));
        let parent_closed = MessageId::ParentClosed(initiated_event_id);
        if self.state().facts.delivered.contains(&parent_closed) {
            Arc::make_mut(&mut self.edit().facts.delivered).remove(&parent_closed);
        }
    }

    fn record_child_started(&mut self, initiated_event_id: EventId, a: &Initiated, run_id: &str) {
        self.record(Attributes::ChildWorkflowExecutionStartedEventAttributes(
            ChildWorkflowExecutionStartedEventAttributes {
                namespace: a.namespace.clone(),
                namespace_id: a.namespace_id.clone(),
                initiated_event_id,
                workflow_execution: Some(WorkflowExecution {
                    workflow_id: a.workflow_id.clone(),
                    run_id: run_id.to_owned(),
                }),
                workflow_type: a.workflow_type.clone(),
                header: a.header.clone(),
            },
        ));
    }

    pub(crate) fn child_start_failed(
        &mut self,
        initiated_event_id: EventId,
        cause: StartChildWorkflowExecutionFailedCause,
    ) -> Reply {
        if !self.state().is_running() {
            return self.message_delivered(MessageId::StartChild(initiated_event_id));
        }
        let Some(child) = self.state().recorded.children.get(&initiated_event_id) else {
            return Reply::Done;
        };
        if child.started.is_some() {
            return Reply::Done;
        }
        let a = Arc::clone(&child.initiated);
        #[expect(deprecated, reason = "old SDKs correlate by the control field, so it is handed back")]
        self.record(Attributes::StartChildWorkflowExecutionFailedEventAttributes(
            StartChildWorkflowExecutionFailedEventAttributes {
                namespace: a.namespace.clone(),
                namespace_id: a.namespace_id.clone(),
                workflow_id: a.workflow_id.clone(),
                workflow_type: a.workflow_type.clone(),
                cause: cause.into(),
                control: a.control.clone(),
                initiated_event_id,
                workflow_task_completed_event_id: a.workflow_task_completed_event_id,
            },
        ));
        self.wake();
        Reply::Done
    }

    pub(crate) fn child_closed(&mut self, closed: ChildClosed) -> Reply {
        let id = closed.initiated_event_id;
        if !self.state().is_running() && !self.state().facts.reset_run_id.is_empty() {
            let run_id = self.state().facts.reset_run_id.clone();
            return Reply::WasReset { run_id };
        }
        // A second delivery finds nothing, nor does one to a closed parent: both count as delivered.
        let child = self.state().recorded.children.get(&id).cloned();
        let Some(child) = child.filter(|_| self.state().is_running()) else {
            return Reply::Done;
        };
        if child.started.is_none() {
            // The child's end overtook the news of its start.
            self.record_child_started(id, &child.initiated, &closed.first_run_id);
        }
        let started = self
            .state()
            .recorded
            .children
            .get(&id)
            .and_then(|child| child.started.clone());
        let started_event_id = started.and_then(|run| run.started_event_id).unwrap_or(0);
        self.record(close_attributes(closed, &child.initiated, started_event_id));
        self.wake();
        Reply::Done
    }
}

fn close_attributes(closed: ChildClosed, a: &Initiated, started_event_id: EventId) -> Attributes {
    let initiated_event_id = closed.initiated_event_id;
    let (namespace, namespace_id) = (a.namespace.clone(), a.namespace_id.clone());
    let (workflow_execution, workflow_type) = (Some(closed.execution), a.workflow_type.clone());
    match closed.close {
        ChildClose::Completed { result } => {
            Attributes::ChildWorkflowExecutionCompletedEventAttributes(ChildWorkflowExecutionCompletedEventAttributes {
                result,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            })
        }
        ChildClose::Failed { failure, retry_state } => {
            Attributes::ChildWorkflowExecutionFailedEventAttributes(ChildWorkflowExecutionFailedEventAttributes {
                failure: failure.map(|failure| *failure),
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state,
            })
        }
        ChildClose::Canceled { details } => {
            Attributes::ChildWorkflowExecutionCanceledEventAttributes(ChildWorkflowExecutionCanceledEventAttributes {
                details,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            })
        }
        ChildClose::TimedOut { retry_state } => {
            Attributes::ChildWorkflowExecutionTimedOutEventAttributes(ChildWorkflowExecutionTimedOutEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state,
            })
        }
        ChildClose::Terminated => Attributes::ChildWorkflowExecutionTerminatedEventAttributes(
            ChildWorkflowExecutionTerminatedEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
    }
}
