//! The handle: one per database, cheap to clone.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    batch::Batch,
    error::{CommitError, OpenError, ReadError},
    open::{self, Options},
    reader::Readers,
    writer::{Request, Writer},
};

/// An open database.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<Request>,
    readers: Arc<Readers>,
    counters: Arc<Counters>,
    max_batch_bytes: usize,
}

/// What the writer did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed: the number of fsyncs of the WAL.
    pub commits: u64,
    /// Batches committed in them.
    pub batches: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
}

impl Store {
    /// Opens or creates the database and starts its writer thread. The caller makes sure that no other process has it
    /// open.
    pub fn open(path: &Path, options: &Options) -> Result<Store, OpenError> {
        let connection = open::open_writer(path, options)?;
        let readers = Arc::new(Readers::open(path, options.readers)?);
        let counters = Arc::new(Counters::default());
        let (queue, requests) = mpsc::channel(options.max_queued);
        Writer::spawn(connection, requests, options, counters.clone()).map_err(|error| OpenError::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Store {
            queue,
            readers,
            counters,
            max_batch_bytes: options.max_batch_bytes,
        })
    }

    /// Commits a batch; `Ok` means that it is on disk. The batch stays queued if the returned future is dropped.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        if batch.size() > self.max_batch_bytes {
            return Err(CommitError::TooLarge {
                size: batch.size(),
                limit: self.max_batch_bytes,
            });
        }
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Request::Commit { batch, answer })
            .await
            .map_err(|_| CommitError::Closed)?;
        answered.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Runs `read` on a blocking thread with a read-only connection. It sees every commit that was acknowledged before.
    pub async fn read<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.readers.read(read).await
    }

    /// Commits what is queued, copies the WAL into the database and closes it. Later calls are answered `Closed`.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        self.readers.close();
        if self.queue.send(Request::Close { answer }).await.is_ok() {
            // An error means that the writer is gone already.
            let _ = answered.await;
        }
    }

    /// What the writer did so far.
    pub fn stats(&self) -> Stats {
        Stats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            batches: self.counters.batches.load(Ordering::Relaxed),
        }
    }
}
