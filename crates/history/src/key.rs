//! Names of runs.

use std::fmt;

use crate::proto::WorkflowExecution;

/// The position of an event in its run's history, counted from 1.
pub type EventId = i64;

/// What a run executes. Workflows and activities have ids of their own: the same id may name one of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RunKind {
    /// Workflow code.
    #[default]
    Workflow = 0,
    /// One activity that no workflow asked for: a standalone activity.
    Activity = 1,
}

impl RunKind {
    /// The kind stored as a number; `None` if there is no such kind.
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Workflow, Self::Activity]
            .into_iter()
            .find(|kind| i64::from(*kind as u8) == number)
    }
}

/// One run: one history. Its kind and the id its starter chose name a chain of runs, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// The namespace's name.
    pub namespace: String,
    /// What it executes.
    pub kind: RunKind,
    /// The id its starter chose: a workflow id, or the id of a standalone activity.
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
        match self.kind {
            RunKind::Workflow => write!(f, "{}/{}/{}", self.namespace, self.workflow_id, self.run_id),
            RunKind::Activity => write!(f, "{}/activity {}/{}", self.namespace, self.workflow_id, self.run_id),
        }
    }
}
