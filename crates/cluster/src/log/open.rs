//! Opening a log: what a crash left is made whole, what no crash does is refused.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Log, PURGED, Place, SYNCED, Segment, VOTE, block, segment_path, small};
use crate::types::{Entry, LogId, Vote};

/// Why a log could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The files could not be used.
    #[error("cannot use the log in {}: {source}. Check that the directory is writable and has space", dir.display())]
    Io {
        /// The directory of the log.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that was on disk is not there any more, or not as it was.
    #[error(
        "the log file {} is damaged at byte {offset}: {what}. It was left untouched. What this node promised is on the other \
         nodes: remove this node from the cluster, move its directory away, and let it join again", path.display()
    )]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl Log {
    /// Opens the log of a directory, or begins one.
    pub(crate) fn open(dir: &Path) -> Result<Self, LogError> {
        let io = |source| LogError::Io {
            dir: dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(io)?;
        let purged: Option<LogId> = small::read_small(&dir.join(PURGED)).map_err(io)?;
        let noted = std::fs::read(dir.join(SYNCED)).ok();
        let noted: Option<(u64, u64)> = noted.and_then(|bytes| small::unseal(&bytes));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut log = Log {
            dir: dir.to_owned(),
            segments: VecDeque::new(),
            places: VecDeque::new(),
            first: purged.map_or(0, |purged| purged.index + 1),
            purged,
            last: purged,
            cache: VecDeque::new(),
            cached: 0,
            synced: options.open(dir.join(SYNCED)).map_err(io)?,
        };
        let numbers = segment_numbers(dir).map_err(io)?;
        let corrupt = |number, offset, what| LogError::Corrupt {
            path: segment_path(dir, number),
            offset,
            what,
        };
        if let Some((segment, _)) = noted
            && numbers.last().is_none_or(|last| *last < segment)
        {
            return Err(corrupt(segment, 0, "the whole file is missing"));
        }
        for (at, number) in numbers.iter().copied().enumerate() {
            if at > 0 && numbers[at - 1] + 1 != number {
                return Err(corrupt(number - 1, 0, "the whole file is missing"));
            }
            let is_last = at + 1 == numbers.len();
            let bytes = std::fs::read(segment_path(dir, number)).map_err(io)?;
            let scan = block::scan(&bytes).map_err(|broken| {
                corrupt(
                    number,
                    broken.offset,
                    "what follows it can be read, so no crash did this",
                )
            })?;
            if scan.torn && !is_last {
                return Err(corrupt(
                    number,
                    scan.end,
                    "the log goes on in the next file, so no crash did this",
                ));
            }
            if let Some((segment, end)) = noted
                && segment == number
                && (scan.end as u64) < end
            {
                return Err(corrupt(
                    number,
                    scan.end,
                    "what was there had been synced, so no crash did this",
                ));
            }
            for found in &scan.blocks {
                log.replay(number, found)
                    .map_err(|()| corrupt(number, scan.end, "entries before it are missing"))?;
            }
            let file = options.open(segment_path(dir, number)).map_err(io)?;
            if scan.torn {
                tracing::warn!(
                    segment = number,
                    at = scan.end,
                    "the log ends with an append that a crash cut off; nobody was promised it, so it is dropped"
                );
                file.set_len(scan.end as u64).map_err(io)?;
                file.sync_all().map_err(io)?;
            }
            log.segments.push_back(Segment {
                number,
                file: Arc::new(file),
                end: scan.end as u64,
                room: if scan.torn { scan.end as u64 } else { bytes.len() as u64 },
            });
        }
        log.last = log.find_last().map_err(io)?;
        log.sync_found().map_err(io)?;
        Ok(log)
    }

    /// Waits until everything that was found is on disk. A process that was killed may have left what only the system's memory
    /// has; from now on it counts as promised.
    fn sync_found(&self) -> io::Result<()> {
        if let Some(segment) = self.segments.back() {
            segment.file.sync_all()?;
        }
        for name in [PURGED, VOTE] {
            match File::open(self.dir.join(name)) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        small::sync_dir(&self.dir)
    }

    /// Does in memory what a block says.
    fn replay(&mut self, segment: u64, found: &block::Found) -> Result<(), ()> {
        let purged = self.purged.map_or(0, |purged| purged.index + 1);
        let mut first = found.first;
        let records = found.records.iter().map(|(offset, length)| Place {
            segment,
            offset: *offset as u64,
            length: *length,
        });
        let skip = purged.saturating_sub(first).min(found.records.len() as u64);
        first += skip;
        if found.records.is_empty() || first >= purged {
            self.cut(first.max(purged));
        }
        if skip as usize == found.records.len() {
            return Ok(());
        }
        if first != self.next_index() {
            return Err(());
        }
        self.places.extend(records.skip(skip as usize));
        Ok(())
    }

    fn find_last(&self) -> io::Result<Option<LogId>> {
        match self.places.back() {
            None => Ok(self.purged),
            Some(place) => {
                let entry: Entry = self.read(*place)?;
                Ok(Some(entry.log_id))
            }
        }
    }
}

fn segment_numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_suffix(".log")) {
            numbers.push(number.parse().map_err(io::Error::other)?);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A log that begins behind that entry, for a node whose databases come from elsewhere.
pub(crate) fn begin_behind(dir: &Path, log_id: LogId) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    small::write_small(&dir.join(PURGED), &log_id)?;
    // The next leader's term is to be a later one than that entry's.
    let vote = Vote::new(log_id.leader_id.term, 0);
    small::write_small(&dir.join(VOTE), &vote)
}
