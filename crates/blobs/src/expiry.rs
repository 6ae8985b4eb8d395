//! Removing what is old, and never what is needed.
//!
//! The time of a blob is when it was last stored or used, kept as its file's modification time: storing a blob that is
//! there already makes it young again. Whoever starts a run first makes its target young ([`BlobStore::touch`]) and then
//! starts; the sweep asks for the needs of open runs after it has listed, and looks at the time once more under the lock that
//! `touch` takes. So a run that starts during a sweep finds its target, or learns at once that it is gone.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::{BlobId, BlobStore, StoreError};

/// Nothing younger than this is removed, whatever the settings say: somebody may be about to use it.
pub const MIN_AGE: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long blobs are kept after their last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Packed targets.
    pub targets: Duration,
    /// Everything else: reports and artifacts.
    pub results: Duration,
}

impl Default for Retention {
    /// 7 days for targets, 30 for results.
    fn default() -> Self {
        Retention {
            targets: 7 * DAY,
            results: 30 * DAY,
        }
    }
}

/// One blob of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its id.
    pub id: BlobId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last stored or used.
    pub used: SystemTime,
    /// Whether it is a packed target.
    pub is_target: bool,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blobs removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Old blobs that were kept because open runs need them.
    pub needed: u64,
}

impl BlobStore {
    /// All blobs, in the order of their ids.
    pub fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        let mut blobs = Vec::new();
        for shard in read_dir(self.dir())? {
            // Two digits: everything else in the directory is ours for other purposes.
            if shard.file_name().len() != 2 {
                continue;
            }
            for entry in read_dir(&shard.path())? {
                let name = entry.file_name();
                let Some(id) = name.to_str().and_then(|name| name.parse::<BlobId>().ok()) else {
                    continue;
                };
                // Removed meanwhile: then it is not there, which is no error.
                let Ok(metadata) = entry.metadata() else { continue };
                blobs.push(BlobInfo {
                    id,
                    size: metadata.len(),
                    used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    is_target: self.target(&id).is_some(),
                });
            }
        }
        blobs.sort_unstable_by_key(|blob| blob.id);
        Ok(blobs)
    }

    /// Says that a blob is used now; `false` when it is not there.
    pub fn touch(&self, id: &BlobId) -> Result<bool, StoreError> {
        let _gate = self.gate(false)?;
        let path = self.path(id);
        let touched = File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        match touched {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreError::io("mark as used", &path, e)),
        }
    }

    /// Removes what is older than its retention at `now`, except what open runs need.
    ///
    /// `needed` is called once, after the store was listed; when it fails nothing is removed.
    ///
    /// # Errors
    ///
    /// When the needs are not known, or the store cannot be read or written.
    pub fn expire<E: From<StoreError>>(
        &self,
        now: SystemTime,
        retention: &Retention,
        needed: impl FnOnce() -> Result<HashSet<BlobId>, E>,
    ) -> Result<Swept, E> {
        let is_old = |used: SystemTime, is_target: bool| {
            let keep = if is_target {
                retention.targets
            } else {
                retention.results
            };
            now.duration_since(used).is_ok_and(|age| age > keep.max(MIN_AGE))
        };
        let old: Vec<BlobInfo> = self
            .list()?
            .into_iter()
            .filter(|blob| is_old(blob.used, blob.is_target))
            .collect();
        let mut swept = Swept::default();
        if old.is_empty() {
            return Ok(swept);
        }
        let needed = needed()?;
        for blob in old {
            if needed.contains(&blob.id) {
                swept.needed += 1;
                continue;
            }
            // One at a time: nobody waits for more than one removal.
            let _gate = self.gate(true)?;
            let used = fs::metadata(self.path(&blob.id)).and_then(|metadata| metadata.modified());
            if used.is_ok_and(|used| is_old(used, blob.is_target)) {
                self.remove(&blob.id)?;
                self.forget_target(&blob.id);
                swept.removed += 1;
                swept.bytes += blob.size;
            }
        }
        Ok(swept)
    }

    /// Removes the blobs that were not used for the longest time until at most `limit` bytes are left, but none that is
    /// younger than `min_age`: for a cache, whose blobs can be fetched again.
    pub fn evict(&self, now: SystemTime, limit: u64, min_age: Duration) -> Result<Swept, StoreError> {
        let mut blobs = self.list()?;
        blobs.sort_by_key(|blob| blob.used);
        let mut total: u64 = blobs.iter().map(|blob| blob.size).sum();
        let mut swept = Swept::default();
        for blob in blobs {
            if total <= limit {
                break;
            }
            let _gate = self.gate(true)?;
            let used = fs::metadata(self.path(&blob.id)).and_then(|metadata| metadata.modified());
            let unused =
                used.is_ok_and(|used| used == blob.used && now.duration_since(used).is_ok_and(|age| age >= min_age));
            if unused {
                // A reader that has it open reads on: the file goes when the last one closes it.
                self.remove(&blob.id)?;
                self.forget_target(&blob.id);
                total -= blob.size;
                swept.removed += 1;
                swept.bytes += blob.size;
            }
        }
        Ok(swept)
    }

    /// Held shared by those who use blobs, alone by those who remove them.
    fn gate(&self, alone: bool) -> Result<File, StoreError> {
        let path = self.dir().join("gate");
        let open = || {
            let file = File::options().create(true).append(true).open(&path)?;
            if alone {
                file.lock()?
            } else {
                file.lock_shared()?
            }
            Ok(file)
        };
        open().map_err(|e| StoreError::io("lock", &path, e))
    }
}

fn read_dir(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let entries = fs::read_dir(path).and_then(Iterator::collect);
    entries.map_err(|e| StoreError::io("list", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TargetManifest;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        (dir, store)
    }

    fn put(store: &BlobStore, text: &str, used: SystemTime) -> BlobId {
        let id = store.put_bytes(text.as_bytes()).unwrap().id;
        File::options()
            .append(true)
            .open(store.path(&id))
            .unwrap()
            .set_modified(used)
            .unwrap();
        id
    }

    fn put_target(store: &BlobStore, text: &str, used: SystemTime) -> BlobId {
        let id = put(store, text, used);
        store
            .record_target(&TargetManifest {
                id,
                files: 1,
                bytes: 1,
                packed_bytes: 1,
            })
            .unwrap();
        id
    }

    fn none() -> Result<HashSet<BlobId>, StoreError> {
        Ok(HashSet::new())
    }

    #[test]
    fn targets_and_results_expire_each_after_its_time() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let [young, old] = [now - 8 * DAY, now - 31 * DAY];
        let (target, report, old_report) = (
            put_target(&store, "t", young),
            put(&store, "r", young),
            put(&store, "o", old),
        );
        let swept = store.expire(now, &Retention::default(), none).unwrap();
        assert_eq!(
            swept,
            Swept {
                removed: 2,
                bytes: 2,
                needed: 0
            }
        );
        assert!(!store.contains(&target) && store.contains(&report) && !store.contains(&old_report));
        assert_eq!(store.target(&target), None, "what is known of it goes with it");
    }

    #[test]
    fn what_an_open_run_needs_is_never_removed() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put_target(&store, "t", now - 100 * DAY);
        let swept = store
            .expire(now, &Retention::default(), || Ok::<_, StoreError>(HashSet::from([id])))
            .unwrap();
        assert_eq!(swept.needed, 1);
        assert!(store.contains(&id));
    }

    #[test]
    fn nothing_is_removed_when_the_needs_are_not_known() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        let unknown = || Err(StoreError::DiskFull { path: "engine".into() });
        assert!(store.expire(now, &Retention::default(), unknown).is_err());
        assert!(store.contains(&id));
    }

    #[test]
    fn a_blob_that_is_used_during_a_sweep_stays() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        let used_meanwhile = || {
            assert!(store.touch(&id).unwrap());
            none()
        };
        assert_eq!(
            store.expire(now, &Retention::default(), used_meanwhile).unwrap(),
            Swept::default()
        );
        assert!(store.contains(&id));
    }

    #[test]
    fn storing_again_makes_young_again() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        store.put_bytes(b"r").unwrap();
        assert_eq!(
            store.expire(now, &Retention::default(), none).unwrap(),
            Swept::default()
        );
        assert!(store.contains(&id));
    }

    #[test]
    fn no_setting_removes_what_was_just_stored() {
        let (_dir, store) = store();
        let id = store.put_bytes(b"r").unwrap().id;
        let nothing = Retention {
            targets: Duration::ZERO,
            results: Duration::ZERO,
        };
        store.expire(SystemTime::now(), &nothing, none).unwrap();
        assert!(store.contains(&id));
    }

    #[test]
    fn a_missing_blob_cannot_be_touched() {
        let (_dir, store) = store();
        assert!(!store.touch(&BlobId::of(b"missing")).unwrap());
    }

    #[test]
    fn eviction_takes_the_least_recently_used_and_spares_the_young() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let ids: Vec<BlobId> = (0..4)
            .map(|n| put(&store, &format!("{n}{}", "x".repeat(9)), now - DAY * (4 - n)))
            .collect();
        store.touch(&ids[0]).unwrap();
        let swept = store.evict(now + Duration::from_secs(1), 20, MIN_AGE).unwrap();
        assert_eq!((swept.removed, swept.bytes), (2, 20));
        assert!(store.contains(&ids[0]) && store.contains(&ids[3]));
        // Younger than the least age: kept, even above the limit.
        store.evict(now + Duration::from_secs(1), 0, MIN_AGE).unwrap();
        assert!(store.contains(&ids[0]) && !store.contains(&ids[3]));
    }

    #[test]
    fn a_reader_of_an_evicted_blob_reads_on() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "content", now - DAY);
        let mut reader = store.reader(&id).unwrap();
        store.evict(now, 0, Duration::ZERO).unwrap();
        assert!(!store.contains(&id));
        reader.verify().unwrap();
    }
}
