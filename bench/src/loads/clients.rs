//! Clients in a closed loop: each does its unit of work, and when that is done the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use temporalio_protos::temporal::api::enums::v1::EventType;
use tokio::task::JoinSet;

use crate::raw::{Rpc, Server, Started, start_request, wait_for_close};

/// A unit of work that takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long the clients go on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// No unit begins after this.
    Time(Instant),
    /// So many units.
    Count(usize),
}

impl Until {
    pub(super) fn after(time: Duration) -> Self {
        Self::Time(Instant::now() + time)
    }
}

/// So many clients at once. Units are numbered; answers how long each took, in milliseconds.
pub(super) async fn closed_loop<W, F>(at_once: usize, until: Until, work: W) -> Result<Vec<f64>>
where
    W: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..at_once {
        clients.spawn(one_after_the_other(work.clone(), until, Arc::clone(&next)));
    }
    let mut latencies = Vec::new();
    while let Some(done) = clients.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

async fn one_after_the_other<W, F>(work: W, until: Until, next: Arc<AtomicUsize>) -> Result<Vec<f64>>
where
    W: Fn(usize) -> F,
    F: Future<Output = Result<()>>,
{
    let mut latencies = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let goes_on = match until {
            Until::Time(end) => Instant::now() < end,
            Until::Count(count) => number < count,
        };
        if !goes_on {
            return Ok(latencies);
        }
        let began = Instant::now();
        tokio::time::timeout(PATIENCE, work(number))
            .await
            .context("a unit of work did not end")??;
        latencies.push(began.elapsed().as_secs_f64() * 1e3);
    }
}

/// With the raw driver: starts a workflow and waits until it has completed.
pub(crate) async fn workflow(server: Server, kind: &'static str, queue: String, id: String) -> Result<()> {
    let mut caller = server.caller();
    let started: Started = caller.call(Rpc::START, start_request(kind, &queue, id.clone())).await?;
    match wait_for_close(&mut caller, &id, &started.run_id).await? {
        EventType::WorkflowExecutionCompleted => Ok(()),
        other => bail!("a workflow ended with {other:?}"),
    }
}

/// The same as units of a closed loop.
pub(super) async fn workflows(
    server: &Server,
    kind: &'static str,
    queue: &str,
    at_once: usize,
    until: Until,
) -> Result<Vec<f64>> {
    let (server, queue) = (server.clone(), queue.to_owned());
    let prefix = format!("{queue}-{}", jiff::Timestamp::now().as_microsecond());
    closed_loop(at_once, until, move |number| {
        workflow(server.clone(), kind, queue.clone(), format!("{prefix}-{number}"))
    })
    .await
}

/// Starts so many workflows and waits for nothing; answers their ids.
pub(super) async fn start_only(
    server: &Server,
    kind: &'static str,
    queue: &str,
    at_once: usize,
    until: Until,
) -> Result<Vec<f64>> {
    let (server, queue) = (server.clone(), queue.to_owned());
    closed_loop(at_once, until, move |number| {
        let request = start_request(kind, &queue, format!("{queue}-{number}"));
        let mut caller = server.caller();
        async move {
            let _: Started = caller.call(Rpc::START, request).await?;
            Ok(())
        }
    })
    .await
}
