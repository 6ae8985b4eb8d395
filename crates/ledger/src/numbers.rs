//! Row numbers, given out in memory: a batch must name its rows before it is written, and this process is the only writer.

use std::sync::atomic::{AtomicI64, Ordering};

use helve_db::rusqlite::Connection;

use crate::error::Error;

/// The next number of each table that numbers its rows. A batch that fails leaves a gap.
#[derive(Default)]
pub(crate) struct Numbers {}

impl Numbers {
    pub(crate) fn load(_db: &Connection) -> Result<Self, Error> {
        Ok(Numbers::default())
    }
}

/// A counter that goes on after what is stored.
pub(crate) struct Counter(AtomicI64);

impl Counter {
    pub(crate) fn after(stored: i64) -> Self {
        Counter(AtomicI64::new(stored))
    }

    /// The next number, which nobody else is given.
    pub(crate) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
