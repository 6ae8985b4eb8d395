//! Errors: what happened, to what, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::BlobId;

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such blob.
    #[error(
        "blob {id} is not in the store at {store}: it has expired, or whoever stored it uses another store (`--blobs`); run again"
    )]
    Missing {
        /// The blob.
        id: BlobId,
        /// Where the store is.
        store: String,
    },
    /// The bytes on disk are not those that were stored.
    #[error("blob {id} is damaged at {} and was set aside: pack or upload it again, and check the disk", .path.display())]
    Corrupt {
        /// The blob.
        id: BlobId,
        /// The file that held it.
        path: PathBuf,
    },
    /// The bytes in a bucket are not those that were stored.
    #[error(
        "blob {id} is damaged at {place} and was set aside: run again, which stores it anew, and check the server's disks"
    )]
    CorruptObject {
        /// The blob.
        id: BlobId,
        /// The store and the object in it.
        place: String,
    },
    /// A blob is larger than the caller wants to hold in memory.
    #[error("blob {id} has {size} bytes, more than the {limit} that this reader takes")]
    TooLarge {
        /// The blob.
        id: BlobId,
        /// Its size.
        size: u64,
        /// The reader's limit.
        limit: u64,
    },
    /// The disk is full.
    #[error("no space left while writing {}: free some space or use another --data-dir", .path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("permission denied to {action} {}: check its owner and mode", .path.display())]
    PermissionDenied {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
    },
    /// The settings of a bucket's server make no sense.
    #[error("the object store cannot be used: {0}")]
    Settings(String),
    /// No such bucket.
    #[error("there is no bucket `{bucket}` at {place}: make it, or name another one with --blobs s3://BUCKET/PREFIX")]
    NoBucket {
        /// The bucket.
        bucket: String,
        /// Where the store is.
        place: String,
    },
    /// The server knows the credentials not, or does not let them do this.
    #[error(
        "not allowed to {action} {place} ({reason}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and what \
         the key may do"
    )]
    Refused {
        /// Where the store is.
        place: String,
        /// What was tried.
        action: &'static str,
        /// The server's code.
        reason: String,
    },
    /// Nobody answers.
    #[error("{place} does not answer ({reason}): check AWS_ENDPOINT_URL and the network, and that the server runs")]
    Unreachable {
        /// Where the store is.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// Anything else that a server reports.
    #[error("cannot {action} {place}: {reason}")]
    Remote {
        /// Where the store is.
        place: String,
        /// What was tried.
        action: &'static str,
        /// What the server said.
        reason: String,
    },
    /// The caller's flag asked to stop.
    #[error("the transfer of a blob was cancelled")]
    Cancelled,
    /// Anything else that the operating system reports.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts a system error by what the reader of the message can do about it.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull { path },
            io::ErrorKind::PermissionDenied => StoreError::PermissionDenied { action, path },
            _ => StoreError::Io { action, path, source },
        }
    }
}

/// A target could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The target does not exist.
    #[error("no such file or directory: {}: check the path of the target", .0.display())]
    NotFound(PathBuf),
    /// The target is a socket, a device or the like.
    #[error("{} is neither a directory nor a regular file: a target must be one of these", .0.display())]
    NotAFileOrDirectory(PathBuf),
    /// The target itself cannot be read.
    #[error("permission denied to read {}: check its owner and mode", .0.display())]
    PermissionDenied(PathBuf),
    /// The target is larger than a limit.
    #[error("{} has more than {limit} {what}: exclude a part with a .helveignore file, or pack a subdirectory", .path.display())]
    TooLarge {
        /// The target.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The caller's flag asked to stop; nothing was stored.
    #[error("packing was cancelled")]
    Cancelled,
    /// The target could not be read to the end.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for PackError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => PackError::Cancelled,
            error => PackError::Store(error),
        }
    }
}

/// Why an archive entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An absolute path.
    #[error("its path is absolute")]
    AbsolutePath,
    /// A path with `..`, `.`, empty or otherwise unusable parts.
    #[error("its path has a part that is not a plain name (`{0}`)")]
    UnsafePath(String),
    /// The parent is not a directory of the archive: it is missing, a file or a link.
    #[error("its parent is not a directory that the archive made")]
    ParentNotDirectory,
    /// The entry is there already or stands out of order, so it could replace another.
    #[error("it repeats an earlier entry or stands out of order")]
    DuplicateOrUnsorted,
    /// A link whose target could be outside the workspace.
    #[error("it is a link that leaves the workspace (to `{0}`)")]
    LinkLeavesWorkspace(String),
    /// A hard link.
    #[error("it is a hard link, which packed targets never hold")]
    HardLink,
    /// A device, FIFO, or a kind of entry that packed targets never hold.
    #[error("its kind (`{0}`) is not a file, a directory or a symbolic link")]
    UnsupportedKind(String),
    /// A broken header or checksum.
    #[error("its header is malformed: {0}")]
    Malformed(String),
    /// A limit of [`crate::UnpackLimits`].
    #[error("the archive has more than {limit} {what}, a limit against decompression bombs")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// A target could not be unpacked; nothing of it was left behind.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive holds something that Helve does not write.
    #[error("target {id} was refused at entry `{entry}`: {reason}")]
    Refused {
        /// The target.
        id: BlobId,
        /// The entry's path as given, lossily.
        entry: String,
        /// Why.
        reason: Refusal,
    },
    /// The blob is not a packed target, or is cut short.
    #[error("blob {id} is not a packed target: {detail}")]
    NotATarget {
        /// The blob.
        id: BlobId,
        /// What is wrong with it.
        detail: String,
    },
    /// The destination is in use.
    #[error("{} exists already and is not an empty directory: choose another place for the workspace", .0.display())]
    DestinationInUse(PathBuf),
    /// The caller's flag asked to stop.
    #[error("unpacking was cancelled")]
    Cancelled,
    /// The store failed, or the workspace could not be written.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for UnpackError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => UnpackError::Cancelled,
            error => UnpackError::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_advice() {
        let message = |kind: io::ErrorKind| StoreError::io("write", Path::new("/data/x"), kind.into()).to_string();
        assert!(message(io::ErrorKind::StorageFull).contains("free some space"));
        assert!(message(io::ErrorKind::QuotaExceeded).contains("free some space"));
        assert!(message(io::ErrorKind::PermissionDenied).contains("check its owner and mode"));
        assert!(message(io::ErrorKind::InvalidInput).starts_with("cannot write /data/x: "));
    }
}
