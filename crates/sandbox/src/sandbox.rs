//! What this machine can do, and starting tools with it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::running::{Canceller, Running, Tool, ToolStream};
use crate::wire::{Plan, Report, VARIABLE, Walls};
use crate::{Error, Level, Options, Outcome, Output, Protections, Spec, Support};

/// Runs tools. Cheap to clone; one per worker.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    walls: Walls,
    support: Support,
    scratch: Option<PathBuf>,
}

impl Sandbox {
    /// Finds out which walls stand on this machine, by putting them up once.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let (walls, support) = find_walls(&options).await?;
        let sandbox = Sandbox(Arc::new(Inner {
            walls,
            support,
            scratch: options.scratch,
        }));
        sandbox.check(options.require.unwrap_or(Level::Limits))?;
        Ok(sandbox)
    }

    /// What this machine can do.
    pub fn support(&self) -> &Support {
        &self.0.support
    }

    /// The level of every tool run by this sandbox.
    pub fn level(&self) -> Level {
        self.0.support.level
    }

    fn check(&self, required: Level) -> Result<(), Error> {
        if self.level() >= required {
            return Ok(());
        }
        Err(Error::TooWeak {
            required,
            reached: self.level(),
            missing: self.0.support.missing.clone(),
        })
    }

    /// Starts a tool; returns when its program runs. Dropping what is returned kills it.
    ///
    /// # Errors
    ///
    /// When it was not started: nothing of it runs then.
    pub async fn spawn(&self, spec: &Spec) -> Result<Running, Error> {
        spec.check()?;
        self.check(spec.require)?;
        let (scratch, made) = match &spec.scratch {
            Some(path) => (path.clone(), None),
            None => {
                let made = self.make_scratch()?;
                (made.path().to_owned(), Some(made))
            }
        };
        let plan = Plan {
            spec: resolved(spec)?,
            scratch: real(&scratch)?,
            walls: self.0.walls.clone(),
            probe: false,
        };
        let mut running = launch(&plan, made).await?;
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

    /// Runs a tool to its end, collecting what it writes.
    pub async fn run(&self, spec: &Spec) -> Result<Output, Error> {
        self.spawn(spec).await?.output().await
    }

    fn make_scratch(&self) -> Result<TempDir, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("helve-tool-");
        let made = match &self.0.scratch {
            Some(dir) => builder.tempdir_in(dir),
            None => builder.tempdir(),
        };
        made.map_err(|e| Error::io("make a scratch directory", e))
    }
}

/// Paths as the kernel knows them: links in them would lead elsewhere inside of the sandbox.
fn resolved(spec: &Spec) -> Result<Spec, Error> {
    let mut spec = spec.clone();
    for grant in &mut spec.grants {
        grant.path = real(&grant.path)?;
    }
    // What a step sees must not depend on the order in which its grants were listed.
    spec.grants.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(spec)
}

fn real(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize()
        .map_err(|e| Error::Invalid(format!("cannot resolve `{}`: {e}", path.display())))
}

/// Starts a supervisor and gives it its plan.
async fn launch(plan: &Plan, scratch: Option<TempDir>) -> Result<Running, Error> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|e| Error::io("make a socket", e))?;
    let program = plan.spec.argv[0].to_string_lossy().into_owned();
    let mut supervisor = Command::new("/proc/self/exe")
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
    let io = |e| Error::io("speak to the sandbox's supervisor", e);
    ours.set_nonblocking(true).map_err(io)?;
    let canceller = Canceller(Arc::new(ours.try_clone().map_err(io)?));
    let mut socket = UnixStream::from_std(ours).map_err(io)?;
    let limit = plan.spec.limits.output;
    let stdout = supervisor.stdout.take().expect("asked for a pipe");
    let stderr = supervisor.stderr.take().expect("asked for a pipe");
    let text = serde_json::to_vec(plan).map_err(|e| Error::Invalid(format!("cannot describe the tool: {e}")))?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let sent = async {
        socket.write_all(&length.to_le_bytes()).await?;
        socket.write_all(&text).await
    };
    // A supervisor that has given up already has said why: that is read, not this error.
    sent.await.or_else(|e| {
        if e.kind() == ErrorKind::BrokenPipe {
            Ok(())
        } else {
            Err(io(e))
        }
    })?;
    Ok(Running {
        stdout: ToolStream::new(stdout, limit, canceller.clone()),
        stderr: ToolStream::new(stderr, limit, canceller.clone()),
        tool: Tool {
            program,
            reports: BufReader::new(socket),
            canceller,
            supervisor,
            scratch,
        },
    })
}

/// Tries the walls from the strongest down, and keeps those that stand.
async fn find_walls(options: &Options) -> Result<(Walls, Support), Error> {
    let at_most = options.at_most.unwrap_or(Level::Full);
    let mut missing = Vec::new();
    let mut note = |wall: &str, why: String| missing.push(format!("{wall}: {why}"));
    let mut walls = Walls::default();
    let mut standing = Protections::default();

    let kernel = [
        (Level::Filtered, "landlock"),
        (Level::Filtered, "seccomp"),
        (Level::Isolated, "namespaces"),
    ];
    for (level, wall) in kernel {
        if level > at_most {
            note(wall, format!("not used: told to stay at level `{at_most}`"));
            continue;
        }
        let mut tried = walls.clone();
        match wall {
            "landlock" => tried.landlock = true,
            "seccomp" => tried.seccomp = true,
            _ => tried.namespaces = true,
        }
        match probe(&tried).await? {
            Ok(outcome) => (walls, standing) = (tried, outcome.protections),
            Err(why) => note(wall, why),
        }
    }
    // Control groups are tried at every level: they are limits, not walls towards files.
    if at_most == Level::Full {
        let (found, reasons) = crate::launcher::find_cgroups();
        missing.extend(reasons);
        for cgroup in found {
            let mut tried = walls.clone();
            let what = format!("control group {}", cgroup.parent.display());
            tried.cgroups.push(cgroup);
            match probe(&tried).await? {
                Ok(outcome) => (walls, standing) = (tried, outcome.protections),
                Err(why) => missing.push(format!("{what}: {why}")),
            }
        }
        if standing.memory_cgroup.is_none() {
            missing.push("memory is watched, not held: no control group with the memory controller".to_owned());
        }
        if standing.pids_cgroup.is_none() {
            missing.push("the number of processes is not held for the tree: no control group with pids".to_owned());
        }
    }
    let level = standing.level().min(at_most);
    Ok((
        walls,
        Support {
            level,
            protections: standing,
            missing,
        },
    ))
}

/// Puts the walls up around nothing: how they stood, or why not.
async fn probe(walls: &Walls) -> Result<Result<Outcome, String>, Error> {
    let scratch = tempfile::tempdir().map_err(|e| Error::io("make a scratch directory", e))?;
    let mut spec = Spec::new(["true"]);
    // A limit that is not asked for by default is tried too.
    spec.limits.cpus = Some(1.0);
    let plan = Plan {
        spec,
        scratch: real(scratch.path())?,
        walls: walls.clone(),
        probe: true,
    };
    match launch(&plan, Some(scratch)).await?.output().await {
        Ok(output) if output.outcome.end == crate::End::Exited(0) => Ok(Ok(output.outcome)),
        Ok(output) => Ok(Err(format!("the trial {}", output.outcome.end))),
        Err(Error::Setup(why)) => Ok(Err(why)),
        Err(Error::SupervisorDied(why)) => Ok(Err(format!("the supervisor died: {why}"))),
        Err(other) => Err(other),
    }
}
