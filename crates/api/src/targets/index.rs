//! Which targets each namespace has: a note each, since the store of blobs knows no namespaces.
//!
//! Who knows the digest of a target could otherwise scan what belongs to somebody else.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use helve_blobs::BlobId;
use helve_runs::TargetFacts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::notes::Notes;

/// How the note of a target ends that the namespace has.
const KNOWN: &str = "json";
/// And of one that it has forgotten.
const FORGOTTEN: &str = "forgotten";

/// All namespaces' targets.
#[derive(Clone)]
pub(crate) struct TargetIndex {
    notes: Arc<dyn Notes>,
}

/// A target of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KnownTarget {
    /// What packing said.
    pub(crate) facts: TargetFacts,
    /// Bytes of the packed target.
    pub(crate) packed_bytes: u64,
    /// When it came.
    pub(crate) at: Timestamp,
    /// Who brought it.
    pub(crate) by: String,
}

impl TargetIndex {
    pub(crate) fn new(notes: Arc<dyn Notes>) -> Self {
        Self { notes }
    }

    /// A folder name that no namespace can break out of.
    fn folder(namespace: &str) -> String {
        blake3::hash(namespace.as_bytes()).to_hex()[..32].to_owned()
    }

    fn note(namespace: &str, id: &BlobId, ending: &str) -> String {
        format!("{}/{}.{ending}", Self::folder(namespace), id.to_hex())
    }

    /// Writes it down; on disk when this returns. The newer of two with the same content stays. Blocking.
    pub(crate) fn put(&self, namespace: &str, id: &BlobId, target: &KnownTarget) -> io::Result<()> {
        self.notes
            .put(&Self::note(namespace, id, KNOWN), &serde_json::to_vec(target)?)
    }

    /// One by its whole id. Blocking.
    pub(crate) fn get(&self, namespace: &str, id: &BlobId) -> io::Result<Option<KnownTarget>> {
        self.read(&Self::note(namespace, id, KNOWN))
    }

    fn read(&self, note: &str) -> io::Result<Option<KnownTarget>> {
        // What is not whole was never promised.
        Ok(self
            .notes
            .get(note)?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// All of a namespace, newest first. Blocking.
    pub(crate) fn list(&self, namespace: &str) -> io::Result<Vec<(BlobId, KnownTarget)>> {
        let mut targets = Vec::new();
        for note in self.notes.list(&Self::folder(namespace))? {
            if let Some((id, KNOWN)) = parts(&note)
                && let Some(target) = self.read(&note)?
            {
                targets.push((id, target));
            }
        }
        targets.sort_by_key(|(id, target)| (std::cmp::Reverse(target.at), id.to_hex()));
        Ok(targets)
    }

    /// Those that ever came over HTTP, whoever has them or has forgotten them. Blocking.
    pub(crate) fn of_any_namespace(&self) -> io::Result<HashSet<BlobId>> {
        let notes = self.notes.list("")?;
        Ok(notes.iter().filter_map(|note| parts(note)).map(|(id, _)| id).collect())
    }

    /// Forgets one. That it came over HTTP is remembered: its bytes stay as long as runs need them, and are nobody else's.
    /// Blocking.
    pub(crate) fn remove(&self, namespace: &str, id: &BlobId) -> io::Result<bool> {
        self.notes
            .rename(&Self::note(namespace, id, KNOWN), &Self::note(namespace, id, FORGOTTEN))
    }
}

/// What the name of a note says.
fn parts(note: &str) -> Option<(BlobId, &str)> {
    let (id, ending) = note.rsplit_once('/')?.1.split_once('.')?;
    Some((id.parse().ok()?, ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes::FileNotes;

    #[test]
    fn a_target_is_found_in_its_own_namespace_only() {
        let dir = tempfile::tempdir().unwrap();
        let index = TargetIndex::new(Arc::new(FileNotes::open(dir.path()).unwrap()));
        let id = BlobId::of(b"x");
        let target = KnownTarget {
            facts: TargetFacts::default(),
            packed_bytes: 1,
            at: Timestamp::UNIX_EPOCH,
            by: "ci".into(),
        };
        index.put("../../team", &id, &target).unwrap();
        assert_eq!(index.get("../../team", &id).unwrap(), Some(target.clone()));
        assert_eq!(index.list("../../team").unwrap(), [(id, target)]);
        assert_eq!(index.get("team", &id).unwrap(), None);
        assert_eq!(index.list("team").unwrap(), []);
        assert!(index.remove("../../team", &id).unwrap() && !index.remove("../../team", &id).unwrap());
        assert_eq!(index.list("../../team").unwrap(), []);
        assert!(
            index.of_any_namespace().unwrap().contains(&id),
            "it becomes nobody else's"
        );
    }
}
