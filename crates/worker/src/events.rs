//! What a worker tells an observer in the same process: live progress without a round trip through the engine.

use helve_toolbox::run::StepOutput;
use serde::{Deserialize, Serialize};

/// How far a step is. Also what its heartbeats carry, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Units done.
    pub done: u64,
    /// Units in all, when known.
    #[serde(default)]
    pub total: Option<u64>,
    /// What is counted, for example `files`.
    pub unit: String,
    /// What is being done, for people.
    #[serde(default)]
    pub message: Option<String>,
}

impl From<helve_modules::Progress> for StepProgress {
    fn from(progress: helve_modules::Progress) -> Self {
        let helve_modules::Progress {
            done,
            total,
            unit,
            message,
        } = progress;
        Self {
            done,
            total,
            unit: unit.to_owned(),
            message,
        }
    }
}

impl From<helve_blobs::Progress> for StepProgress {
    fn from(progress: helve_blobs::Progress) -> Self {
        if progress.files == 0 && progress.transferred > 0 {
            return Self {
                done: progress.transferred,
                total: None,
                unit: "bytes fetched".to_owned(),
                message: Some("fetching the target".to_owned()),
            };
        }
        Self {
            done: progress.files,
            total: None,
            unit: "files unpacked".to_owned(),
            message: Some("unpacking the target".to_owned()),
        }
    }
}

/// Something happened to a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEvent {
    /// Workflow id of the run.
    pub run: String,
    /// Id of the step, with the item's index for a fan-out.
    pub step: String,
    /// Name of the module.
    pub module: String,
    /// Attempt, from 1.
    pub attempt: u32,
    /// What happened.
    pub kind: StepEventKind,
}

/// What happened to a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepEventKind {
    /// An attempt began.
    Started,
    /// It got on.
    Progress(StepProgress),
    /// The attempt succeeded.
    Finished(Box<StepOutput>),
    /// The attempt failed.
    Failed {
        /// Why, for people.
        message: String,
        /// Whether the engine may try again.
        retryable: bool,
    },
    /// It was cancelled, or given back to the queue.
    Stopped,
}
