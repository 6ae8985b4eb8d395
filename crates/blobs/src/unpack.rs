//! Laying a packed target out again, trusting nothing in it.
//!
//! Only what [`crate::pack`] writes is accepted: directories, files and links, each parent an earlier directory entry,
//! siblings in strictly rising order. This strictness does most of the work: nothing can come twice, replace something, or be
//! reached through a link, and a reader needs to remember no more than the directories on the way to the current entry.
//! Those it holds open, so nobody can turn one into a link while it works.
//! Everything is laid out beside the destination and moved there when the last byte was checked, so a failure leaves
//! nothing behind.

mod entry;
mod order;
mod peek;
mod place;

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::{BlobId, BlobReader, BlobStore, Control, Progress, Refusal, StoreError, UnpackError};
use entry::{Entry, Kind, Names};
use order::Order;
pub use peek::peek;
use place::Place;

/// Unpacked workspaces begin under a name with this prefix.
const PREFIX: &str = ".helve-unpack-";

/// Leftovers of killed processes of this age are removed.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// The decompressor may use this much memory as a window (a power of two); level 3 needs 2 MiB.
const MAX_WINDOW_LOG: u32 = 23;

/// Zeros that may follow the archive's end mark: programs pad to a record.
const MAX_PADDING: u64 = 64 * 1024;

const BUFFER: usize = 128 * 1024;

/// What an archive may make of its compressed bytes. The defaults take anything that [`crate::pack`] packs by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files, directories and links together.
    pub entries: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes of all files for each compressed byte, once there are more than `ratio_floor` of them.
    pub ratio: u64,
    /// Below this many bytes any ratio is harmless.
    pub ratio_floor: u64,
    /// Parts of a path.
    pub depth: u64,
    /// Bytes of a path.
    pub path_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits {
            entries: 2_000_000,
            file_bytes: 16 << 30,
            total_bytes: 64 << 30,
            ratio: 1_000,
            ratio_floor: 1 << 30,
            depth: 128,
            path_bytes: 3_000,
        }
    }
}

impl UnpackLimits {
    /// What an archive of this size may expand to by its ratio.
    pub(crate) fn most_bytes(&self, compressed: u64) -> u64 {
        compressed.saturating_mul(self.ratio).max(self.ratio_floor)
    }
}

/// What was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Regular files.
    pub files: u64,
    /// Directories, without the workspace itself.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Lays out target `id` at `dest`, which must not exist or be an empty directory. When anything is wrong, `dest` is left
/// as it was.
pub fn unpack(
    store: &BlobStore,
    id: &BlobId,
    dest: &Path,
    limits: &UnpackLimits,
    control: &Control<'_>,
) -> Result<Unpacked, UnpackError> {
    store.healing(|| unpack_once(store, id, dest, limits, control))
}

fn unpack_once(
    store: &BlobStore,
    id: &BlobId,
    dest: &Path,
    limits: &UnpackLimits,
    control: &Control<'_>,
) -> Result<Unpacked, UnpackError> {
    check_destination(dest)?;
    let blob = store.reader_controlled(id, control)?;
    let staging = stage(dest)?;
    let unpacking = Unpacking {
        id: *id,
        root: staging.path().to_owned(),
        place: Place::open(staging.path()).map_err(|e| StoreError::io("open", staging.path(), e))?,
        most_bytes: limits.total_bytes.min(limits.most_bytes(blob.size())),
        limits,
        control,
        done: Unpacked::default(),
    };
    let done = unpacking.run(blob)?;
    fs::rename(staging.path(), dest).map_err(|e| StoreError::io("create the workspace", dest, e))?;
    // The directory has moved: there is nothing left to remove.
    let _ = staging.keep();
    Ok(done)
}

fn check_destination(dest: &Path) -> Result<(), UnpackError> {
    match fs::symlink_metadata(dest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("look at", dest, error).into()),
        Ok(metadata) => {
            let is_empty = metadata.is_dir() && fs::read_dir(dest).is_ok_and(|mut entries| entries.next().is_none());
            if is_empty {
                Ok(())
            } else {
                Err(UnpackError::DestinationInUse(dest.to_owned()))
            }
        }
    }
}

/// A directory beside the destination, so that moving it there is one step.
fn stage(dest: &Path) -> Result<TempDir, StoreError> {
    let parent = dest
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| StoreError::io("create the directory", parent, e))?;
    remove_stale(parent);
    tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(|e| StoreError::io("create a directory in", parent, e))
}

/// Best effort: what cannot be removed now costs space, nothing else.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
    {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age >= STALE)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

type Decoder = zstd::Decoder<'static, BufReader<BlobReader>>;

struct Unpacking<'a> {
    id: BlobId,
    root: PathBuf,
    place: Place,
    most_bytes: u64,
    limits: &'a UnpackLimits,
    control: &'a Control<'a>,
    done: Unpacked,
}

impl Unpacking<'_> {
    fn run(mut self, blob: BlobReader) -> Result<Unpacked, UnpackError> {
        let mut decoder = Decoder::with_buffer(BufReader::with_capacity(BUFFER, blob))
            .and_then(|mut decoder| decoder.window_log_max(MAX_WINDOW_LOG).map(|()| decoder))
            .map_err(|error| self.not_a_target(&error.to_string()))?;
        let result = self.entries(&mut decoder).and_then(|()| self.check_end(&mut decoder));
        // Whatever else went wrong: when the bytes are not the right ones, that is why.
        let mut blob = decoder.finish().into_inner();
        match result {
            Err(UnpackError::Cancelled) => Err(UnpackError::Cancelled),
            result => {
                blob.verify()?;
                result.map(|()| self.done)
            }
        }
    }

    fn entries(&mut self, decoder: &mut Decoder) -> Result<(), UnpackError> {
        let mut archive = tar::Archive::new(decoder);
        // Raw: the tar crate would hold long names of any size in memory and let extensions redefine entries.
        let entries = archive
            .entries()
            .map_err(|e| self.not_a_target(&e.to_string()))?
            .raw(true);
        let mut names = Names::default();
        let mut order = Order::default();
        let mut count = 0;
        for raw in entries {
            if self.control.is_cancelled() {
                return Err(UnpackError::Cancelled);
            }
            let mut raw = raw.map_err(|e| self.not_a_target(&e.to_string()))?;
            count += 1;
            let next = names
                .next(&mut raw, self.limits)
                .map_err(|(entry, reason)| self.refused(entry, reason))?;
            let Some(entry) = next else { continue };
            self.check_count(&entry, count)?;
            order
                .admit(&entry)
                .map_err(|reason| self.refused(entry.display(), reason))?;
            self.lay_out(&entry, &mut raw)?;
        }
        if names.is_waiting() {
            return Err(self.not_a_target("it ends after a name without its entry"));
        }
        Ok(())
    }

    /// Long names count as entries, too, hence the factor.
    fn check_count(&self, entry: &Entry, count: u64) -> Result<(), UnpackError> {
        let limit = self.limits.entries;
        let laid_out = self.done.files + self.done.directories + self.done.links;
        if laid_out < limit && count <= limit.saturating_mul(3) {
            return Ok(());
        }
        Err(self.refused(
            entry.display(),
            Refusal::Limit {
                what: "files and directories",
                limit,
            },
        ))
    }

    fn lay_out(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = self.root.join(&entry.path);
        match &entry.kind {
            Kind::Directory => {
                let made = self.place.directory(&entry.parts);
                made.map_err(|e| self.create_error(entry, &path, e))?;
                self.done.directories += 1;
            }
            Kind::Link(target) => {
                let made = self.place.link(&entry.parts, target);
                made.map_err(|e| self.create_error(entry, &path, e))?;
                self.done.links += 1;
            }
            Kind::File { size, executable } => {
                self.check_size(entry, *size)?;
                self.write_file(entry, &path, *size, *executable, content)?;
                self.done.files += 1;
            }
        }
        self.control.report(Progress {
            files: self.done.files,
            bytes: self.done.bytes,
            ..Progress::default()
        });
        Ok(())
    }

    /// Sizes are checked before anything is written.
    fn check_size(&self, entry: &Entry, size: u64) -> Result<(), UnpackError> {
        let total = self.done.bytes.saturating_add(size);
        let (what, limit) = match () {
            () if size > self.limits.file_bytes => ("bytes in one file", self.limits.file_bytes),
            () if total > self.limits.total_bytes => ("bytes in all files", self.limits.total_bytes),
            () if total > self.most_bytes => ("bytes for each compressed byte", self.limits.ratio),
            () => return Ok(()),
        };
        Err(self.refused(entry.display(), Refusal::Limit { what, limit }))
    }

    fn write_file(
        &mut self,
        entry: &Entry,
        path: &Path,
        size: u64,
        executable: bool,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let made = self.place.file(&entry.parts, executable);
        let mut file = made.map_err(|e| self.create_error(entry, path, e))?;
        let mut buffer = vec![0; BUFFER.min(usize::try_from(size).unwrap_or(BUFFER))];
        let mut left = size;
        while left > 0 {
            if self.control.is_cancelled() {
                return Err(UnpackError::Cancelled);
            }
            let read = content
                .read(&mut buffer)
                .map_err(|e| self.not_a_target(&e.to_string()))?;
            if read == 0 {
                return Err(self.not_a_target(&format!("it ends inside `{}`", entry.display())));
            }
            file.write_all(&buffer[..read])
                .map_err(|e| StoreError::io("write", path, e))?;
            left = left.saturating_sub(read as u64);
            self.done.bytes += read as u64;
            self.control.report(Progress {
                files: self.done.files,
                bytes: self.done.bytes,
                ..Progress::default()
            });
        }
        Ok(())
    }

    /// After the end mark only padding may follow.
    fn check_end(&self, decoder: &mut Decoder) -> Result<(), UnpackError> {
        let mut rest = Vec::new();
        let read = decoder.take(MAX_PADDING + 1).read_to_end(&mut rest);
        read.map_err(|error| self.not_a_target(&error.to_string()))?;
        if rest.len() as u64 > MAX_PADDING || rest.iter().any(|byte| *byte != 0) {
            return Err(self.not_a_target("data follows its end mark"));
        }
        Ok(())
    }

    /// A name that exists already, on a file system that folds names (upper and lower case, composed letters).
    fn create_error(&self, entry: &Entry, path: &Path, error: io::Error) -> UnpackError {
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(entry.display(), Refusal::DuplicateOrUnsorted),
            _ => StoreError::io("create", path, error).into(),
        }
    }

    fn refused(&self, entry: String, reason: Refusal) -> UnpackError {
        UnpackError::Refused {
            id: self.id,
            entry,
            reason,
        }
    }

    fn not_a_target(&self, detail: &str) -> UnpackError {
        UnpackError::NotATarget {
            id: self.id,
            detail: detail.to_owned(),
        }
    }
}
