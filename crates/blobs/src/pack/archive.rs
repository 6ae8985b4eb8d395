//! The archive: entries in, deterministic compressed bytes out.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::walk::Found;
use crate::{BlobRef, BlobWriter, Control, PackError, PackLimits, Progress};

/// Files up to this size are read ahead, whole; larger ones are streamed.
pub(super) const SMALL: u64 = 128 * 1024;

/// Compressed bytes that the compressor may hold back.
const HELD_BACK: u64 = 256 * 1024;

/// Part of the target's identity: do not change it without need.
const COMPRESSION_LEVEL: i32 = 3;

const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;
const LINK: u32 = 0o777;

/// An entry on its way into the archive.
pub(super) enum Item {
    Directory(PathBuf),
    Link {
        path: PathBuf,
        target: PathBuf,
    },
    Small {
        path: PathBuf,
        mode: u32,
        bytes: Vec<u8>,
    },
    Large {
        path: PathBuf,
        mode: u32,
        size: u64,
        file: File,
    },
}

impl Item {
    /// Reads what the walk found; the error is the reason for skipping it.
    pub(super) fn read(path: &Path, found: Found<'_>) -> Result<Item, String> {
        let path = path.to_owned();
        match found {
            Found::Directory => Ok(Item::Directory(path)),
            Found::Link(target) => Ok(Item::Link { path, target }),
            Found::File(full, seen) => Item::read_file(path, full, seen).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => "it cannot be read: permission denied".to_owned(),
                _ => format!("it cannot be read: {error}"),
            }),
        }
    }

    fn read_file(path: PathBuf, full: &Path, seen: &fs::Metadata) -> io::Result<Item> {
        let mut file = open(full)?;
        let metadata = file.metadata()?;
        if !is_same(seen, &metadata) {
            return Err(io::Error::other("it was replaced while being packed"));
        }
        // A file that grew since the walk saw it is taken as it was then: limits were checked against that size.
        let (mode, size) = (mode(&metadata), metadata.len().min(seen.len()));
        if size > SMALL {
            return Ok(Item::Large { path, mode, size, file });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        Read::by_ref(&mut file).take(SMALL + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > SMALL {
            return Err(io::Error::other("it grew while being packed"));
        }
        Ok(Item::Small { path, mode, bytes })
    }
}

/// Opens a file that was just seen to be one, without following a link or waiting for a FIFO put in its place.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
fn is_same(seen: &fs::Metadata, opened: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    opened.is_file() && (seen.dev(), seen.ino()) == (opened.dev(), opened.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, opened: &fs::Metadata) -> bool {
    opened.is_file()
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o100 == 0 {
        PLAIN
    } else {
        EXECUTABLE
    }
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    PLAIN
}

/// The archive being written into a blob.
pub(super) struct Archive<'a> {
    tar: tar::Builder<zstd::Encoder<'static, Failing>>,
    /// Bytes that came out of the compressor.
    compressed: Rc<Cell<u64>>,
    limits: &'a PackLimits,
    progress: Progress,
    troubles: Vec<(PathBuf, String)>,
    /// The file at which the archive became one that unpacking would take for a bomb.
    bomb: Option<PathBuf>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(blob: BlobWriter, limits: &'a PackLimits) -> Result<Self, PackError> {
        let compressed = Rc::new(Cell::new(0));
        let blob = Failing {
            blob,
            compressed: Rc::clone(&compressed),
            failure: None,
        };
        let encoder = zstd::Encoder::new(blob, COMPRESSION_LEVEL).map_err(internal)?;
        Ok(Archive {
            tar: tar::Builder::new(encoder),
            compressed,
            limits,
            progress: Progress::default(),
            troubles: Vec::new(),
            bomb: None,
        })
    }

    pub(super) fn append(&mut self, item: Item, control: &Control<'_>) -> Result<(), PackError> {
        if control.is_cancelled() {
            return Err(PackError::Cancelled);
        }
        match self.append_item(item, control) {
            Ok(()) => control.report(self.progress),
            Err(_) if control.is_cancelled() => return Err(PackError::Cancelled),
            Err(error) => {
                return Err(match self.bomb.take() {
                    Some(path) => super::too_dense(path, self.limits),
                    None => self.error(error),
                });
            }
        }
        Ok(())
    }

    fn append_item(&mut self, item: Item, control: &Control<'_>) -> io::Result<()> {
        match item {
            Item::Directory(path) => {
                // The trailing slash is for other programs that read the archive.
                let name = [archive_bytes(&path).as_ref(), b"/"].concat();
                self.entry(tar::EntryType::Directory, EXECUTABLE, &name, &[], 0, io::empty())
            }
            Item::Link { path, target } => {
                let (name, target) = (archive_bytes(&path), archive_bytes(&target));
                self.entry(tar::EntryType::Symlink, LINK, &name, &target, 0, io::empty())
            }
            Item::Small { path, mode, bytes } => {
                let size = bytes.len() as u64;
                let name = archive_bytes(&path);
                self.entry(tar::EntryType::Regular, mode, &name, &[], size, bytes.as_slice())?;
                self.progress.files += 1;
                self.progress.bytes += size;
                Ok(())
            }
            Item::Large { path, mode, size, file } => {
                let mut progress = self.progress;
                let mut exact = Exact {
                    file,
                    left: size,
                    trouble: None,
                    is_bomb: false,
                    progress: &mut progress,
                    compressed: Rc::clone(&self.compressed),
                    limits: self.limits,
                    control,
                };
                let written = self.entry(
                    tar::EntryType::Regular,
                    mode,
                    &archive_bytes(&path),
                    &[],
                    size,
                    &mut exact,
                );
                if exact.is_bomb {
                    self.bomb = Some(path);
                    return written;
                }
                written?;
                if let Some(trouble) = exact.trouble {
                    self.troubles.push((path, trouble));
                }
                self.progress = Progress {
                    files: progress.files + 1,
                    ..progress
                };
                Ok(())
            }
        }
    }

    /// Writes one entry, names that do not fit its header before it. The names are written here and not by the tar
    /// crate, which rewrites some of them and refuses others; file systems have odder names than archives.
    fn entry(
        &mut self,
        kind: tar::EntryType,
        mode: u32,
        name: &[u8],
        link: &[u8],
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = header(kind, mode, size);
        let old = header.as_old_mut();
        let name_fits = set_field(&mut old.name, name);
        let link_fits = set_field(&mut old.linkname, link);
        if !name_fits {
            self.long(tar::EntryType::GNULongName, name)?;
        }
        if !link_fits {
            self.long(tar::EntryType::GNULongLink, link)?;
        }
        header.set_cksum();
        self.tar.append(&header, content)
    }

    fn long(&mut self, kind: tar::EntryType, name: &[u8]) -> io::Result<()> {
        let mut header = header(kind, PLAIN, name.len() as u64 + 1);
        set_field(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_cksum();
        self.tar.append(&header, name.chain([0].as_slice()))
    }

    /// What was written so far.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Files that were taken only in part, since the last call.
    pub(super) fn take_troubles(&mut self) -> Vec<(PathBuf, String)> {
        std::mem::take(&mut self.troubles)
    }

    pub(super) fn finish(mut self, control: &Control<'_>) -> Result<BlobRef, PackError> {
        self.tar.finish().map_err(|error| self.error(error))?;
        let encoder = self.tar.into_inner().map_err(internal)?;
        match encoder.try_finish() {
            Ok(blob) => Ok(blob.blob.commit_controlled(control)?),
            Err((mut encoder, error)) => {
                let blob = encoder.get_mut();
                let error = blob.failure.take().unwrap_or(error);
                Err(blob.blob.error(error).into())
            }
        }
    }

    /// What went wrong, in terms of the store.
    fn error(&mut self, error: io::Error) -> PackError {
        let blob = self.tar.get_mut().get_mut();
        let error = blob.failure.take().unwrap_or(error);
        blob.blob.error(error).into()
    }
}

/// Without a blob at hand: the compressor itself failed.
fn internal(source: io::Error) -> PackError {
    PackError::Io {
        path: PathBuf::from("the archive"),
        source,
    }
}

/// Fills a field of a header and says whether the bytes fit.
fn set_field(field: &mut [u8], bytes: &[u8]) -> bool {
    let fitting = bytes.len().min(field.len());
    field[..fitting].copy_from_slice(&bytes[..fitting]);
    fitting == bytes.len()
}

/// A path as archives have it: raw bytes, forward slashes.
fn archive_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if cfg!(windows) {
        return bytes
            .iter()
            .map(|byte| if *byte == b'\\' { b'/' } else { *byte })
            .collect::<Vec<u8>>()
            .into();
    }
    bytes.into()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Keeps the store's own error, which compressors like to dress up.
struct Failing {
    blob: BlobWriter,
    compressed: Rc<Cell<u64>>,
    failure: Option<io::Error>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.blob.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            io::Error::from(kind)
        });
        self.compressed.set(self.blob.size());
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

/// Exactly as many bytes as promised, whatever happens to the file meanwhile: zeros stand for what is missing.
struct Exact<'a> {
    file: File,
    left: u64,
    trouble: Option<String>,
    is_bomb: bool,
    progress: &'a mut Progress,
    compressed: Rc<Cell<u64>>,
    limits: &'a PackLimits,
    control: &'a Control<'a>,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.control.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        // Better now than after all of it was read.
        if self.progress.bytes > self.limits.most_bytes(self.compressed.get() + HELD_BACK) {
            self.is_bomb = true;
            return Err(io::Error::other("too dense"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let mut read = 0;
        if self.trouble.is_none() {
            match self.file.read(&mut buffer[..most]) {
                Ok(0) => self.trouble = Some("it shrank while being packed; zeros stand for the rest".to_owned()),
                Ok(count) => read = count,
                Err(error) => {
                    self.trouble = Some(format!(
                        "it could be read only in part ({error}); zeros stand for the rest"
                    ))
                }
            }
        }
        if self.trouble.is_some() {
            buffer[..most].fill(0);
            read = most;
        }
        self.left -= read as u64;
        self.progress.bytes += read as u64;
        self.control.report(*self.progress);
        Ok(read)
    }
}
