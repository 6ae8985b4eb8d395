//! Small facts about packed targets, so that a known one is recognised without packing or unpacking it.
//!
//! `targets/<id>.json` says what a target holds. `targets/seen/<place>.json` remembers which id a directory had and what
//! its files' metadata looked like then (names, sizes, times, inode numbers), like the index of git.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Directory;
use crate::{BlobId, Packed, StoreError};

/// What a packed target holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetManifest {
    /// The packed target.
    pub id: BlobId,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Size of the packed target.
    pub packed_bytes: u64,
    /// What it was called when it was packed last; empty when it was stored by an older Helve.
    #[serde(default)]
    pub name: String,
}

/// The last packing of one place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Hash of the metadata of all that was visited.
    pub(crate) metadata: String,
    /// What packing said then.
    pub(crate) packed: Packed,
}

impl Directory {
    /// What is known of a packed target.
    pub(crate) fn target(&self, id: &BlobId) -> Option<TargetManifest> {
        self.read_json(self.root.join("targets").join(format!("{id}.json")))
    }

    pub(crate) fn record_target(&self, manifest: &TargetManifest) -> Result<(), StoreError> {
        self.write_json(
            self.root.join("targets").join(format!("{}.json", manifest.id)),
            manifest,
        )
    }

    /// Best effort: a manifest without its target costs space, nothing else.
    pub(crate) fn forget_target(&self, id: &BlobId) {
        let _ = fs::remove_file(self.root.join("targets").join(format!("{id}.json")));
    }

    pub(crate) fn seen(&self, place: &str) -> Option<Seen> {
        self.read_json(self.seen_path(place))
    }

    pub(crate) fn record_seen(&self, place: &str, seen: &Seen) -> Result<(), StoreError> {
        self.write_json(self.seen_path(place), seen)
    }

    fn seen_path(&self, place: &str) -> PathBuf {
        self.root.join("targets").join("seen").join(format!("{place}.json"))
    }

    /// A manifest that cannot be read is no manifest: the target is packed again.
    fn read_json<T: DeserializeOwned>(&self, path: PathBuf) -> Option<T> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn write_json<T: Serialize>(&self, path: PathBuf, value: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).expect("manifests hold nothing that JSON cannot");
        let mut file = self.temporary()?;
        file.write_all(&bytes)
            .map_err(|e| StoreError::io("write", file.path(), e))?;
        self.persist(file, &path).map(drop)
    }
}
