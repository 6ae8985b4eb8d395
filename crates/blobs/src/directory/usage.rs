//! When a blob of a directory was used last, and removing those that were not.
//!
//! The time is the file's modification time. Whoever removes takes the gate alone, whoever says that a blob is used takes it
//! shared and finds out whether the blob is there: so nobody builds on a blob that is being removed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Directory;
use crate::{BlobId, BlobInfo, StoreError};

impl Directory {
    /// All blobs, in the order of their ids.
    pub(crate) fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        let targets: HashSet<OsString> = read_dir(&self.root().join("targets"))?
            .iter()
            .map(fs::DirEntry::file_name)
            .collect();
        let mut blobs = Vec::new();
        for shard in read_dir(self.root())? {
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
                    is_target: targets.contains(&OsString::from(format!("{id}.json"))),
                });
            }
        }
        blobs.sort_unstable_by_key(|blob| blob.id);
        Ok(blobs)
    }

    /// Says that a blob is used now; `false` when it is not there.
    pub(crate) fn touch(&self, id: &BlobId) -> Result<bool, StoreError> {
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

    /// Removes a blob unless it was used at a time that `keeps` says yes to. Whether it was removed.
    pub(crate) fn remove_unless(
        &self,
        id: &BlobId,
        keeps: impl FnOnce(SystemTime) -> bool,
    ) -> Result<bool, StoreError> {
        // One at a time: nobody waits for more than one removal.
        let _gate = self.gate(true)?;
        match fs::metadata(self.path(id)).and_then(|metadata| metadata.modified()) {
            Ok(used) if !keeps(used) => {
                self.remove(id)?;
                self.forget_target(id);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// When there are more than `limit` bytes, removes the blobs that were not used for the longest time until at most
    /// `down_to` are left, but none that somebody reads now, and none that is younger than `min_age`: for a cache, whose blobs
    /// can be fetched again.
    pub(crate) fn evict(
        &self,
        now: SystemTime,
        limit: u64,
        down_to: u64,
        min_age: Duration,
    ) -> Result<Evicted, StoreError> {
        let mut blobs = self.list()?;
        blobs.sort_by_key(|blob| blob.used);
        let mut evicted = Evicted {
            left: blobs.iter().map(|blob| blob.size).sum(),
            ..Evicted::default()
        };
        if evicted.left <= limit {
            return Ok(evicted);
        }
        for blob in blobs {
            if evicted.left <= down_to {
                break;
            }
            let old = now.duration_since(blob.used).is_ok_and(|age| age >= min_age);
            if !old || self.is_read(&blob.id) {
                continue;
            }
            if self.remove_unless(&blob.id, |used| used != blob.used)? {
                evicted.left -= blob.size;
                evicted.removed += 1;
                evicted.bytes += blob.size;
            }
        }
        Ok(evicted)
    }

    /// Whether somebody reads the blob: readers of a cache hold it locked. One that comes a moment later loses nothing, as a
    /// file that is open lives on without its name.
    fn is_read(&self, id: &BlobId) -> bool {
        File::open(self.path(id)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Held shared by those who use blobs, alone by those who remove them.
    fn gate(&self, alone: bool) -> Result<File, StoreError> {
        let path = self.root().join("gate");
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

/// What making room did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Evicted {
    /// Blobs removed.
    pub(crate) removed: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes that are still there.
    pub(crate) left: u64,
}

pub(crate) fn read_dir(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let entries = fs::read_dir(path).and_then(Iterator::collect);
    entries.map_err(|e| StoreError::io("list", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn directory() -> (tempfile::TempDir, Directory) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        (dir, directory)
    }

    fn put(directory: &Directory, text: &str, used: SystemTime) -> BlobId {
        let id = BlobId::of(text.as_bytes());
        let mut file = directory.temporary().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        directory
            .persist(file, &directory.path(&id))
            .unwrap()
            .set_modified(used)
            .unwrap();
        id
    }

    fn has(directory: &Directory, id: &BlobId) -> bool {
        directory.size(id).is_some()
    }

    #[test]
    fn eviction_takes_the_least_recently_used_and_spares_the_young() {
        let (_dir, directory) = directory();
        let now = SystemTime::now();
        let ids: Vec<BlobId> = (0..4)
            .map(|n| put(&directory, &format!("{n}{}", "x".repeat(9)), now - DAY * (4 - n)))
            .collect();
        directory.touch(&ids[0]).unwrap();
        let evicted = directory.evict(now + Duration::from_secs(1), 20, 20, HOUR).unwrap();
        assert_eq!((evicted.removed, evicted.bytes, evicted.left), (2, 20, 20));
        assert!(has(&directory, &ids[0]) && has(&directory, &ids[3]));
        // Younger than the least age: kept, even above the limit.
        directory.evict(now + Duration::from_secs(1), 0, 0, HOUR).unwrap();
        assert!(has(&directory, &ids[0]) && !has(&directory, &ids[3]));
    }

    #[test]
    fn what_somebody_reads_is_not_evicted() {
        let (_dir, directory) = directory();
        let now = SystemTime::now();
        let [read, idle] = ["read", "idle"].map(|text| put(&directory, text, now - DAY));
        let reader = directory.reader(&read).unwrap().unwrap();
        reader.file().lock_shared().unwrap();
        directory.evict(now, 0, 0, Duration::ZERO).unwrap();
        assert!(has(&directory, &read) && !has(&directory, &idle));
        drop(reader);
        directory.evict(now, 0, 0, Duration::ZERO).unwrap();
        assert!(!has(&directory, &read));
    }

    #[test]
    fn a_reader_of_an_evicted_blob_reads_on() {
        let (_dir, directory) = directory();
        let now = SystemTime::now();
        let id = put(&directory, "content", now - DAY);
        let mut reader = directory.reader(&id).unwrap().unwrap();
        directory.evict(now, 0, 0, Duration::ZERO).unwrap();
        assert!(!has(&directory, &id));
        reader.verify().unwrap();
    }

    #[test]
    fn a_missing_blob_cannot_be_touched() {
        let (_dir, directory) = directory();
        assert!(!directory.touch(&BlobId::of(b"missing")).unwrap());
    }
}
