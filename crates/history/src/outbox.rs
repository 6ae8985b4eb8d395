//! Messages a run owes to others. An open run's are paid by the events that answer them; a closed run cannot record
//! events any more, so it remembers what was delivered.

use std::sync::Arc;

use crate::{
    CancelRequest, ChildClose, ChildClosed, ChildStart, EventId, ExternalSource, Message, MessageBody, MessageId,
    ParentRef, Reply, RunState, Signal, Termination,
    close::{ENGINE_IDENTITY, RESETTER_IDENTITY},
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
        let base = self.facts.untold_base.as_ref().map(|_| MessageId::WasReset);
        children
            .chain(signals)
            .chain(cancels)
            .chain(parent)
            .chain(base)
            .filter(|id| !self.facts.delivered.contains(id))
            .collect()
    }

    fn owed_to_child(&self, id: EventId, child: &Child) -> Option<MessageId> {
        if self.was_reset_away() {
            // The run that took its place has the child, and what is owed to it.
            return None;
        }
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
            && !self.was_terminated_by_reset()
    }

    /// A reset ended the run, and made another one of this very run.
    fn was_reset_away(&self) -> bool {
        !self.facts.reset_run_id.is_empty() && self.was_terminated_by_reset()
    }

    /// A reset of this run or of an earlier one of the workflow id ended it.
    fn was_terminated_by_reset(&self) -> bool {
        matches!(
            self.close_event().and_then(|close| close.attributes.as_ref()),
            Some(Attributes::WorkflowExecutionTerminatedEventAttributes(a)) if a.identity == RESETTER_IDENTITY
        )
    }

    /// Builds a message the run owes.
    pub fn message(&self, id: MessageId) -> Option<Message> {
        let body = match id {
            MessageId::StartChild(event_id) => self.start_child(event_id)?,
            MessageId::ParentClosed(event_id) => self.parent_closed(event_id)?,
            MessageId::SignalExternal(event_id) => self.signal_external(event_id)?,
            MessageId::CancelExternal(event_id) => self.cancel_external(event_id)?,
            MessageId::ChildClosed => self.child_closed_message()?,
            MessageId::WasReset => MessageBody::WasReset {
                base_run_id: self.facts.untold_base.clone()?,
            },
        };
        Some(Message { id, body })
    }

    fn as_parent(&self, initiated_event_id: EventId) -> ParentRef {
        ParentRef {
            namespace: self.key.namespace.clone(),
            workflow_id: self.key.workflow_id.clone(),
            // Its children know the run that asked for them, which may be the one of which a reset made this one.
            run_id: self.recorder(initiated_event_id).to_owned(),
            initiated_event_id,
        }
    }

    fn recorder(&self, event_id: EventId) -> &str {
        self.recorded.recorded_by(event_id, &self.key.run_id)
    }

    fn start_child(&self, id: EventId) -> Option<MessageBody> {
        let child = self.recorded.children.get(&id)?;
        Some(MessageBody::StartChild(Box::new(ChildStart {
            parent: self.as_parent(id),
            namespace_id: child.initiated.namespace_id.clone(),
            root: self.root(),
            parent_priority: self.run_priority().cloned(),
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
            former_run_ids: self.recorded.resets.iter().map(|r| r.base_run_id.clone()).collect(),
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
                // The same for every try, even after a reset, so that the receiver takes it once.
                request_id: format!("{}:{id}", self.recorder(id)),
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
                request_id: format!("{}:{id}", self.recorder(id)),
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
        if id == MessageId::WasReset && self.state().facts.untold_base.is_some() {
            self.edit().facts.untold_base = None;
        }
        if !self.state().is_running() && self.state().outbox_ids().contains(&id) {
            Arc::make_mut(&mut self.edit().facts.delivered).insert(id);
        }
        Reply::Done
    }
}
