//! The writer thread: drains the queue into one transaction, commits once, then answers everybody.

use std::{
    borrow::Borrow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rusqlite::{Connection, params_from_iter};
use tokio::sync::mpsc;

use crate::{
    batch::{Batch, BatchKey, Statement},
    checkpoint::{self, Checkpointer},
    error::CommitError,
    figures::Counters,
    open::{self, Options},
    request::{QueuedClose, QueuedCommit, Request},
    store::Stats,
};

pub(crate) struct Writer {
    connection: Connection,
    counters: Arc<Counters>,
    max_group: usize,
    max_group_bytes: usize,
    remembered_keys: usize,
    /// None if the writer copies the WAL itself.
    checkpointer: Option<Checkpointer>,
    /// The last commit failed. Said once, and once when it is over: callers retry, and each of them is told anyway.
    is_failing: bool,
}

/// Batches of one transaction, each with its caller and, once tried, its result.
#[derive(Default)]
struct Group {
    members: Vec<QueuedCommit>,
    close: Option<QueuedClose>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, options: &Options, counters: Arc<Counters>) -> Self {
        Writer {
            connection,
            counters,
            max_group: options.max_group.max(1),
            max_group_bytes: options.max_group_bytes,
            remembered_keys: options.remembered_keys,
            checkpointer: None,
            is_failing: false,
        }
    }

    /// Leaves the copying of the WAL to a thread.
    pub(crate) fn with_checkpointer(self, checkpointer: Checkpointer) -> Self {
        Writer {
            checkpointer: Some(checkpointer),
            ..self
        }
    }

    /// Runs in a thread of its own until the store is closed or nobody has it any more.
    pub(crate) fn spawn(self, requests: mpsc::Receiver<Request>) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("helve-db-writer".to_owned())
            .spawn(move || self.run(requests))
            .map(drop)
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut close = None;
        while close.is_none() {
            let Some(group) = self.next_group(&mut requests) else {
                break;
            };
            close = group.close;
            self.commit_group(group.members);
        }
        // Callers that are already queued behind the close are answered `Closed` when their senders are dropped.
        drop(requests);
        self.close(close);
    }

    /// Copies the WAL into the database and closes it.
    pub(crate) fn close(self, asked: Option<QueuedClose>) {
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.stop();
        }
        if let Err(error) = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            tracing::warn!(%error, "the WAL was not copied into the database; this happens at the next start");
        }
        drop(self.connection);
        let Stats {
            commits,
            batches,
            rows,
            bytes,
            busy,
        } = self.counters.read();
        tracing::debug!(
            commits,
            batches,
            rows,
            bytes,
            busy_us = busy.as_micros() as u64,
            "the writer ends"
        );
        if let Some(asked) = asked {
            asked.answer();
        }
    }

    /// Waits for a request, then takes what else is there, up to the limits. `None` when every handle is gone.
    fn next_group(&self, requests: &mut mpsc::Receiver<Request>) -> Option<Group> {
        let mut group = Group::default();
        let mut bytes = 0;
        let mut request = requests.blocking_recv()?;
        loop {
            match request {
                Request::Close(close) => {
                    group.close = Some(close);
                    break;
                }
                Request::Commit(commit) => {
                    bytes += commit.batch().size();
                    group.members.push(commit);
                }
                Request::Read(read) => read.run(&self.connection),
            }
            if group.members.len() >= self.max_group || bytes >= self.max_group_bytes {
                break;
            }
            match requests.try_recv() {
                Ok(next) => request = next,
                Err(_) => break,
            }
        }
        Some(group)
    }

    fn commit_group(&mut self, members: Vec<QueuedCommit>) {
        let began = Instant::now();
        let results = self.write(&members);
        let (count, bytes) = (members.len(), members.iter().map(|member| member.batch().size()).sum());
        for (member, result) in members.into_iter().zip(results) {
            member.answer(result);
        }
        self.checkpoint(count, bytes);
        let busy = began.elapsed().as_nanos() as u64;
        self.counters.busy_nanos.fetch_add(busy, Ordering::Relaxed);
    }

    /// Notes that so much was committed, and does its part of copying the WAL when it is time.
    fn checkpoint(&mut self, batches: usize, bytes: usize) {
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.committed(batches, bytes);
            if checkpointer.take_copied()
                && let Err(error) = checkpoint::copy(&self.connection, &self.counters)
            {
                tracing::warn!(%error, "the rest of the WAL was not copied into the database; this is tried again");
            }
        }
    }

    /// Writes a group with what marks how far the log was applied, in one transaction. The mark is kept whatever becomes of
    /// the members; an error means that nothing was kept.
    pub(crate) fn apply(
        &mut self,
        members: &[Batch],
        mark: &Batch,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        let began = Instant::now();
        let results = self.write_with(members, Some(mark))?;
        let bytes = members.iter().map(Batch::size).sum();
        self.checkpoint(members.len(), bytes);
        let busy = began.elapsed().as_nanos() as u64;
        self.counters.busy_nanos.fetch_add(busy, Ordering::Relaxed);
        Ok(results)
    }

    /// Brings the schema to the version that the scripts lead to; says which one it has then.
    pub(crate) fn migrate(&mut self, application_id: i32, scripts: &[String]) -> rusqlite::Result<u32> {
        let found = open::version(&self.connection)?;
        if found == 0 {
            self.connection.pragma_update(None, "application_id", application_id)?;
        }
        open::run_scripts(&self.connection, scripts, found)?;
        open::version(&self.connection)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Writes a group in one transaction; says how each of its members ended.
    pub(crate) fn write(&mut self, members: &[QueuedCommit]) -> Vec<Result<(), CommitError>> {
        if members.is_empty() {
            return Vec::new();
        }
        match self.write_with(members, None) {
            Ok(results) => results,
            Err(error) => vec![Err(error); members.len()],
        }
    }

    fn write_with<B: Borrow<Batch>>(
        &mut self,
        members: &[B],
        mark: Option<&Batch>,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        let rows = self.connection.total_changes();
        match self.try_group(members, mark) {
            Ok(results) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("writing the database works again");
                }
                let add = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed);
                let committed = || members.iter().zip(&results).filter(|(_, result)| result.is_ok());
                let bytes: usize = committed().map(|(member, _)| member.borrow().data()).sum();
                add(&self.counters.commits, 1);
                self.counters.group.observe(members.len() as u64);
                add(&self.counters.batches, committed().count() as u64);
                add(&self.counters.rows, self.connection.total_changes() - rows);
                add(&self.counters.bytes, bytes as u64);
                Ok(results)
            }
            Err(error) => {
                self.counters.failures.inc();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "the database cannot be written");
                }
                if !self.connection.is_autocommit() {
                    // Cannot fail in a way that matters: without it the next BEGIN says so.
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                Err(error)
            }
        }
    }

    /// One transaction. `Err` means that nothing of the group was kept.
    fn try_group<B: Borrow<Batch>>(
        &self,
        members: &[B],
        mark: Option<&Batch>,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        match self.try_together(members, mark)? {
            Some(results) => Ok(results),
            None => self.try_apart(members, mark),
        }
    }

    /// All batches without a savepoint, which would cost a copy of every page that a batch changes. `None` if one of several
    /// failed: then nothing was kept.
    fn try_together<B: Borrow<Batch>>(
        &self,
        members: &[B],
        mark: Option<&Batch>,
    ) -> Result<Option<Vec<Result<(), CommitError>>>, CommitError> {
        self.control("BEGIN IMMEDIATE")?;
        for member in members {
            match self.run_batch(member.borrow()) {
                Ok(()) => {}
                Err(error) if error.is_of_store() => return Err(error),
                // SQLite gives up the whole transaction for some errors.
                Err(error) if self.connection.is_autocommit() => {
                    return Err(CommitError::Io {
                        reason: error.to_string(),
                    });
                }
                Err(error) => {
                    self.control("ROLLBACK")?;
                    return Ok((members.len() == 1 && mark.is_none()).then(|| vec![Err(error)]));
                }
            }
        }
        self.mark(mark)?;
        self.commit()?;
        Ok(Some(vec![Ok(()); members.len()]))
    }

    /// Each batch in a savepoint of its own.
    fn try_apart<B: Borrow<Batch>>(
        &self,
        members: &[B],
        mark: Option<&Batch>,
    ) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        self.control("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(members.len());
        for member in members {
            results.push(self.try_batch(member.borrow())?);
        }
        self.mark(mark)?;
        self.commit()?;
        Ok(results)
    }

    /// What is written whatever became of the batches: its failure is the store's.
    fn mark(&self, mark: Option<&Batch>) -> Result<(), CommitError> {
        let Some(mark) = mark else { return Ok(()) };
        self.run_batch(mark).map_err(|error| match error {
            error if error.is_of_store() => error,
            error => CommitError::Io {
                reason: error.to_string(),
            },
        })
    }

    /// One batch in its savepoint. The outer error is the store's, the inner one the batch's alone.
    fn try_batch(&self, batch: &Batch) -> Result<Result<(), CommitError>, CommitError> {
        self.control("SAVEPOINT batch")?;
        let result = self.run_batch(batch);
        match &result {
            Ok(()) => {}
            Err(error) if error.is_of_store() => return Err(error.clone()),
            // SQLite gives up the whole transaction for some errors: then the neighbours are gone as well.
            Err(error) if self.connection.is_autocommit() => {
                return Err(CommitError::Io {
                    reason: error.to_string(),
                });
            }
            Err(_) => self.control("ROLLBACK TO batch")?,
        }
        self.control("RELEASE batch")?;
        Ok(result)
    }

    fn run_batch(&self, batch: &Batch) -> Result<(), CommitError> {
        if let Some(key) = batch.key
            && !self.remember(&key)?
        {
            return Ok(());
        }
        batch
            .statements
            .iter()
            .enumerate()
            .try_for_each(|(index, statement)| self.run_statement(index, statement))
    }

    fn run_statement(&self, index: usize, statement: &Statement) -> Result<(), CommitError> {
        let changed = self
            .connection
            .prepare_cached(&statement.sql)
            .and_then(|mut prepared| {
                // Nearly none yields rows; one that gives back space yields one for each page.
                let mut rows = prepared.query(params_from_iter(&statement.params))?;
                while rows.next()?.is_some() {}
                Ok(self.connection.changes() as usize)
            })
            .map_err(|error| CommitError::from_sqlite(&error, index))?;
        match statement.expect {
            Some(expected) if expected != changed => Err(CommitError::Conflict {
                statement: index,
                expected,
                changed,
            }),
            _ => Ok(()),
        }
    }

    /// Notes the key of a batch; `false` if it is known.
    fn remember(&self, key: &BatchKey) -> Result<bool, CommitError> {
        let insert = "INSERT OR IGNORE INTO committed_batches (key) VALUES (?1)";
        let forget = "DELETE FROM committed_batches WHERE seq <= ?1";
        let run = || -> rusqlite::Result<bool> {
            let new = self.connection.prepare_cached(insert)?.execute([&key[..]])? == 1;
            if new {
                let oldest = self.connection.last_insert_rowid() - self.remembered_keys as i64;
                self.connection.prepare_cached(forget)?.execute([oldest])?;
            }
            Ok(new)
        };
        run().map_err(|error| CommitError::from_sqlite(&error, 0))
    }

    /// Ends the transaction: most of it is the disk's.
    fn commit(&self) -> Result<(), CommitError> {
        let began = Instant::now();
        let ended = self.control("COMMIT");
        self.counters.sync.took(began.elapsed());
        ended
    }

    /// Runs a statement that controls the transaction: its failure is always the store's.
    fn control(&self, sql: &'static str) -> Result<(), CommitError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut prepared| prepared.execute([]))
            .map(drop)
            .map_err(|error| match CommitError::from_sqlite(&error, 0) {
                CommitError::Statement { reason, .. } => CommitError::Io { reason },
                other => other,
            })
    }
}
