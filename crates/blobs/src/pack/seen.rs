//! Recognising an unchanged target by metadata alone, as git's index does.
//!
//! For every entry that is taken the digest has its path, kind, size, mode, times and inode. A file written so
//! recently that a second write could leave the same times makes the whole digest unsettled: it is not remembered.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{PackOptions, Skipped};
use crate::pack::rules::Rules;

/// Changes when packing changes what it makes of the same tree.
const FORMAT: u32 = 1;

/// Coarsest time stamps of file systems in use (FAT has two seconds).
const TIME_STEP: Duration = Duration::from_secs(3);

/// Under which key a place is remembered: its path, the options, and what shapes the verdicts from outside.
pub(super) struct Place(String);

impl Place {
    pub(super) fn of(root: &Path, options: &PackOptions) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("helve blobs v1 packed place");
        add(&mut hasher, &FORMAT.to_le_bytes());
        add(&mut hasher, root.as_os_str().as_encoded_bytes());
        add(
            &mut hasher,
            format!("{:?}", (options.ignore_files, &options.limits)).as_bytes(),
        );
        if options.ignore_files {
            for input in Rules::fixed_inputs(root) {
                add(&mut hasher, &input);
            }
        }
        Place(hasher.finalize().to_hex().to_string())
    }

    pub(super) fn key(&self) -> &str {
        &self.0
    }
}

/// The metadata of everything a walk took.
pub(super) struct Metadata {
    hasher: blake3::Hasher,
    newest: SystemTime,
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata {
            hasher: blake3::Hasher::new_derive_key("helve blobs v1 tree metadata"),
            newest: SystemTime::UNIX_EPOCH,
        }
    }
}

impl Metadata {
    pub(super) fn add(&mut self, path: &Path, metadata: &fs::Metadata) {
        add(&mut self.hasher, path.as_os_str().as_encoded_bytes());
        add(&mut self.hasher, &metadata.len().to_le_bytes());
        // A file system without times gives no settled digest.
        self.newest = self.newest.max(metadata.modified().unwrap_or(SystemTime::now()));
        self.add_identity(metadata);
    }

    #[cfg(unix)]
    fn add_identity(&mut self, metadata: &fs::Metadata) {
        use std::os::unix::fs::MetadataExt;
        let times = [
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ];
        for number in times {
            self.hasher.update(&number.to_le_bytes());
        }
        for number in [metadata.ino(), metadata.dev(), u64::from(metadata.mode())] {
            self.hasher.update(&number.to_le_bytes());
        }
        let changed = Duration::new(metadata.ctime().max(0).unsigned_abs(), 0);
        self.newest = self.newest.max(SystemTime::UNIX_EPOCH + changed);
    }

    #[cfg(not(unix))]
    fn add_identity(&mut self, metadata: &fs::Metadata) {
        add(
            &mut self.hasher,
            format!("{:?}", (metadata.modified().ok(), metadata.created().ok())).as_bytes(),
        );
    }

    /// Directories change their times with every ignored file in them; their entries speak for them.
    pub(super) fn add_directory(&mut self, path: &Path) {
        add(&mut self.hasher, path.as_os_str().as_encoded_bytes());
        add(&mut self.hasher, b"directory");
    }

    pub(super) fn add_skipped(&mut self, skipped: &Skipped) {
        add(&mut self.hasher, skipped.path.as_bytes());
        add(&mut self.hasher, skipped.reason.as_bytes());
    }

    pub(super) fn add_ignored(&mut self, path: &Path) {
        add(&mut self.hasher, path.as_os_str().as_encoded_bytes());
        add(&mut self.hasher, b"ignored");
    }

    pub(super) fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// Whether any later write must show in the metadata.
    pub(super) fn is_settled(&self, started: SystemTime) -> bool {
        started.duration_since(self.newest).is_ok_and(|age| age >= TIME_STEP)
    }
}

fn add(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
