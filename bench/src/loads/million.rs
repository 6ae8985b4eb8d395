//! Throughput with 1,000,000 closed executions in the database, beside the same with none: two servers that take turns,
//! because the machine is not equally fast all the time.

use anyhow::{Result, bail};

use super::Bench;
use super::clients::Until;
use super::sequential::{drive, pollers, script};
use crate::fill;
use crate::measured::{Measured, Meter};
use crate::raw::{Server, Workers};
use crate::servers::Host;
use crate::table::median;

const CLOSED: usize = 1_000_000;
const AT_ONCE: usize = 200;
const ROUNDS: u32 = 5;

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    if bench.host.kind().is_temporal() {
        bail!("this compares Helve with itself");
    }
    let mut empty = Host::start(bench.host.kind()).await?;
    let closed = if bench.options.quick { CLOSED / 10 } else { CLOSED };
    fill::closed_executions(&mut bench.host, closed).await?;
    let (mut last, mut rates, mut cpus) = (Measured::default(), Vec::new(), Vec::new());
    // The first round warms both up.
    for round in 0..=ROUNDS {
        let before = throughput(bench, &empty).await?;
        last = throughput(bench, &bench.host).await?;
        if round > 0 {
            rates.push(last.per_second() / before.per_second());
            cpus.extend(
                last.engine_ms()
                    .zip(before.engine_ms())
                    .map(|(full, empty)| full / empty),
            );
        }
    }
    empty.stop().await?;
    let worst = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let measured = last.with("of empty", median(rates)).with("of empty at worst", worst);
    Ok(match cpus.is_empty() {
        true => measured,
        false => measured.with("engine cpu, of empty", median(cpus)),
    })
}

async fn throughput(bench: &Bench<'_>, host: &Host) -> Result<Measured> {
    let server = Server::connect(host.address(), bench.options.gzip).await?;
    let queue = super::fresh_queue();
    let load = async {
        let meter = Meter::start(host.pid());
        let latencies = drive(&server, &queue, AT_ONCE, Until::after(bench.time() / 2)).await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    Workers::start(&server, &queue, script, pollers(bench, AT_ONCE))
        .during(load)
        .await
}
