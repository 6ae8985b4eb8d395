//! How many rows per second plain SQLite makes permanent: one table without an index, rows of one size, so many in a
//! transaction. No engine on SQLite writes faster than this.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::Connection;

/// Rows, and how many of them are in one transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) group: usize,
    pub(crate) bytes: usize,
}

/// About what a batch of events has; transactions larger than most of an engine's.
pub(super) const TYPICAL: Rows = Rows { group: 200, bytes: 200 };

pub(crate) fn per_second(folder: &Path, rows: Rows, time: Duration) -> Result<f64> {
    let mut connection = Connection::open(folder.join("rows.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096;
         CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    )?;
    let body = vec![7_u8; rows.bytes];
    let began = Instant::now();
    let mut count = 0_usize;
    while began.elapsed() < time {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO rows (body) VALUES (?1)")?;
            for _ in 0..rows.group {
                insert.execute([&body])?;
            }
        }
        transaction.commit()?;
        count += rows.group;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
