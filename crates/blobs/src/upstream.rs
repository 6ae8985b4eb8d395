//! A store that is kept elsewhere, with a directory in front of it.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use crate::{BlobId, BlobInfo, BlobRef, Control, StoreError, TargetManifest};

/// A store elsewhere: a bucket, or that of another Helve. All calls block. What only its keeper does is refused unless it says
/// otherwise.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// As messages name it.
    fn name(&self) -> &str;

    /// The size of the blob, if it is there.
    fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError>;

    /// Writes the blob into `file`, whose `path` is for messages, going on after what is in it already. When this returns, `file`
    /// holds the blob: all of it was checked. After an error it holds what the next try goes on with.
    fn download(&self, id: &BlobId, file: &mut File, path: &Path, control: &Control<'_>) -> Result<(), StoreError>;

    /// Makes sure that the blob is there: sends what `file` holds unless it is known. Whether anything was sent. `journals` is a
    /// directory in which it may remember how far it got.
    fn ensure(
        &self,
        blob: &BlobRef,
        file: &mut File,
        journals: &Path,
        control: &Control<'_>,
    ) -> Result<bool, StoreError>;

    /// Says that a blob of this size is used now; `false` when it is not there, or is not of this size.
    fn touch(&self, id: &BlobId, size: Option<u64>) -> Result<bool, StoreError>;

    /// Hears that a blob is whole in the directory in front, whenever it is opened there.
    fn kept(&self, _: &BlobRef) {}

    /// What is known of a packed target.
    fn target(&self, id: &BlobId) -> Option<TargetManifest>;

    /// Whether somebody vouches for the blob.
    fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError>;

    /// Remembers what is known of a packed target.
    fn record_target(&self, _: &TargetManifest) -> Result<(), StoreError> {
        Err(not_here(self.name(), "note a target in"))
    }

    /// Vouches for a blob.
    fn vouch(&self, id: &BlobId) -> Result<(), StoreError> {
        match self.is_vouched(id)? {
            true => Ok(()),
            false => Err(not_here(self.name(), "vouch for what is in")),
        }
    }

    /// All blobs, in the order of their ids.
    fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        Err(not_here(self.name(), "list"))
    }

    /// Removes a blob with all that is known of it; no error when it is not there.
    fn remove(&self, _: &BlobId) -> Result<(), StoreError> {
        Err(not_here(self.name(), "remove from"))
    }

    /// Removes a blob unless it was used at a time that `keeps` says yes to. Whether it was removed.
    fn remove_unless(&self, _: &BlobId, _: &dyn Fn(SystemTime) -> bool) -> Result<bool, StoreError> {
        Err(not_here(self.name(), "remove from"))
    }

    /// Removes what killed sweeps left, apart from blobs.
    fn tidy(&self, _: &[BlobInfo]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Gives up what was begun and never went on. Best effort.
    fn abort_abandoned(&self, _: &Path) {}
}

fn not_here(name: &str, action: &'static str) -> StoreError {
    StoreError::Remote {
        action,
        place: name.to_owned(),
        reason: "only the server itself does that".to_owned(),
    }
}
