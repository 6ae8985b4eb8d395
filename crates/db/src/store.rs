//! The handle: one per database, cheap to clone.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::{
    batch::Batch,
    checkpoint::Checkpointer,
    driver::Driver,
    error::{CommitError, OpenError, ReadError},
    figures::{Counters, Figures},
    open::{self, Options},
    reader::Readers,
    request::{QueuedClose, QueuedCommit, QueuedRead, Request, Requests},
    writer::Writer,
};

/// An open database.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<Request>,
    reads: Reads,
    counters: Arc<Counters>,
    max_batch_bytes: usize,
    path: Arc<Path>,
}

/// Where reads are run.
#[derive(Clone)]
enum Reads {
    /// On blocking threads, beside the writer.
    Pool(Arc<Readers>),
    /// The same, if the guard lets them.
    Guarded(Arc<Readers>, Arc<dyn Guard>),
    /// Whenever the driver runs them.
    Driven,
}

/// Says whether a replicated store may still be used.
pub trait Guard: Send + Sync {
    /// Whether what this node has is all that was ever acknowledged, at this moment.
    fn may_read(&self) -> bool;

    /// Whether a write may still be accepted. If not, it is answered [`CommitError::LeadershipLost`] at once.
    fn may_write(&self) -> bool;
}

/// What the writer did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed: the number of fsyncs of the WAL.
    pub commits: u64,
    /// Batches committed in them.
    pub batches: u64,
    /// Rows that their statements inserted, updated or deleted; twice, if they had to be tried a second time because a
    /// neighbour was refused.
    pub rows: u64,
    /// Bytes of parameters that their statements carried.
    pub bytes: u64,
    /// How long the writer thread was at work: transactions, the disk's time included, answers, and its part of copying the
    /// WAL. None if there is no thread.
    pub busy: Duration,
}

impl Store {
    /// Opens or creates the database and starts its writer thread. The caller makes sure that no other process has it
    /// open.
    pub fn open(path: &Path, options: &Options) -> Result<Store, OpenError> {
        let connection = open::open_writer(path, options)?;
        let readers = Readers::open(path, options.readers)?;
        let (store, requests, writer) = Store::with(path, connection, Reads::Pool(Arc::new(readers)), options);
        let checkpointer = Checkpointer::spawn(path, options, store.counters.clone())?;
        let writer = writer.with_checkpointer(checkpointer);
        writer.spawn(requests).map_err(|error| OpenError::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(store)
    }

    /// Opens or creates the database without any thread: whoever gets the requests has the driver do them. For
    /// simulations, in which a commit is durable because the simulator says so: nothing waits for the disk here.
    pub fn driven(path: &Path, options: &Options) -> Result<(Store, Requests, Driver), OpenError> {
        let connection = open::open_writer(path, options)?;
        open::forget_durability(path, &connection)?;
        let reader = open::open_reader(path)?;
        let (store, requests, writer) = Store::with(path, connection, Reads::Driven, options);
        Ok((store, requests, Driver::new(writer, reader)))
    }

    /// A handle of a database that follows a log: who gets the requests puts them into the log, and answers when they were
    /// applied.
    pub(crate) fn journaled(
        path: &Path,
        options: &Options,
        counters: Arc<Counters>,
        guard: Arc<dyn Guard>,
    ) -> Result<(Store, Requests), OpenError> {
        let readers = Readers::open(path, options.readers)?;
        let (queue, requests) = mpsc::channel(options.max_queued);
        let store = Store {
            queue,
            reads: Reads::Guarded(Arc::new(readers), guard),
            counters,
            max_batch_bytes: options.max_batch_bytes,
            path: path.into(),
        };
        Ok((store, requests))
    }

    fn with(path: &Path, connection: Connection, reads: Reads, options: &Options) -> (Store, Requests, Writer) {
        let counters = Arc::new(Counters::default());
        let (queue, requests) = mpsc::channel(options.max_queued);
        let store = Store {
            queue,
            reads,
            counters: counters.clone(),
            max_batch_bytes: options.max_batch_bytes,
            path: path.into(),
        };
        (store, requests, Writer::new(connection, options, counters))
    }

    /// Commits a batch; `Ok` means that it is on disk. The batch stays queued if the returned future is dropped.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        if batch.size() > self.max_batch_bytes {
            return Err(CommitError::TooLarge {
                size: batch.size(),
                limit: self.max_batch_bytes,
            });
        }
        if let Reads::Guarded(_, guard) = &self.reads
            && !guard.may_write()
        {
            return Err(CommitError::LeadershipLost);
        }
        let (commit, answered) = QueuedCommit::new(batch);
        self.queue
            .send(Request::Commit(commit))
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
        match &self.reads {
            Reads::Pool(readers) => readers.read(read).await,
            Reads::Guarded(readers, guard) if guard.may_read() => readers.read(read).await,
            Reads::Guarded(..) => Err(ReadError::NotLeader),
            Reads::Driven => self.queue_read(read).await,
        }
    }

    async fn queue_read<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let (read, answered) = QueuedRead::new(read);
        self.queue
            .send(Request::Read(read))
            .await
            .map_err(|_| ReadError::Closed)?;
        answered.await.unwrap_or(Err(ReadError::Closed))
    }

    /// Whether what is read now, here or from what its owner keeps in memory, has every write that was ever acknowledged. Always,
    /// but for a replicated store whose node does not lead any more.
    pub fn may_read(&self) -> bool {
        match &self.reads {
            Reads::Pool(_) | Reads::Driven => true,
            Reads::Guarded(_, guard) => guard.may_read(),
        }
    }

    /// Commits what is queued, copies the WAL into the database and closes it. Later calls are answered `Closed`.
    pub async fn close(&self) {
        let (close, answered) = QueuedClose::new();
        if let Reads::Pool(readers) | Reads::Guarded(readers, _) = &self.reads {
            readers.close();
        }
        if self.queue.send(Request::Close(close)).await.is_ok() {
            // An error means that the writer is gone already.
            let _ = answered.await;
        }
    }

    /// What is told of this database to programs of monitoring, under this name. It keeps nothing open.
    pub fn figures(&self, name: &'static str) -> Figures {
        Figures::new(name, self.path.clone(), self.counters.clone(), self.queue.downgrade())
    }

    /// What the writer did so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}
