//! The walk: every entry that is to be packed, parents first, siblings in byte order of their names.

use std::ffi::OsString;
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::rules::{Rules, Verdict, holds_secrets};
use super::{PackOptions, Tally, Target};
use crate::link::stays_inside;
use crate::{Control, PackError};

/// Takes what the walk finds.
pub(super) trait Sink {
    /// Takes an entry, given by its path below the target.
    fn take(&mut self, path: &Path, found: Found<'_>) -> Result<(), Stop>;
}

/// An entry as the walk found it.
pub(super) enum Found<'a> {
    Directory,
    File(&'a Path, &'a fs::Metadata),
    Link(PathBuf),
}

/// Why a [`Sink`] did not take an entry.
pub(super) enum Stop {
    /// This one cannot be taken; the reason is for people.
    Skip(String),
    /// Nobody listens any more.
    Abort,
}

/// One walk over a target.
pub(super) struct Walk<'a> {
    target: &'a Target,
    options: &'a PackOptions,
    control: &'a Control<'a>,
    sink: &'a mut dyn Sink,
    rules: Rules,
    tally: Tally,
    entries: u64,
    /// Ignored directories on the way down that are not in the archive, and will be once a secret file turns up below.
    pending: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        target: &'a Target,
        options: &'a PackOptions,
        control: &'a Control<'a>,
        sink: &'a mut dyn Sink,
    ) -> Self {
        let rules = if options.ignore_files {
            Rules::above(&target.root)
        } else {
            Rules::none()
        };
        let (tally, pending) = (Tally::default(), Vec::new());
        Walk {
            target,
            options,
            control,
            sink,
            rules,
            tally,
            entries: 0,
            pending,
        }
    }

    pub(super) fn run(mut self) -> Result<Tally, PackError> {
        if self.target.is_file {
            let name = self.target.root.file_name().expect("a file has a name");
            let metadata = fs::symlink_metadata(&self.target.root).map_err(|source| PackError::Io {
                path: self.target.root.clone(),
                source,
            })?;
            self.leaf(&self.target.root, Path::new(name), &metadata, 1)?;
        } else {
            self.directory(&self.target.root, Path::new(""), 0, false)?;
        }
        Ok(self.tally)
    }

    fn directory(&mut self, full: &Path, relative: &Path, depth: u64, ignored: bool) -> Result<(), PackError> {
        let names = match sorted_entries(full) {
            Ok(names) => names,
            Err(error) => {
                self.tally
                    .skip(relative, format!("the directory cannot be read: {error}"));
                return Ok(());
            }
        };
        if depth > 0 {
            if ignored {
                self.pending.push(relative.to_owned());
            } else {
                self.emit_directory(relative)?;
            }
        }
        self.rules.enter(full);
        for (name, kind) in names {
            if self.control.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            self.entry(&full.join(&name), &relative.join(&name), kind, depth + 1, ignored)?;
        }
        self.rules.leave();
        if self.pending.last().is_some_and(|last| last == relative) {
            self.pending.pop();
        }
        Ok(())
    }

    fn entry(
        &mut self,
        full: &Path,
        relative: &Path,
        kind: io::Result<FileType>,
        depth: u64,
        below_ignored: bool,
    ) -> Result<(), PackError> {
        let is_dir = kind.as_ref().is_ok_and(FileType::is_dir);
        let verdict = match below_ignored {
            false => self.rules.verdict(full, is_dir),
            true => self.rules.verdict_below_ignored(full, is_dir),
        };
        let forced = verdict == Verdict::Ignored && !is_dir && holds_secrets(relative);
        if verdict != Verdict::Take && !forced {
            self.tally.metadata.add_ignored(relative);
            if !below_ignored {
                self.tally.ignored += 1;
            }
            if verdict == Verdict::Excluded || !is_dir {
                return Ok(());
            }
        }
        let limits = &self.options.limits;
        if depth > limits.depth || relative.as_os_str().len() as u64 > limits.path_bytes {
            self.tally.skip(relative, "its path is too deep or too long");
            return Ok(());
        }
        if is_dir {
            return self.directory(full, relative, depth, verdict == Verdict::Ignored);
        }
        let metadata = match kind.and_then(|_| fs::symlink_metadata(full)) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.tally.skip(relative, format!("it cannot be looked at: {error}"));
                return Ok(());
            }
        };
        if self.leaf(full, relative, &metadata, depth)? && forced {
            self.tally.force(relative);
        }
        Ok(())
    }

    /// Anything but a directory; says whether it was taken.
    fn leaf(&mut self, full: &Path, relative: &Path, metadata: &fs::Metadata, depth: u64) -> Result<bool, PackError> {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            return self.link(full, relative, metadata, depth);
        }
        if !kind.is_file() {
            self.tally.skip(relative, format!("it is {}", special(kind)));
            return Ok(false);
        }
        let limit = self.options.limits.file_bytes;
        if metadata.len() > limit {
            self.tally.skip(
                relative,
                format!("it has {} bytes, more than the {limit} allowed", metadata.len()),
            );
            return Ok(false);
        }
        if !self.emit(relative, metadata, Found::File(full, metadata))? {
            return Ok(false);
        }
        self.tally.files += 1;
        self.tally.bytes += metadata.len();
        self.check("bytes", self.tally.bytes, self.options.limits.total_bytes)?;
        Ok(true)
    }

    fn link(&mut self, full: &Path, relative: &Path, metadata: &fs::Metadata, depth: u64) -> Result<bool, PackError> {
        let target = match fs::read_link(full) {
            Ok(target) => target,
            Err(error) => {
                self.tally.skip(relative, format!("the link cannot be read: {error}"));
                return Ok(false);
            }
        };
        if target.as_os_str().len() as u64 > self.options.limits.path_bytes {
            self.tally.skip(relative, "it is a link with too long a target");
            return Ok(false);
        }
        let parent_depth = usize::try_from(depth - 1).unwrap_or_default();
        if !stays_inside(parent_depth, &target) {
            let reason = format!(
                "it is a link that may lead outside the target (to `{}`)",
                target.display()
            );
            self.tally.skip(relative, reason);
            return Ok(false);
        }
        self.emit(relative, metadata, Found::Link(target))
    }

    /// Hands an entry over after the directories that were waiting for one; says whether it was taken.
    fn emit(&mut self, relative: &Path, metadata: &fs::Metadata, found: Found<'_>) -> Result<bool, PackError> {
        for directory in std::mem::take(&mut self.pending) {
            self.emit_directory(&directory)?;
        }
        match self.sink.take(relative, found) {
            Ok(()) => {
                self.tally.metadata.add(relative, metadata);
                self.count_entry()?;
                Ok(true)
            }
            Err(Stop::Skip(reason)) => {
                self.tally.skip(relative, reason);
                Ok(false)
            }
            Err(Stop::Abort) => Err(PackError::Cancelled),
        }
    }

    fn emit_directory(&mut self, relative: &Path) -> Result<(), PackError> {
        self.tally.metadata.add_directory(relative);
        match self.sink.take(relative, Found::Directory) {
            Ok(()) => self.count_entry(),
            Err(_) => Err(PackError::Cancelled),
        }
    }

    fn count_entry(&mut self) -> Result<(), PackError> {
        self.entries += 1;
        self.check("files and directories", self.entries, self.options.limits.entries)
    }

    fn check(&self, what: &'static str, amount: u64, limit: u64) -> Result<(), PackError> {
        if amount <= limit {
            return Ok(());
        }
        Err(PackError::TooLarge {
            path: self.target.root.clone(),
            what,
            limit,
        })
    }
}

/// The names in a directory in byte order, so that the order is the same on every machine.
fn sorted_entries(directory: &Path) -> io::Result<Vec<(OsString, io::Result<FileType>)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        names.push((entry.file_name(), entry.file_type()));
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    Ok(names)
}

#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_socket() => "a socket",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_block_device() => "a block device",
        kind if kind.is_char_device() => "a character device",
        _ => "neither a file nor a directory",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "neither a file nor a directory"
}
