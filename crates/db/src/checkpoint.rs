//! Copies the WAL into the database beside the writer, so that no commit waits for all of it.
//!
//! While the copy is made the writer goes on. What it wrote meanwhile is little: the writer copies that itself between two
//! commits, and SQLite begins the WAL anew.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::Connection;

use crate::{
    error::OpenError,
    figures::Counters,
    open::{self, Options},
};

/// The writer asks for a copy after this many batches or bytes of them: some megabytes of WAL.
const EVERY_BATCHES: usize = 1024;
const EVERY_BYTES: usize = 4 << 20;

/// The writer's end.
pub(crate) struct Checkpointer {
    ask: SyncSender<()>,
    is_copied: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    batches: usize,
    bytes: usize,
}

impl Checkpointer {
    /// Starts its thread, with a connection of its own.
    pub(crate) fn spawn(path: &Path, options: &Options, counters: Arc<Counters>) -> Result<Self, OpenError> {
        Checkpointer::start(path, open::open_checkpointer(path, options)?, counters)
    }

    /// The same for a writer that does not wait for the disk: what is copied is synced before the WAL is begun anew.
    pub(crate) fn spawn_lazily(path: &Path, options: &Options, counters: Arc<Counters>) -> Result<Self, OpenError> {
        let connection = open::open_checkpointer(path, options)?;
        open::relax_durability(path, &connection)?;
        Checkpointer::start(path, connection, counters)
    }

    fn start(path: &Path, connection: Connection, counters: Arc<Counters>) -> Result<Self, OpenError> {
        let is_copied = Arc::new(AtomicBool::new(false));
        let (ask, asked) = sync_channel(1);
        let flag = is_copied.clone();
        let thread = std::thread::Builder::new()
            .name("helve-db-checkpoint".to_owned())
            .spawn(move || run(&connection, &asked, &flag, &counters))
            .map_err(|error| OpenError::Io {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Checkpointer {
            ask,
            is_copied,
            thread,
            batches: 0,
            bytes: 0,
        })
    }

    /// Notes what was committed, and asks for a copy when it is time.
    pub(crate) fn committed(&mut self, batches: usize, bytes: usize) {
        self.batches += batches;
        self.bytes += bytes;
        if self.batches < EVERY_BATCHES && self.bytes < EVERY_BYTES {
            return;
        }
        match self.ask.try_send(()) {
            Ok(()) | Err(TrySendError::Disconnected(())) => (self.batches, self.bytes) = (0, 0),
            // It is asked already.
            Err(TrySendError::Full(())) => {}
        }
    }

    /// A copy is done: the writer is to copy the rest.
    pub(crate) fn take_copied(&self) -> bool {
        self.is_copied.swap(false, Ordering::Relaxed)
    }

    /// Ends the thread.
    pub(crate) fn stop(self) {
        drop(self.ask);
        // A panic in there was told by itself, and what was not copied is copied at the next start.
        let _ = self.thread.join();
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, is_copied: &AtomicBool, counters: &Counters) {
    while asked.recv().is_ok() {
        match copy(connection, counters) {
            Ok(()) => is_copied.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the WAL was not copied into the database; this is tried again"),
        }
    }
}

/// Copies as much of the WAL as can be copied without waiting for anybody.
pub(crate) fn copy(connection: &Connection, counters: &Counters) -> rusqlite::Result<()> {
    let began = Instant::now();
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |_| Ok(()))?;
    counters.checkpoint.took(began.elapsed());
    Ok(())
}
