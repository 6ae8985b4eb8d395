//! Throughput with 1,000,000 closed executions in the database, beside the same with none.

use anyhow::{Result, bail};

use super::Bench;
use super::clients::Until;
use super::sequential::{drive, pollers, script};
use crate::fill;
use crate::measured::{Measured, Meter};
use crate::raw::Workers;

const CLOSED: usize = 1_000_000;
const AT_ONCE: usize = 200;

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    if bench.host.kind().is_temporal() {
        bail!("this compares Helve with itself");
    }
    let empty = throughput(bench).await?;
    let closed = if bench.options.quick { CLOSED / 10 } else { CLOSED };
    fill::closed_executions(&mut bench.host, closed).await?;
    let full = throughput(bench).await?;
    let ratio = full.per_second() / empty.per_second();
    let cpu = full
        .engine_ms()
        .zip(empty.engine_ms())
        .map(|(full, empty)| full / empty);
    let measured = full
        .with("of empty", ratio)
        .with("per s when empty", empty.per_second());
    Ok(match cpu {
        Some(cpu) => measured.with("engine cpu, of empty", cpu),
        None => measured,
    })
}

async fn throughput(bench: &Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let load = async {
        drive(&server, &queue, AT_ONCE, Until::after(bench.time() / 5)).await?;
        let meter = Meter::start(bench.host.pid());
        let latencies = drive(&server, &queue, AT_ONCE, Until::after(bench.time())).await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    Workers::start(&server, &queue, script, pollers(bench, AT_ONCE))
        .during(load)
        .await
}
