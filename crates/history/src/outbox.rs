//! Messages a run owes to others. An open run's are paid by the events that answer them; a closed run cannot record
//! events any more, so it remembers what was delivered.

use std::sync::Arc;

use crate::{
    CancelRequest, ChildClose, ChildClosed, ChildStart, EventId, ExternalSource, Message, MessageBody, MessageId,
    ParentRef, Reply, RunState, Signal, Termination,
    close::ENGINE_IDENTITY,
    draft::Draft,
    proto::{Attributes, HistoryEvent, ParentClosePolicy, WorkflowExecution},
    recorded::Child,
};

impl RunState {
    /// The messages the run owes, oldest request first.
    pub fn outbox(&self) -> Vec<Message> {
        self.outbox_ids()
            .into_iter()
            .filter_map(|id| self.message(id))
            .collect()
    }

    /// The ids of the messages the run owes: [`RunState::outbox`] without building them.
    pub fn outbox_ids(&self) -> Vec<MessageId> {
        let recorded = &self.recorded;
        let children = recorded
            .children
            .iter()
            .filter_map(|(id, child)| self.owed_to_child(*id, child));
        let signals = recorded
            .external_signals
            .keys()
            .map(|id| MessageId::SignalExternal(*id));
        let cancels = recorded
            .external_cancels
            .keys()
            .map(|id| MessageId::CancelExternal(*id));
        let parent = self.owes_parent().then_some(MessageId::ChildClosed);
        children
            .chain(signals)
            .chain(cancels)
            .chain(parent)
            .filter(|id| !self.facts.delivered.contains(id))
            .collect()
    }

    fn owed_to_child(&self, id: EventId, child: &Child) -> Option<MessageId> {
        let abandoned = child.initiated.parent_close_policy() == ParentClosePolicy::Abandon;
        if !self.is_running() && !abandoned {
            // Owed even to a child of which the run does not know that it was started: the news may be on its way.
            Some(MessageId::ParentClosed(id))
        } else {
            child.started.is_none().then_some(MessageId::StartChild(id))
        }
    }

    /// A parent hears of the end of the last run only, not of those in between.
    fn owes_parent(&self) -> bool {
        !self.is_running()
            && self.started_attributes().parent_workflow_execution.is_some()
            && self.successor_run_id().is_none()
    }

    /// Builds a message the run owes.
    pub fn message(&self, id: MessageId) -> Option<Message> {
        let body = match id {
            MessageId::StartChild(event_id) => self.start_child(event_id)?,
            MessageId::ParentClosed(event_id) => self.parent_closed(event_id)?,
            MessageId::SignalExternal(event_id) => self.signal_external(event_id)?,
            MessageId::CancelExternal(event_id) => self.cancel_external(event_id)?,
            MessageId::ChildClosed => self.child_closed_message()?,
        };
        Some(Message { id, body })
    }

    fn as_parent(&self, initiated_event_id: EventId) -> ParentRef {
        ParentRef {
            namespace: self.key.namespace.clone(),
            workflow_id: self.key.workflow_id.clone(),
            run_id: self.key.run_id.clone(),
            initiated_event_id,
        }
    }

    fn start_child(&self, id: EventId) -> Option<MessageBody> {
        let child = self.recorded.children.get(&id)?;
        Some(MessageBody::StartChild(Box::new(ChildStart {
            parent: self.as_parent(id),
            namespace_id: child.initiated.namespace_id.clone(),
            root: self.root(),
            parent_priority: self.started_attributes().priority.clone(),
            attributes: Arc::clone(&child.initiated),
            user_metadata: child.user_metadata.clone(),
        })))
    }

    fn parent_closed(&self, id: EventId) -> Option<MessageBody> {
        let child = self.recorded.children.get(&id)?;
        let workflow_id = child.initiated.workflow_id.clone();
        let only_child_of = Some(self.as_parent(id));
        let first_execution_run_id = child.started.as_ref().map(|run| run.run_id.clone()).unwrap_or_default();
        Some(match child.initiated.parent_close_policy() {
            ParentClosePolicy::Abandon => return None,
            ParentClosePolicy::RequestCancel => MessageBody::CancelChild {
                workflow_id,
                request: Box::new(CancelRequest {
                    reason: "by parent close policy".to_owned(),
                    identity: ENGINE_IDENTITY.to_owned(),
                    first_execution_run_id,
                    only_child_of,
                    ..CancelRequest::default()
                }),
            },
            ParentClosePolicy::Terminate | ParentClosePolicy::Unspecified => MessageBody::TerminateChild {
                workflow_id,
                termination: Box::new(Termination {
                    reason: "by parent close policy".to_owned(),
                    identity: ENGINE_IDENTITY.to_owned(),
                    first_execution_run_id,
                    only_child_of,
                    ..Termination::default()
                }),
            },
        })
    }

    fn source(&self, initiated_event_id: EventId, child_workflow_only: bool) -> ExternalSource {
        ExternalSource {
            execution: self.key.execution(),
            initiated_event_id,
            child_workflow_only,
        }
    }

    fn signal_external(&self, id: EventId) -> Option<MessageBody> {
        let a = &self.recorded.external_signals.get(&id)?.initiated;
        Some(MessageBody::SignalExternal {
            target: a.workflow_execution.clone().unwrap_or_default(),
            signal: Box::new(Signal {
                name: a.signal_name.clone(),
                input: a.input.clone(),
                header: a.header.clone(),
                identity: ENGINE_IDENTITY.to_owned(),
                // The same for every try, so that the receiver takes it once.
                request_id: format!("{}:{id}", self.key.run_id),
                links: Vec::new(),
                external: Some(self.source(id, a.child_workflow_only)),
                with_start: false,
            }),
        })
    }

    fn cancel_external(&self, id: EventId) -> Option<MessageBody> {
        let a = &self.recorded.external_cancels.get(&id)?.initiated;
        Some(MessageBody::CancelExternal {
            target: a.workflow_execution.clone().unwrap_or_default(),
            request: Box::new(CancelRequest {
                reason: a.reason.clone(),
                identity: ENGINE_IDENTITY.to_owned(),
                request_id: format!("{}:{id}", self.key.run_id),
                external: Some(self.source(id, a.child_workflow_only)),
                ..CancelRequest::default()
            }),
        })
    }

    fn child_closed_message(&self) -> Option<MessageBody> {
        let parent = self.parent()?;
        let closed = ChildClosed {
            initiated_event_id: parent.initiated_event_id,
            execution: WorkflowExecution {
                workflow_id: self.key.workflow_id.clone(),
                run_id: self.key.run_id.clone(),
            },
            first_run_id: self.first_run_id().to_owned(),
            close: child_close(self.close_event()?)?,
        };
        Some(MessageBody::ChildClosed {
            parent,
            closed: Box::new(closed),
        })
    }
}

fn child_close(event: &HistoryEvent) -> Option<ChildClose> {
    Some(match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(a) => ChildClose::Completed {
            result: a.result.clone(),
        },
        Attributes::WorkflowExecutionFailedEventAttributes(a) => ChildClose::Failed {
            failure: a.failure.clone().map(Box::new),
            retry_state: a.retry_state,
        },
        Attributes::WorkflowExecutionCanceledEventAttributes(a) => ChildClose::Canceled {
            details: a.details.clone(),
        },
        Attributes::WorkflowExecutionTimedOutEventAttributes(a) => ChildClose::TimedOut {
            retry_state: a.retry_state,
        },
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => ChildClose::Terminated,
        _ => return None,
    })
}

impl Draft<'_> {
    /// Remembers what a closed run delivered. An open run needs no such memory.
    pub(crate) fn message_delivered(&mut self, id: MessageId) -> Reply {
        if !self.state().is_running() && self.state().outbox_ids().contains(&id) {
            Arc::make_mut(&mut self.edit().facts.delivered).insert(id);
        }
        Reply::Done
    }
}
