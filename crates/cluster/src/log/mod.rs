//! The log on disk: segments of blocks, one sync for each append.
//!
//! Nothing is ever written over: what a new leader takes back is taken back by a block that says so, and what is not needed any
//! more goes segment by segment. So a crash leaves a log that ends with a whole append, and anything else is corruption, which
//! is refused and never repaired by guessing: what this node acknowledged is still on the others.

pub(crate) mod block;
mod open;
mod raft;
mod small;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use open::LogError;
pub(crate) use open::begin_behind;
pub(crate) use raft::LogStore;
pub(crate) use small::{read_small, sync_dir, write_small};

use crate::types::{Entry, LogId, Vote};

/// How long a segment is, unless one append is longer. It is filled with zeros first, so that an append changes no length.
const SEGMENT: u64 = 16 << 20;
/// So many bytes of the newest entries are kept in memory for the followers.
const CACHED_BYTES: usize = 16 << 20;
const PURGED: &str = "purged";
const SYNCED: &str = "synced";
const VOTE: &str = "vote";

/// The log of one node.
pub(crate) struct Log {
    dir: PathBuf,
    segments: VecDeque<Segment>,
    /// Where each entry is, from `first` on.
    places: VecDeque<Place>,
    first: u64,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// Entries up to the last one.
    cache: VecDeque<(Entry, usize)>,
    cached: usize,
    /// Says how far the last segment was synced, so that damage is not taken for a crash.
    synced: File,
}

struct Segment {
    number: u64,
    file: Arc<File>,
    /// Where the next block goes, and where there is no more room.
    end: u64,
    room: u64,
}

#[derive(Clone, Copy)]
struct Place {
    segment: u64,
    offset: u64,
    length: usize,
}

/// Entries in the form of the log.
pub(crate) struct Written {
    entries: Vec<Entry>,
    records: Vec<Vec<u8>>,
}

impl Written {
    pub(crate) fn new(entries: impl IntoIterator<Item = Entry>) -> io::Result<Self> {
        let entries: Vec<_> = entries.into_iter().collect();
        let records = entries
            .iter()
            .map(|entry| postcard::to_stdvec(entry).map_err(io::Error::other))
            .collect::<io::Result<_>>()?;
        Ok(Written { entries, records })
    }
}

/// What must still be synced before an append is promised.
pub(crate) struct Unsynced {
    file: Arc<File>,
    segment: u64,
    end: u64,
}

impl Unsynced {
    /// Waits for the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Log {
    /// Writes entries behind the last one. They are promised once the result is synced.
    pub(crate) fn append(&mut self, written: Written) -> io::Result<Option<Unsynced>> {
        let (Some(head), Some(last)) = (written.entries.first(), written.entries.last()) else {
            return Ok(None);
        };
        let first = head.log_id.index;
        let next = self.next_index();
        if first > next {
            return Err(io::Error::other(format!(
                "entry {first} does not follow on entry {}",
                next - 1
            )));
        }
        let last = last.log_id;
        let (segment, offset, unsynced) = self.write(&block::encode(first, &written.records))?;
        self.cut(first);
        self.places
            .extend(block::places(&written.records).map(|(at, length)| Place {
                segment,
                offset: offset + at as u64,
                length,
            }));
        self.last = Some(last);
        for (entry, record) in written.entries.into_iter().zip(written.records) {
            self.cached += record.len();
            self.cache.push_back((entry, record.len()));
        }
        while self.cached > CACHED_BYTES
            && let Some((_, length)) = self.cache.pop_front()
        {
            self.cached -= length;
        }
        Ok(Some(unsynced))
    }

    /// Takes back all entries from there on.
    pub(crate) fn truncate(&mut self, from: u64) -> io::Result<()> {
        let (_, _, unsynced) = self.write(&block::encode(from, &[]))?;
        unsynced.sync()?;
        self.note_synced(&unsynced);
        self.cut(from);
        self.last = match self.places.len() {
            0 => self.purged,
            _ => Some(self.entries(from - 1, from, usize::MAX)?[0].log_id),
        };
        Ok(())
    }

    /// Forgets all entries up to that one; they need not exist.
    pub(crate) fn purge(&mut self, upto: LogId) -> io::Result<()> {
        if self.purged.is_some_and(|purged| purged >= upto) {
            return Ok(());
        }
        small::write_small(&self.dir.join(PURGED), &upto)?;
        self.purged = Some(upto);
        self.forget(upto.index);
        self.last = self.last.max(self.purged);
        // A segment may go when no entry is in it any more, but never the one that is written to.
        let oldest = self.places.front().map(|place| place.segment);
        while self.segments.len() > 1
            && oldest.is_none_or(|oldest| self.segments[0].number < oldest)
            && let Some(segment) = self.segments.pop_front()
        {
            std::fs::remove_file(segment_path(&self.dir, segment.number))?;
        }
        Ok(())
    }

    /// The entries in `from..end`, or the first of them, if all were more than so many bytes.
    pub(crate) fn entries(&self, from: u64, end: u64, bytes: usize) -> io::Result<Vec<Entry>> {
        let end = end.min(self.next_index());
        let cached_from = self.next_index() - self.cache.len() as u64;
        let mut entries = Vec::new();
        let mut taken = 0;
        for index in from.max(self.first)..end {
            let place = self.places[(index - self.first) as usize];
            taken += place.length;
            if taken > bytes && !entries.is_empty() {
                break;
            }
            entries.push(match index.checked_sub(cached_from) {
                Some(at) => self.cache[at as usize].0.clone(),
                None => self.read(place)?,
            });
        }
        Ok(entries)
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        self.last
    }

    /// Notes that an append is on disk. Only damage is told by it, so it may be lost itself.
    pub(crate) fn note_synced(&self, synced: &Unsynced) {
        let note = small::seal(&(synced.segment, synced.end));
        if let Err(error) = self.synced.write_all_at(&note, 0) {
            tracing::warn!(%error, "how far the log was synced was not noted");
        }
    }

    /// Promises who this node voted for.
    pub(crate) fn save_vote(&self, vote: &Vote) -> io::Result<()> {
        small::write_small(&self.dir.join(VOTE), vote)
    }

    pub(crate) fn read_vote(&self) -> io::Result<Option<Vote>> {
        small::read_small(&self.dir.join(VOTE))
    }

    fn next_index(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Drops all entries from there on from memory.
    fn cut(&mut self, from: u64) {
        let keep = from.saturating_sub(self.first) as usize;
        while self.places.len() > keep {
            self.places.pop_back();
            if let Some((_, length)) = self.cache.pop_back() {
                self.cached -= length;
            }
        }
        if self.places.is_empty() {
            self.first = from;
        }
    }

    /// Drops all entries up to that one from memory.
    fn forget(&mut self, upto: u64) {
        while self.first <= upto && self.places.pop_front().is_some() {
            self.first += 1;
        }
        self.first = self.first.max(upto + 1);
        while self.cache.len() > self.places.len()
            && let Some((_, length)) = self.cache.pop_front()
        {
            self.cached -= length;
        }
    }

    fn read(&self, place: Place) -> io::Result<Entry> {
        let segment = self
            .segments
            .iter()
            .find(|segment| segment.number == place.segment)
            .ok_or_else(|| io::Error::other(format!("segment {} of the log is gone", place.segment)))?;
        let mut record = vec![0; place.length];
        segment.file.read_exact_at(&mut record, place.offset)?;
        postcard::from_bytes(&record).map_err(io::Error::other)
    }

    /// Puts a block behind the last one; says in which segment and where it is.
    fn write(&mut self, block: &[u8]) -> io::Result<(u64, u64, Unsynced)> {
        if self
            .segments
            .back()
            .is_none_or(|segment| segment.end + block.len() as u64 > segment.room)
        {
            let number = self.segments.back().map_or(1, |segment| segment.number + 1);
            let room = SEGMENT.max(block.len() as u64);
            self.segments.push_back(create_segment(&self.dir, number, room)?);
        }
        let segment = self.segments.back_mut().expect("there is one now");
        let offset = segment.end;
        segment.file.write_all_at(block, offset)?;
        segment.end += block.len() as u64;
        let unsynced = Unsynced {
            file: segment.file.clone(),
            segment: segment.number,
            end: segment.end,
        };
        Ok((segment.number, offset, unsynced))
    }
}

/// A segment full of zeros, which is there after a crash.
fn create_segment(dir: &Path, number: u64, room: u64) -> io::Result<Segment> {
    let path = segment_path(dir, number);
    // Under another name until it is whole: what is left of one is written over.
    let making = dir.join("next-segment");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&making)?;
    let zeros = vec![0; 1 << 20];
    let mut left = room;
    while left > 0 {
        let part = left.min(zeros.len() as u64) as usize;
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_all()?;
    std::fs::rename(&making, &path)?;
    small::sync_dir(dir)?;
    Ok(Segment {
        number,
        file: Arc::new(file),
        end: 0,
        room,
    })
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.log"))
}

#[cfg(test)]
mod tests;
