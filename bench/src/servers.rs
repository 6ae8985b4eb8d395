//! The servers that are measured: Helve's engine, the real Temporal server with its state in a file or in memory, or
//! whatever listens at an address.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use helve_e2e::server::free_port;
use tempfile::{NamedTempFile, TempDir};
use temporalio_protos::temporal::api::workflowservice::v1::{DescribeNamespaceRequest, DescribeNamespaceResponse};

use crate::raw::{NAMESPACE, Rpc, Server};

/// A server that does not answer by then has not started.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a server may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// Helve's log: only what the database says of itself, which is a line at its end.
const LOGGED: &str = "off,helve_db=debug";
const WRITER_ENDS: &str = "the writer ends";

/// Which server, and how it is started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// `helve up --no-worker`: like the others a server, whose workers are elsewhere.
    Helve(PathBuf),
    /// `helve up` with the worker that is part of it.
    HelveWithWorker(PathBuf),
    /// A program that takes a data directory and an address, such as the engine's example `serve`.
    Serve(PathBuf),
    TemporalFile(PathBuf),
    TemporalMemory(PathBuf),
    /// Somebody else's, with its process id when it is known.
    At(String, Option<u32>),
}

impl Kind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::Helve(_) | Kind::HelveWithWorker(_) | Kind::Serve(_) => "helve",
            Kind::TemporalFile(_) => "temporal file",
            Kind::TemporalMemory(_) => "temporal memory",
            Kind::At(..) => "there",
        }
    }

    /// Whether it is the real server: it is given less to do, because it takes so long.
    pub(crate) fn is_temporal(&self) -> bool {
        matches!(self, Kind::TemporalFile(_) | Kind::TemporalMemory(_))
    }

    fn command(&self, folder: &Path, address: &str) -> Option<Command> {
        let (Kind::Helve(program)
        | Kind::HelveWithWorker(program)
        | Kind::Serve(program)
        | Kind::TemporalFile(program)
        | Kind::TemporalMemory(program)) = self
        else {
            return None;
        };
        let mut command = Command::new(program);
        match self {
            Kind::Helve(_) | Kind::HelveWithWorker(_) => {
                command
                    .args(["up", "--grpc", address, "--grpc-open", "--no-http", "--data-dir"])
                    .arg(folder);
                command.env("HELVE_LOG", LOGGED).env_remove("HELVE_ENGINE");
                if let Kind::Helve(_) = self {
                    command.arg("--no-worker");
                }
            }
            Kind::Serve(_) => {
                command.arg(folder).arg(address).env("HELVE_LOG", LOGGED);
            }
            _ => {
                let port = address.rsplit(':').next().unwrap_or_default();
                command.args(["server", "start-dev", "--headless", "--log-level", "never"]);
                command.args(["--ip", "127.0.0.1", "--port", port]);
            }
        }
        if let Kind::TemporalFile(_) = self {
            command.arg("--db-filename").arg(folder.join("temporal.db"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Some(command)
    }
}

/// A server that runs. It ends with the value, and its data with it.
pub(crate) struct Host {
    kind: Kind,
    address: String,
    child: Option<Child>,
    data: TempDir,
    /// What it says.
    log: NamedTempFile,
}

/// What the database's writer did from the start of the server to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Writer {
    pub(crate) commits: f64,
    pub(crate) rows: f64,
    /// Of the values in those rows.
    pub(crate) bytes: f64,
    /// How long it was at work, and waited for the disk with it.
    pub(crate) busy_seconds: f64,
}

impl Writer {
    /// Reads the line that the writer leaves in the log when it ends.
    fn read(log: &str) -> Option<Self> {
        let line = log.lines().rfind(|line| line.contains(WRITER_ENDS))?;
        let field = |name: &str| {
            let mut fields = line.split_whitespace().filter_map(|word| word.split_once('='));
            fields.find(|(known, _)| *known == name)?.1.parse::<f64>().ok()
        };
        Some(Self {
            commits: field("commits")?,
            rows: field("rows")?,
            bytes: field("bytes")?,
            busy_seconds: field("busy_us")? / 1e6,
        })
    }
}

impl Host {
    /// Starts one with an empty data directory, and waits until it answers.
    pub(crate) async fn start(kind: &Kind) -> Result<Self> {
        let mut host = Self {
            kind: kind.clone(),
            address: match kind {
                Kind::At(address, _) => address.clone(),
                _ => format!("127.0.0.1:{}", free_port()),
            },
            child: None,
            data: tempfile::tempdir()?,
            log: NamedTempFile::new()?,
        };
        host.run().await?;
        Ok(host)
    }

    /// Starts the process on the data that is there; returns how long it took until it answered.
    pub(crate) async fn run(&mut self) -> Result<Duration> {
        let began = Instant::now();
        if let Some(mut command) = self.kind.command(self.data.path(), &self.address) {
            let child = command.stderr(self.log.as_file().try_clone()?).spawn();
            self.child = Some(child.with_context(|| format!("starting {:?}", command.get_program()))?);
        }
        while !self.answers().await {
            if let Some(code) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                bail!("{} ended at once: {}", self.kind.name(), code?);
            }
            if began.elapsed() > START_LIMIT {
                bail!("{} does not answer at {}", self.kind.name(), self.address);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(began.elapsed())
    }

    /// Whether the server serves the namespace that the loads use.
    async fn answers(&self) -> bool {
        let Ok(server) = Server::connect(&self.address, false).await else {
            return false;
        };
        let request = DescribeNamespaceRequest {
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        };
        let mut caller = server.caller();
        let answer = caller.call::<_, DescribeNamespaceResponse>(Rpc::DESCRIBE_NAMESPACE, request);
        answer.await.is_ok()
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            bail!("a server that somebody else started is not stopped here");
        };
        let asked = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        asked.context("asking a server to stop")?;
        let began = Instant::now();
        while child.try_wait()?.is_none() {
            if began.elapsed() > STOP_LIMIT {
                child.kill()?;
                child.wait()?;
                bail!("{} does not stop when asked to", self.kind.name());
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// What the writer of Helve's engine did, once the server has stopped.
    pub(crate) fn writer(&self) -> Option<Writer> {
        Writer::read(&std::fs::read_to_string(self.log.path()).ok()?)
    }

    /// Ends the process without asking it.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.kind {
            Kind::At(_, pid) => *pid,
            _ => self.child.as_ref().map(Child::id),
        }
    }

    /// Where its data is; empty for a server that somebody else started.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nobody is left to be told that it failed.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_writer_did_is_in_the_log() {
        let log = "other\n2026-01-01T00:00:00Z DEBUG helve_db::writer: the writer ends commits=10 batches=40 rows=80 bytes=1600 \
                   busy_us=500000\n";
        let writer = Writer::read(log).unwrap();
        assert_eq!(
            (writer.commits, writer.rows, writer.bytes, writer.busy_seconds),
            (10.0, 80.0, 1600.0, 0.5)
        );
        assert_eq!(Writer::read("nothing"), None);
    }
}
