//! Immutable bytes under their BLAKE3 id.
//!
//! Layout below the store's directory: `ab/abcdef...` the blobs, `tmp/` what is being written, `targets/` facts about
//! packed targets. A blob is written to `tmp/`, synced, renamed to its place, and the directory is synced: at any moment a
//! blob is there completely or not at all, whichever processes write at the same time. What a killed process leaves in
//! `tmp/` is removed when a store is opened, once it is old enough that nobody can still be writing it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::{BlobId, BlobRef, StoreError};

mod manifest;

pub(crate) use manifest::Seen;
pub use manifest::TargetManifest;

/// Leftovers of this age have no living writer: every write touches its file.
const STALE: Duration = Duration::from_secs(60 * 60);

/// What [`BlobStore::get`] holds in memory at most.
const MAX_IN_MEMORY: u64 = 1 << 30;

const COPY_BUFFER: usize = 256 * 1024;

/// A directory of blobs. Cheap to clone; any number of threads and processes may share one directory.
#[derive(Debug, Clone)]
pub struct BlobStore {
    root: Arc<Path>,
}

impl BlobStore {
    /// Opens the store in `dir`, making it when needed, and removes what killed writers left behind.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let root = dir.as_ref();
        for path in [root.to_owned(), root.join("tmp"), root.join("targets")] {
            fs::create_dir_all(&path).map_err(|e| StoreError::io("create the directory", &path, e))?;
        }
        let store = BlobStore { root: root.into() };
        store.remove_stale(STALE);
        Ok(store)
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.root
    }

    /// Stores bytes; cheap when they are there already.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<BlobRef, StoreError> {
        let blob = BlobRef {
            id: BlobId::of(bytes),
            size: bytes.len() as u64,
        };
        // Reading back is how a damaged copy gets replaced instead of kept.
        if self.size(&blob.id) == Some(blob.size) && self.get(&blob.id).is_ok() && self.touch(&blob.id)? {
            return Ok(blob);
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
        let tmp = self.root.join("tmp");
        let file = tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(&tmp)
            .map_err(|e| StoreError::io("create a temporary file in", &tmp, e))?;
        Ok(BlobWriter {
            store: self.clone(),
            file,
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }

    /// Whether the blob is there; its content is checked when it is read.
    pub fn contains(&self, id: &BlobId) -> bool {
        self.size(id).is_some()
    }

    /// The size of the blob, if it is there.
    pub fn size(&self, id: &BlobId) -> Option<u64> {
        fs::metadata(self.path(id))
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|metadata| metadata.len())
    }

    /// The blob's bytes, verified.
    pub fn get(&self, id: &BlobId) -> Result<Vec<u8>, StoreError> {
        self.get_limited(id, MAX_IN_MEMORY)
    }

    /// The blob's bytes, verified, if there are at most `limit`.
    pub fn get_limited(&self, id: &BlobId, limit: u64) -> Result<Vec<u8>, StoreError> {
        let mut reader = self.reader(id)?;
        let size = reader.size();
        if size > limit {
            return Err(StoreError::TooLarge { id: *id, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        reader.read_to_end(&mut bytes).map_err(|e| reader.error(e))?;
        Ok(bytes)
    }

    /// Streams the blob; the read that would return its end fails when the bytes were not the right ones, so do not
    /// act on anything before having seen the end.
    pub fn reader(&self, id: &BlobId) -> Result<BlobReader, StoreError> {
        let path = self.path(id);
        let file = File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => StoreError::Missing {
                id: *id,
                store: self.root.to_path_buf(),
            },
            _ => StoreError::io("read", &path, e),
        })?;
        let size = file.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        Ok(BlobReader {
            id: *id,
            path,
            file,
            size,
            hasher: blake3::Hasher::new(),
            end: End::NotSeen,
        })
    }

    /// Removes a blob; no error when it is not there.
    pub fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Where a blob is or would be.
    pub(crate) fn path(&self, id: &BlobId) -> PathBuf {
        let hex = id.to_hex();
        self.root.join(&hex[..2]).join(hex)
    }

    /// Best effort: a leftover that cannot be removed now costs space, nothing else.
    fn remove_stale(&self, age: Duration) {
        let Ok(entries) = fs::read_dir(self.root.join("tmp")) else {
            return;
        };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = |time| {
                SystemTime::now()
                    .duration_since(time)
                    .is_ok_and(|elapsed| elapsed >= age)
            };
            if modified.is_ok_and(old) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Moves a synced temporary file to its final name, durably, replacing what was there.
    fn persist(&self, file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
        let parent = path.parent().expect("paths in the store have a parent");
        if !parent.exists() {
            fs::create_dir_all(parent).map_err(|e| StoreError::io("create the directory", parent, e))?;
            sync_dir(&self.root)?;
        }
        file.as_file()
            .sync_all()
            .map_err(|e| StoreError::io("write", file.path(), e))?;
        file.persist(path).map_err(|e| StoreError::io("write", path, e.error))?;
        sync_dir(parent)
    }
}

/// Makes renames in a directory survive a power cut.
fn sync_dir(path: &Path) -> Result<(), StoreError> {
    // Directories cannot be opened for syncing on Windows, whose file systems journal renames.
    if cfg!(unix) {
        File::open(path)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| StoreError::io("sync the directory", path, e))?;
    }
    Ok(())
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
        let id = BlobId::from_hash(self.hasher.finalize());
        // Always renamed over what is there: that replaces a damaged copy and changes nothing otherwise.
        self.store.persist(self.file, &self.store.path(&id))?;
        Ok(BlobRef { id, size: self.size })
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotSeen,
    Good,
    Bad,
}

/// A blob being read and checked.
#[derive(Debug)]
pub struct BlobReader {
    id: BlobId,
    path: PathBuf,
    file: File,
    size: u64,
    hasher: blake3::Hasher,
    end: End,
}

impl BlobReader {
    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what is left and says whether the whole blob is what its id promises.
    pub fn verify(&mut self) -> Result<(), StoreError> {
        io::copy(self, &mut io::sink()).map(|_| ()).map_err(|e| self.error(e))
    }

    /// Says what went wrong in terms of the store, for an error that [`Read`] reported.
    pub fn error(&self, source: io::Error) -> StoreError {
        match self.end {
            End::Bad => StoreError::Corrupt {
                id: self.id,
                path: self.path.clone(),
            },
            _ => StoreError::io("read", &self.path, source),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        if self.end == End::NotSeen {
            let good = BlobId::from_hash(self.hasher.finalize()) == self.id;
            self.end = if good { End::Good } else { End::Bad };
            if !good {
                self.set_aside();
            }
        }
        match self.end {
            End::Bad => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("blob {} is damaged", self.id),
            )),
            _ => Ok(()),
        }
    }

    /// Takes a damaged blob out of the way, so that it counts as missing and is stored anew. Best effort.
    fn set_aside(&self) {
        if is_same_file(&self.file, &self.path) {
            let _ = fs::rename(&self.path, self.path.with_extension("damaged"));
        }
    }
}

/// Whether the name still leads to the open file: another process may have put a good copy there meanwhile.
#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(key), fs::metadata(path).map(key)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> bool {
    true
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.check()?;
        }
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
