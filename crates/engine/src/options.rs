//! How an engine is opened.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use helve_history::Limits;

use crate::{
    clock::{Clock, SystemClock},
    ids::{Ids, RandomIds},
};

/// How an engine is opened. Every bound says what happens when it is reached.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where the engine keeps its state. One engine at a time.
    pub data_dir: PathBuf,
    /// What this process does, for whoever finds the data directory in use: `helve up`.
    pub role: String,
    /// Namespaces that exist from the start. They keep closed runs for ever, until they are told otherwise; those that
    /// clients register say how long.
    pub namespaces: Vec<String>,
    /// What runs may do.
    pub limits: Limits,
    /// How long a poll for a task waits before it is answered with nothing.
    pub poll_timeout: Duration,
    /// How long a request for new history waits before it is answered with nothing, and one for the outcome of an update
    /// before it is told how far the update is.
    pub history_wait: Duration,
    /// How long a query without a deadline of its caller waits.
    pub query_timeout: Duration,
    /// Queries that wait on one run; more are refused with RESOURCE_EXHAUSTED.
    pub max_buffered_queries: usize,
    /// A sticky queue is given up when its worker did not poll for this long.
    pub sticky_worker_gone_after: Duration,
    /// Closed runs kept in memory for queries and repeated starts; older ones are read again when asked for.
    pub max_closed_runs: usize,
    /// How many bytes of closed runs' histories those may have together.
    pub max_closed_bytes: u64,
    /// What the states of open runs may take in memory, roughly. Beyond, those of runs that only wait are dropped and read
    /// again when they are needed.
    pub max_open_bytes: u64,
    /// Events in one page of history; the rest comes with the next page. Temporal counts batches of events, 256 of them,
    /// and a worker that replays waits for every page.
    pub page_events: usize,
    /// Bytes in one page of history; the rest comes with the next page.
    pub page_bytes: usize,
    /// Bytes the database may grow to; writes beyond it are refused with UNAVAILABLE, and the run stays as it is.
    pub max_database_bytes: Option<u64>,
    /// The engine's time.
    pub clock: Arc<dyn Clock>,
    /// Where the engine's ids come from.
    pub ids: Arc<dyn Ids>,
}

impl EngineOptions {
    /// The usual options for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        EngineOptions {
            data_dir: data_dir.into(),
            role: "helve".to_owned(),
            namespaces: vec!["default".to_owned(), "helve".to_owned()],
            limits: Limits::default(),
            poll_timeout: Duration::from_secs(60),
            history_wait: Duration::from_secs(20),
            query_timeout: Duration::from_secs(10),
            max_buffered_queries: 100,
            sticky_worker_gone_after: Duration::from_secs(10),
            max_closed_runs: 1_000,
            max_closed_bytes: 32 << 20,
            max_open_bytes: 64 << 20,
            page_events: 2_000,
            page_bytes: 2 << 20,
            max_database_bytes: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        }
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("data_dir", &self.data_dir)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
