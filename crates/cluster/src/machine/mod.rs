//! The databases, which follow the log.
//!
//! The log is the truth. A database notes in every transaction how far it came, and does not wait for the disk; after a crash
//! it goes on from there. Before the log is purged, all databases note where they are, and that is synced: so what the
//! databases may still lose, the log still has. No copy of a database is made for this; one is made when a node asks for it.

mod apply;
mod files;
mod raft;
mod snapshot;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use helve_db::rusqlite::{Connection, OptionalExtension};
use helve_db::{Applier, Batch, CommitError, OpenError};
use serde::{Deserialize, Serialize};

pub(crate) use files::{Files, place};
pub(crate) use snapshot::{Copied, Incoming, SnapshotData};

use crate::types::{Epoch, LogId, Membership};

/// One of the databases that the nodes have in common.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its file's name, such as `engine.db`.
    pub name: &'static str,
    /// As for [`helve_db::Store::open`]. The size of the file is not limited, since all nodes must come to the same end.
    pub options: helve_db::Options,
}

/// A node's databases; cheap to clone.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Mutex<State>>);

pub(crate) struct State {
    files: Files,
    specs: Arc<[Database]>,
    databases: Vec<Follower>,
    mark: Mark,
    /// Why nothing is applied any more.
    broken: Option<String>,
    /// No other process works on these databases meanwhile.
    lock: Option<File>,
}

/// A database, and how far it came.
struct Follower {
    applier: Applier,
    applied: Option<LogId>,
}

/// How far a database came, and what held there. A row of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: Membership,
    pub(crate) epoch: Option<Epoch>,
    /// The latest time at which anything of it was proposed.
    pub(crate) latest: u64,
}

const MARK_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS cluster_mark (id INTEGER PRIMARY KEY CHECK (id = 0), mark BLOB NOT NULL)";
/// Parts of a batch that is not whole yet.
const PARTS_TABLE: &str = "CREATE TABLE IF NOT EXISTS cluster_parts (part INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
const READ_MARK: &str = "SELECT mark FROM cluster_mark WHERE id = 0";
const WRITE_MARK: &str =
    "INSERT INTO cluster_mark (id, mark) VALUES (0, ?1) ON CONFLICT (id) DO UPDATE SET mark = excluded.mark";

impl Mark {
    /// The write that notes it.
    fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        let bytes = postcard::to_stdvec(self).expect("only a map of unknown length cannot be written");
        batch.run(WRITE_MARK, vec![bytes.into()]);
        batch
    }

    /// The same, for a database that never noted anything.
    pub(crate) fn table_and_batch(&self) -> Batch {
        let mut batch = Batch::new();
        batch.run(MARK_TABLE, Vec::new());
        batch.extend(self.batch().statements().iter().cloned());
        batch
    }

    /// What a database noted last.
    pub(crate) fn read(connection: &Connection) -> Result<Option<Mark>, String> {
        let text = |error: helve_db::rusqlite::Error| error.to_string();
        let there = "SELECT count(*) FROM sqlite_schema WHERE name = 'cluster_mark'";
        if connection
            .query_row(there, [], |row| row.get::<_, i64>(0))
            .map_err(text)?
            == 0
        {
            return Ok(None);
        }
        let bytes: Option<Vec<u8>> = connection
            .query_row(READ_MARK, [], |row| row.get(0))
            .optional()
            .map_err(text)?;
        bytes
            .map(|bytes| postcard::from_bytes(&bytes).map_err(|error| error.to_string()))
            .transpose()
    }
}

impl Machine {
    /// Opens the databases of a node, or makes them.
    pub(crate) fn open(root: &Path, specs: &[Database]) -> Result<Self, OpenError> {
        let files = Files::open(root)?;
        let databases = open_all(&files.current(), specs)?;
        // What was done behind the earliest mark is done again, but for the databases that have it.
        let (databases, marks): (Vec<_>, Vec<_>) = databases.into_iter().unzip();
        let mark = marks.into_iter().min_by_key(|mark| mark.applied).unwrap_or_default();
        Ok(Machine(Arc::new(Mutex::new(State {
            files,
            specs: specs.into(),
            databases,
            mark,
            broken: None,
            lock: None,
        }))))
    }

    /// Opens the databases of a node, and keeps other processes away from them.
    pub(crate) fn open_alone(root: &Path, specs: &[Database]) -> Result<Self, OpenError> {
        let lock = lock(root)?;
        let machine = Machine::open(root, specs)?;
        machine.state().lock = Some(lock);
        Ok(machine)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what may wait for the disk where nobody else has to wait for it.
    async fn run<T, F>(&self, work: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce(&mut State) -> Result<T, String> + Send + 'static,
    {
        let machine = self.clone();
        tokio::task::spawn_blocking(move || work(&mut machine.state()))
            .await
            .map_err(|error| error.to_string())?
    }

    /// To see when nobody has them any more.
    pub(crate) fn downgrade(&self) -> Weak<Mutex<State>> {
        Arc::downgrade(&self.0)
    }

    /// Copies the WALs into the databases and closes them. Then another process may have them, though somebody here still knows of
    /// them.
    pub(crate) fn close(&self) {
        let (databases, lock) = {
            let mut state = self.state();
            (std::mem::take(&mut state.databases), state.lock.take())
        };
        for follower in databases {
            follower.applier.close();
        }
        drop(lock);
    }
}

impl State {
    /// How far the databases came together.
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Why this node cannot go on, if so.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Where the databases are at present.
    pub(crate) fn paths(&self) -> BTreeMap<&'static str, PathBuf> {
        let dir = self.files.current();
        self.specs.iter().map(|spec| (spec.name, dir.join(spec.name))).collect()
    }

    /// A handle for who writes through the log.
    pub(crate) fn store(
        &self,
        database: usize,
        options: &helve_db::Options,
        guard: Arc<dyn helve_db::Guard>,
    ) -> Result<(helve_db::Store, helve_db::Requests), OpenError> {
        self.databases[database].applier.store(options, guard)
    }

    /// All databases note where they are.
    fn note(&mut self) -> Result<(), CommitError> {
        let batch = self.mark.batch();
        for follower in &mut self.databases {
            if follower.applied != self.mark.applied {
                follower.applier.apply(&[], &batch)?;
                follower.applied = self.mark.applied;
            }
        }
        Ok(())
    }
}

/// Keeps other processes away for as long as the file is open.
fn lock(root: &Path) -> Result<File, OpenError> {
    let explain = |reason: String| OpenError::Io {
        path: root.to_owned(),
        reason,
    };
    std::fs::create_dir_all(root).map_err(|error| explain(error.to_string()))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let lock = options
        .open(root.join("lock"))
        .map_err(|error| explain(error.to_string()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(explain("another process runs this node".to_owned())),
        Err(TryLockError::Error(error)) => Err(explain(error.to_string())),
    }
}

/// Opens every database in a directory; says what each noted.
fn open_all(dir: &Path, specs: &[Database]) -> Result<Vec<(Follower, Mark)>, OpenError> {
    specs
        .iter()
        .map(|spec| {
            let path = dir.join(spec.name);
            let mut applier = Applier::open(&path, &spec.options)?;
            let corrupt = |reason| OpenError::Corrupt {
                path: path.clone(),
                reason,
            };
            let mark = Mark::read(applier.connection()).map_err(corrupt)?.unwrap_or_default();
            let mut make = Batch::new();
            make.run(MARK_TABLE, Vec::new());
            make.run(PARTS_TABLE, Vec::new());
            applier.apply(&[], &make).map_err(|error| corrupt(error.to_string()))?;
            let applied = mark.applied;
            Ok((Follower { applier, applied }, mark))
        })
        .collect()
}
