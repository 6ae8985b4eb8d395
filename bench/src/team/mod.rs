//! `helve up` as a team uses it: how soon it is ready, what it holds at rest, under uploads, and with many listeners.

mod listeners;
mod start;
mod uploads;

use anyhow::Result;
use serde_json::{Value, json};

pub(crate) fn measure(quick: bool) -> Result<Value> {
    Ok(json!({
        "start": start::measure(quick)?,
        "uploads": uploads::measure(quick)?,
        "listeners": listeners::measure(quick)?,
    }))
}

const MB: f64 = 1e6;
