//! Workflows per second on Helve's engine and on the real Temporal server, both with their state on the same disk.

use std::time::Duration;

use anyhow::{Context, Result};
use helve_e2e::home::Home;
use helve_e2e::server::TemporalServer;
use serde_json::{Value, json};

use crate::disk::syncs_per_second;
use crate::driver::{Measured, load};
use crate::table;

const AT_ONCE: [usize; 3] = [1, 50, 200];

pub(crate) fn measure(quick: bool, address: Option<&str>) -> Result<Value> {
    let time = Duration::from_secs(if quick { 2 } else { 10 });
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let syncs = syncs_per_second(folder.path(), time / 5)?;
    println!("this disk makes {syncs:.0} writes per second permanent, one after the other");

    if let Some(address) = address {
        let there = loads(&runtime, address, time)?;
        print(&there, None);
        return Ok(json!({ "syncs_per_second": syncs, "address": address, "there": numbers(&there) }));
    }
    let home = Home::new();
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0"]);
    let line = up.wait_for_line("temporal://127.0.0.1:");
    let address = line
        .split("temporal://")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let ours = loads(&runtime, address.context("`helve up` says its address")?, time)?;
    up.signal("INT");
    up.wait();

    let theirs = match TemporalServer::start_with(&["--db-filename", &folder.path().join("t.db").to_string_lossy()]) {
        Some(server) => Some(loads(&runtime, server.address(), time)?),
        None => None,
    };
    print(&ours, theirs.as_deref());
    Ok(json!({
        "syncs_per_second": syncs,
        "helve": numbers(&ours),
        "temporal": theirs.as_deref().map(numbers),
    }))
}

fn loads(runtime: &tokio::runtime::Runtime, address: &str, time: Duration) -> Result<Vec<Measured>> {
    AT_ONCE
        .iter()
        .map(|at_once| runtime.block_on(load(address, *at_once, time)))
        .collect()
}

/// Ratios first: they are what carries over to another machine.
fn print(ours: &[Measured], theirs: Option<&[Measured]>) {
    let rows: Vec<Vec<String>> = AT_ONCE
        .iter()
        .enumerate()
        .map(|(index, at_once)| {
            let other = theirs.map(|theirs| theirs[index]);
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                format!("{at_once} at once"),
                or_none(other.map(|other| format!("{:.1}x", ours[index].per_second / other.per_second))),
                format!("{:.0}", ours[index].per_second),
                or_none(other.map(|other| format!("{:.0}", other.per_second))),
                format!("{:.1}", ours[index].latency_ms),
                or_none(other.map(|other| format!("{:.1}", other.latency_ms))),
            ]
        })
        .collect();
    println!("workflows of three activities, state on disk, raw gRPC over loopback, driver on the same cores");
    let heading = [
        "load",
        "helve/temporal",
        "helve per s",
        "temporal per s",
        "helve median ms",
        "temporal median ms",
    ];
    table::print(&heading, &rows);
}

fn numbers(measured: &[Measured]) -> Value {
    let entries = AT_ONCE.iter().zip(measured).map(|(at_once, measured)| {
        json!({ "at_once": at_once, "workflows_per_second": measured.per_second, "median_latency_ms": measured.latency_ms })
    });
    Value::Array(entries.collect())
}
