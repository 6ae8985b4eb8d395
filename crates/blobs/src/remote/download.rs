//! Blobs on their way down.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{Error as S3Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::Remote;
use super::errors::Doing;
use crate::{BlobId, Control, Progress, StoreError, Upstream};

/// Bytes that are handed over at a time: about this much is in memory.
const CHUNK: usize = 1 << 20;
/// How often a download goes on after it broke off without having got any further.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);

impl Remote {
    /// Writes the blob into `file`, going on after what is in it already. When this returns, `file` holds the blob: the hash of
    /// all of it was checked.
    pub(super) fn download(
        &self,
        id: &BlobId,
        file: &mut File,
        path: &Path,
        control: &Control<'_>,
    ) -> Result<(), StoreError> {
        // Twice, since what an earlier process left here may be what is wrong. An object that is wrong twice is wrong.
        for _ in 0..2 {
            if self.download_rest(id, file, path, control)? == *id {
                return Ok(());
            }
            tracing::warn!(%id, store = self.name(), "what was read is not what was stored; reading it again");
            clear(file, path)?;
        }
        self.set_aside(id);
        Err(self.corrupt(id))
    }

    /// The hash of the whole file, once all is there.
    fn download_rest(
        &self,
        id: &BlobId,
        file: &mut File,
        path: &Path,
        control: &Control<'_>,
    ) -> Result<BlobId, StoreError> {
        let (mut hasher, mut have) = hash_of(file, path)?;
        if have > 0 {
            match self.size(id)? {
                Some(size) if size == have => return Ok(BlobId::from_hash(hasher.finalize())),
                Some(size) if size > have => tracing::info!(%id, have, size, "going on with an interrupted download"),
                // Longer than the object: not a part of it.
                Some(_) => {
                    clear(file, path)?;
                    (hasher, have) = (blake3::Hasher::new(), 0);
                }
                None => return Err(self.absent(id)),
            }
        }
        let mut failures = 0;
        loop {
            let before = have;
            let outcome = self.stream(id, have, |bytes| {
                file.write_all(&bytes)?;
                hasher.update(&bytes);
                have += bytes.len() as u64;
                control.report(Progress {
                    transferred: have,
                    ..Progress::default()
                });
                match control.is_cancelled() {
                    true => Err(io::ErrorKind::Interrupted.into()),
                    false => Ok(()),
                }
            });
            match outcome {
                Ok(()) => return Ok(BlobId::from_hash(hasher.finalize())),
                Err(Broken::Local(_)) if control.is_cancelled() => return Err(StoreError::Cancelled),
                Err(Broken::Local(error)) => return Err(StoreError::io("write", path, error)),
                Err(Broken::Remote(S3Error::NotFound { .. })) => return Err(self.absent(id)),
                Err(Broken::Remote(error)) => {
                    failures = if have > before { 0 } else { failures + 1 };
                    if failures >= TRIES {
                        return Err(self.failed(Doing::Read, error));
                    }
                    tracing::debug!(%id, have, %error, "a download broke off");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Hands over the bytes from `start` to the end of the object.
    fn stream(&self, id: &BlobId, start: u64, mut take: impl FnMut(Bytes) -> io::Result<()>) -> Result<(), Broken> {
        let (store, key) = (Arc::clone(&self.store), self.blob_key(id));
        let options = GetOptions {
            range: (start > 0).then_some(GetRange::Offset(start)),
            ..GetOptions::default()
        };
        let got = self
            .run(async move { store.get_opts(&key, options).await })
            .map_err(Broken::Remote)?;
        let mut stream = got.into_stream();
        loop {
            let (rest, chunks, end) = self.run(next_chunks(stream));
            stream = rest;
            chunks.into_iter().try_for_each(&mut take).map_err(Broken::Local)?;
            match end {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => return Err(Broken::Remote(error)),
                None => {}
            }
        }
    }

    /// Takes a damaged object out of the way, so that it counts as missing and is stored anew. Best effort: a worker may not be
    /// allowed to.
    fn set_aside(&self, id: &BlobId) {
        let (store, from, to) = (Arc::clone(&self.store), self.blob_key(id), self.damaged_key(id));
        let moved = self.run(async move { store.rename(&from, &to).await });
        if let Err(error) = moved {
            tracing::warn!(%id, %error, "a damaged object could not be set aside");
        }
    }

    /// Why a blob is not there: whoever tries again after it was set aside should hear of the damage.
    fn absent(&self, id: &BlobId) -> StoreError {
        match self.head(self.damaged_key(id)) {
            Ok(Some(_)) => self.corrupt(id),
            _ => StoreError::Missing {
                id: *id,
                store: self.name().to_owned(),
            },
        }
    }

    fn corrupt(&self, id: &BlobId) -> StoreError {
        StoreError::CorruptObject {
            id: *id,
            place: format!("{}: {}", self.name(), self.blob_key(id)),
        }
    }

    fn damaged_key(&self, id: &BlobId) -> Key {
        self.key("damaged").join(id.to_hex())
    }
}

/// Why a stream ended early.
enum Broken {
    Remote(S3Error),
    Local(io::Error),
}

type Chunks = BoxStream<'static, Result<Bytes, S3Error>>;

/// About [`CHUNK`] bytes more, and how the stream ended if it did.
async fn next_chunks(mut stream: Chunks) -> (Chunks, Vec<Bytes>, Option<Result<(), S3Error>>) {
    let (mut chunks, mut size) = (Vec::new(), 0);
    while size < CHUNK {
        match stream.next().await {
            Some(Ok(bytes)) => {
                size += bytes.len();
                chunks.push(bytes);
            }
            Some(Err(error)) => return (stream, chunks, Some(Err(error))),
            None => return (stream, chunks, Some(Ok(()))),
        }
    }
    (stream, chunks, None)
}

/// Hash and length of what is in the file, which then stands at its end.
fn hash_of(file: &mut File, path: &Path) -> Result<(blake3::Hasher, u64), StoreError> {
    let mut hash = || {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut size = 0;
        file.seek(SeekFrom::Start(0))?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok((hasher, size));
            }
            hasher.update(&buffer[..read]);
            size += read as u64;
        }
    };
    hash().map_err(|e| StoreError::io("read", path, e))
}

fn clear(file: &mut File, path: &Path) -> Result<(), StoreError> {
    let cleared = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
    cleared.map(drop).map_err(|e| StoreError::io("write", path, e))
}
