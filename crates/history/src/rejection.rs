//! Why an input was refused, in words its sender can act on.

use crate::{RunKind, proto::ResourceExhaustedCause};

/// A refused input. The state it met is untouched.
///
/// The wording follows Temporal's where SDKs or people match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The run is closed, or what the caller holds (a task token, an activity id) no longer names anything.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong; sending it again will not help.
    #[error("{0}")]
    InvalidArgument(String),
    /// A start met an execution of the same workflow id that its policies do not allow to replace.
    #[error("{message}")]
    AlreadyStarted {
        /// What the other execution is.
        kind: RunKind,
        /// What the caller reads.
        message: String,
        /// The request that started the other execution.
        start_request_id: String,
        /// The other execution's run.
        run_id: String,
        /// The first run of its chain.
        first_run_id: String,
    },
    /// The request is fine, but the run is not in a state for it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// The run's workflow tasks fail: what needs its worker has to wait until they do not.
    #[error("{0}")]
    NotReady(String),
    /// What is asked for belongs to a feature that is left out; it names it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Try again later.
    #[error("{message}")]
    Busy {
        /// Temporal's name for the bottleneck.
        cause: ResourceExhaustedCause,
        /// What the caller reads.
        message: String,
    },
    /// A task offered to matching earlier is not to be started (any more). Never leaves the server: the shell drops the
    /// task and serves its poller the next one.
    #[error("task is obsolete: {0}")]
    Obsolete(&'static str),
}

impl Rejection {
    pub(crate) fn closed() -> Self {
        Self::NotFound("workflow execution already completed".to_owned())
    }

    pub(crate) fn workflow_task_not_found() -> Self {
        Self::NotFound("Workflow task not found.".to_owned())
    }

    pub(crate) fn activity_task_not_found() -> Self {
        Self::NotFound("invalid activityID or activity already timed out or invoking workflow is completed".to_owned())
    }

    pub(crate) fn workflow_closing() -> Self {
        Self::Busy {
            cause: ResourceExhaustedCause::BusyWorkflow,
            message: "workflow operation can not be applied because workflow is closing".to_owned(),
        }
    }

    /// The run closed before it saw an update.
    pub fn update_aborted() -> Self {
        Self::NotFound("workflow update was aborted by closing workflow".to_owned())
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidArgument(message.into())
    }
}

/// Stored history or facts that do not fit together: a bug or a damaged database, never a caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("run {run}: {problem}")]
pub struct Corrupt {
    /// The run, as `namespace/workflow_id/run_id`.
    pub run: String,
    /// What does not fit.
    pub problem: String,
}
