//! Starts the programs of modules in the sandbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use helve_modules::command::{Bounds, End, Job, Ran, RunError, Runner};
use helve_sandbox::{Error, Limits, Network, Options, Outcome, Output, Sandbox, Spec, Support};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

/// How often a running program is looked at: how late a cancellation may be noticed.
const LOOK: Duration = Duration::from_millis(20);

/// Runs programs in a sandbox, at the strongest level that the machine can do.
pub struct Confined {
    options: Options,
    sandbox: OnceCell<Sandbox>,
    runtime: Handle,
}

impl Confined {
    /// Must be called within a tokio runtime. What the machine can do is found out when the first program is run, which
    /// may fail if that is less than `options` require.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            sandbox: OnceCell::new(),
            runtime: Handle::current(),
        }
    }

    /// Finds out now what the machine can do.
    ///
    /// # Errors
    ///
    /// When it is less than the options require.
    pub async fn open(&self) -> Result<&Support, Error> {
        Ok(self.sandbox().await?.support())
    }

    async fn sandbox(&self) -> Result<&Sandbox, Error> {
        self.sandbox
            .get_or_try_init(|| Sandbox::open(self.options.clone()))
            .await
    }

    async fn follow(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Output, Error> {
        let sandbox = self.sandbox().await?;
        let started = Instant::now();
        let running = sandbox.spawn(&spec(job)).await?;
        let canceller = running.canceller();
        let mut output = std::pin::pin!(running.output());
        loop {
            match tokio::time::timeout(LOOK, &mut output).await {
                Ok(output) => return output,
                Err(_) if cancelled.load(Ordering::Relaxed) => canceller.cancel(),
                Err(_) => tick(started.elapsed()),
            }
        }
    }
}

impl Runner for Confined {
    fn run(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, RunError> {
        // The caller's thread is a blocking one.
        match self.runtime.block_on(self.follow(job, cancelled, tick)) {
            Ok(output) => Ok(ran(output)),
            Err(error) if error.is_transient() => Err(RunError::Setup(error.to_string())),
            Err(error) => Err(RunError::Execute {
                program: job.program.clone(),
                reason: match error {
                    Error::Exec { source, .. } => source.to_string(),
                    other => other.to_string(),
                },
            }),
        }
    }
}

fn spec(job: &Job) -> Spec {
    let words = std::iter::once(job.program.as_os_str().to_owned()).chain(job.args.iter().map(Into::into));
    let mut spec = Spec::new(words)
        .cwd(&job.dir)
        .scratch(&job.scratch)
        .network(if job.network { Network::Host } else { Network::None })
        .limits(limits(&job.bounds));
    for (name, value) in &job.env {
        spec = spec.env(name, value);
    }
    let readable = job.readable.iter().filter(|path| !job.writable.contains(path));
    for path in readable.filter(|path| path.exists()) {
        spec = spec.read_only(path);
    }
    for path in &job.writable {
        spec = spec.read_write(path);
    }
    spec
}

fn limits(bounds: &Bounds) -> Limits {
    Limits {
        memory: bounds.memory,
        cpu_time: bounds.cpu,
        cpus: None,
        processes: bounds.processes,
        open_files: bounds.files.into(),
        file_size: bounds.file_size,
        disk: bounds.disk,
        output: bounds.output,
        wall_time: bounds.time,
    }
}

fn ran(output: Output) -> Ran {
    let Output {
        outcome,
        stdout,
        stderr,
    } = output;
    let Outcome { end, felt, level, .. } = outcome;
    Ran {
        end: match end {
            helve_sandbox::End::Exited(code) => End::Exited(code),
            helve_sandbox::End::Signaled(signal) => End::Signaled(signal),
            helve_sandbox::End::Limited(limit) => End::Limited(limit.to_string()),
            helve_sandbox::End::Cancelled => End::Cancelled,
        },
        felt: felt.iter().map(ToString::to_string).collect(),
        stdout,
        stderr,
        sandbox: level.to_string(),
    }
}
