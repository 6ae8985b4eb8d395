//! Laying out an archive that somebody else made, trusting nothing in it.
//!
//! Only directories and regular files are made, in a private folder that holds nothing else, so there is no link to be led
//! away by. What cannot be taken (links, devices, odd names) is named, and the scan says so. Limits hold for what comes out.

use std::cell::Cell;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use helve_blobs::{Skipped, UnpackLimits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Compressed with a larger window than this, reading would take too much memory (a power of two).
const MAX_WINDOW_LOG: u32 = 27;
/// Bytes that may come before the content of an entry: its headers with long names, attributes, the map of a sparse file. The
/// library keeps them in memory.
const MAX_HEADERS: u64 = 1 << 20;
/// Directories that are on the way to an entry without being one: so many for each entry, beside some for the deep ones. A path
/// is short when it is compressed, and a directory for each of its letters is not.
const UNNAMED_PER_ENTRY: u64 = 4;
const UNNAMED: u64 = 10_000;
/// How long it may take to lay out what comes out of an archive.
const WITHIN: Duration = Duration::from_secs(15 * 60);
/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;
/// Skipped entries that are named.
const NAMED: usize = 20;

/// How the bytes of an upload are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// An archive of a directory.
    Tar,
    /// The same, compressed by gzip.
    TarGz,
    /// The same, compressed by Zstandard; also what `helve` packs.
    TarZst,
    /// The file itself is the target: a binary, a package, a firmware image.
    File,
}

/// What could not be taken.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Left {
    /// The first of them.
    pub(crate) named: Vec<Skipped>,
    /// How many.
    pub(crate) total: u64,
}

impl Left {
    fn add(&mut self, path: &str, reason: &str) {
        self.total += 1;
        if self.named.len() < NAMED {
            self.named.push(Skipped {
                path: path.chars().take(500).collect(),
                reason: reason.to_owned(),
            });
        }
    }
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The bytes are no archive, or end too soon.
    #[error("the archive cannot be read: {0}")]
    Malformed(String),
    /// It would take more than a target may.
    #[error("the archive holds too much: {0}")]
    TooMuch(String),
    /// Nobody waits for it any more.
    #[error("the archive is not laid out: whoever sent it has left")]
    Stopped,
    /// Our own disk.
    #[error("the archive cannot be laid out: {0}")]
    Io(io::Error),
}

/// Lays out an archive in `dest`, an empty directory of ours, until `stop` turns true. Blocking.
pub(crate) fn lay_out(
    file: fs::File,
    format: Format,
    dest: &Path,
    limits: &UnpackLimits,
    stop: &AtomicBool,
) -> Result<Left, ArchiveError> {
    lay_out_within(WITHIN, file, format, dest, limits, stop)
}

fn lay_out_within(
    within: Duration,
    file: fs::File,
    format: Format,
    dest: &Path,
    limits: &UnpackLimits,
    stop: &AtomicBool,
) -> Result<Left, ArchiveError> {
    let compressed = file.metadata().map_err(ArchiveError::Io)?.len();
    let input = BufReader::with_capacity(BUFFER, file);
    let most = limits
        .total_bytes
        .min(compressed.saturating_mul(limits.ratio).max(limits.ratio_floor));
    let mut laying = Laying {
        dest,
        limits,
        most,
        stop,
        within,
        began: Instant::now(),
        entries: 0,
        unnamed: 0,
        bytes: 0,
        left: Left::default(),
    };
    match format {
        Format::Tar => laying.all(input)?,
        Format::TarGz => laying.all(flate2::bufread::MultiGzDecoder::new(input))?,
        Format::TarZst => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(ArchiveError::Io)?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(ArchiveError::Io)?;
            laying.all(decoder)?;
        }
        Format::File => return Err(ArchiveError::Malformed("a single file is no archive".to_owned())),
    }
    Ok(laying.left)
}

struct Laying<'a> {
    dest: &'a Path,
    limits: &'a UnpackLimits,
    most: u64,
    stop: &'a AtomicBool,
    within: Duration,
    began: Instant,
    entries: u64,
    /// Directories on the way to entries.
    unnamed: u64,
    bytes: u64,
    left: Left,
}

/// Bytes that pass as long as there is an allowance for them.
struct Allowed<'a, R> {
    inner: R,
    allowance: &'a Cell<u64>,
}

impl<R: Read> Read for Allowed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowance = self.allowance.get();
        if allowance == 0 && !buffer.is_empty() {
            return Err(io::Error::other("more bytes than may come at this place"));
        }
        let most = usize::try_from(allowance).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.allowance.set(allowance - read as u64);
        Ok(read)
    }
}

impl Laying<'_> {
    fn all(&mut self, input: impl Read) -> Result<(), ArchiveError> {
        // Headers, padding and skipped entries count too: a stream that never ends must.
        let ceiling = self.most.saturating_add(self.limits.entries.saturating_mul(4096));
        let allowance = Cell::new(MAX_HEADERS);
        let malformed = |error: io::Error| match allowance.get() {
            0 => ArchiveError::TooMuch(format!(
                "the names and attributes of one entry have more than {MAX_HEADERS} bytes"
            )),
            _ => ArchiveError::Malformed(plain(&error)),
        };
        let mut archive = tar::Archive::new(Allowed {
            inner: input.take(ceiling),
            allowance: &allowance,
        });
        for entry in archive.entries().map_err(malformed)? {
            let mut entry = entry.map_err(malformed)?;
            self.entries += 1;
            self.check_count()?;
            allowance.set(u64::MAX);
            let file = self.one(&entry)?;
            // Also what is not taken is read here: nothing but headers comes before the next one.
            self.content(&mut entry, file)?;
            allowance.set(MAX_HEADERS);
        }
        if self.entries == 0 {
            return Err(ArchiveError::Malformed("there is nothing in it".to_owned()));
        }
        Ok(())
    }

    /// Whether it may go on.
    fn check_time(&self) -> Result<(), ArchiveError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(ArchiveError::Stopped);
        }
        match self.began.elapsed() > self.within {
            true => Err(ArchiveError::TooMuch(format!(
                "laying it out takes longer than {} seconds",
                self.within.as_secs()
            ))),
            false => Ok(()),
        }
    }

    fn check_count(&self) -> Result<(), ArchiveError> {
        self.check_time()?;
        if self.entries + self.unnamed > self.limits.entries {
            return Err(ArchiveError::TooMuch(format!(
                "more than {} entries and directories on the way to them",
                self.limits.entries
            )));
        }
        if self.unnamed > self.entries * UNNAMED_PER_ENTRY + UNNAMED {
            return Err(ArchiveError::TooMuch(format!(
                "{} directories on the way to {} entries",
                self.unnamed, self.entries
            )));
        }
        Ok(())
    }

    /// Makes what an entry stands for. When that is a file, its content is to come.
    fn one(&mut self, entry: &tar::Entry<'_, impl Read>) -> Result<Option<fs::File>, ArchiveError> {
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader) {
            return Ok(None);
        }
        let path = match entry
            .path()
            .map_err(|error| error.to_string())
            .map(|path| self.inside(&path))
        {
            Ok(Ok(path)) => path,
            Ok(Err(reason)) => {
                self.left.add(&shown, reason);
                return Ok(None);
            }
            Err(reason) => {
                self.left.add(&shown, &reason);
                return Ok(None);
            }
        };
        match kind {
            tar::EntryType::Directory => self.directory(&path, &shown).map(|()| None),
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.file(entry, &path, &shown)
            }
            tar::EntryType::Symlink => {
                self.left.add(&shown, "a link is not taken from an archive");
                Ok(None)
            }
            tar::EntryType::Link => {
                self.left.add(&shown, "a hard link is not taken from an archive");
                Ok(None)
            }
            _ => {
                self.left.add(&shown, "neither a file nor a directory");
                Ok(None)
            }
        }
    }

    /// The path below `dest`, if it is below.
    fn inside(&self, path: &Path) -> Result<PathBuf, &'static str> {
        let mut inside = self.dest.to_owned();
        let mut depth = 0;
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(name) => {
                    depth += 1;
                    if name.len() > 255 {
                        return Err("a name has more than 255 bytes");
                    }
                    inside.push(name);
                }
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err("its path leads out of the archive");
                }
            }
        }
        if depth > self.limits.depth || path.as_os_str().len() as u64 > self.limits.path_bytes {
            return Err("its path is too long");
        }
        Ok(inside)
    }

    /// Makes the directories on the way to an entry.
    fn way_to(&mut self, path: &Path) -> Result<(), ArchiveError> {
        let mut missing = Vec::new();
        for directory in path.ancestors().skip(1) {
            match fs::create_dir(directory) {
                Ok(()) => {
                    self.unnamed += 1;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(directory),
                Err(_) if directory.is_dir() => break,
                Err(error) => return Err(ArchiveError::Io(error)),
            }
        }
        for directory in missing.into_iter().rev() {
            self.unnamed += 1;
            self.check_count()?;
            fs::create_dir(directory).map_err(ArchiveError::Io)?;
        }
        self.check_count()
    }

    fn directory(&mut self, path: &Path, shown: &str) -> Result<(), ArchiveError> {
        if path == self.dest {
            return Ok(());
        }
        let made = self
            .way_to(path)
            .and_then(|()| fs::create_dir(path).map_err(ArchiveError::Io));
        match made {
            Ok(()) => Ok(()),
            // It came before, or was on the way to another.
            Err(ArchiveError::Io(_)) if path.is_dir() => Ok(()),
            // A file of that name came before.
            Err(ArchiveError::Io(error)) if is_of_the_archive(&error) => {
                self.left.add(shown, "a file has that name too");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn file(
        &mut self,
        entry: &tar::Entry<'_, impl Read>,
        path: &Path,
        shown: &str,
    ) -> Result<Option<fs::File>, ArchiveError> {
        if path == self.dest {
            self.left.add(shown, "it has no name");
            return Ok(None);
        }
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let made = self
            .way_to(path)
            .and_then(|()| create(path, executable).map_err(ArchiveError::Io));
        match made {
            Ok(file) => Ok(Some(file)),
            Err(ArchiveError::Io(error)) if is_of_the_archive(&error) => {
                self.left.add(shown, "something of that name came before");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the content of an entry, which counts whether it is kept or not.
    fn content(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        mut file: Option<fs::File>,
    ) -> Result<(), ArchiveError> {
        let mut buffer = vec![0; usize::try_from(entry.size()).unwrap_or(BUFFER).min(BUFFER)];
        let mut size = 0;
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|error| ArchiveError::Malformed(plain(&error)))?;
            if read == 0 {
                return Ok(());
            }
            self.check_time()?;
            size += read as u64;
            self.bytes += read as u64;
            if size > self.limits.file_bytes || self.bytes > self.most {
                return Err(ArchiveError::TooMuch(format!(
                    "more than {} bytes come out of it",
                    self.most.min(self.limits.file_bytes)
                )));
            }
            if let Some(file) = &mut file {
                file.write_all(&buffer[..read]).map_err(ArchiveError::Io)?;
            }
        }
    }
}

/// Whether the archive itself is to blame.
fn is_of_the_archive(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    )
}

#[cfg(unix)]
fn create(path: &Path, executable: bool) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = if executable { 0o700 } else { 0o600 };
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _executable: bool) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// Without the number of a system error.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
