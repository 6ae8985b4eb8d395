//! Errors, split by who must act.

use std::path::{Path, PathBuf};

use helve_db::{CommitError, ReadError};
use helve_history::{Corrupt, Rejection};

use crate::lock::Holder;

/// Why an engine could not be opened. Nothing on disk was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another Helve has the data directory open.
    #[error("the data directory {} is in use by {}", path.display(), describe(holder.as_ref()))]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Who holds it, as far as it wrote that down.
        holder: Option<Holder>,
    },
    /// The database is damaged or is no database.
    #[error("{0}")]
    Corrupt(String),
    /// The database was written by a newer Helve.
    #[error("{0}")]
    NewerSchema(String),
    /// The data directory could not be used.
    #[error("cannot use the data directory {}: {reason}. Check that it is writable and that its volume has space", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
}

impl OpenError {
    /// Who holds the data directory, if that is what is wrong.
    pub fn holder(&self) -> Option<&Holder> {
        match self {
            OpenError::Locked { holder, .. } => holder.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn from_db(error: helve_db::OpenError) -> Self {
        let message = error.to_string();
        match error {
            helve_db::OpenError::Corrupt { .. } | helve_db::OpenError::Foreign { .. } => OpenError::Corrupt(message),
            helve_db::OpenError::NewerSchema { .. } => OpenError::NewerSchema(message),
            helve_db::OpenError::Io { path, reason } => OpenError::Io { path, reason },
        }
    }

    pub(crate) fn from_fault(data_dir: &Path, fault: &Fault) -> Self {
        match fault {
            Fault::Corrupt(message) => OpenError::Corrupt(message.clone()),
            other => OpenError::Io {
                path: data_dir.to_owned(),
                reason: other.to_string(),
            },
        }
    }

    pub(crate) fn io(data_dir: &Path, error: &std::io::Error) -> Self {
        let reason = error.to_string();
        // The number says nothing to whoever reads this.
        let words = reason.find(" (os error").map_or(reason.as_str(), |at| &reason[..at]);
        OpenError::Io {
            path: data_dir.to_owned(),
            reason: words.to_owned(),
        }
    }
}

fn describe(holder: Option<&Holder>) -> String {
    match holder {
        None => "another Helve: stop it, or choose another --data-dir".to_owned(),
        Some(Holder { pid, role, grpc: None }) => {
            format!("`{role}` (process {pid}): wait for it or stop it, or choose another --data-dir")
        }
        Some(Holder {
            pid,
            role,
            grpc: Some(address),
        }) => format!(
            "`{role}` (process {pid}), which serves gRPC on {address}: use --engine temporal://{address}, stop it, or \
             choose another --data-dir"
        ),
    }
}

/// The engine could not do what it should; no caller's mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The run on disk is not the one in memory; it was loaded again and the caller may retry.
    #[error("the execution was changed by somebody else; try again")]
    Conflict,
    /// Stored data does not fit together.
    #[error("{0}")]
    Corrupt(String),
    /// The database cannot write or read now.
    #[error("{0}")]
    Unavailable(String),
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// A bug: the message is for its report.
    #[error("internal error: {0}")]
    Bug(String),
}

/// Why a request to a run did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Failed {
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failed::Rejected(Rejection::NotFound(message.into()))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Failed::Rejected(Rejection::InvalidArgument(message.into()))
    }
}

impl From<Corrupt> for Fault {
    fn from(corrupt: Corrupt) -> Self {
        Fault::Corrupt(format!(
            "stored execution does not fit together: {corrupt}. Restore the database from a backup"
        ))
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        let message = error.to_string();
        match error {
            CommitError::Conflict { .. } => Fault::Conflict,
            CommitError::Corrupt { .. } => Fault::Corrupt(message),
            CommitError::Full { .. } | CommitError::Io { .. } | CommitError::LeadershipLost | CommitError::Unknown => {
                Fault::Unavailable(message)
            }
            CommitError::Closed => Fault::ShuttingDown,
            CommitError::Statement { .. } | CommitError::TooLarge { .. } => Fault::Bug(message),
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Fault::ShuttingDown,
            ReadError::NotLeader => Fault::Unavailable(error.to_string()),
            ReadError::Corrupt(message) => Fault::Corrupt(message),
            ReadError::Sqlite(error) => match error.sqlite_error_code() {
                Some(helve_db::rusqlite::ErrorCode::DatabaseCorrupt | helve_db::rusqlite::ErrorCode::NotADatabase) => {
                    Fault::Corrupt(format!("the database is damaged: {error}. Restore it from a backup"))
                }
                _ => Fault::Unavailable(format!("reading the database failed: {error}")),
            },
        }
    }
}
