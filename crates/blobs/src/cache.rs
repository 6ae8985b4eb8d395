//! A directory in front of a store elsewhere: what was fetched or stored is there for the next reader, up to a limit.

use std::io::{Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::directory::{BlobReader, Directory, TRANSFER};
use crate::lock::Locked;
use crate::{BlobId, BlobRef, Control, StoreError, Upstream};

/// After this much of the limit was added, the directory is measured anew: other processes add to it too.
const MEASURE_EVERY: u64 = 16;
/// When the cache is full, it is emptied to this many percent, so that not every further blob means another look.
const DOWN_TO_PERCENT: u64 = 90;
/// Nothing younger is evicted: whoever just fetched it is about to read it.
const MIN_AGE: Duration = Duration::from_secs(10);

/// A store elsewhere with the directory in front of it.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) remote: Box<dyn Upstream>,
    directory: Directory,
    limit: u64,
    room: Mutex<Room>,
    counts: Counts,
}

/// What is known of the directory's size.
#[derive(Debug, Default)]
struct Room {
    /// Bytes when it was measured last.
    measured: Option<u64>,
    /// Bytes added since by this process.
    added: u64,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    evicted: AtomicU64,
    evicted_bytes: AtomicU64,
}

/// What a cache did since this process opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Blobs that were read without asking the bucket.
    pub hits: u64,
    /// Blobs that were fetched.
    pub fetched: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Blobs that were sent to the bucket; what it knew already is not counted.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Blobs that were removed to make room.
    pub evicted: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
}

/// The last word about it.
impl Drop for Cache {
    fn drop(&mut self) {
        let stats = self.stats();
        if stats != CacheStats::default() {
            tracing::info!(?stats, "the cache of blobs, since it was opened");
        }
    }
}

impl Cache {
    pub(crate) fn new(remote: Box<dyn Upstream>, directory: Directory, limit: u64) -> Self {
        let cache = Cache {
            remote,
            directory,
            limit,
            room: Mutex::default(),
            counts: Counts::default(),
        };
        cache.remote.abort_abandoned(&cache.journals());
        cache
    }

    fn journals(&self) -> PathBuf {
        self.directory.root().join("uploads")
    }

    /// What happened so far.
    pub(crate) fn stats(&self) -> CacheStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.counts.hits),
            fetched: read(&self.counts.fetched),
            fetched_bytes: read(&self.counts.fetched_bytes),
            sent: read(&self.counts.sent),
            sent_bytes: read(&self.counts.sent_bytes),
            evicted: read(&self.counts.evicted),
            evicted_bytes: read(&self.counts.evicted_bytes),
        }
    }

    /// Opens the blob, fetching it first unless it is here.
    pub(crate) fn reader(&self, id: &BlobId, control: &Control<'_>) -> Result<BlobReader, StoreError> {
        if let Some(reader) = self.cached(id)? {
            self.counts.hits.fetch_add(1, Ordering::Relaxed);
            // Its place in the order of eviction; a failure costs a fetch later.
            let _ = self.directory.touch(id);
            self.kept(&reader, id);
            return Ok(reader);
        }
        let path = self.directory.tmp().join(format!("{TRANSFER}{id}"));
        let Some(mut file) = Locked::open(&path, control)? else {
            return Err(StoreError::Cancelled);
        };
        // Fetched by somebody else while this one waited.
        if let Some(reader) = self.cached(id)? {
            file.remove()?;
            self.counts.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(reader);
        }
        let part = file.path().to_owned();
        if let Err(error) = self.remote.download(id, file.file(), &part, control) {
            // Otherwise what is there so far is where the next try goes on.
            if matches!(error, StoreError::Missing { .. } | StoreError::CorruptObject { .. }) {
                file.remove()?;
            }
            return Err(error);
        }
        let place = self.directory.path(id);
        self.directory.make_parent(&place)?;
        let mut file = file.rename(&place)?;
        // Not synced: a cache that lost something to a power cut notices and fetches it again.
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.lock_shared())
            .map_err(|e| StoreError::io("read", &place, e))?;
        let reader = BlobReader::new(*id, place, file)?;
        tracing::debug!(%id, bytes = reader.size(), "fetched a blob");
        self.counts.fetched.fetch_add(1, Ordering::Relaxed);
        self.counts.fetched_bytes.fetch_add(reader.size(), Ordering::Relaxed);
        self.added(reader.size());
        self.kept(&reader, id);
        Ok(reader)
    }

    fn kept(&self, reader: &BlobReader, id: &BlobId) {
        let (id, size) = (*id, reader.size());
        self.remote.kept(&BlobRef { id, size });
    }

    /// Opens the blob if it is in the directory, and keeps it from being evicted while it is read.
    pub(crate) fn cached(&self, id: &BlobId) -> Result<Option<BlobReader>, StoreError> {
        let reader = self.directory.reader(id)?;
        if let Some(reader) = &reader {
            // Locked by who has just fetched it, or is looking whether it is read: either way it stays readable.
            let _ = reader.file().try_lock_shared();
        }
        Ok(reader)
    }

    /// Makes sure that the bucket has a blob that is in the directory. `added` says that it is new there.
    pub(crate) fn send(&self, blob: &BlobRef, added: bool, control: &Control<'_>) -> Result<(), StoreError> {
        let path = self.directory.path(&blob.id);
        let mut file = std::fs::File::open(&path).map_err(|e| StoreError::io("read", &path, e))?;
        // Not evicted before it has arrived.
        let _ = file.try_lock_shared();
        if self.remote.ensure(blob, &mut file, &self.journals(), control)? {
            tracing::debug!(id = %blob.id, bytes = blob.size, "sent a blob");
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            self.counts.sent_bytes.fetch_add(blob.size, Ordering::Relaxed);
        }
        if added {
            self.added(blob.size);
        }
        Ok(())
    }

    /// Makes room when there may be too much. A failure is only logged: it costs space, and the next blob tries again.
    fn added(&self, bytes: u64) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.added += bytes;
        let known = room.measured.map(|measured| measured + room.added);
        if known.is_some_and(|known| known <= self.limit) && room.added <= self.limit / MEASURE_EVERY {
            return;
        }
        match self.make_room() {
            Ok(left) => {
                *room = Room {
                    measured: Some(left),
                    added: 0,
                }
            }
            Err(error) => tracing::warn!(%error, "no room could be made in the cache"),
        }
    }

    /// Measures the directory and evicts what is too much. Returns the bytes that are left.
    fn make_room(&self) -> Result<u64, StoreError> {
        // One process at a time; the others go on, and look again later.
        let Some(_alone) = Locked::try_open(&self.directory.root().join("evicting"))? else {
            return Ok(self.limit);
        };
        let down_to = self.limit / 100 * DOWN_TO_PERCENT;
        let evicted = self.directory.evict(SystemTime::now(), self.limit, down_to, MIN_AGE)?;
        if evicted.removed == 0 && evicted.left <= self.limit {
            return Ok(evicted.left);
        }
        self.counts.evicted.fetch_add(evicted.removed, Ordering::Relaxed);
        self.counts.evicted_bytes.fetch_add(evicted.bytes, Ordering::Relaxed);
        tracing::info!(
            blobs = evicted.removed,
            bytes = evicted.bytes,
            left = evicted.left,
            limit = self.limit,
            "made room in the cache"
        );
        if evicted.left > self.limit {
            tracing::warn!(
                left = evicted.left,
                limit = self.limit,
                "the cache is larger than its limit: all in it is in use"
            );
        }
        Ok(evicted.left)
    }
}
