//! Workflows of three activities, one after the other: for as long as the load lasts each client starts a workflow, waits
//! for its result, and starts the next. On plain gRPC that is 16 calls per workflow (1 start, 4 workflow tasks and 3
//! activities of two calls each, 1 wait) and 23 events.

use anyhow::Result;
use temporalio_protos::temporal::api::enums::v1::EventType;

use super::Bench;
use super::clients::{Until, closed_loop, workflows};
use super::scripts::{complete, count_of, schedule_activity};
use crate::limits::rows::{self, Rows};
use crate::limits::same_rows;
use crate::machine;
use crate::measured::{Measured, Meter};
use crate::raw::{Event, Pollers, Server, Step, Workers};
use crate::{fill, sdk};

const ACTIVITIES: usize = 3;
/// Workflows at once before the load, which make the server's tables and caches and are not counted: on the real server
/// fewer.
const WARM: (usize, usize) = (20, 3);
/// Workflows at once on the real server when it shall be quick.
const QUICK: usize = 20;
/// From here on commits are shared by many, and it is measured how well.
const MANY: usize = 200;
/// How many rows per second the engine makes permanent, beside SQLite alone.
pub(crate) const GROUP_COMMIT: &str = "group commit, of plain SQLite";

pub(super) async fn raw(bench: &mut Bench<'_>, at_once: usize) -> Result<Measured> {
    let at_once = bounded(bench, at_once);
    let server = bench.server().await?;
    let queue = super::fresh_queue();
    let workers = Workers::start(&server, &queue, script, pollers(bench, at_once));
    let measured = workers
        .during(async {
            drive(&server, &queue, warm(bench, at_once), Until::after(bench.time() / 10)).await?;
            let bytes = machine::folder_bytes(bench.host.data());
            let meter = Meter::start(bench.host.pid());
            let latencies = drive(&server, &queue, at_once, Until::after(bench.time())).await?;
            let measured = meter.stop(latencies.len(), latencies);
            let grown = machine::folder_bytes(bench.host.data()).saturating_sub(bytes);
            Ok(on_disk(bench, measured, grown))
        })
        .await?;
    if at_once < MANY {
        return Ok(measured);
    }
    drop(server);
    group_commit(bench, measured).await
}

/// How the rows that Helve's engine wrote per second compare with what SQLite alone makes of them on the same disk, with as
/// many in a transaction. Beside it, what its writer makes of the time in which it is at work (waiting for a core or the disk
/// included), and what the simplest table takes.
async fn group_commit(bench: &mut Bench<'_>, measured: Measured) -> Result<Measured> {
    if bench.host.kind().is_temporal() || bench.host.stop().await.is_err() {
        return Ok(measured);
    }
    let Some(writer) = bench.host.writer() else {
        return Ok(measured);
    };
    let rows = Rows {
        group: (writer.rows / writer.commits).round().max(1.0) as usize,
        bytes: (writer.bytes / writer.rows).round().max(1.0) as usize,
    };
    let (folder, time) = (tempfile::tempdir()?, bench.time() / 3);
    let database = bench.host.data().join("engine.db");
    let Some(runs) = fill::runs(&database) else {
        return Ok(measured);
    };
    let (simple, same) = tokio::task::spawn_blocking(move || -> Result<(f64, f64)> {
        let simple = rows::per_second(folder.path(), rows, time)?;
        Ok((
            simple,
            same_rows::per_second(&database, folder.path(), rows.group, time)?,
        ))
    })
    .await??;
    let engine = writer.rows / runs * measured.done as f64 / measured.seconds;
    Ok(measured
        .with("rows per commit", writer.rows / writer.commits)
        .with("B per row", writer.bytes / writer.rows)
        .with("rows/s", engine)
        .with("rows/s of the writer at work", writer.rows / writer.busy_seconds)
        .with("rows/s of plain SQLite in a simple table", simple)
        .with("rows/s of plain SQLite in the same tables", same)
        .with(GROUP_COMMIT, engine / same))
}

pub(super) async fn sdk(bench: &mut Bench<'_>, at_once: usize) -> Result<Measured> {
    let at_once = bounded(bench, at_once);
    let client = sdk::connect(bench.host.address()).await?;
    let queue = super::fresh_queue();
    let load = async {
        let run = |prefix: &'static str, at_once, until| {
            let (client, queue) = (client.clone(), queue.clone());
            closed_loop(at_once, until, move |number| {
                let (client, queue) = (client.clone(), queue.clone());
                let id = format!("{queue}-{prefix}-{number}");
                async move { sdk::execute(&client, &queue, &id, sdk::Sequential::run, ACTIVITIES as u64).await }
            })
        };
        run("warm", warm(bench, at_once), Until::after(bench.time() / 10)).await?;
        let meter = Meter::start(bench.host.pid());
        let latencies = run("run", at_once, Until::after(bench.time())).await?;
        Ok(meter.stop(latencies.len(), latencies))
    };
    sdk::with_worker(&client, &queue, bench.options.pollers, load).await
}

/// A load ends when its last workflow does. When it shall be quick, the real server is given fewer.
fn bounded(bench: &Bench<'_>, at_once: usize) -> usize {
    match bench.options.quick && bench.host.kind().is_temporal() {
        true => at_once.min(QUICK),
        false => at_once,
    }
}

fn warm(bench: &Bench<'_>, at_once: usize) -> usize {
    bench.count(WARM.0, WARM.1).min(at_once)
}

pub(super) fn pollers(bench: &Bench<'_>, at_once: usize) -> Pollers {
    let open = bench.options.pollers.unwrap_or(at_once.clamp(2, 64));
    Pollers {
        workflow: open,
        activity: open,
        sticky: bench.options.sticky,
    }
}

pub(super) async fn drive(server: &Server, queue: &str, at_once: usize, until: Until) -> Result<Vec<f64>> {
    workflows(server, "three-steps", queue, at_once, until).await
}

/// What the workflows left on the disk.
fn on_disk(bench: &Bench<'_>, measured: Measured, grown: u64) -> Measured {
    let done = measured.done as f64;
    let measured = match (grown, measured.written) {
        (0, _) => measured,
        (grown, None) => measured.with("KB on disk", grown as f64 / done / 1e3),
        (grown, Some(written)) => measured
            .with("KB on disk", grown as f64 / done / 1e3)
            .with("KB written", written as f64 / done / 1e3),
    };
    match fill::rows_per_run(bench.host.data()) {
        Some(rows) => measured.with("rows", rows),
        None => measured,
    }
}

pub(super) fn script(queue: &str, events: &[Event]) -> Step {
    match count_of(events, EventType::ActivityTaskCompleted) {
        done if done < ACTIVITIES => Step::goes_on(vec![schedule_activity(done, queue)]),
        _ => complete(),
    }
}
