//! What is counted of a database.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use helve_metrics::{BATCHES, Collect, Counter, Histogram, SECONDS, Text};
use tokio::sync::mpsc::WeakSender;

use crate::{request::Request, store::Stats};

/// Written by the writer, once a transaction.
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) busy_nanos: AtomicU64,
    /// Transactions of which nothing was kept.
    pub(crate) failures: Counter,
    /// Batches in one transaction.
    pub(crate) group: Histogram,
    /// How long the ends of transactions took.
    pub(crate) sync: Histogram,
    /// How long copying the WAL took.
    pub(crate) checkpoint: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            commits: AtomicU64::default(),
            batches: AtomicU64::default(),
            rows: AtomicU64::default(),
            bytes: AtomicU64::default(),
            busy_nanos: AtomicU64::default(),
            failures: Counter::default(),
            group: Histogram::new(BATCHES),
            sync: Histogram::new(SECONDS),
            checkpoint: Histogram::new(SECONDS),
        }
    }
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: read(&self.commits),
            batches: read(&self.batches),
            rows: read(&self.rows),
            bytes: read(&self.bytes),
            busy: Duration::from_nanos(read(&self.busy_nanos)),
        }
    }
}

/// What is told of a database to programs of monitoring.
pub struct Figures {
    name: &'static str,
    path: Arc<Path>,
    counters: Arc<Counters>,
    queue: WeakSender<Request>,
}

impl Figures {
    pub(crate) fn new(
        name: &'static str,
        path: Arc<Path>,
        counters: Arc<Counters>,
        queue: WeakSender<Request>,
    ) -> Self {
        Figures {
            name,
            path,
            counters,
            queue,
        }
    }
}

impl Collect for Figures {
    fn collect(&self, text: &mut Text) {
        let db = [("database", self.name)];
        let stats = self.counters.read();
        let mut count = |name, help, value: u64| text.count(name, help, &db, value as f64);
        count(
            "helve_db_commits_total",
            "Transactions, each with one fsync.",
            stats.commits,
        );
        count(
            "helve_db_batches_total",
            "Writes that were committed in them.",
            stats.batches,
        );
        count("helve_db_rows_total", "Rows that they changed.", stats.rows);
        count(
            "helve_db_written_bytes_total",
            "Bytes of values that they carried.",
            stats.bytes,
        );
        count(
            "helve_db_commit_failures_total",
            "Transactions that the disk or the database refused.",
            self.counters.failures.get(),
        );
        text.count(
            "helve_db_writer_busy_seconds_total",
            "Time that the writing thread was at work, waiting for the disk included.",
            &db,
            stats.busy.as_secs_f64(),
        );
        text.histogram(
            "helve_db_batch_size",
            "Writes in one transaction.",
            &db,
            &self.counters.group,
        );
        text.histogram(
            "helve_db_fsync_seconds",
            "How long the end of a transaction took: writing the log and one fsync.",
            &db,
            &self.counters.sync,
        );
        text.histogram(
            "helve_db_checkpoint_seconds",
            "How long copying the log into the database took.",
            &db,
            &self.counters.checkpoint,
        );
        if let Some(queue) = self.queue.upgrade() {
            let waiting = queue.max_capacity() - queue.capacity();
            text.value(
                "helve_db_queued_writes",
                "Writes that wait for the writer.",
                &db,
                waiting as f64,
            );
        }
        for (file, suffix) in [("database", ""), ("log", "-wal")] {
            let mut path = self.path.as_os_str().to_owned();
            path.push(suffix);
            if let Ok(metadata) = std::fs::metadata(path) {
                text.value(
                    "helve_db_file_bytes",
                    "Size of the files of a database.",
                    &[("database", self.name), ("file", file)],
                    metadata.len() as f64,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use helve_metrics::Registry;

    use crate::{Batch, Options, Store};

    #[tokio::test]
    async fn commits_are_counted_and_the_figures_keep_no_store_open() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            migrations: &["CREATE TABLE t (a)"],
            ..Options::default()
        };
        let store = Store::open(&dir.path().join("x.db"), &options).unwrap();
        let registry = Registry::new();
        registry.add(std::sync::Arc::new(store.figures("x")));
        let mut batch = Batch::new();
        batch.run("INSERT INTO t VALUES (1)", vec![]);
        store.commit(batch).await.unwrap();
        let text = registry.text();
        for line in [
            "helve_db_commits_total{database=\"x\"} 1",
            "helve_db_batch_size_count{database=\"x\"} 1",
            "helve_db_fsync_seconds_count{database=\"x\"} 1",
            "helve_db_queued_writes{database=\"x\"} 0",
            "helve_db_commit_failures_total{database=\"x\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert!(
            text.contains("helve_db_file_bytes{database=\"x\",file=\"log\"} "),
            "{text}"
        );
        store.close().await;
        drop(store);
        assert!(!registry.text().contains("helve_db_queued_writes"));
    }
}
