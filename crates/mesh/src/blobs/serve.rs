//! The side that has the blobs.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use helve_blobs::{BlobId, BlobRef, BlobStore, StoreError};
use iroh::{EndpointId, SecretKey};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;

use super::messages::{Answer, LIMIT, Request};
use super::outline::{Outline, PIECE};
use super::spread::Spread;
use super::transfer::{self, Ended};
use crate::frame;
use crate::stream::Stream;

mod send;

/// Requests that are worked on at once; the rest waits its turn.
const AT_ONCE: usize = 64;
/// Outlines that are remembered: making one means reading the blob.
const REMEMBERED: usize = 4096;
/// A stream on which nothing comes for this long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a blob is waited for that somebody else is sending.
const OTHERS_TAKE: Duration = Duration::from_secs(60);
/// What came of a blob that was never sent to its end is kept this long.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether two endpoints may know of each other: only then one is sent to the other for a blob.
pub type Together = dyn Fn(EndpointId, EndpointId) -> bool + Send + Sync;

/// What was sent of blobs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Bytes, in whole pieces.
    pub bytes: u64,
    /// How often an endpoint was sent elsewhere.
    pub elsewhere: u64,
    /// How often an endpoint said that it has one and hands it on.
    pub offered: u64,
}

/// Answers requests about blobs. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    store: BlobStore,
    /// Where blobs are while they come.
    coming: PathBuf,
    outlines: Mutex<HashMap<BlobId, Arc<Outline>>>,
    room: Arc<Semaphore>,
    /// Blobs that are coming now, each from one endpoint alone.
    busy: Mutex<HashSet<BlobId>>,
    /// One of them has ended.
    freed: Notify,
    spread: Spread,
    /// The key of this node and who may be sent to whom, if endpoints are.
    sharing: Option<(SecretKey, Box<Together>)>,
    sent: [AtomicU64; 3],
}

impl Service {
    /// Over a store; `coming` is a directory of its own for what is not whole yet.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn new(store: BlobStore, coming: PathBuf) -> io::Result<Self> {
        Self::with(store, coming, None)
    }

    /// The same, and when many want a blob at once they are sent to each other, as far as `together` says yes.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn sharing(store: BlobStore, coming: PathBuf, key: SecretKey, together: Box<Together>) -> io::Result<Self> {
        Self::with(store, coming, Some((key, together)))
    }

    fn with(store: BlobStore, coming: PathBuf, sharing: Option<(SecretKey, Box<Together>)>) -> io::Result<Self> {
        fs::create_dir_all(&coming)?;
        remove_abandoned(&coming);
        Ok(Self(Arc::new(Inner {
            store,
            coming,
            outlines: Mutex::default(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
            busy: Mutex::default(),
            freed: Notify::new(),
            spread: Spread::default(),
            sharing,
            sent: Default::default(),
        })))
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        let [bytes, elsewhere, offered] = &self.0.sent;
        Sent {
            bytes: bytes.load(Ordering::Relaxed),
            elsewhere: elsewhere.load(Ordering::Relaxed),
            offered: offered.load(Ordering::Relaxed),
        }
    }

    /// Answers the streams that come, until there are no more.
    pub async fn serve(self, mut streams: mpsc::Receiver<Stream>) {
        while let Some(stream) = streams.recv().await {
            let service = self.clone();
            let Ok(permit) = Arc::clone(&self.0.room).acquire_owned().await else {
                return;
            };
            tokio::spawn(async move {
                let peer = stream.peer();
                if let Err(error) = service.answer(stream, permit).await {
                    tracing::debug!(peer = %peer.fmt_short(), %error, "a request about a blob came to nothing");
                }
            });
        }
    }

    async fn answer(&self, mut stream: Stream, permit: OwnedSemaphorePermit) -> io::Result<()> {
        let request = tokio::time::timeout(SILENCE, frame::read(&mut stream.recv, LIMIT)).await??;
        match request {
            Request::Fetch { id, from } => self.fetch(stream, id, from).await,
            Request::FetchNear { id, from, failed } => self.fetch_near(stream, id, from, &failed, permit).await,
            Request::Have { id, address } => {
                // Whoever says so can only speak for itself.
                let is_own = address.id == stream.peer() && self.0.sharing.is_some();
                if is_own {
                    self.0.spread.has(id, address);
                    self.0.sent[2].fetch_add(1, Ordering::Relaxed);
                }
                finish(stream, &Answer::Is(is_own)).await
            }
            Request::Store { blob, outline } => self.take(stream, blob, outline).await,
            request => {
                let service = self.clone();
                let answer = spawn_blocking(move || service.small(request)).await?;
                finish(stream, &answer).await
            }
        }
    }

    /// What needs no bytes.
    fn small(&self, request: Request) -> Answer {
        let store = &self.0.store;
        let answer = match request {
            Request::Size(id) => store.size(&id).map(Answer::Size),
            Request::Touch { id, size: None } => store.touch(&id).map(Answer::Is),
            Request::Touch { id, size: Some(size) } => store
                .size(&id)
                .and_then(|known| Ok(Answer::Is(known == Some(size) && store.touch(&id)?))),
            Request::Target(id) => {
                let manifest = store.target(&id);
                Ok(Answer::Target(
                    manifest.and_then(|known| serde_json::to_string(&known).ok()),
                ))
            }
            Request::IsVouched(id) => store.is_vouched(&id).map(Answer::Is),
            Request::Fetch { .. } | Request::FetchNear { .. } | Request::Store { .. } | Request::Have { .. } => {
                unreachable!("they are answered elsewhere")
            }
        };
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    fn outline(&self, id: &BlobId) -> Result<Arc<Outline>, StoreError> {
        let known = self.outlines().get(id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let reader = self.0.store.reader(id)?;
        // The reader checks what it read when it comes to the end.
        let (outline, _) = Outline::of(reader).map_err(|error| StoreError::Remote {
            action: "read from",
            place: self.0.store.name(),
            reason: error.to_string(),
        })?;
        let outline = Arc::new(outline);
        let mut outlines = self.outlines();
        if outlines.len() >= REMEMBERED {
            outlines.clear();
        }
        outlines.insert(*id, Arc::clone(&outline));
        Ok(outline)
    }

    fn outlines(&self) -> std::sync::MutexGuard<'_, HashMap<BlobId, Arc<Outline>>> {
        self.0.outlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a blob, going on where an earlier try ended.
    async fn take(&self, mut stream: Stream, blob: BlobRef, outline: Outline) -> io::Result<()> {
        if !outline.is_of(&blob.id) || outline.size() != blob.size {
            return finish(
                stream,
                &Answer::Failed("the pieces are not those of the blob".to_owned()),
            )
            .await;
        }
        // Two that send the same report at once are not rare: the second only has to wait.
        let Some(_alone) = Busy::begin(&self.0, blob.id).await else {
            let why = format!("somebody else has been sending blob {} for too long", blob.id);
            // No answer: whoever sends tries again.
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        };
        let service = self.clone();
        let there = spawn_blocking(move || {
            let store = &service.0.store;
            Ok::<_, StoreError>(store.size(&blob.id)? == Some(blob.size) && store.touch(&blob.id)?)
        });
        match there.await? {
            Ok(true) => return finish(stream, &Answer::Stored).await,
            Ok(false) => {}
            Err(error) => return finish(stream, &Answer::Failed(error.to_string())).await,
        }
        let (path, pieces) = (self.0.coming.join(blob.id.to_hex()), outline.clone());
        let opened = spawn_blocking(move || {
            let mut file = open_part(&path)?;
            let from = whole_pieces(&mut file, &blob.id, &pieces)?;
            Ok::<_, io::Error>((file, from, path))
        });
        let (file, from, path) = opened.await??;
        frame::write(&mut stream.send, &Answer::Store { from }).await?;
        let pieces = (blob.id, &outline);
        let (ended, _, file) = transfer::receive(&mut stream.recv, pieces, from, file, SILENCE, |_| true).await;
        match ended {
            Ended::Whole | Ended::Cancelled => {}
            Ended::Line(error) | Ended::Local(error) => return Err(error),
            Ended::Wrong(piece) => {
                let why = format!("piece {piece} is not what was announced");
                return finish(stream, &Answer::Failed(why)).await;
            }
        }
        drop(file);
        let service = self.clone();
        let stored = spawn_blocking(move || {
            let stored = service.0.store.put_file(&path);
            // Left behind it is only removed later.
            let _ = fs::remove_file(&path);
            stored
        });
        let answer = match stored.await? {
            Ok(stored) if stored == blob => Answer::Stored,
            Ok(_) => Answer::Failed("what came is not what was announced".to_owned()),
            Err(error) => Answer::Failed(error.to_string()),
        };
        finish(stream, &answer).await
    }
}

/// Sends the only answer, or the last one.
async fn finish(mut stream: Stream, answer: &Answer) -> io::Result<()> {
    frame::write(&mut stream.send, answer).await?;
    stream.send.shutdown().await
}

fn open_part(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// How many pieces at the beginning of the file are right; it then ends behind them.
pub(super) fn whole_pieces(file: &mut File, id: &BlobId, outline: &Outline) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut whole = 0;
    let mut bytes = Vec::new();
    while whole < outline.pieces() {
        bytes.clear();
        Read::by_ref(file).take(outline.length(whole)).read_to_end(&mut bytes)?;
        if !outline.matches(id, whole, &bytes) {
            break;
        }
        whole += 1;
    }
    let end = (whole * PIECE).min(outline.size());
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(whole)
}

fn remove_abandoned(coming: &Path) {
    let Ok(entries) = fs::read_dir(coming) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok();
        let age = age.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A blob that comes now.
struct Busy<'a> {
    inner: &'a Inner,
    id: BlobId,
}

impl<'a> Busy<'a> {
    /// Waits until nobody else sends it. None when that takes too long.
    async fn begin(inner: &'a Inner, id: BlobId) -> Option<Self> {
        let begun = async {
            loop {
                let mut freed = std::pin::pin!(inner.freed.notified());
                // From here on none is missed.
                freed.as_mut().enable();
                // Made only when it is ours: dropping one ends what it stands for, and takes this lock.
                if inner.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
                    return Self { inner, id };
                }
                freed.await;
            }
        };
        tokio::time::timeout(OTHERS_TAKE, begun).await.ok()
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.id);
        drop(busy);
        self.inner.freed.notify_waiters();
    }
}
