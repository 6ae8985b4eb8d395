//! What can go wrong when runs are asked about. What to do about it is for the command line and the API to say.

use helve_blobs::{InvalidId, StoreError};
use helve_worker::StepError;
use temporalio_client::tonic::{Code, Status};

/// Why a question about runs has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine does not know it.
    #[error("there is no run `{0}`")]
    NoRun(String),
    /// It has no result yet.
    #[error("run {0} has not ended yet")]
    NotEnded(String),
    /// The bytes are there, and are no report that this version knows.
    #[error("the report of run {run_id} cannot be read: {source}")]
    Report {
        /// The run.
        run_id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A blob that the run refers to cannot be had.
    #[error("what run {run_id} left cannot be read: {source}")]
    Left {
        /// The run.
        run_id: String,
        /// What the store said.
        source: StoreError,
    },
    /// A history names a blob by something that is no id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// No step left a file of that name.
    #[error("run {run_id} has no artifact `{name}`")]
    NoArtifact {
        /// The run.
        run_id: String,
        /// Name of the file.
        name: String,
    },
    /// The name alone does not say which file is meant.
    #[error("several steps of run {run_id} left a `{name}`")]
    SeveralArtifacts {
        /// The run.
        run_id: String,
        /// Name of the file.
        name: String,
    },
    /// It would name another target tomorrow.
    #[error("`{0}` is too short to name a target")]
    ShortTarget(String),
    /// No target's id begins so.
    #[error("there is no target `{0}`")]
    NoTarget(String),
    /// More than one target's id begins so.
    #[error("several targets begin with `{0}`")]
    SeveralTargets(String),
    /// The store of blobs failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a run pins could not be stored.
    #[error("the workflow cannot be stored: {0}")]
    Pinned(#[source] StepError),
    /// The engine refused, or is not there.
    #[error("{what}: {}", .status.message())]
    Engine {
        /// What was tried.
        what: String,
        /// What it said.
        status: Box<Status>,
    },
}

impl Error {
    /// The engine refused something.
    pub fn engine(what: impl Into<String>, status: Status) -> Self {
        Self::Engine {
            what: what.into(),
            status: Box::new(status),
        }
    }

    /// What the engine's answer means when it was asked about a run.
    pub fn of_run(run_id: &str, status: Status) -> Self {
        match status.code() {
            Code::NotFound | Code::InvalidArgument => Self::NoRun(run_id.to_owned()),
            _ => Self::engine(format!("cannot look up run `{run_id}`"), status),
        }
    }
}
