//! Starts alone, 50 at once, with no worker: how fast executions are accepted durably.

use anyhow::Result;

use super::Bench;
use super::clients::{Until, start_only};
use crate::measured::{Measured, Meter};

const AT_ONCE: usize = 50;

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let meter = Meter::start(bench.host.pid());
    let latencies = start_only(&server, "nothing", &queue, AT_ONCE, Until::after(bench.time())).await?;
    Ok(meter.stop(latencies.len(), latencies))
}
