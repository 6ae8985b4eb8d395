//! Which targets each namespace has: a small file each, since the store of blobs knows no namespaces.
//!
//! Who knows the digest of a target could otherwise scan what belongs to somebody else.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use helve_blobs::BlobId;
use helve_runs::TargetFacts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the file of a target ends that the namespace has.
const KNOWN: &str = "json";
/// And of one that it has forgotten.
const FORGOTTEN: &str = "forgotten";

/// All namespaces' targets.
#[derive(Debug, Clone)]
pub(crate) struct TargetIndex {
    dir: PathBuf,
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
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        create_private(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// A folder name that no namespace can break out of.
    fn of(&self, namespace: &str) -> PathBuf {
        self.dir.join(&blake3::hash(namespace.as_bytes()).to_hex()[..32])
    }

    fn file(&self, namespace: &str, id: &BlobId) -> PathBuf {
        self.of(namespace).join(id.to_hex()).with_extension(KNOWN)
    }

    /// Writes it down; on disk when this returns. The newer of two with the same content stays. Blocking.
    pub(crate) fn put(&self, namespace: &str, id: &BlobId, target: &KnownTarget) -> io::Result<()> {
        let dir = self.of(namespace);
        create_private(&dir)?;
        write_whole(&self.file(namespace, id), &serde_json::to_vec(target)?)
    }

    /// One by its whole id. Blocking.
    pub(crate) fn get(&self, namespace: &str, id: &BlobId) -> io::Result<Option<KnownTarget>> {
        read(&self.file(namespace, id))
    }

    /// All of a namespace, newest first. Blocking.
    pub(crate) fn list(&self, namespace: &str) -> io::Result<Vec<(BlobId, KnownTarget)>> {
        let entries = match fs::read_dir(self.of(namespace)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut targets = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != KNOWN) {
                continue;
            }
            let id: Option<BlobId> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let (Some(id), Some(target)) = (id, read(&path)?) {
                targets.push((id, target));
            }
        }
        targets.sort_by_key(|(id, target)| (std::cmp::Reverse(target.at), id.to_hex()));
        Ok(targets)
    }

    /// Those that ever came over HTTP, whoever has them or has forgotten them. Blocking.
    pub(crate) fn of_any_namespace(&self) -> io::Result<HashSet<BlobId>> {
        let mut ids = HashSet::new();
        for namespace in fs::read_dir(&self.dir)? {
            for entry in fs::read_dir(namespace?.path())? {
                let path = entry?.path();
                ids.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<BlobId>().ok()));
            }
        }
        Ok(ids)
    }

    /// Forgets one. That it came over HTTP is remembered: its bytes stay as long as runs need them, and are nobody else's.
    /// Blocking.
    pub(crate) fn remove(&self, namespace: &str, id: &BlobId) -> io::Result<bool> {
        let file = self.file(namespace, id);
        match fs::rename(&file, file.with_extension(FORGOTTEN)) {
            Ok(()) => sync_dir(&self.of(namespace)).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<KnownTarget>> {
    match fs::read(path) {
        // What is not whole was never promised.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is whole or not there, also after a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

#[cfg(unix)]
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(super) fn create_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
pub(super) fn create_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_in_its_own_namespace_only() {
        let dir = tempfile::tempdir().unwrap();
        let index = TargetIndex::open(dir.path()).unwrap();
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
