//! Uploads that are under way: a file each, and a note of what it is to become. What was acknowledged is on disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use futures_util::StreamExt;
use helve_blobs::BlobId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::archive::Format;
use super::left_out::LeftOut;
use crate::notes::{create_private, sync_dir, write_whole};
use crate::problem::Problem;

/// Writes that are under way at once, on as many threads.
const WRITES: usize = 16;

/// The folder of all uploads.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    dir: PathBuf,
    /// Those that somebody writes to, or turns into a target, at this moment.
    busy: Busy,
    /// Whose turn it is to write.
    turns: Arc<Semaphore>,
}

/// By their ids, with the bytes that each may come to have by what is under way.
type Busy = Arc<Mutex<HashMap<String, u64>>>;

/// What an upload is to become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) namespace: String,
    /// What its user calls the target.
    pub(crate) name: String,
    /// How the bytes are to be read.
    pub(crate) format: Format,
    /// Bytes in all, if that was said.
    pub(crate) size: Option<u64>,
    /// Take what ignore files name too.
    pub(crate) include_ignored: bool,
    /// What whoever packed it left out.
    #[serde(default)]
    pub(crate) left_out: Option<LeftOut>,
    /// When it began.
    pub(crate) at: Timestamp,
    /// Who began it.
    pub(crate) by: String,
    /// What became of it.
    pub(crate) target: Option<BlobId>,
}

/// Why bytes were not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("another request works on this upload at this moment")]
    Busy,
    #[error("the upload goes on at byte {0}, and not where the request says")]
    Offset(u64),
    #[error("the upload has more bytes than the {0} that it may have")]
    TooLarge(u64),
    #[error("the body broke off, what came of it is kept: {0}")]
    BrokeOff(axum::Error),
    #[error("there is no room for more bytes")]
    NoRoom(Problem),
    #[error("the upload cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Bytes that are to be appended.
pub(crate) struct Bytes {
    /// As they come.
    pub(crate) body: Body,
    /// How many, as far as their sender says.
    pub(crate) coming: u64,
}

/// Nobody else works on the upload while this lives.
pub(crate) struct Held {
    id: String,
    busy: Busy,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

impl Uploads {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        create_private(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            busy: Arc::default(),
            turns: Arc::new(Semaphore::new(WRITES)),
        })
    }

    /// Only ids that we made are part of a path.
    fn folder(&self, id: &str) -> Option<PathBuf> {
        let fits = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| self.dir.join(id))
    }

    /// Where the bytes are.
    pub(crate) fn data(&self, id: &str) -> PathBuf {
        self.dir.join(id).join("data")
    }

    /// A folder of its own beside the bytes, for what is made of them.
    pub(crate) fn scratch(&self, id: &str) -> PathBuf {
        self.dir.join(id).join("content")
    }

    /// Begins one; false if there is one with this id, which is kept as it is. Blocking.
    pub(crate) fn begin(&self, upload: &Upload) -> io::Result<bool> {
        let Some(folder) = self.folder(&upload.id) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if folder.join("upload.json").exists() {
            return Ok(false);
        }
        create_private(&folder)?;
        fs::File::create(folder.join("data"))?.sync_all()?;
        write_whole(&folder.join("upload.json"), &serde_json::to_vec(upload)?)?;
        sync_dir(&self.dir)?;
        Ok(true)
    }

    /// One with the bytes that it has. Blocking.
    pub(crate) fn get(&self, id: &str) -> io::Result<Option<(Upload, u64)>> {
        let Some(folder) = self.folder(id) else { return Ok(None) };
        let bytes = match fs::read(folder.join("upload.json")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(upload) = serde_json::from_slice(&bytes) else {
            return Ok(None);
        };
        let length = match fs::metadata(folder.join("data")) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Some((upload, length)))
    }

    /// Keeps others away from it.
    pub(crate) fn hold(&self, id: &str) -> Result<Held, UploadError> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.entry(id.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(0);
                Ok(Held {
                    id: id.to_owned(),
                    busy: Arc::clone(&self.busy),
                })
            }
            Entry::Occupied(_) => Err(UploadError::Busy),
        }
    }

    /// Counts one that is held as if it had so many bytes, until it is held no more.
    pub(crate) fn reserve(&self, id: &str, bytes: u64) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reserved) = busy.get_mut(id) {
            *reserved = bytes;
        }
    }

    fn reserved(&self) -> HashMap<String, u64> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Appends a body at an offset. Whatever came is on disk when this returns, also when it returns an error.
    ///
    /// `room` reserves for the length that it is given, or more, and says for how much; no byte is written without.
    pub(crate) async fn append<R>(
        &self,
        id: &str,
        offset: u64,
        Bytes { body, coming }: Bytes,
        limit: u64,
        room: impl Fn(u64) -> R,
    ) -> Result<u64, UploadError>
    where
        R: Future<Output = Result<u64, Problem>>,
    {
        let _held = self.hold(id)?;
        let mut file = tokio::fs::OpenOptions::new().append(true).open(self.data(id)).await?;
        let mut length = file.metadata().await?.len();
        if offset != length {
            return Err(UploadError::Offset(length));
        }
        let announced = length.saturating_add(coming);
        if announced > limit {
            return Err(UploadError::TooLarge(limit));
        }
        // Of several that come at once, one has room for all that it announces, instead of each for a part.
        let mut reserved = room(announced).await.map_err(UploadError::NoRoom)?;
        let mut body = body.into_data_stream();
        let outcome = loop {
            match body.next().await {
                None => break Ok(()),
                Some(Ok(bytes)) => {
                    let wanted = length + bytes.len() as u64;
                    if wanted > limit {
                        break Err(UploadError::TooLarge(limit));
                    }
                    if wanted > reserved {
                        match room(wanted).await {
                            Ok(more) => reserved = more,
                            Err(problem) => break Err(UploadError::NoRoom(problem)),
                        }
                    }
                    if let Err(error) = self.write(&mut file, &bytes).await {
                        break Err(error.into());
                    }
                    length = wanted;
                }
                Some(Err(error)) => break Err(UploadError::BrokeOff(error)),
            }
        };
        let _turn = self.turns.acquire().await;
        file.sync_data().await?;
        outcome.map(|()| length)
    }

    /// Hands bytes to the system, in turns: each write occupies a thread, and hundreds of uploads must not mean hundreds of them.
    async fn write(&self, file: &mut tokio::fs::File, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.turns.acquire().await;
        file.write_all(bytes).await?;
        file.flush().await
    }

    /// Writes down what became of it, and drops the bytes. Blocking.
    pub(crate) fn finish(&self, upload: &Upload, target: BlobId) -> io::Result<()> {
        let Some(folder) = self.folder(&upload.id) else {
            return Ok(());
        };
        let done = Upload {
            target: Some(target),
            ..upload.clone()
        };
        write_whole(&folder.join("upload.json"), &serde_json::to_vec(&done)?)?;
        let _ = fs::remove_file(folder.join("data"));
        Ok(())
    }

    /// Forgets one. Blocking.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match self.folder(id) {
            Some(folder) => fs::remove_dir_all(folder),
            None => Ok(()),
        }
    }

    /// Bytes that all of them take, or may come to take by what is under way; without one of them. Blocking.
    pub(crate) fn bytes(&self, without: Option<&str>) -> io::Result<u64> {
        // In this order: what is not reserved any more is on disk.
        let reserved = self.reserved();
        let mut bytes: u64 = 0;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let id = entry.file_name();
            if without.is_some_and(|without| id == without) {
                continue;
            }
            let length = fs::metadata(entry.path().join("data")).map_or(0, |metadata| metadata.len());
            let reserved = id.to_str().and_then(|id| reserved.get(id).copied());
            bytes = bytes.saturating_add(length.max(reserved.unwrap_or(0)));
        }
        Ok(bytes)
    }

    /// Bytes that those of a namespace have, or will have as they said, or may come to have by what is under way; without one
    /// of them. Blocking.
    pub(crate) fn bytes_of(&self, namespace: &str, without: Option<&str>) -> io::Result<u64> {
        let reserved = self.reserved();
        let mut bytes: u64 = 0;
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().filter(|id| Some(*id) != without) else {
                continue;
            };
            if let Some((upload, length)) = self.get(id)?
                && upload.namespace == namespace
                && upload.target.is_none()
            {
                let reserved = reserved.get(id).copied().unwrap_or(0);
                bytes = bytes.saturating_add(length.max(upload.size.unwrap_or(0)).max(reserved));
            }
        }
        Ok(bytes)
    }

    /// Forgets those that got no byte for so long. Blocking.
    pub(crate) fn sweep(&self, idle: Duration) -> io::Result<()> {
        let now = SystemTime::now();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let latest = ["data", "upload.json"]
                .iter()
                .filter_map(|name| fs::metadata(path.join(name)).ok()?.modified().ok())
                .max();
            let is_old = latest.is_none_or(|latest| now.duration_since(latest).is_ok_and(|age| age > idle));
            let id = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_old && let Ok(_held) = self.hold(id) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(id: &str) -> Upload {
        Upload {
            id: id.to_owned(),
            namespace: "default".into(),
            name: "app".into(),
            format: Format::Tar,
            size: None,
            include_ignored: false,
            left_out: None,
            at: Timestamp::UNIX_EPOCH,
            by: "ci".into(),
            target: None,
        }
    }

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn bytes(text: &'static str, coming: u64) -> Bytes {
        Bytes {
            body: Body::from(text),
            coming,
        }
    }

    async fn append(uploads: &Uploads, offset: u64, text: &'static str, limit: u64) -> Result<u64, UploadError> {
        let any = |_| std::future::ready(Ok(u64::MAX));
        uploads.append(ID, offset, bytes(text, 0), limit, any).await
    }

    #[tokio::test]
    async fn bytes_go_on_where_they_ended_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        assert!(uploads.begin(&upload(ID)).unwrap());
        assert_eq!(append(&uploads, 0, "abc", 10).await.unwrap(), 3);
        assert!(matches!(
            append(&uploads, 0, "x", 10).await,
            Err(UploadError::Offset(3))
        ));
        assert!(matches!(
            append(&uploads, 3, "12345678", 10).await,
            Err(UploadError::TooLarge(10))
        ));
        // Beginning again, as a client does that did not hear the answer, takes nothing away.
        assert!(!uploads.begin(&upload(ID)).unwrap());
        assert_eq!(append(&uploads, 3, "def", 10).await.unwrap(), 6);
        assert_eq!(fs::read(uploads.data(ID)).unwrap(), b"abcdef");
    }

    #[tokio::test]
    async fn two_requests_do_not_write_to_one_upload() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        uploads.begin(&upload(ID)).unwrap();
        let held = uploads.hold(ID).unwrap();
        assert!(matches!(append(&uploads, 0, "x", 10).await, Err(UploadError::Busy)));
        drop(held);
        assert_eq!(append(&uploads, 0, "x", 10).await.unwrap(), 1);
    }

    #[test]
    fn an_id_is_never_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        for id in [
            "..",
            "../../etc",
            "",
            "ABCDEF0123456789ABCDEF0123456789",
            "0123456789abcdef0123456789abcde/",
        ] {
            assert!(uploads.get(id).unwrap().is_none(), "{id}");
            assert!(uploads.begin(&upload(id)).is_err(), "{id}");
        }
    }

    #[test]
    fn what_nobody_goes_on_with_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        uploads.begin(&upload(ID)).unwrap();
        uploads.sweep(Duration::from_secs(3600)).unwrap();
        assert!(uploads.get(ID).unwrap().is_some());
        uploads.sweep(Duration::ZERO).unwrap();
        assert!(uploads.get(ID).unwrap().is_none());
    }

    #[tokio::test]
    async fn no_byte_is_written_that_has_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        uploads.begin(&upload(ID)).unwrap();
        let room = |wanted| {
            std::future::ready(match wanted <= 4 {
                true => Ok(4),
                false => Err(Problem::no_room("4 bytes")),
            })
        };
        let refused = uploads.append(ID, 0, bytes("", 5), 10, room).await;
        assert!(matches!(refused, Err(UploadError::NoRoom(_))), "{refused:?}");
        assert_eq!(uploads.append(ID, 0, bytes("abc", 0), 10, room).await.unwrap(), 3);
        let refused = uploads.append(ID, 3, bytes("def", 0), 10, room).await;
        assert!(matches!(refused, Err(UploadError::NoRoom(_))), "{refused:?}");
        assert_eq!(fs::read(uploads.data(ID)).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn what_is_reserved_counts_until_nobody_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        uploads.begin(&upload(ID)).unwrap();
        append(&uploads, 0, "abc", 10).await.unwrap();
        let counted = || {
            let of = |namespace| uploads.bytes_of(namespace, None).unwrap();
            (uploads.bytes(None).unwrap(), of("default"), of("other"))
        };
        uploads.reserve(ID, 100);
        assert_eq!(counted(), (3, 3, 0), "nobody holds it");
        let held = uploads.hold(ID).unwrap();
        uploads.reserve(ID, 100);
        assert_eq!(counted(), (100, 100, 0));
        assert_eq!(uploads.bytes(Some(ID)).unwrap(), 0);
        drop(held);
        assert_eq!(counted(), (3, 3, 0));
    }
}
