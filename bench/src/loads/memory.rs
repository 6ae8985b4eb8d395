//! Memory of the server at rest after its start, and during and after a load of 50 workflows at once. On the real server
//! fewer: its file database makes a few of them a second, and the load ends when the last one does. What is compared is the
//! server alone; beside it stands the whole of `helve up`, at rest.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use super::clients::Until;
use super::sequential::{drive, pollers, script};
use crate::machine;
use crate::measured::{Measured, Meter};
use crate::raw::Workers;
use crate::servers::{Host, Kind};

const AT_ONCE: (usize, usize) = (50, 5);
const REST: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let pid = bench.host.pid().context("the process of the server is not known")?;
    let memory = || machine::memory(pid).context("this system does not tell the memory of a process");
    tokio::time::sleep(REST).await;
    let (idle, of_files) = (memory()?, machine::file_memory(pid).unwrap_or(0));
    let at_once = bench.count(AT_ONCE.0, AT_ONCE.1);
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let load = async {
        let meter = Meter::start(Some(pid));
        let latencies = drive(&server, &queue, at_once, Until::after(bench.time()));
        tokio::pin!(latencies);
        let mut peak = 0;
        let latencies = loop {
            tokio::select! {
                latencies = &mut latencies => break latencies?,
                () = tokio::time::sleep(LOOK) => peak = memory()?.max(peak),
            }
        };
        Ok((meter.stop(latencies.len(), latencies), peak))
    };
    let workers = Workers::start(&server, &queue, script, pollers(bench, at_once));
    let (measured, peak) = workers.during(load).await?;
    tokio::time::sleep(REST).await;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let measured = match whole(bench.host.kind()).await? {
        Some(whole) => measured.with("idle MB with Helve's worker", megabytes(whole)),
        None => measured,
    };
    Ok(measured
        .with("idle MB", megabytes(idle))
        .with(
            "idle MB without pages of files",
            megabytes(idle.saturating_sub(of_files)),
        )
        .with("peak MB", megabytes(peak))
        .with("afterwards MB", megabytes(memory()?)))
}

/// What `helve up` holds at rest with its worker, if that is what is measured.
async fn whole(kind: &Kind) -> Result<Option<u64>> {
    let Kind::Helve(program) = kind else { return Ok(None) };
    let mut host = Host::start(&Kind::HelveWithWorker(program.clone())).await?;
    tokio::time::sleep(REST).await;
    let memory = host.pid().and_then(machine::memory);
    host.stop().await?;
    Ok(memory)
}
