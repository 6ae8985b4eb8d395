//! What this machine can do, and starting tools with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::running::Running;
use crate::spare::Spare;
use crate::supervisor::Supervisor;
use crate::wire::{Ground, Plan, Walls};
use crate::{Error, Level, Network, Options, Outcome, Output, Protections, Spec, Support};

/// Runs tools. Cheap to clone; one per worker.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    walls: Walls,
    support: Support,
    scratch: Option<PathBuf>,
    spare: Option<Spare>,
}

impl Sandbox {
    /// Finds out which walls stand on this machine, by putting them up once.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let (walls, support) = find_walls(&options).await?;
        // Almost every tool wants this.
        let usual = Ground {
            walls: walls.clone(),
            network: Network::None,
            cpus: false,
        };
        let sandbox = Sandbox(Arc::new(Inner {
            walls,
            support,
            scratch: options.scratch,
            spare: options.keep_ready.then(|| Spare::new(usual)),
        }));
        sandbox.check(options.require.unwrap_or(Level::Limits))?;
        if let Some(spare) = &sandbox.0.spare {
            spare.refill();
        }
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

    /// Whether a supervisor waits for the next tool; see [`Options::keep_ready`].
    pub fn is_ready(&self) -> bool {
        self.0.spare.as_ref().is_some_and(Spare::is_ready)
    }

    #[cfg(test)]
    pub(crate) fn spare(&self) -> Option<&Spare> {
        self.0.spare.as_ref()
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
        let spare = self.0.spare.as_ref();
        if let Some(supervisor) = spare.and_then(|spare| spare.take(&plan.ground())) {
            let started = supervisor.start(&plan).await;
            spare.inspect(|spare| spare.refill());
            match started {
                Ok(running) => return Ok(running.owning(made)),
                // Whatever happened to it while it waited is no fault of the tool.
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, "a supervisor that was kept ready was of no use");
                }
                Err(error) => return Err(error),
            }
        }
        let supervisor = Supervisor::launch(&plan.ground()).await?;
        let started = supervisor.start(&plan).await;
        spare.inspect(|spare| spare.refill());
        Ok(started?.owning(made))
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
    let supervisor = Supervisor::launch(&plan.ground()).await?;
    let running = supervisor.hand_over(&plan).await?.owning(Some(scratch));
    match running.output().await {
        Ok(output) if output.outcome.end == crate::End::Exited(0) => Ok(Ok(output.outcome)),
        Ok(output) => Ok(Err(format!("the trial {}", output.outcome.end))),
        Err(Error::Setup(why)) => Ok(Err(why)),
        Err(Error::SupervisorDied(why)) => Ok(Err(format!("the supervisor died: {why}"))),
        Err(other) => Err(other),
    }
}
