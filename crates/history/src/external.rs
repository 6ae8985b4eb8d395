//! What became of signals and cancel requests to other runs.

use std::sync::Arc;

use crate::{
    EventId, MessageId, Reply,
    draft::Draft,
    proto::{
        Attributes, CancelExternalWorkflowExecutionFailedCause,
        ExternalWorkflowExecutionCancelRequestedEventAttributes, ExternalWorkflowExecutionSignaledEventAttributes,
        RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes as CancelInitiated,
        SignalExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedEventAttributes,
        SignalExternalWorkflowExecutionInitiatedEventAttributes as SignalInitiated,
    },
};

#[expect(deprecated, reason = "old SDKs correlate by the control field, so it is handed back")]
impl Draft<'_> {
    pub(crate) fn external_signal_delivered(&mut self, initiated_event_id: EventId) -> Reply {
        self.resolve_signal(initiated_event_id, |a| {
            Attributes::ExternalWorkflowExecutionSignaledEventAttributes(
                ExternalWorkflowExecutionSignaledEventAttributes {
                    initiated_event_id,
                    namespace: a.namespace.clone(),
                    namespace_id: a.namespace_id.clone(),
                    workflow_execution: a.workflow_execution.clone(),
                    control: a.control.clone(),
                },
            )
        })
    }

    pub(crate) fn external_signal_failed(
        &mut self,
        initiated_event_id: EventId,
        cause: SignalExternalWorkflowExecutionFailedCause,
    ) -> Reply {
        self.resolve_signal(initiated_event_id, |a| {
            Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(
                SignalExternalWorkflowExecutionFailedEventAttributes {
                    cause: cause.into(),
                    workflow_task_completed_event_id: a.workflow_task_completed_event_id,
                    namespace: a.namespace.clone(),
                    namespace_id: a.namespace_id.clone(),
                    workflow_execution: a.workflow_execution.clone(),
                    initiated_event_id,
                    control: a.control.clone(),
                },
            )
        })
    }

    pub(crate) fn external_cancel_delivered(&mut self, initiated_event_id: EventId) -> Reply {
        self.resolve_cancel(initiated_event_id, |a| {
            Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(
                ExternalWorkflowExecutionCancelRequestedEventAttributes {
                    initiated_event_id,
                    namespace: a.namespace.clone(),
                    namespace_id: a.namespace_id.clone(),
                    workflow_execution: a.workflow_execution.clone(),
                },
            )
        })
    }

    pub(crate) fn external_cancel_failed(
        &mut self,
        initiated_event_id: EventId,
        cause: CancelExternalWorkflowExecutionFailedCause,
    ) -> Reply {
        self.resolve_cancel(initiated_event_id, |a| {
            Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(
                RequestCancelExternalWorkflowExecutionFailedEventAttributes {
                    cause: cause.into(),
                    workflow_task_completed_event_id: a.workflow_task_completed_event_id,
                    namespace: a.namespace.clone(),
                    namespace_id: a.namespace_id.clone(),
                    workflow_execution: a.workflow_execution.clone(),
                    initiated_event_id,
                    control: a.control.clone(),
                },
            )
        })
    }

    fn resolve_signal(&mut self, id: EventId, event: impl FnOnce(&SignalInitiated) -> Attributes) -> Reply {
        if !self.state().is_running() {
            return self.message_delivered(MessageId::SignalExternal(id));
        }
        if let Some(signal) = self
            .state()
            .recorded
            .external_signals
            .get(&id)
            .map(|signal| Arc::clone(&signal.initiated))
        {
            self.record(event(&signal));
            self.wake();
        }
        Reply::Done
    }

    fn resolve_cancel(&mut self, id: EventId, event: impl FnOnce(&CancelInitiated) -> Attributes) -> Reply {
        if !self.state().is_running() {
            return self.message_delivered(MessageId::CancelExternal(id));
        }
        if let Some(cancel) = self
            .state()
            .recorded
            .external_cancels
            .get(&id)
            .map(|cancel| Arc::clone(&cancel.initiated))
        {
            self.record(event(&cancel));
            self.wake();
        }
        Reply::Done
    }
}
