//! Errors, split by who must act.

use helve_db::{CommitError, OpenError, ReadError};

use crate::access::{Denied, Refused};

/// Why the ledger did not do what it was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or not any more.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// The kind of thing: `finding`, `token`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// What was given makes no sense; the text says what to give instead.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else changed it first.
    #[error("{what} `{id}` was changed by somebody else meanwhile: read it again and decide again")]
    Changed {
        /// The kind of thing.
        what: &'static str,
        /// Which one.
        id: String,
    },
    /// There is such a thing already.
    #[error("there is a {what} `{id}` already: choose another name, or change or remove that one")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Which one.
        id: String,
    },
    /// They may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Nobody knows who they are, or not any more.
    #[error(transparent)]
    Refused(Refused),
    /// A limit of the ledger.
    #[error("{0}")]
    Limit(String),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database refused to write.
    #[error(transparent)]
    Write(#[from] CommitError),
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What runs are called that are not there.
const RUN: &str = "run in the index";

impl Error {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Error::Invalid(text.into())
    }

    /// A run that was asked for and is not in the index: not yet, or it never will be.
    pub fn run_not_indexed(&self) -> Option<&str> {
        match self {
            Error::NotFound { what: RUN, id } => Some(id),
            _ => None,
        }
    }

    pub(crate) fn run_not_found(id: impl Into<String>) -> Self {
        Error::not_found(RUN, id)
    }

    pub(crate) fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Error::NotFound { what, id: id.into() }
    }

    pub(crate) fn corrupt(text: impl Into<String>) -> Self {
        Error::Read(ReadError::Corrupt(text.into()))
    }

    /// Whether this node of a cluster does not lead any more: another one is to be asked, and knows what became of a change.
    pub fn is_of_a_lost_lead(&self) -> bool {
        matches!(
            self,
            Error::Write(CommitError::LeadershipLost | CommitError::Unknown) | Error::Read(ReadError::NotLeader)
        )
    }

    /// Whether a statement found another state than the one that was read.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Error::Write(CommitError::Conflict { .. }))
    }

    /// What a conflict means to whoever asked.
    pub(crate) fn conflict_is(self, other: Error) -> Error {
        if self.is_conflict() { other } else { self }
    }
}

impl From<helve_db::rusqlite::Error> for Error {
    fn from(error: helve_db::rusqlite::Error) -> Self {
        Error::Read(ReadError::from(error))
    }
}
