//! Local workers: `helve up` in processes of their own, as a user starts them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::errors::{Problem, Result};
use crate::paths::DataDir;

/// A worker that is not ready by then has failed.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// They end with the value.
pub(super) struct Workers(Vec<Child>);

impl Workers {
    /// Starts so many, and waits until all of them poll.
    pub(super) async fn start(engine: SocketAddr, data: &DataDir, count: usize) -> Result<Self> {
        let children = (0..count).map(|_| spawn(engine, data)).collect::<Result<Vec<_>>>()?;
        let mut workers = Self(children);
        for child in &mut workers.0 {
            tokio::time::timeout(READY_WITHIN, ready(child))
                .await
                .map_err(|_| Problem::new("a worker did not get ready within a minute"))??;
        }
        Ok(workers)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.0.iter().filter_map(Child::id).collect()
    }

    /// All jobs are done: nothing is lost by killing them.
    pub(super) async fn stop(&mut self) {
        for child in &mut self.0 {
            if let Err(error) = child.kill().await {
                tracing::debug!(%error, "a worker was gone already");
            }
        }
    }
}

fn spawn(engine: SocketAddr, data: &DataDir) -> Result<Child> {
    let program = std::env::current_exe()
        .map_err(|error| Problem::new(format!("this program cannot find itself to start workers: {error}")))?;
    Command::new(&program)
        .args([
            "up",
            "--no-http",
            "--engine",
            &format!("temporal://{engine}"),
            "--data-dir",
        ])
        .arg(data.root())
        .env_remove("HELVE_LOG")
        .env_remove("HELVE_ENGINE")
        .env_remove("HELVE_DATA_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Problem::io("start", &program, &error))
}

/// Waits for the line that says so; what comes after it is read and dropped, or the worker would block on it.
async fn ready(child: &mut Child) -> Result<()> {
    let Some(stderr) = child.stderr.take() else {
        return Ok(());
    };
    let mut lines = BufReader::new(stderr).lines();
    let mut said = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("worker") && line.contains("ready") {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(());
        }
        said.push(line);
    }
    Err(Problem::new("a worker ended before it was ready").details(said))
}
