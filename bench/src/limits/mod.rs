//! What this machine can do at most: the physical limit under every durable engine on it.

mod disk;
mod echo;
pub(crate) mod rows;
pub(crate) mod same_rows;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::table;

/// Figures per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Writes that are made permanent one after the other.
    pub(crate) syncs: f64,
    /// Rows that plain SQLite makes permanent, [`rows::TYPICAL`] ones.
    pub(crate) rows: f64,
    /// Empty calls over gRPC on loopback, client and server on these cores.
    pub(crate) calls: f64,
}

/// Measures them, and prints them.
pub(crate) fn measure(time: Duration) -> Result<Limits> {
    let folder = tempfile::tempdir()?;
    let limits = Limits {
        syncs: disk::syncs_per_second(folder.path(), time)?,
        rows: rows::per_second(folder.path(), rows::TYPICAL, time)?,
        calls: echo::calls_per_second(time)?,
    };
    let row = |what: String, figure: f64| vec![what, table::number(figure)];
    let rows = [
        row("writes made permanent one after the other".to_owned(), limits.syncs),
        row(
            format!("rows through plain SQLite, {} in a transaction", rows::TYPICAL.group),
            limits.rows,
        ),
        row("empty gRPC calls, 64 at once".to_owned(), limits.calls),
    ];
    table::print(&["at most", "per s"], &rows);
    Ok(limits)
}

impl Limits {
    pub(crate) fn json(&self) -> Value {
        json!({ "syncs_per_second": self.syncs, "rows_per_second": self.rows, "calls_per_second": self.calls })
    }
}
