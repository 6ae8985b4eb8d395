//! Signals.

use crate::{
    Rejection, Reply, Signal,
    draft::{Draft, Entry},
    proto::{Attributes, WorkflowExecutionSignaledEventAttributes},
    validate,
};

impl Draft<'_> {
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<Reply, Rejection> {
        validate::signal(&signal, self.env.limits)?;
        let recorded = &self.state().recorded;
        // Asked before all that depends on the run: a sender that repeats itself is told the same after its close, too.
        if !signal.request_id.is_empty() && recorded.signal_ids.contains(signal.request_id.as_str()) {
            return Ok(Reply::Done);
        }
        if !recorded.is_running() {
            return Err(Rejection::closed());
        }
        if let Some(source) = &signal.external
            && source.child_workflow_only
        {
            self.check_is_child_of(source)?;
        }
        if recorded.signals >= self.env.limits.signals_max {
            return Err(Rejection::invalid(
                "exceeded workflow execution limit for signal events",
            ));
        }
        self.check_not_closing()?;

        let delayed = self.state().recorded.in_first_backoff();
        let attributes = WorkflowExecutionSignaledEventAttributes {
            signal_name: signal.name,
            input: signal.input,
            identity: signal.identity,
            header: signal.header,
            external_workflow_execution: signal.external.map(|source| source.execution),
            request_id: signal.request_id,
            ..WorkflowExecutionSignaledEventAttributes::default()
        };
        self.record(Entry::from(Attributes::WorkflowExecutionSignaledEventAttributes(attributes)).links(signal.links));
        if delayed && signal.with_start {
            self.wake_at_once();
        } else {
            self.wake();
        }
        Ok(Reply::Done)
    }

    /// A workflow that tried to close, and could not since events were buffered, must not be kept open for ever by more of
    /// them: while it tries again, their senders wait. [trap 3]
    pub(crate) fn check_not_closing(&self) -> Result<(), Rejection> {
        if self.state().facts.close_attempted && self.state().workflow_task_in_flight() {
            return Err(Rejection::workflow_closing());
        }
        Ok(())
    }
}
