//! Laying out an archive that somebody else made, trusting nothing in it.
//!
//! Only directories and regular files are made, in a private folder that holds nothing else, so there is no link to be led
//! away by. What cannot be taken (links, devices, odd names) is named, and the scan says so. Limits hold for what comes out.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use helve_blobs::{Skipped, UnpackLimits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Compressed with a larger window than this, reading would take too much memory (a power of two).
const MAX_WINDOW_LOG: u32 = 27;
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
    /// Our own disk.
    #[error("the archive cannot be laid out: {0}")]
    Io(io::Error),
}

/// Lays out an archive in `dest`, an empty directory of ours. Blocking.
pub(crate) fn lay_out(
    file: fs::File,
    format: Format,
    dest: &Path,
    limits: &UnpackLimits,
) -> Result<Left, ArchiveError> {
    let compressed = file.metadata().map_err(ArchiveError::Io)?.len();
    let input = BufReader::with_capacity(128 * 1024, file);
    let most = limits
        .total_bytes
        .min(compressed.saturating_mul(limits.ratio).max(limits.ratio_floor));
    let mut laying = Laying {
        dest,
        limits,
        most,
        entries: 0,
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
    entries: u64,
    bytes: u64,
    left: Left,
}

impl Laying<'_> {
    fn all(&mut self, input: impl Read) -> Result<(), ArchiveError> {
        let malformed = |error: io::Error| ArchiveError::Malformed(plain(&error));
        // Headers, padding and skipped entries count too: a stream that never ends must.
        let ceiling = self.most.saturating_add(self.limits.entries.saturating_mul(4096));
        let mut archive = tar::Archive::new(input.take(ceiling));
        for entry in archive.entries().map_err(malformed)? {
            let mut entry = entry.map_err(malformed)?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(ArchiveError::TooMuch(format!(
                    "more than {} entries",
                    self.limits.entries
                )));
            }
            self.one(&mut entry)?;
        }
        if self.entries == 0 {
            return Err(ArchiveError::Malformed("there is nothing in it".to_owned()));
        }
        Ok(())
    }

    fn one(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader) {
            return Ok(());
        }
        let path = match entry
            .path()
            .map_err(|error| error.to_string())
            .map(|path| self.inside(&path))
        {
            Ok(Ok(path)) => path,
            Ok(Err(reason)) => {
                self.left.add(&shown, reason);
                return Ok(());
            }
            Err(reason) => {
                self.left.add(&shown, &reason);
                return Ok(());
            }
        };
        match kind {
            tar::EntryType::Directory => self.directory(&path, &shown),
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.file(entry, &path, &shown)
            }
            tar::EntryType::Symlink => {
                self.left.add(&shown, "a link is not taken from an archive");
                Ok(())
            }
            tar::EntryType::Link => {
                self.left.add(&shown, "a hard link is not taken from an archive");
                Ok(())
            }
            _ => {
                self.left.add(&shown, "neither a file nor a directory");
                Ok(())
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

    fn directory(&mut self, path: &Path, shown: &str) -> Result<(), ArchiveError> {
        match fs::create_dir_all(path) {
            Ok(()) => Ok(()),
            // A file of that name came before.
            Err(error) if is_of_the_archive(&error) => {
                self.left.add(shown, "a file has that name too");
                Ok(())
            }
            Err(error) => Err(ArchiveError::Io(error)),
        }
    }

    fn file(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path, shown: &str) -> Result<(), ArchiveError> {
        if path == self.dest {
            self.left.add(shown, "it has no name");
            return Ok(());
        }
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let parent = path.parent().unwrap_or(self.dest);
        let made = fs::create_dir_all(parent).and_then(|()| create(path, executable));
        let mut file = match made {
            Ok(file) => file,
            Err(error) if is_of_the_archive(&error) => {
                self.left.add(shown, "something of that name came before");
                return Ok(());
            }
            Err(error) => return Err(ArchiveError::Io(error)),
        };
        let mut buffer = vec![0; 128 * 1024];
        let mut size = 0;
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|error| ArchiveError::Malformed(plain(&error)))?;
            if read == 0 {
                return Ok(());
            }
            size += read as u64;
            self.bytes += read as u64;
            if size > self.limits.file_bytes || self.bytes > self.most {
                return Err(ArchiveError::TooMuch(format!(
                    "more than {} bytes come out of it",
                    self.most.min(self.limits.file_bytes)
                )));
            }
            file.write_all(&buffer[..read]).map_err(ArchiveError::Io)?;
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
mod tests {
    use super::*;

    /// An archive with paths that the library itself would refuse to write.
    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            let name = &mut header.as_gnu_mut().unwrap().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name_literal("/etc").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn laid_out(
        bytes: &[u8],
        format: Format,
        limits: &UnpackLimits,
    ) -> (tempfile::TempDir, Result<Left, ArchiveError>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data"), bytes).unwrap();
        let dest = dir.path().join("content");
        fs::create_dir(&dest).unwrap();
        let left = lay_out(fs::File::open(dir.path().join("data")).unwrap(), format, &dest, limits);
        (dir, left)
    }

    #[test]
    fn nothing_is_written_outside_and_no_link_is_made_or_followed() {
        use tar::EntryType::{Regular, Symlink};
        let bytes = archive(&[
            ("../evil", Regular, b"x"),
            ("/abs", Regular, b"x"),
            ("a/../../evil", Regular, b"x"),
            ("link", Symlink, b""),
            ("link/passwd", Regular, b"x"),
            ("src/main.py", Regular, b"print(1)"),
            ("src/main.py", Regular, b"again"),
            ("src", Regular, b"x"),
        ]);
        let (dir, left) = laid_out(&bytes, Format::Tar, &UnpackLimits::default());
        assert_eq!(left.unwrap().total, 6);
        let content = dir.path().join("content");
        assert_eq!(fs::read(content.join("src/main.py")).unwrap(), b"print(1)");
        assert!(content.join("link").is_dir(), "a directory of its own");
        let mut beside: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        beside.sort();
        assert_eq!(beside, ["content", "data"]);
    }

    #[test]
    fn a_bomb_goes_off_nowhere() {
        let limits = UnpackLimits {
            ratio: 10,
            ratio_floor: 1 << 20,
            ..UnpackLimits::default()
        };
        let tar = archive(&[("zeros", tar::EntryType::Regular, &vec![0; 4 << 20])]);
        let bomb = zstd::encode_all(&tar[..], 19).unwrap();
        let (_dir, left) = laid_out(&bomb, Format::TarZst, &limits);
        assert!(matches!(left, Err(ArchiveError::TooMuch(_))), "{left:?}");
    }

    #[test]
    fn what_is_no_archive_is_said_to_be_none() {
        for (bytes, format) in [
            (&b"not an archive at all"[..], Format::Tar),
            (b"", Format::Tar),
            (b"x", Format::TarGz),
            (b"x", Format::TarZst),
        ] {
            let (_dir, left) = laid_out(bytes, format, &UnpackLimits::default());
            assert!(matches!(left, Err(ArchiveError::Malformed(_))), "{format:?}: {left:?}");
        }
    }

    #[test]
    fn an_archive_that_ends_too_soon_is_refused() {
        let tar = archive(&[("a", tar::EntryType::Regular, &[7; 5000])]);
        let (_dir, left) = laid_out(&tar[..2000], Format::Tar, &UnpackLimits::default());
        assert!(matches!(left, Err(ArchiveError::Malformed(_))), "{left:?}");
    }
}
