//! Errors: what happened, to what, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no backup, or nothing was restored. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that cannot be used.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A database cannot be copied.
    #[error(transparent)]
    Database(#[from] helve_db::OpenError),
    /// There is nothing to back up.
    #[error("{} holds no data of Helve: name the data directory with --data-dir", .0.display())]
    NoData(PathBuf),
    /// A backup that would hold itself.
    #[error("{} is inside of the data directory: a backup there would be lost with it, name another place", .0.display())]
    Inside(PathBuf),
    /// Something else is where the backup is to go.
    #[error("{} is not empty and no backup of Helve: name a new folder, or an empty one", .0.display())]
    Foreign(PathBuf),
    /// Somebody else is writing to the backup.
    #[error("another backup to {} is being made: wait for it to end", .0.display())]
    Busy(PathBuf),
    /// There is no backup.
    #[error("{} holds no backup that was completed", .0.display())]
    NoBackup(PathBuf),
    /// There is no snapshot of that name.
    #[error("there is no snapshot `{name}` in {}: there are {}", dir.display(), known.join(", "))]
    NoSnapshot {
        /// The backup.
        dir: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A manifest that cannot be read, or not by this version.
    #[error("the manifest {} cannot be used: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What is in the backup is not what was put there.
    #[error("the backup is damaged: {}{}", .0[..(.0.len()).min(10)].join("; "),
        if .0.len() > 10 { format!("; and {} more", .0.len() - 10) } else { String::new() })]
    Damaged(Vec<String>),
    /// Where to restore to is something already.
    #[error("{} is not empty: {found} is there. Restore to a new directory, or to an empty one", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// Something that is in it.
        found: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |reason| Self::Io {
            action,
            path: path.to_owned(),
            reason,
        }
    }
}
