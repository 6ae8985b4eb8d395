//! Names of runs.

use std::fmt;

use crate::proto::WorkflowExecution;

/// The position of an event in its run's history, counted from 1.
pub type EventId = i64;

/// One run: one history. A workflow id names a chain of them, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The namespace's name.
    pub namespace: String,
    /// The id its starter chose.
    pub workflow_id: String,
    /// The id of this run.
    pub run_id: String,
}

impl RunKey {
    /// The run as Temporal's messages name it.
    pub fn execution(&self) -> WorkflowExecution {
        WorkflowExecution {
            workflow_id: self.workflow_id.clone(),
            run_id: self.run_id.clone(),
        }
    }

    /// Another run of the same workflow id.
    pub fn with_run_id(&self, run_id: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            ..self.clone()
        }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.workflow_id, self.run_id)
    }
}
