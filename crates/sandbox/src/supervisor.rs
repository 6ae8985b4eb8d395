//! Starting a supervisor, and giving it a tool to run.

use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::Arc;

use serde::Serialize;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::Error;
use crate::running::{Canceller, Running, Tool, ToolStream};
use crate::wire::{Ground, Plan, Report, VARIABLE};

/// A supervisor that has its ground, and no tool yet. Dropping it ends it: its socket closes.
#[derive(Debug)]
pub(crate) struct Supervisor {
    process: Child,
    socket: UnixStream,
}

impl Supervisor {
    /// Starts one. It makes namespaces and control groups while the caller goes on.
    pub(crate) async fn launch(ground: &Ground) -> Result<Self, Error> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|e| Error::io("make a socket", e))?;
        let process = Command::new("/proc/self/exe")
            .arg0("helve-sandbox")
            .env_clear()
            .env(VARIABLE, "1")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the caller, who then decides.
            .process_group(0)
            .spawn()
            .map_err(|e| Error::io("start the sandbox's supervisor", e))?;
        ours.set_nonblocking(true).map_err(speak)?;
        let mut supervisor = Supervisor {
            process,
            socket: UnixStream::from_std(ours).map_err(speak)?,
        };
        supervisor.send(ground).await?;
        Ok(supervisor)
    }

    /// Gives it the tool; returns when its program runs.
    pub(crate) async fn start(self, plan: &Plan) -> Result<Running, Error> {
        let mut running = self.hand_over(plan).await?;
        match running.tool.report().await? {
            Some(Report::Started) => Ok(running),
            Some(Report::CannotExecute(errno)) => Err(Error::Exec {
                program: running.tool.program.clone(),
                source: std::io::Error::from_raw_os_error(errno),
            }),
            Some(Report::SetupFailed(why)) => Err(Error::Setup(why)),
            Some(Report::Ended(outcome)) => Err(Error::Setup(format!("it {} before the program ran", outcome.end))),
            None => Err(Error::SupervisorDied("it said nothing".to_owned())),
        }
    }

    /// Gives it the tool, and does not wait for what it says.
    pub(crate) async fn hand_over(mut self, plan: &Plan) -> Result<Running, Error> {
        let program = plan.spec.argv[0].to_string_lossy().into_owned();
        let limit = plan.spec.limits.output;
        self.send(plan).await?;
        let Supervisor { mut process, socket } = self;
        let stdout = process.stdout.take().expect("asked for a pipe");
        let stderr = process.stderr.take().expect("asked for a pipe");
        let socket = socket.into_std().map_err(speak)?;
        let canceller = Canceller(Arc::new(socket.try_clone().map_err(speak)?));
        Ok(Running {
            stdout: ToolStream::new(stdout, limit, canceller.clone()),
            stderr: ToolStream::new(stderr, limit, canceller.clone()),
            tool: Tool {
                program,
                reports: BufReader::new(UnixStream::from_std(socket).map_err(speak)?),
                canceller,
                supervisor: Some(process),
                scratch: None,
            },
        })
    }

    #[cfg(test)]
    pub(crate) fn kill(&mut self) {
        self.process.start_kill().unwrap();
    }

    async fn send(&mut self, message: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec(message).map_err(|e| Error::Invalid(format!("cannot describe the tool: {e}")))?;
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let bytes = [&length.to_le_bytes()[..], &text].concat();
        // A supervisor that has given up already has said why: that is read, not this error.
        match self.socket.write_all(&bytes).await {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(speak(e)),
            _ => Ok(()),
        }
    }
}

fn speak(error: std::io::Error) -> Error {
    Error::io("speak to the sandbox's supervisor", error)
}
