//! The composition root: everything that a verb needs, made in one place.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use helve_blobs::{BlobStore, Place, StoreOptions};
use helve_client::Client;
use helve_mesh::Ticket;
use helve_mesh::blobs::Remote;
use helve_metrics::{Process, Registry};
use helve_modules::command::Search;
use helve_runs::{SANDBOX_FACT, verticals};
use helve_sandbox::Level;
use helve_toolbox::{Keeper, Layer, Loaded, Problem as ToolboxProblem, Shelf, Toolbox};
use helve_worker::{
    Confined, HttpOptions, Limits, Reads, Roles, StartError, StepEvent, Worker, WorkerHandle, WorkerOptions,
};
use tokio::sync::mpsc;

use crate::cli::{Global, Role, WorkerChoice};
use crate::connect::{Session, Trust};
use crate::embedded::Sharing;
use crate::errors::{Problem, Result};
use crate::mesh;
use crate::monitoring::SandboxFigures;
use crate::paths::DataDir;
use crate::server;
use crate::terminal::eprint_line;
use crate::verbs::not_found;

/// How long a leaving process waits for steps that were told to stop.
const ABANDON_AFTER: Duration = Duration::from_secs(3);

/// What the global options lead to.
pub(crate) struct App {
    pub(crate) global: Global,
    pub(crate) toolbox: Arc<Toolbox>,
    /// What is wrong with workflows and modules that nobody may have asked for.
    pub(crate) problems: Vec<ToolboxProblem>,
    /// Follows the directories of the toolbox, for commands that stay.
    pub(crate) keeper: Arc<Mutex<Keeper>>,
    pub(crate) shelf: Shelf,
    /// What is counted in this process.
    pub(crate) metrics: Registry,
    /// The server that commands talk to; none: the data directory.
    pub(crate) server: Option<Client>,
    /// What leads there, if it is reached over the mesh.
    #[cfg(unix)]
    _forward: Option<mesh::Forward>,
}

impl App {
    /// Loads the toolbox; opens nothing else.
    pub(crate) fn new(global: Global, metrics: Registry) -> Result<Self> {
        let (keeper, Loaded { toolbox, problems }) = Keeper::new(vec![Layer::embedded()], global.toolbox.clone())
            .map_err(|error| {
                Problem::new(error.to_string())
                    .help("--toolbox takes a directory that holds `workflows`, `modules` or `verticals`")
            })?;
        metrics.add(Arc::new(Process::new(env!("CARGO_PKG_VERSION"))));
        Ok(Self {
            metrics,
            global,
            server: None,
            #[cfg(unix)]
            _forward: None,
            toolbox: Arc::new(toolbox),
            problems,
            shelf: keeper.shelf(),
            keeper: Arc::new(Mutex::new(keeper)),
        })
    }

    /// Talks to the server of a ticket from now on, joining it first where that is needed.
    #[cfg(unix)]
    pub(crate) async fn talk_over_mesh(&mut self, ticket: &Ticket) -> Result<()> {
        let data = self.data_dir()?;
        let link = mesh::link(ticket, &data).await?;
        mesh::join(&link, ticket, &mesh::own_name()).await?;
        let forward = mesh::Forward::open(link)?;
        self.server = Some(server::through(&forward.path(), self.global.server.namespace.clone())?);
        self._forward = Some(forward);
        Ok(())
    }

    #[cfg(not(unix))]
    pub(crate) async fn talk_over_mesh(&mut self, _: &Ticket) -> Result<()> {
        Err(Problem::new("commands reach a server over the mesh on Unix only"))
    }

    pub(crate) fn data_dir(&self) -> Result<DataDir> {
        DataDir::open(self.global.data_dir.as_deref())
    }

    /// Where Helve's own tools are.
    pub(crate) fn tools_dir(&self, data: &DataDir) -> Result<PathBuf> {
        match &self.global.tools_dir {
            Some(dir) => std::path::absolute(dir).map_err(|error| Problem::io("find", dir, &error)),
            None => Ok(data.root().join("tools")),
        }
    }

    /// Where programs of modules are looked up.
    pub(crate) fn search(&self, data: &DataDir) -> Result<Search> {
        Ok(Search::new(Some(self.tools_dir(data)?)))
    }

    /// Opens the store of the data directory. Blocking, since a bucket is asked whether it answers.
    pub(crate) fn blobs(&self, data: &DataDir) -> Result<BlobStore> {
        let storage = &self.global.storage;
        let options = StoreOptions {
            place: self.place(data)?,
            cache: data.cache(),
            cache_limit: storage.cache_size.0,
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        };
        let blobs = tokio::task::block_in_place(|| BlobStore::connect(options));
        let blobs = blobs.map_err(|error| Problem::new(error.to_string()))?;
        self.metrics.add(Arc::new(blobs.figures()));
        Ok(blobs)
    }

    /// The store of a server of the mesh, with the cache of the data directory in front of it.
    pub(crate) fn blobs_over(&self, remote: Remote, data: &DataDir) -> Result<BlobStore> {
        let blobs = BlobStore::over(remote, &data.cache(), self.global.storage.cache_size.0);
        let blobs = blobs.map_err(|error| Problem::new(error.to_string()))?;
        self.metrics.add(Arc::new(blobs.figures()));
        Ok(blobs)
    }

    /// Where the blobs of the data directory are.
    pub(crate) fn place(&self, data: &DataDir) -> Result<Place> {
        match &self.global.storage.blobs {
            Some(place) => remember(data, place),
            None => remembered(data),
        }
    }

    /// Whether the blobs are where they are when nobody says anything.
    pub(crate) fn is_local(&self, data: &DataDir) -> bool {
        remembered(data).is_ok_and(|place| place == Place::Directory(data.blobs()))
    }

    /// In the namespace that was named, if one was.
    pub(crate) async fn session(&self, data: &DataDir, role: &str, sharing: Sharing) -> Result<Session> {
        let wanted = self.global.server.namespace.as_deref();
        self.session_in(data, role, sharing, wanted).await
    }

    /// In this one, or the default; for servers, whose users say which they mean.
    pub(crate) async fn session_in(
        &self,
        data: &DataDir,
        role: &str,
        sharing: Sharing,
        namespace: Option<&str>,
    ) -> Result<Session> {
        let trust = Trust {
            token_file: self.global.server.token_file.as_deref(),
            tls: &self.global.trust,
        };
        Session::open(&self.global.engine, trust, data, role, sharing, namespace).await
    }

    /// Starts a worker for everything in the toolbox.
    pub(crate) async fn worker(
        &self,
        session: &Session,
        data: &DataDir,
        blobs: BlobStore,
        tuning: Tuning,
    ) -> Result<WorkerHandle> {
        let (confined, walls) = self.sandbox(tuning.stays).await?;
        if let Some(walls) = walls.as_ref().filter(|_| tuning.stays) {
            eprint_line(&format!("sandbox  {}", walls.said));
        }
        // A worker that leaves soon need not be known.
        let advertise = tuning.stays.then(|| {
            let level = walls.and_then(|walls| walls.level);
            let level = level.map_or_else(|| "none".to_owned(), |level| level.to_string());
            self.metrics.add(Arc::new(SandboxFigures(level.clone())));
            vec![(SANDBOX_FACT.to_owned(), level)]
        });
        let options = WorkerOptions {
            connection: session.client.connection.clone(),
            namespace: session.client.namespace.clone(),
            identity: session.worker_identity(),
            toolbox: self.shelf.clone(),
            search: self.search(data)?,
            runner: Box::new(confined),
            blobs,
            work_dir: data.work(),
            compiled: Some(data.compiled()),
            roles: tuning.roles,
            verticals: tuning.verticals,
            concurrency: tuning.concurrency.map_or_else(cores, NonZeroUsize::get),
            preload: tuning.preload,
            reads: self.reads(data)?,
            http: HttpOptions {
                allow: self.global.web.allow_http.clone(),
                secrets: self.global.web.allow_secret.clone(),
            },
            limits: Limits {
                drain_grace: tuning.drain_grace,
                abandon_after: ABANDON_AFTER,
                ..Limits::default()
            },
            events: tuning.events,
            advertise,
        };
        let worker = Worker::start(options).await.map_err(|error| match &error {
            StartError::Workspace(workspace) => {
                Problem::io("prepare workspaces in", &data.work(), workspace.io()).detail(error.to_string())
            }
            StartError::Refused(_) => Problem::new(error.to_string()).help(format!(
                "check that the server has the namespace `{}`",
                session.client.namespace
            )),
            StartError::Options(_) => Problem::new(error.to_string()),
        })?;
        self.metrics.add(worker.figures());
        Ok(worker)
    }

    /// What the owner of this worker lets runs read: all of them, and those that the owner started.
    fn reads(&self, data: &DataDir) -> Result<Reads> {
        let paths = self.global.allow_read.iter();
        let all = paths.map(|path| std::path::absolute(path).map_err(|error| Problem::io("find", path, &error)));
        let (all, grants) = (all.collect::<Result<Vec<_>>>()?, data.grants());
        Ok(Box::new(move |run_id| {
            all.iter().cloned().chain(grants.of(run_id)).collect()
        }))
    }

    /// What starts the programs of modules, and what it says of the machine if that was found out already. A level that is
    /// required must be there before anything is promised; otherwise a process that does not stay finds out when it runs
    /// its first program, which many never do.
    async fn sandbox(&self, stays: bool) -> Result<(Confined, Option<WallsHere>)> {
        let choice = self.global.sandbox.unwrap_or_default();
        let confined = Confined::new(choice.into());
        if !stays && choice.require.is_none() {
            return Ok((confined, None));
        }
        let (level, said) = match confined.open().await {
            // What is missing for no level is of no interest.
            Ok(support) if support.level == Level::Full => (Some(support.level), support.level.to_string()),
            Ok(support) => (
                Some(support.level),
                format!("{} ({})", support.level, support.missing.join("; ")),
            ),
            Err(error) if choice.require.is_some() => {
                return Err(Problem::new(error.to_string()).help(
                    "docs/sandbox.md says what each level needs; without `require` tools run at the level that is there",
                ));
            }
            Err(error) => (None, error.to_string()),
        };
        Ok((confined, Some(WallsHere { level, said })))
    }

    /// A worker of a process that stays, as the command line describes it.
    pub(crate) fn staying(&self, choice: &WorkerChoice, drain_grace: Duration) -> Result<Tuning> {
        let known = verticals(&self.toolbox);
        for name in choice.verticals.iter().filter(|name| !known.contains(name)) {
            self.toolbox.vertical(name).map_err(not_found)?;
        }
        Ok(Tuning {
            concurrency: choice.concurrency,
            drain_grace,
            events: None,
            preload: Vec::new(),
            roles: Roles {
                workflows: choice.roles.contains(&Role::Workflows),
                activities: choice.roles.contains(&Role::Activities),
            },
            verticals: match choice.verticals.as_slice() {
                [] => known,
                chosen => chosen.to_vec(),
            },
            stays: true,
        })
    }
}

/// Writes down where the blobs of a data directory are: the reports of its runs are there, so whoever uses it later must look
/// there too.
fn remember(data: &DataDir, place: &Place) -> Result<Place> {
    let place = match place {
        Place::Directory(dir) => {
            Place::Directory(std::path::absolute(dir).map_err(|error| Problem::io("find", dir, &error))?)
        }
        bucket => bucket.clone(),
    };
    let (file, text) = (data.place(), format!("{place}\n"));
    if std::fs::read_to_string(&file).is_ok_and(|written| written == text) {
        return Ok(place);
    }
    std::fs::write(&file, text).map_err(|error| Problem::io("write", &file, &error))?;
    Ok(place)
}

fn remembered(data: &DataDir) -> Result<Place> {
    let file = data.place();
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|error: helve_blobs::InvalidPlace| {
            Problem::new(format!("{} is broken: {error}", file.display()))
                .help("name the place with --blobs, which writes it anew")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Place::Directory(data.blobs())),
        Err(error) => Err(Problem::io("read", &file, &error)),
    }
}

/// What the machine can do to shut tools in.
struct WallsHere {
    level: Option<Level>,
    said: String,
}

/// How a worker of this process differs between verbs.
pub(crate) struct Tuning {
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) drain_grace: Duration,
    pub(crate) events: Option<mpsc::Sender<StepEvent>>,
    /// Whether it serves many runs: then it says what it can do when it starts.
    pub(crate) stays: bool,
    /// Modules that are needed soon.
    pub(crate) preload: Vec<String>,
    pub(crate) roles: Roles,
    /// Verticals whose steps it runs. A tool that is missing shows in the step that needs it.
    pub(crate) verticals: Vec<String>,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2)
}
