//! A tool that runs.

use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::wire::{CANCEL, Report, TOO_MUCH_OUTPUT};
use crate::{Error, Outcome, Output};

/// A tool that runs. Dropping it kills the tool and everything it started.
///
/// Read [`Running::stdout`] and [`Running::stderr`] while waiting: a tool whose pipe is full stands still.
#[derive(Debug)]
pub struct Running {
    /// What the tool writes to standard output.
    pub stdout: ToolStream<ChildStdout>,
    /// What the tool writes to standard error.
    pub stderr: ToolStream<ChildStderr>,
    pub(crate) tool: Tool,
}

/// The tool without its streams.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) program: String,
    pub(crate) reports: BufReader<UnixStream>,
    pub(crate) canceller: Canceller,
    /// Until it is waited for.
    pub(crate) supervisor: Option<Child>,
    /// Removed when the tool is gone.
    pub(crate) scratch: Option<TempDir>,
}

/// Kills the tool; cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Canceller(pub(crate) Arc<StdUnixStream>);

impl Canceller {
    /// Kills the tool and everything it started. Does nothing when it has ended.
    pub fn cancel(&self) {
        self.tell(CANCEL);
    }

    fn tell(&self, byte: u8) {
        // One byte into an empty socket buffer: this neither blocks nor, while the supervisor lives, fails.
        let _ = (&*self.0).write(&[byte]);
    }
}

impl Running {
    /// Gives it the scratch directory that was made for it.
    pub(crate) fn owning(mut self, scratch: Option<TempDir>) -> Self {
        self.tool.scratch = scratch;
        self
    }

    /// A handle that kills the tool.
    pub fn canceller(&self) -> Canceller {
        self.tool.canceller.clone()
    }

    /// Waits until the tool and everything it started are gone.
    ///
    /// What is left in the streams can be read afterwards only as far as it fits into the pipes, so read them meanwhile.
    pub async fn wait(&mut self) -> Result<Outcome, Error> {
        self.tool.wait().await
    }

    /// Waits, collecting what the tool writes.
    pub async fn output(mut self) -> Result<Output, Error> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (outcome, out, err) = tokio::join!(
            self.tool.wait(),
            self.stdout.read_to_end(&mut stdout),
            self.stderr.read_to_end(&mut stderr),
        );
        let outcome = outcome?;
        out.and(err).map_err(|e| Error::io("read what the tool wrote", e))?;
        Ok(Output {
            outcome,
            stdout,
            stderr,
        })
    }
}

impl Tool {
    /// The supervisor's next report; `None` when it has said everything.
    pub(crate) async fn report(&mut self) -> Result<Option<Report>, Error> {
        let mut line = String::new();
        let read = self.reports.read_line(&mut line).await;
        if read.map_err(|e| Error::io("read from the sandbox's supervisor", e))? == 0 {
            return Ok(None);
        }
        let report = serde_json::from_str(&line);
        report
            .map(Some)
            .map_err(|e| Error::SupervisorDied(format!("it said `{}`: {e}", line.trim_end())))
    }

    pub(crate) async fn wait(&mut self) -> Result<Outcome, Error> {
        loop {
            match self.report().await? {
                Some(Report::Started) => {}
                Some(Report::CannotExecute(errno)) => {
                    return Err(Error::Exec {
                        program: self.program.clone(),
                        source: io::Error::from_raw_os_error(errno),
                    });
                }
                Some(Report::SetupFailed(why)) => return Err(Error::Setup(why)),
                Some(Report::Ended(outcome)) => {
                    // Everything of the tool is gone. The supervisor still has its control groups to remove, for which
                    // nobody needs to wait; it is collected so that it leaves no zombie.
                    if let Some(mut supervisor) = self.supervisor.take() {
                        tokio::spawn(async move { supervisor.wait().await });
                    }
                    if let Some(scratch) = self.scratch.take() {
                        remove(scratch).await;
                    }
                    return Ok(outcome);
                }
                None => {
                    let status = match &mut self.supervisor {
                        Some(supervisor) => supervisor.wait().await.map(|status| status.to_string()),
                        None => Ok("it has ended".to_owned()),
                    };
                    return Err(Error::SupervisorDied(status.unwrap_or_else(|e| e.to_string())));
                }
            }
        }
    }
}

/// A tool may leave many files; removing them must not hold up other tasks.
async fn remove(scratch: TempDir) {
    let path = scratch.path().to_owned();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || scratch.close()).await {
        tracing::warn!(%error, path = %path.display(), "a tool's scratch directory could not be removed");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // A canceller elsewhere may still hold the socket; the supervisor must see its end all the same.
        self.canceller.cancel();
        let _ = self.canceller.0.shutdown(std::net::Shutdown::Write);
    }
}

/// One output of a tool. Reading ends, and the tool is killed, when [`crate::Limits::output`] bytes have come.
#[derive(Debug)]
pub struct ToolStream<S> {
    inner: S,
    left: u64,
    canceller: Canceller,
    ended: bool,
}

impl<S> ToolStream<S> {
    pub(crate) fn new(inner: S, limit: u64, canceller: Canceller) -> Self {
        ToolStream {
            inner,
            left: limit,
            canceller,
            ended: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ToolStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // One byte more than allowed is asked for: that is how too much is told from exactly enough.
        let mut chunk = [0; 16 * 1024];
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let ask = buf.remaining().min(room.max(1)).min(chunk.len());
        let mut part = ReadBuf::new(&mut chunk[..ask]);
        match Pin::new(&mut self.inner).poll_read(cx, &mut part) {
            Poll::Ready(Ok(())) if room == 0 && !part.filled().is_empty() => {
                self.ended = true;
                self.canceller.tell(TOO_MUCH_OUTPUT);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) => {
                self.left -= part.filled().len() as u64;
                buf.put_slice(part.filled());
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}
