//! One round: so many jobs at once through the workers that there are.

use std::time::{Duration, Instant};

use helve_runs::{Client, StartRun};
use helve_toolbox::run::RunInput;
use serde_json::{Value, json};
use temporalio_client::tonic::Status;
use tokio::task::JoinSet;

use super::place::{Place, bytes_under};
use super::usage::{Meter, Shares};
use super::workers::Workers;
use crate::errors::{Problem, Result, refused};

/// A job that is not done by then never will be.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is done over and over.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) client: Client,
    pub(super) input: RunInput,
    pub(super) workflow: &'static str,
}

/// What a round came to.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) jobs: usize,
    pub(super) workers: usize,
    pub(super) seconds: f64,
    /// From the start of each job to its end, in milliseconds, sorted.
    pub(super) latencies: Vec<f64>,
    pub(super) shares: Shares,
    /// What all jobs together left on the disk.
    pub(super) bytes: u64,
}

/// Starts all jobs at once and waits for all of them.
pub(super) async fn run(job: &Job, jobs: usize, workers: &Workers, place: &Place) -> Result<Round> {
    let bytes = bytes_under(place.data().root());
    let meter = Meter::start(workers.pids());
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..jobs {
        let job = job.clone();
        running.spawn(async move { job.run().await });
    }
    let mut latencies = Vec::with_capacity(jobs);
    let done = async {
        while let Some(done) = running.join_next().await {
            let took = done.map_err(|error| Problem::new(format!("a job failed: {error}")))?;
            latencies.push(took.map_err(|status| refused("a job was not done", &status))?);
        }
        Ok::<_, Problem>(())
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .map_err(|_| Problem::new("the jobs are not done after 10 minutes").help("try fewer with --jobs"))??;
    latencies.sort_by(f64::total_cmp);
    let seconds = began.elapsed().as_secs_f64();
    Ok(Round {
        jobs,
        workers: workers.count(),
        seconds,
        latencies,
        shares: meter.stop(seconds),
        bytes: bytes_under(place.data().root()).saturating_sub(bytes),
    })
}

impl Job {
    /// Milliseconds from start to end.
    async fn run(self) -> Result<f64, Status> {
        let run_id = format!("bench-{}", uuid::Uuid::new_v4().simple());
        let began = Instant::now();
        let start = StartRun {
            run_id: &run_id,
            workflow: self.workflow,
            input: &self.input,
            memo: &[],
            timeout: None,
        };
        self.client.start(start).await?;
        self.client.completed(&run_id).await?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
}

impl Round {
    pub(super) fn per_second(&self) -> f64 {
        self.jobs as f64 / self.seconds
    }

    /// The latency that this share of the jobs stayed below, by nearest rank.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "jobs": self.jobs,
            "workers": self.workers,
            "seconds": self.seconds,
            "jobs_per_second": self.per_second(),
            "p50_ms": self.percentile(0.5),
            "p90_ms": self.percentile(0.9),
            "p99_ms": self.percentile(0.99),
            "bytes_per_job": self.bytes / self.jobs as u64,
            "engine_cores": self.shares.engine,
            "worker_cores": self.shares.workers,
            "bottleneck": self.shares.bottleneck().name(),
        })
    }
}
