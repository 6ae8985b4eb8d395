//! Workflow updates: requests that workflow code accepts or rejects, and whose callers wait for the outcome. [trap 11]
//!
//! An update is *admitted* in memory only and *sent* to a worker as a message with a workflow task. What the worker
//! *accepts* is an event that holds the request, and its outcome is another one. A rejected update leaves no event, so
//! that a caller may try whatever it likes without growing the history. Whoever waits learns of each step by the
//! [`UpdateNews`] of the transition that made it.

mod admit;
mod answer;
mod messages;
mod recorded;
mod waiting;

use std::sync::Arc;

pub(crate) use answer::Answers;
pub(crate) use messages::{Carry, only_rejections};
pub(crate) use recorded::RecordedUpdates;
pub(crate) use waiting::WaitingUpdates;

use crate::{
    EventId, Rejection, RunState,
    proto::{ApplicationFailureInfo, Failure, FailureInfo, Outcome, UpdateRequest, outcome},
};

/// A call that updates a workflow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The update as the worker gets it; its id is set.
    pub request: UpdateRequest,
    /// If not empty: only for the chain of runs that began with this run.
    pub first_execution_run_id: String,
}

impl Update {
    /// Its id, unique within a run.
    pub fn id(&self) -> &str {
        self.request.meta.as_ref().map_or("", |meta| &meta.update_id)
    }
}

/// How far an update got.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateStage {
    /// In memory, waiting for the worker.
    Admitted,
    /// In history; workflow code is at it.
    Accepted,
    /// Done: this event of the run holds the outcome.
    Completed(EventId),
    /// The run closed after it had accepted the update, and before it completed it.
    Outlived(Box<Outcome>),
}

/// What became of an update by a transition: for whoever waits for it, once the transition is committed.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateNews {
    /// Which update.
    pub update_id: String,
    /// What became of it.
    pub answer: UpdateAnswer,
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateAnswer {
    /// The workflow accepted it.
    Accepted,
    /// It has an outcome; a rejection is one, though no history holds it.
    Completed(Box<Outcome>),
    /// It will never have one.
    Refused(Rejection),
    /// The run ended before it saw the update.
    Closed,
    /// The run went on as another one before it saw the update: its successor may be asked instead.
    Moved,
}

impl RunState {
    /// How far an update got, as far as the run knows of it: a rejected one is forgotten.
    pub fn update_stage(&self, update_id: &str) -> Option<UpdateStage> {
        let updates = &self.recorded.updates;
        if let Some(event_id) = updates.completed.get(update_id) {
            Some(UpdateStage::Completed(**event_id))
        } else if updates.accepted.contains(update_id) {
            Some(if self.is_running() {
                UpdateStage::Accepted
            } else {
                UpdateStage::Outlived(Box::new(outlived()))
            })
        } else if self.waiting.get(update_id).is_some() || (self.is_running() && updates.admitted.contains(update_id)) {
            Some(UpdateStage::Admitted)
        } else {
            None
        }
    }

    /// There are updates which no worker has answered.
    pub(crate) fn has_unanswered_updates(&self) -> bool {
        !self.waiting.is_empty() || self.recorded.updates.admitted.len() > 0
    }
}

/// The outcome of an accepted update whose run closed first: its caller knows that it was accepted, and expects an
/// outcome, never an error.
pub(crate) fn outlived() -> Outcome {
    failed(server_says(
        "Workflow Update failed because the Workflow completed before the Update completed.",
        "AcceptedUpdateCompletedWorkflow",
    ))
}

/// Why the server itself rejects an update.
fn unprocessed() -> Failure {
    server_says(
        "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not supported \
         by the worker.",
        "UnprocessedUpdate",
    )
}

fn failed(failure: Failure) -> Outcome {
    Outcome {
        value: Some(outcome::Value::Failure(failure)),
    }
}

/// A failure by which SDKs know what the server decided: they look at the type.
fn server_says(message: &str, kind: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.to_owned(),
            non_retryable: true,
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

/// An update's id as state holds it.
type UpdateId = Arc<str>;
