//! What is counted of a store.

use std::sync::{Arc, Weak};

use helve_metrics::{Collect, Counter, Text};

use crate::StoreError;
use crate::cache::Cache;

/// By what is done with a blob.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) put: Count,
    pub(crate) get: Count,
    pub(crate) remove: Count,
}

/// One thing that is done with blobs.
#[derive(Debug, Default)]
pub(crate) struct Count {
    done: Counter,
    bytes: Counter,
    failed: Counter,
}

impl Count {
    /// Counts how it ended.
    pub(crate) fn note<T>(&self, ended: Result<T, StoreError>, bytes: impl Fn(&T) -> u64) -> Result<T, StoreError> {
        match &ended {
            Ok(done) => {
                self.done.inc();
                self.bytes.add(bytes(done));
            }
            // Somebody wanted that.
            Err(StoreError::Cancelled) => {}
            Err(_) => self.failed.inc(),
        }
        ended
    }
}

/// What is told of a store to programs of monitoring.
pub struct BlobFigures {
    counts: Arc<Counts>,
    cache: Option<Weak<Cache>>,
}

impl BlobFigures {
    pub(crate) fn new(counts: Arc<Counts>, cache: Option<Weak<Cache>>) -> Self {
        Self { counts, cache }
    }
}

impl Collect for BlobFigures {
    fn collect(&self, text: &mut Text) {
        let Counts { put, get, remove } = &*self.counts;
        for (operation, count) in [("put", put), ("get", get), ("remove", remove)] {
            let labels = [("operation", operation)];
            text.counter(
                "helve_blobs_operations_total",
                "Blobs that were stored, opened or removed.",
                &labels,
                &count.done,
            );
            text.counter("helve_blobs_bytes_total", "Their sizes.", &labels, &count.bytes);
            text.counter(
                "helve_blobs_errors_total",
                "Such operations that failed.",
                &labels,
                &count.failed,
            );
        }
        let Some(cache) = self.cache.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        let stats = cache.stats();
        for (event, count, bytes) in [
            ("hit", stats.hits, None),
            ("miss", stats.fetched, Some(stats.fetched_bytes)),
            ("sent", stats.sent, Some(stats.sent_bytes)),
            ("evicted", stats.evicted, Some(stats.evicted_bytes)),
        ] {
            let labels = [("event", event)];
            let help = "What happened to blobs in the cache before a bucket.";
            text.count("helve_blobs_cache_events_total", help, &labels, count as f64);
            if let Some(bytes) = bytes {
                text.count("helve_blobs_cache_bytes_total", "Their sizes.", &labels, bytes as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use helve_metrics::Registry;

    use super::*;
    use crate::{BlobId, BlobStore};

    #[test]
    fn what_is_stored_and_read_is_counted_with_its_bytes_and_what_is_missing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        let registry = Registry::new();
        registry.add(Arc::new(store.figures()));
        let blob = store.put_bytes(b"twelve bytes").unwrap();
        store.get(&blob.id).unwrap();
        store.get(&BlobId::of(b"other")).unwrap_err();
        let text = registry.text();
        for line in [
            "helve_blobs_operations_total{operation=\"put\"} 1",
            "helve_blobs_bytes_total{operation=\"put\"} 12",
            "helve_blobs_operations_total{operation=\"get\"} 1",
            "helve_blobs_bytes_total{operation=\"get\"} 12",
            "helve_blobs_errors_total{operation=\"get\"} 1",
            "helve_blobs_errors_total{operation=\"put\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
