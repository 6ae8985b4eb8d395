//! Errors, split by who must act.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a database could not be opened. Nothing was changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "the database {} is damaged or not a database ({reason}). It was left untouched: restore it from a backup, or \
         move it away (with its -wal and -shm files) to start with an empty one", path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What SQLite or the header check said.
        reason: String,
    },
    /// A valid SQLite database that belongs to something else.
    #[error("{} is an SQLite database of another program: choose another directory", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error(
        "the database {} has schema version {found}, but this version knows only up to {known}: start the newer \
         version again, or use another directory", path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The file or its directory could not be used.
    #[error("cannot open the database {}: {reason}. Check that the directory exists, is writable and has space", path.display())]
    Io {
        /// The database file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
}

/// Why a batch was not committed. Nothing of it is on disk, unless [`CommitError::may_be_written`] says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A statement changed another number of rows than its precondition says. Read again and decide again.
    #[error("statement {statement} changed {changed} rows, not {expected}: somebody else was first")]
    Conflict {
        /// Index of the statement in the batch.
        statement: usize,
        /// The precondition.
        expected: usize,
        /// What happened.
        changed: usize,
    },
    /// SQLite refused a statement: a mistake in the batch, so a retry cannot help.
    #[error("statement {statement} failed: {reason}")]
    Statement {
        /// Index of the statement in the batch.
        statement: usize,
        /// What SQLite said.
        reason: String,
    },
    /// The batch is larger than [`Options::max_batch_bytes`](crate::Options::max_batch_bytes).
    #[error("a write of {size} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Size of the batch.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk (or the configured size limit) is full. Works again once there is space.
    #[error("the disk is full: free some space on the volume of the data directory ({reason})")]
    Full {
        /// What SQLite said.
        reason: String,
    },
    /// Reading or writing the file failed. A retry may help.
    #[error("writing the database failed: {reason}. Check the volume of the data directory and the system's log")]
    Io {
        /// What SQLite said.
        reason: String,
    },
    /// The database turned out to be damaged.
    #[error("the database is damaged: {reason}. Stop the program and restore the database from a backup")]
    Corrupt {
        /// What SQLite said.
        reason: String,
    },
    /// The store is closed.
    #[error("the database is closed")]
    Closed,
    /// Of a replicated store only: this node does not lead any more. Nothing of the batch was written, nor will it ever be.
    #[error("this node does not lead the cluster any more: ask the one that does")]
    LeadershipLost,
    /// Of a replicated store only: this node stopped leading while the batch was on its way, so it may have been written or
    /// may be written yet. The new leader knows, and there a batch with a key can be committed again without harm.
    #[error(
        "this node stopped leading the cluster while it wrote, and cannot know whether the write was kept: look it up at \
         the new leader, or repeat it there if repeating does no harm"
    )]
    Unknown,
}

impl CommitError {
    /// Whether the batch may be on disk all the same.
    pub fn may_be_written(&self) -> bool {
        matches!(self, CommitError::Io { .. } | CommitError::Unknown)
    }

    /// Whether the same batch may succeed later without being decided again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, CommitError::Full { .. } | CommitError::Io { .. })
    }

    /// Whether the failure is the store's and not the batch's, so that a whole group shares it.
    pub(crate) fn is_of_store(&self) -> bool {
        matches!(
            self,
            CommitError::Full { .. } | CommitError::Io { .. } | CommitError::Corrupt { .. }
        )
    }

    pub(crate) fn from_sqlite(error: &rusqlite::Error, statement: usize) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CommitError::Full { reason },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CommitError::Corrupt { reason },
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationInterrupted
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed,
            ) => CommitError::Io { reason },
            _ => CommitError::Statement { statement, reason },
        }
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite could not answer.
    #[error("reading the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored row is not what was written.
    #[error("the database is damaged: {0}. Stop the program and restore the database from a backup")]
    Corrupt(String),
    /// The store is closed, or the read was given up at shutdown.
    #[error("the database is closed")]
    Closed,
    /// Of a replicated store only: this node does not lead, so what it has may be old.
    #[error("this node does not lead the cluster: ask the one that does")]
    NotLeader,
}
