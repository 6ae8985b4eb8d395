//! Ending a run. Nothing may follow a close event, so whatever is in the air is brought down first. [trap 12]

use crate::{
    Termination,
    draft::{Draft, Entry},
    failure::{string_payloads, timeout_failure},
    proto::{
        Attributes, RetryState, TimeoutType, WorkflowExecutionTerminatedEventAttributes,
        WorkflowExecutionTimedOutEventAttributes, WorkflowTaskFailedCause,
    },
    retry,
    successor::Successor,
    workflow_task::{TaskFailure, WorkflowTask},
};

/// Who the engine is in events it makes on its own.
pub(crate) const ENGINE_IDENTITY: &str = "history-service";

/// Who terminates a run that is reset.
pub(crate) const RESETTER_IDENTITY: &str = "history-resetter";

impl Termination {
    /// For a run whose workflow id a start gives to the run `run_id`.
    pub fn replaced_by(run_id: &str) -> Self {
        Self {
            reason: "TerminateIfRunning WorkflowIdReusePolicy".to_owned(),
            details: Some(string_payloads(&format!("terminated by new runID: {run_id}"))),
            identity: ENGINE_IDENTITY.to_owned(),
            ..Self::default()
        }
    }
}

impl Draft<'_> {
    /// Records a close event; `successor` goes on where the run ends.
    pub(crate) fn close(&mut self, entry: impl Into<Entry>, successor: Option<Successor>) {
        self.ground();
        self.record(entry);
        let facts = &mut self.edit().facts;
        facts.workflow_task = WorkflowTask::Idle { next_attempt: 1 };
        facts.sticky = None;
        facts.close_attempted = false;
        if let Some(Successor(successor)) = successor {
            self.set_successor(successor);
        }
    }

    /// Ends a workflow task in flight, and gives buffered events their place before the close event. [trap 12]
    fn ground(&mut self) {
        if self.state().workflow_task_in_flight() {
            self.end_task_as_failed(TaskFailure::new(WorkflowTaskFailedCause::ForceCloseCommand));
        }
        self.flush();
    }

    pub(crate) fn close_as_terminated(&mut self, order: Termination) {
        let attributes = WorkflowExecutionTerminatedEventAttributes {
            reason: order.reason,
            details: order.details,
            identity: order.identity,
        };
        let entry = Entry::from(Attributes::WorkflowExecutionTerminatedEventAttributes(attributes)).links(order.links);
        self.close(entry, None);
    }

    /// The engine's last resort against a run that breaks a limit. [trap 16]
    pub(crate) fn terminate_by_engine(&mut self, reason: &str) {
        self.close_as_terminated(Termination {
            reason: reason.to_owned(),
            identity: ENGINE_IDENTITY.to_owned(),
            ..Termination::default()
        });
    }

    /// The run's time is up. It may be retried or have its next turn, unless the whole chain's time is up.
    pub(crate) fn close_as_timed_out(&mut self) {
        let recorded = &self.state().recorded;
        let chain_expired = recorded
            .execution_expiration()
            .is_some_and(|expiration| expiration <= self.now);
        let failure = timeout_failure("workflow timeout".to_owned(), TimeoutType::StartToClose, None);
        let (successor, retry_state) = if chain_expired {
            (None, RetryState::Timeout)
        } else {
            let retry = retry::next(
                recorded.started.attributes.retry_policy.as_ref(),
                self.run_attempt(),
                Some(&failure),
                self.now,
                recorded.execution_expiration(),
            );
            match retry {
                Ok(backoff) => (Some(self.retry_successor(backoff, failure)), RetryState::InProgress),
                Err(state) => (self.cron_successor(None, Some(failure)), state),
            }
        };
        let attributes = WorkflowExecutionTimedOutEventAttributes {
            retry_state: retry_state.into(),
            new_execution_run_id: Successor::run_id(successor.as_ref()),
        };
        self.close(
            Attributes::WorkflowExecutionTimedOutEventAttributes(attributes),
            successor,
        );
    }

    pub(crate) fn run_attempt(&self) -> u32 {
        u32::try_from(self.state().started_attributes().attempt)
            .unwrap_or(1)
            .max(1)
    }
}
