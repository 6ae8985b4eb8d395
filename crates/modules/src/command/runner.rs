//! How a program is started. The worker runs it in a sandbox, and components in WebAssembly; [`Unconfined`] is for tests.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a running program is looked at: how late a cancellation may be noticed.
const LOOK: Duration = Duration::from_millis(20);

/// A program to be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program, or the component, absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub dir: PathBuf,
    /// What it may read beside the system's programs.
    pub readable: Vec<PathBuf>,
    /// What it may write.
    pub writable: Vec<PathBuf>,
    /// A folder for temporary files.
    pub scratch: PathBuf,
    /// Whether it may use the network.
    pub network: bool,
    /// How much it may use.
    pub bounds: Bounds,
}

/// How much a program may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Time on the wall clock.
    pub time: Duration,
    /// Memory in bytes.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Bytes on standard output, and on standard error, each.
    pub output: u64,
    /// Time on all CPUs together.
    pub cpu: Duration,
    /// Open files of one process.
    pub files: u32,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes added to the disk, in all.
    pub disk: u64,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signaled(i32),
    /// It trapped, which only components do: why, for people.
    Trapped(String),
    /// It was stopped because it reached a bound, named for people.
    Limited(String),
    /// It was stopped because the step was cancelled.
    Cancelled,
}

/// A program that has ended, with everything it started.
#[derive(Debug, Clone)]
pub struct Ran {
    /// How.
    pub end: End,
    /// Bounds that it felt without being stopped, named for people: it may have looked at less than it says.
    pub felt: Vec<String>,
    /// What it printed, within the bound.
    pub stdout: Vec<u8>,
    /// The same of standard error.
    pub stderr: Vec<u8>,
    /// What stood around it, for people: the sandbox's level.
    pub sandbox: String,
}

/// A program that could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be executed; trying again does not help.
    #[error("cannot execute {}: {reason}", program.display())]
    Execute {
        /// The program.
        program: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nothing is wrong with the program: another attempt, or another worker, may do.
    #[error("the process could not be set up: {0}")]
    Setup(String),
}

/// Runs programs.
pub trait Runner: Send + Sync {
    /// Runs it to its end. Blocking. `cancelled` is looked at all the time; `tick` is called now and then with the time
    /// it has taken.
    fn run(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, RunError>;
}

/// Starts programs as they are: bounded in time and output only, in a process group of their own, their children killed
/// with them. For tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unconfined;

impl Runner for Unconfined {
    fn run(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, RunError> {
        let mut command = Command::new(&job.program);
        command
            .args(&job.args)
            .env_clear()
            .envs(&job.env)
            .current_dir(&job.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| RunError::Execute {
            program: job.program.clone(),
            reason: error.to_string(),
        })?;
        let stdout = drain(child.stdout.take(), job.bounds.output);
        let stderr = drain(child.stderr.take(), job.bounds.output);
        let end = watch(&mut child, job.bounds.time, cancelled, tick);
        stop(&mut child);
        let (stdout, more) = stdout.join().unwrap_or_default();
        let (stderr, more_errors) = stderr.join().unwrap_or_default();
        let end = match end.map_err(|error| RunError::Setup(error.to_string()))? {
            End::Exited(_) if more || more_errors => End::Limited("output size".to_owned()),
            end => end,
        };
        Ok(Ran {
            end,
            felt: Vec::new(),
            stdout,
            stderr,
            sandbox: "none".to_owned(),
        })
    }
}

fn watch(child: &mut Child, time: Duration, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> std::io::Result<End> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            #[cfg(unix)]
            if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
                return Ok(End::Signaled(signal));
            }
            return Ok(End::Exited(status.code().unwrap_or(-1)));
        }
        if cancelled.load(Ordering::Relaxed) {
            return Ok(End::Cancelled);
        }
        if started.elapsed() >= time {
            return Ok(End::Limited("wall time".to_owned()));
        }
        tick(started.elapsed());
        std::thread::sleep(LOOK);
    }
}

/// Kills the whole group: what the program started may outlive it and hold its pipes open.
fn stop(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads a pipe to its end, keeping `limit` bytes. Says whether there were more.
fn drain(pipe: Option<impl Read + Send + 'static>, limit: u64) -> std::thread::JoinHandle<(Vec<u8>, bool)> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let Some(mut pipe) = pipe else {
            return (kept, false);
        };
        let _ = pipe.by_ref().take(limit).read_to_end(&mut kept);
        let more = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or(0);
        (kept, more > 0)
    })
}
