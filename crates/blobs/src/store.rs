//! The store: immutable bytes under their BLAKE3 id, wherever they are kept.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use crate::cache::{Cache, CacheStats};
use crate::directory::{BlobReader, Directory, Seen};
use crate::figures::{BlobFigures, Counts};
use crate::remote::Remote;
use crate::{BlobId, BlobInfo, BlobRef, Control, Place, StoreError, TargetManifest, UnpackError, Upstream};

/// What [`BlobStore::get`] holds in memory at most.
const MAX_IN_MEMORY: u64 = 1 << 30;

const COPY_BUFFER: usize = 256 * 1024;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where the blobs are kept.
    pub place: Place,
    /// The directory that stands in front of a bucket; any number of processes may share one. Not used, and not made, when the
    /// place is a directory itself.
    pub cache: PathBuf,
    /// Bytes that the cache may take. More than that goes for as long as it is in use.
    pub cache_limit: u64,
    /// Settings of the bucket's server, under the names of the usual environment variables (`AWS_ENDPOINT_URL`,
    /// `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and so on); others are ignored.
    pub variables: BTreeMap<String, String>,
}

/// A store of blobs. Cheap to clone; any number of threads and processes may use one place.
#[derive(Debug, Clone)]
pub struct BlobStore {
    /// All blobs, or those that are cached.
    directory: Directory,
    cache: Option<Arc<Cache>>,
    counts: Arc<Counts>,
    /// Some that are vouched for: that never changes.
    vouched: Arc<Mutex<HashSet<BlobId>>>,
}

impl BlobStore {
    /// Opens the store in a directory, making it when needed.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(BlobStore {
            directory: Directory::open(dir.as_ref())?,
            cache: None,
            counts: Arc::default(),
            vouched: Arc::default(),
        })
    }

    /// Opens the store at a place, a bucket with the cache in front of it.
    ///
    /// # Errors
    ///
    /// When a directory cannot be used, or the bucket does not answer.
    pub fn connect(options: StoreOptions) -> Result<Self, StoreError> {
        match &options.place {
            Place::Directory(dir) => Self::open(dir),
            Place::S3 { bucket, prefix } => {
                // First the cache: an unusable directory is found out without the network.
                let directory = Directory::open(&options.cache)?;
                let remote = Remote::connect(bucket, prefix, options.variables)?;
                Ok(Self::behind(Box::new(remote), directory, options.cache_limit))
            }
        }
    }

    /// Opens a store that somebody else keeps, with the directory `cache` of at most `limit` bytes in front of it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used.
    pub fn over(upstream: impl Upstream + 'static, cache: &Path, limit: u64) -> Result<Self, StoreError> {
        Ok(Self::behind(Box::new(upstream), Directory::open(cache)?, limit))
    }

    fn behind(upstream: Box<dyn Upstream>, directory: Directory, limit: u64) -> Self {
        BlobStore {
            cache: Some(Arc::new(Cache::new(upstream, directory.clone(), limit))),
            directory,
            counts: Arc::default(),
            vouched: Arc::default(),
        }
    }

    /// The store's directory: all blobs, or the cache in front of a bucket.
    pub fn dir(&self) -> &Path {
        self.directory.root()
    }

    /// Where the blobs are, as messages name it.
    pub fn name(&self) -> String {
        match &self.cache {
            Some(cache) => cache.remote.name().to_owned(),
            None => self.directory.root().display().to_string(),
        }
    }

    /// What the cache did so far, where there is one.
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.cache.as_ref().map(|cache| cache.stats())
    }

    /// Whether something could be stored now. Asks the bucket, where there is one.
    pub fn check(&self) -> Result<(), StoreError> {
        self.directory.temporary()?;
        match &self.cache {
            Some(cache) => cache.remote.size(&BlobId::of(b"")).map(drop),
            None => Ok(()),
        }
    }

    /// What is told of the store to programs of monitoring.
    pub fn figures(&self) -> BlobFigures {
        BlobFigures::new(Arc::clone(&self.counts), self.cache.as_ref().map(Arc::downgrade))
    }

    /// Stores bytes; cheap when they are there already.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<BlobRef, StoreError> {
        let blob = BlobRef {
            id: BlobId::of(bytes),
            size: bytes.len() as u64,
        };
        // Reading back is how a damaged copy gets replaced instead of kept.
        if self.has_copy(&blob) && self.directory.touch(&blob.id)? {
            return self.published(blob, false, &Control::none());
        }
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|e| writer.error(e))?;
        writer.commit()
    }

    /// Stores a copy of a file.
    pub fn put_file(&self, path: &Path) -> Result<BlobRef, StoreError> {
        let mut file = File::open(path).map_err(|e| StoreError::io("read", path, e))?;
        let mut writer = self.writer()?;
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let read = file.read(&mut buffer).map_err(|e| StoreError::io("read", path, e))?;
            if read == 0 {
                return writer.commit();
            }
            writer.write_all(&buffer[..read]).map_err(|e| writer.error(e))?;
        }
    }

    /// Begins a blob whose bytes come bit by bit; dropping the writer forgets it.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter {
            store: self.clone(),
            file: self.directory.temporary()?,
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }

    /// Whether the directory has the blob, undamaged.
    fn has_copy(&self, blob: &BlobRef) -> bool {
        let reader = self.directory.reader(&blob.id);
        reader
            .is_ok_and(|reader| reader.is_some_and(|mut reader| reader.size() == blob.size && reader.verify().is_ok()))
    }

    /// Hands a blob of the directory to the bucket, where there is one. `added` says that it is new in the directory.
    fn published(&self, blob: BlobRef, added: bool, control: &Control<'_>) -> Result<BlobRef, StoreError> {
        let sent = match &self.cache {
            Some(cache) => cache.send(&blob, added, control),
            None => Ok(()),
        };
        self.counts.put.note(sent.map(|()| blob), |blob| blob.size)
    }

    /// The size of the blob, if it is there; its content is checked when it is read.
    pub fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError> {
        match &self.cache {
            Some(cache) => cache.remote.size(id),
            None => Ok(self.directory.size(id)),
        }
    }

    /// Whether the blob is there.
    pub fn contains(&self, id: &BlobId) -> Result<bool, StoreError> {
        Ok(self.size(id)?.is_some())
    }

    /// The blob's bytes, verified.
    pub fn get(&self, id: &BlobId) -> Result<Vec<u8>, StoreError> {
        self.get_limited(id, MAX_IN_MEMORY)
    }

    /// The blob's bytes, verified, if there are at most `limit`.
    pub fn get_limited(&self, id: &BlobId, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.healing(|| {
            let mut reader = self.reader(id)?;
            let size = reader.size();
            if size > limit {
                return Err(StoreError::TooLarge { id: *id, size, limit });
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            reader.read_to_end(&mut bytes).map_err(|e| reader.error(e))?;
            Ok(bytes)
        })
    }

    /// Streams the blob; the read that would return its end fails when the bytes were not the right ones, so do not
    /// act on anything before having seen the end.
    pub fn reader(&self, id: &BlobId) -> Result<BlobReader, StoreError> {
        self.reader_controlled(id, &Control::none())
    }

    /// The same, and a blob that has to be fetched first says how far it is, and can be cancelled.
    pub fn reader_controlled(&self, id: &BlobId, control: &Control<'_>) -> Result<BlobReader, StoreError> {
        let reader = match &self.cache {
            Some(cache) => cache.reader(id, control),
            None => self.directory.reader(id).and_then(|reader| {
                reader.ok_or_else(|| StoreError::Missing {
                    id: *id,
                    store: self.name(),
                })
            }),
        };
        self.counts.get.note(reader, BlobReader::size)
    }

    /// Opens a blob if it is on this machine; it is not fetched.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn local_reader(&self, id: &BlobId) -> Result<Option<BlobReader>, StoreError> {
        match &self.cache {
            Some(cache) => cache.cached(id),
            None => self.directory.reader(id),
        }
    }

    /// Reads once more when what was read was a damaged copy of a cache: that one was set aside, so the blob is fetched.
    pub(crate) fn healing<T, E: Damage>(&self, mut read: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        match read() {
            Err(error) if self.cache.is_some() && error.is_damaged_copy() => {
                tracing::warn!("a damaged copy in the cache was set aside; fetching the blob again");
                read()
            }
            outcome => outcome,
        }
    }

    /// Removes a blob with all that is known of it; no error when it is not there.
    pub fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        let removed = match &self.cache {
            Some(cache) => cache.remote.remove(id).and_then(|()| self.directory.remove(id)),
            None => self.directory.remove(id),
        };
        self.counts.remove.note(removed, |()| 0)?;
        self.directory.forget_target(id);
        Ok(())
    }

    /// Vouches for a blob: it is what the person who runs Helve has, and not what somebody uploaded or a tool left. Anybody whose
    /// bytes get into the store can choose them, and so their id; only who calls this can say that they may be run. It stays so
    /// when the blob is removed: its bytes are the same ones when they come back.
    pub fn vouch(&self, id: &BlobId) -> Result<(), StoreError> {
        if self.knows_vouched(id) {
            return Ok(());
        }
        match &self.cache {
            Some(cache) => cache.remote.vouch(id),
            None => self.directory.vouch(id),
        }?;
        self.remember_vouched(id);
        Ok(())
    }

    /// Whether somebody vouches for the blob.
    pub fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError> {
        if self.knows_vouched(id) {
            return Ok(true);
        }
        let vouched = match &self.cache {
            Some(cache) => cache.remote.is_vouched(id),
            None => self.directory.is_vouched(id),
        }?;
        if vouched {
            self.remember_vouched(id);
        }
        Ok(vouched)
    }

    fn knows_vouched(&self, id: &BlobId) -> bool {
        self.vouched.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    fn remember_vouched(&self, id: &BlobId) {
        self.vouched.lock().unwrap_or_else(PoisonError::into_inner).insert(*id);
    }

    /// All blobs, in the order of their ids.
    pub fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        match &self.cache {
            Some(cache) => cache.remote.list(),
            None => self.directory.list(),
        }
    }

    /// Says that a blob is used now; `false` when it is not there.
    pub fn touch(&self, id: &BlobId) -> Result<bool, StoreError> {
        match &self.cache {
            Some(cache) => cache.remote.touch(id, None),
            None => self.directory.touch(id),
        }
    }

    /// The same, and `false` when it is not of this size: then it is damaged.
    pub(crate) fn touch_whole(&self, blob: &BlobRef) -> Result<bool, StoreError> {
        match &self.cache {
            Some(cache) => cache.remote.touch(&blob.id, Some(blob.size)),
            None => Ok(self.directory.size(&blob.id) == Some(blob.size) && self.directory.touch(&blob.id)?),
        }
    }

    /// Removes a blob unless it was used at a time that `keeps` says yes to. Whether it was removed.
    pub(crate) fn remove_unless(&self, id: &BlobId, keeps: impl Fn(SystemTime) -> bool) -> Result<bool, StoreError> {
        let Some(cache) = &self.cache else {
            return self.directory.remove_unless(id, keeps);
        };
        let removed = cache.remote.remove_unless(id, &keeps)?;
        if removed {
            self.directory.remove(id)?;
            self.directory.forget_target(id);
        }
        Ok(removed)
    }

    /// Removes what killed sweeps left, apart from blobs. Best effort.
    pub(crate) fn tidy(&self, blobs: &[BlobInfo]) {
        if let Some(cache) = &self.cache
            && let Err(error) = cache.remote.tidy(blobs)
        {
            tracing::warn!(%error, "leftovers of an interrupted sweep could not be removed");
        }
    }

    /// What is known of a packed target.
    pub fn target(&self, id: &BlobId) -> Option<TargetManifest> {
        self.directory
            .target(id)
            .or_else(|| self.cache.as_ref().and_then(|cache| cache.remote.target(id)))
    }

    pub(crate) fn record_target(&self, manifest: &TargetManifest) -> Result<(), StoreError> {
        if let Some(cache) = &self.cache {
            cache.remote.record_target(manifest)?;
        }
        self.directory.record_target(manifest)
    }

    pub(crate) fn seen(&self, place: &str) -> Option<Seen> {
        self.directory.seen(place)
    }

    pub(crate) fn record_seen(&self, place: &str, seen: &Seen) -> Result<(), StoreError> {
        self.directory.record_seen(place, seen)
    }
}

/// Errors that may come from a damaged copy.
pub(crate) trait Damage {
    fn is_damaged_copy(&self) -> bool;
}

impl Damage for StoreError {
    fn is_damaged_copy(&self) -> bool {
        matches!(self, StoreError::Corrupt { .. })
    }
}

impl Damage for UnpackError {
    fn is_damaged_copy(&self) -> bool {
        matches!(self, UnpackError::Store(error) if error.is_damaged_copy())
    }
}

/// A blob being written. It exists for nobody until [`BlobWriter::commit`].
#[derive(Debug)]
pub struct BlobWriter {
    store: BlobStore,
    file: NamedTempFile,
    hasher: blake3::Hasher,
    size: u64,
}

impl BlobWriter {
    /// Makes the blob durable and visible.
    pub fn commit(self) -> Result<BlobRef, StoreError> {
        self.commit_controlled(&Control::none())
    }

    /// The same, and sending it to a bucket says how far it is, and can be cancelled: it then goes on where it was when the
    /// same bytes are stored again.
    pub fn commit_controlled(self, control: &Control<'_>) -> Result<BlobRef, StoreError> {
        let id = BlobId::from_hash(self.hasher.finalize());
        let directory = &self.store.directory;
        // Always renamed over what is there: that replaces a damaged copy and changes nothing otherwise.
        directory.persist(self.file, &directory.path(&id))?;
        self.store.published(BlobRef { id, size: self.size }, true, control)
    }

    /// Bytes written so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Says what went wrong in terms of the store, for an error that [`Write`] reported.
    pub fn error(&self, source: io::Error) -> StoreError {
        StoreError::io("write", self.file.path(), source)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
