//! Where entries are laid out: below one directory, whatever happens to that directory meanwhile.
//!
//! A tool without walls around it is the same user as this process, and may put a link where a directory was a moment ago.
//! So nothing is created by its whole path: the directories on the way to an entry are held open, each was opened from the
//! one above it without following a link, and the entry is created in the last of them.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(unix)]
pub(super) use unix::Place;

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};

    use super::*;

    /// The workspace, and the directories on the way to the last entry.
    pub(in super::super) struct Place {
        root: OwnedFd,
        open: Vec<(Vec<u8>, OwnedFd)>,
    }

    impl Place {
        pub(in super::super) fn open(root: &Path) -> io::Result<Self> {
            Ok(Place {
                root: directory(CWD, root.as_os_str())?,
                open: Vec::new(),
            })
        }

        pub(in super::super) fn directory(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
            let (parent, name) = self.parent(parts)?;
            Ok(mkdirat(parent, name, Mode::from(0o777))?)
        }

        pub(in super::super) fn file(&mut self, parts: &[Vec<u8>], executable: bool) -> io::Result<File> {
            let (parent, name) = self.parent(parts)?;
            let mode = Mode::from(if executable { 0o755 } else { 0o644 });
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(openat(parent, name, flags, mode)?.into())
        }

        pub(in super::super) fn link(&mut self, parts: &[Vec<u8>], target: &Path) -> io::Result<()> {
            let (parent, name) = self.parent(parts)?;
            Ok(symlinkat(target, parent, name)?)
        }

        /// The directory that an entry is in, and its name there. Entries come in order, so most of the way is open.
        fn parent<'a>(&'a mut self, parts: &'a [Vec<u8>]) -> io::Result<(BorrowedFd<'a>, &'a OsStr)> {
            let (name, way) = parts.split_last().ok_or(io::ErrorKind::InvalidInput)?;
            let same = self.open.iter().zip(way).take_while(|((open, _), part)| open == *part);
            let same = same.count();
            self.open.truncate(same);
            for part in &way[same..] {
                let next = directory(self.last(), OsStr::from_bytes(part))?;
                self.open.push((part.clone(), next));
            }
            Ok((self.last(), OsStr::from_bytes(name)))
        }

        fn last(&self) -> BorrowedFd<'_> {
            self.open.last().map_or(&self.root, |(_, directory)| directory).as_fd()
        }
    }

    fn directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(parent, name, flags, Mode::empty())?)
    }
}

/// By path: this system's tools are not run in a sandbox, and links cannot be laid out.
#[cfg(not(unix))]
pub(super) struct Place(std::path::PathBuf);

#[cfg(not(unix))]
impl Place {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Place(root.to_owned()))
    }

    pub(super) fn directory(&mut self, parts: &[Vec<u8>]) -> io::Result<()> {
        std::fs::create_dir(self.path(parts)?)
    }

    pub(super) fn file(&mut self, parts: &[Vec<u8>], _executable: bool) -> io::Result<File> {
        File::options().write(true).create_new(true).open(self.path(parts)?)
    }

    pub(super) fn link(&mut self, _parts: &[Vec<u8>], _target: &Path) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "symbolic links cannot be laid out on this system",
        ))
    }

    fn path(&self, parts: &[Vec<u8>]) -> io::Result<std::path::PathBuf> {
        let mut path = self.0.clone();
        for part in parts {
            path.push(std::str::from_utf8(part).map_err(|_| io::ErrorKind::InvalidData)?);
        }
        Ok(path)
    }
}
