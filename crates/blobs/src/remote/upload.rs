//! Blobs on their way up.
//!
//! A small blob is one request. A larger one goes up in parts, a few at a time, and a journal beside the cache says which
//! parts have arrived: whoever sends the same blob again, after a crash too, sends only the rest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Error as S3Error, PutPayload};
use serde::{Deserialize, Serialize};

use super::Remote;
use super::errors::Doing;
use crate::lock::Locked;
use crate::{BlobId, BlobRef, Control, Progress, StoreError, Upstream};

/// Size of a part, and the largest blob that goes up in one request. The protocol asks for 5 MiB at least.
const PART: u64 = 8 << 20;
/// The protocol takes 10,000 parts; larger blobs get larger parts.
const MAX_PARTS: u64 = 9_000;
/// Parts on their way at the same time. With the one being read, this many parts are in memory.
const AT_ONCE: usize = 4;
/// A blob that sweeps remove this often while it is sent is not sent again.
const SWEPT_AWAY: u32 = 3;
/// A journal that nobody went on with for so long is given up, and its parts with it.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

impl Remote {
    /// Makes sure that the blob is there: sends what `file` holds unless it is known. Whether anything was sent.
    pub(super) fn ensure(
        &self,
        blob: &BlobRef,
        file: &mut File,
        journals: &Path,
        control: &Control<'_>,
    ) -> Result<bool, StoreError> {
        for _ in 0..SWEPT_AWAY {
            if self.touch(&blob.id, Some(blob.size), SystemTime::now())? {
                return Ok(false);
            }
            if blob.size <= PART {
                self.send_whole(blob, file)?;
            } else {
                self.send_parts(blob, file, journals, control)?;
            }
            // A sweep may have been about to remove what was there before, and may have removed this one with it.
            if !self.wait_for_sweeps(&blob.id, self.blob_key(&blob.id))? || self.size(&blob.id)? == Some(blob.size) {
                return Ok(true);
            }
        }
        Err(StoreError::Remote {
            action: "write to",
            place: self.name().to_owned(),
            reason: format!("blob {} was removed while it was sent", blob.id),
        })
    }

    fn send_whole(&self, blob: &BlobRef, file: &mut File) -> Result<(), StoreError> {
        let bytes = read_part(file, 0, blob.size).map_err(|error| unreadable(&blob.id, &error))?;
        self.put(self.blob_key(&blob.id), bytes)
    }

    fn send_parts(
        &self,
        blob: &BlobRef,
        file: &mut File,
        journals: &Path,
        control: &Control<'_>,
    ) -> Result<(), StoreError> {
        fs::create_dir_all(journals).map_err(|e| StoreError::io("create the directory", journals, e))?;
        let Some(mut locked) = Locked::open(&journals.join(blob.id.to_hex()), control)? else {
            return Err(StoreError::Cancelled);
        };
        // Whoever had the journal before may have finished.
        if self.size(&blob.id)? == Some(blob.size) {
            return locked.remove();
        }
        let key = self.blob_key(&blob.id);
        if let Some(journal) = Journal::read(&mut locked) {
            tracing::info!(id = %blob.id, parts = journal.parts.len(), "going on with an interrupted upload");
            match self.send_missing(blob, &key, file, journal, &mut locked, control) {
                // The server answers, but does not know the upload any more: it is begun anew.
                Err(StoreError::Remote { reason, .. }) => tracing::info!(id = %blob.id, reason, "it cannot go on"),
                Err(error) => return Err(error),
                Ok(()) => return locked.remove(),
            }
        }
        let journal = self.begin(&key, blob, &mut locked)?;
        self.send_missing(blob, &key, file, journal, &mut locked, control)?;
        locked.remove()
    }

    fn begin(&self, key: &Key, blob: &BlobRef, locked: &mut Locked) -> Result<Journal, StoreError> {
        let (store, place) = (Arc::clone(&self.store), key.clone());
        let upload = self
            .run(async move { store.create_multipart(&place).await })
            .map_err(|error| self.failed(Doing::Write, error))?;
        let journal = Journal {
            head: Head {
                key: key.to_string(),
                upload,
                part: PART.max(blob.size.div_ceil(MAX_PARTS)),
            },
            parts: BTreeMap::new(),
        };
        locked.clear()?;
        locked.append(&journal.head)?;
        Ok(journal)
    }

    fn send_missing(
        &self,
        blob: &BlobRef,
        key: &Key,
        file: &mut File,
        mut journal: Journal,
        locked: &mut Locked,
        control: &Control<'_>,
    ) -> Result<(), StoreError> {
        let part = journal.head.part;
        let count = usize::try_from(blob.size.div_ceil(part)).unwrap_or(usize::MAX);
        let (sender, arrived) = channel();
        let mut under_way = 0;
        let mut sent = journal.parts.len() as u64 * part;
        let mut note = |journal: &mut Journal, locked: &mut Locked, arrived: &Receiver<Arrived>| {
            let (index, outcome) = arrived.recv().expect("a sender is held here");
            let tag = outcome.map_err(|error| self.failed(Doing::Write, error))?.content_id;
            locked.append(&Part {
                index,
                tag: tag.clone(),
            })?;
            journal.parts.insert(index, tag);
            sent += part;
            control.report(Progress {
                transferred: sent.min(blob.size),
                ..Progress::default()
            });
            match control.is_cancelled() {
                true => Err(StoreError::Cancelled),
                false => Ok(()),
            }
        };
        for index in 0..count {
            if journal.parts.contains_key(&index) {
                continue;
            }
            if control.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            while under_way >= AT_ONCE {
                note(&mut journal, locked, &arrived)?;
                under_way -= 1;
            }
            let start = index as u64 * part;
            let bytes =
                read_part(file, start, part.min(blob.size - start)).map_err(|error| unreadable(&blob.id, &error))?;
            self.send_part(key, &journal.head.upload, index, bytes, sender.clone());
            under_way += 1;
        }
        for _ in 0..under_way {
            note(&mut journal, locked, &arrived)?;
        }
        let parts: Vec<PartId> = journal
            .parts
            .values()
            .map(|tag| PartId {
                content_id: tag.clone(),
            })
            .collect();
        let (store, key, upload) = (Arc::clone(&self.store), key.clone(), journal.head.upload.clone());
        self.run(async move { store.complete_multipart(&key, &upload, parts).await })
            .map(drop)
            .map_err(|error| self.failed(Doing::Write, error))
    }

    fn send_part(&self, key: &Key, upload: &str, index: usize, bytes: Bytes, sender: Sender<Arrived>) {
        let (store, key, upload) = (Arc::clone(&self.store), key.clone(), upload.to_owned());
        self.spawn(async move {
            let outcome = store.put_part(&key, &upload, index, PutPayload::from(bytes)).await;
            // Nobody listens any more when another part failed.
            let _ = sender.send((index, outcome));
        });
    }

    /// Gives up uploads that nobody went on with. Best effort: what cannot be given up now is tried again another time.
    pub(super) fn abort_abandoned(&self, journals: &Path) {
        let Ok(entries) = fs::read_dir(journals) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = |time| SystemTime::now().duration_since(time).is_ok_and(|age| age > ABANDONED);
            if !modified.is_ok_and(old) {
                continue;
            }
            let Ok(Some(mut locked)) = Locked::try_open(&entry.path()) else {
                continue;
            };
            if let Some(journal) = Journal::read(&mut locked) {
                let (store, key) = (Arc::clone(&self.store), Key::from(journal.head.key.as_str()));
                let upload = journal.head.upload;
                match self.run(async move { store.abort_multipart(&key, &upload).await }) {
                    Ok(()) | Err(S3Error::NotFound { .. }) => {}
                    Err(_) => continue,
                }
            }
            let _ = locked.remove();
        }
    }
}

type Arrived = (usize, Result<PartId, S3Error>);

/// What the server has of a blob so far.
struct Journal {
    head: Head,
    /// By index.
    parts: BTreeMap<usize, String>,
}

/// First line of a journal.
#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    upload: String,
    part: u64,
}

/// Every further line.
#[derive(Serialize, Deserialize)]
struct Part {
    index: usize,
    tag: String,
}

impl Journal {
    /// None when there is none. A line that was cut off by a crash is left out: its part is sent again.
    fn read(locked: &mut Locked) -> Option<Self> {
        let text = locked.read().ok()?;
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let head = serde_json::from_str(lines.next()?).ok()?;
        let parts = lines.map_while(|line| serde_json::from_str(line).ok());
        Some(Journal {
            head,
            parts: parts.map(|Part { index, tag }| (index, tag)).collect(),
        })
    }
}

fn read_part(file: &mut File, start: u64, size: u64) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}

fn unreadable(id: &BlobId, source: &io::Error) -> StoreError {
    StoreError::Io {
        action: "read the local copy of",
        path: PathBuf::from(id.to_hex()),
        source: io::Error::new(source.kind(), source.to_string()),
    }
}

impl Locked {
    fn append(&mut self, line: &impl Serialize) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(line).expect("a journal holds nothing that JSON cannot");
        bytes.push(b'\n');
        let written = self
            .file()
            .seek(SeekFrom::End(0))
            .and_then(|_| self.file().write_all(&bytes));
        written.map_err(|e| StoreError::io("write", self.path(), e))
    }

    fn read(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.file().seek(SeekFrom::Start(0))?;
        self.file().read_to_string(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_forgets_a_line_that_a_crash_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut locked = Locked::try_open(&dir.path().join("journal")).unwrap().unwrap();
        assert!(Journal::read(&mut locked).is_none());
        locked
            .append(&Head {
                key: "k".into(),
                upload: "u".into(),
                part: PART,
            })
            .unwrap();
        for index in [0, 2] {
            locked
                .append(&Part {
                    index,
                    tag: format!("t{index}"),
                })
                .unwrap();
        }
        locked.file().write_all(br#"{"index":3,"ta"#).unwrap();
        let journal = Journal::read(&mut locked).unwrap();
        assert_eq!((journal.head.upload.as_str(), journal.head.part), ("u", PART));
        assert_eq!(journal.parts.into_keys().collect::<Vec<_>>(), [0, 2]);
    }
}
