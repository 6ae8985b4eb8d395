//! Immutable bytes under their BLAKE3 id, in a directory: a store of its own, or the cache in front of a bucket.
//!
//! Layout below the directory: `ab/abcdef...` the blobs, `tmp/` what is being written, `targets/` facts about
//! packed targets, `vouched/` which blobs somebody vouches for. A blob is written to `tmp/`, synced, renamed to its place, and the directory is synced: at any moment a
//! blob is there completely or not at all, whichever processes write at the same time. What a killed process leaves in
//! `tmp/` is removed when a store is opened, once it is old enough that nobody can still be writing it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use crate::{BlobId, StoreError};

mod manifest;
mod usage;
mod vouched;

pub(crate) use manifest::Seen;
pub use manifest::TargetManifest;

/// What the names of files begin with that hold a part of a blob on its way to or from a bucket.
pub(crate) const TRANSFER: &str = "transfer-";

/// Leftovers of this age have no living writer: every write touches its file.
const STALE: Duration = Duration::from_secs(60 * 60);

/// Bytes that a killed process has fetched or sent are worth keeping for longer: whoever comes next goes on from there.
const STALE_TRANSFER: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory of blobs. Cheap to clone; any number of threads and processes may share one.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: Arc<Path>,
}

impl Directory {
    /// Opens the directory, making it when needed, and removes what killed writers left behind.
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        for path in [root.to_owned(), root.join("tmp"), root.join("targets")] {
            fs::create_dir_all(&path).map_err(|e| StoreError::io("create the directory", &path, e))?;
        }
        let directory = Directory { root: root.into() };
        directory.remove_stale();
        Ok(directory)
    }

    /// Its path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where what is being written or transferred lies.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// A file that nobody sees.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        let tmp = self.tmp();
        tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(&tmp)
            .map_err(|e| StoreError::io("create a temporary file in", &tmp, e))
    }

    /// The size of the blob, if it is there.
    pub(crate) fn size(&self, id: &BlobId) -> Option<u64> {
        fs::metadata(self.path(id))
            .ok()
            .filter(fs::Metadata::is_file)
            .map(|metadata| metadata.len())
    }

    /// Opens the blob for reading, if it is there.
    pub(crate) fn reader(&self, id: &BlobId) -> Result<Option<BlobReader>, StoreError> {
        let path = self.path(id);
        match File::open(&path) {
            Ok(file) => BlobReader::new(*id, path, file).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", &path, e)),
        }
    }

    /// Removes a blob; no error when it is not there.
    pub(crate) fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
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
    fn remove_stale(&self) {
        let Ok(entries) = fs::read_dir(self.tmp()) else {
            return;
        };
        for entry in entries.flatten() {
            let limit = match entry.file_name().to_string_lossy().starts_with(TRANSFER) {
                true => STALE_TRANSFER,
                false => STALE,
            };
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = |time| SystemTime::now().duration_since(time).is_ok_and(|age| age >= limit);
            if modified.is_ok_and(old) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Moves a synced temporary file to its final name, durably, replacing what was there.
    pub(crate) fn persist(&self, file: NamedTempFile, path: &Path) -> Result<File, StoreError> {
        self.make_parent(path)?;
        file.as_file()
            .sync_all()
            .map_err(|e| StoreError::io("write", file.path(), e))?;
        let file = file.persist(path).map_err(|e| StoreError::io("write", path, e.error))?;
        sync_dir(path.parent().expect("paths in the store have a parent"))?;
        Ok(file)
    }

    /// Makes the directory that a file goes to.
    pub(crate) fn make_parent(&self, path: &Path) -> Result<(), StoreError> {
        let parent = path.parent().expect("paths in the store have a parent");
        if !parent.exists() {
            fs::create_dir_all(parent).map_err(|e| StoreError::io("create the directory", parent, e))?;
            sync_dir(&self.root)?;
        }
        Ok(())
    }
}

/// Makes renames in a directory survive a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    // Directories cannot be opened for syncing on Windows, whose file systems journal renames.
    if cfg!(unix) {
        File::open(path)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| StoreError::io("sync the directory", path, e))?;
    }
    Ok(())
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
    /// Reads `file`, from where it stands, as the blob.
    pub(crate) fn new(id: BlobId, path: PathBuf, file: File) -> Result<Self, StoreError> {
        let size = file.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        Ok(BlobReader {
            id,
            path,
            file,
            size,
            hasher: blake3::Hasher::new(),
            end: End::NotSeen,
        })
    }

    /// The blob's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
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
        if leads_to(&self.path, &self.file) {
            let _ = fs::rename(&self.path, self.path.with_extension("damaged"));
        }
    }
}

/// Whether the name still leads to the open file: another process may have put something else there meanwhile.
#[cfg(unix)]
pub(crate) fn leads_to(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(key), fs::metadata(path).map(key)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
pub(crate) fn leads_to(_: &Path, _: &File) -> bool {
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
