//! Row numbers, given out in memory: a batch must name its rows before it is written, and this process is the only writer.

use std::sync::atomic::{AtomicI64, Ordering};

use helve_db::rusqlite::Connection;

use crate::error::Error;

/// The next number of each table that numbers its rows. A batch that fails leaves a gap.
pub(crate) struct Numbers {
    pub(crate) names: Counter,
    pub(crate) runs: Counter,
    pub(crate) findings: Counter,
}

impl Numbers {
    pub(crate) fn load(db: &Connection) -> Result<Self, Error> {
        let last = |sql: &str| -> Result<Counter, Error> {
            let last: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
            Ok(Counter(AtomicI64::new(last.unwrap_or(0))))
        };
        Ok(Numbers {
            names: last("SELECT max(no) FROM names")?,
            runs: last("SELECT max(no) FROM runs")?,
            findings: last("SELECT max(no) FROM findings")?,
        })
    }
}

/// A counter that goes on after what is stored.
pub(crate) struct Counter(AtomicI64);

impl Counter {
    /// The next number, which nobody else is given.
    pub(crate) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
