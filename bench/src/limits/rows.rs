//! How many rows per second plain SQLite makes permanent, in transactions as large as an engine's that serves 200
//! workflows at once. No engine on SQLite writes faster than this.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::Connection;

/// Rows in one transaction.
pub(super) const GROUP: usize = 200;
/// About what a batch of events has.
const ROW_BYTES: usize = 200;

pub(super) fn per_second(folder: &Path, time: Duration) -> Result<f64> {
    let mut connection = Connection::open(folder.join("rows.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096;
         CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    )?;
    let body = [7_u8; ROW_BYTES];
    let began = Instant::now();
    let mut count = 0_usize;
    while began.elapsed() < time {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO rows (body) VALUES (?1)")?;
            for _ in 0..GROUP {
                insert.execute([&body[..]])?;
            }
        }
        transaction.commit()?;
        count += GROUP;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
