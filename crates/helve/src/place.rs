//! Where runs are: in a data directory of this machine, or at a server. Verbs ask here and do not care which it is.

use helve_blobs::BlobStore;
use helve_client::{Client, RunsAsked, WorkersView};
use helve_runs::{
    Artifact, Pending, RunDetail, RunResult, RunSummary, Shown, Target, facts_in, find_target, history_so_far,
    pending_activity, read_blob, says, status_name, unserved,
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::block_in_place;
use tonic::Code;

use crate::app::App;
use crate::connect::Session;
use crate::embedded::Sharing;
use crate::errors::{Problem, Result, refused};
use crate::paths::DataDir;
use crate::render::{catalog, verticals};
use crate::retention::Sweeper;
use crate::verbs::not_found;

/// Runs whose target is looked at when somebody asks for the runs of a target at a server.
const LOOKED_AT: usize = 100;

/// Where runs are.
pub(crate) enum Place<'a> {
    /// In a data directory, or on the engine of `--engine`.
    Here(Box<Here<'a>>),
    /// At a server.
    There(Client),
}

/// A data directory; what is in it is opened when it is needed.
pub(crate) struct Here<'a> {
    app: &'a App,
    data: DataDir,
    /// What others read when they find the data directory in use.
    role: &'a str,
    blobs: OnceCell<BlobStore>,
    session: OnceCell<Session>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(app: &'a App, role: &'a str) -> Result<Self> {
        if let Some(client) = &app.server {
            return Ok(Self::There(client.clone()));
        }
        Ok(Self::Here(Box::new(Here {
            app,
            data: app.data_dir()?,
            role,
            blobs: OnceCell::new(),
            session: OnceCell::new(),
        })))
    }

    /// Does something there, and leaves in good order whatever came of it.
    pub(crate) async fn with<T>(app: &'a App, role: &'a str, work: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let place = Self::new(app, role)?;
        let outcome = work(&place).await;
        if let Self::Here(here) = place
            && let Some(session) = here.session.into_inner()
        {
            session.close().await;
        }
        outcome
    }

    /// The data directory, for what is done by a server itself.
    pub(crate) fn here(&self, what: &str) -> Result<&Here<'a>> {
        match self {
            Self::Here(here) => Ok(here),
            Self::There(client) => Err(Problem::new(format!(
                "{what} is not for a server, and {} is one",
                client.server()
            ))
            .help("`--context local` talks to the data directory of this machine")),
        }
    }

    /// The newest runs; only `open` ones, or of `all` programs on the engine.
    pub(crate) async fn runs(&self, limit: usize, open: bool, all: bool) -> Result<Vec<RunSummary>> {
        match self {
            Self::Here(here) => {
                let listed = helve_runs::list(&here.session().await?.client, limit, open, all).await;
                let listed = listed.map_err(|status| refused("cannot list the runs", &status))?;
                Ok(listed.iter().map(RunSummary::from).collect())
            }
            Self::There(_) if all => Err(Problem::new("a server lists the runs of Helve only")
                .help("leave out --all, or name its engine with --engine temporal://HOST:PORT")),
            Self::There(client) => {
                let asked = RunsAsked {
                    status: open.then(|| "running".to_owned()),
                    ..RunsAsked::default()
                };
                Ok(client.runs(&asked, limit).await?)
            }
        }
    }

    /// Everything that is known of a run.
    pub(crate) async fn run(&self, run_id: &str) -> Result<RunDetail> {
        match self {
            Self::Here(here) => here.run(run_id).await,
            Self::There(client) => Ok(client.run(run_id).await?),
        }
    }

    /// Asks a run to stop.
    pub(crate) async fn cancel(&self, run_id: &str) -> Result<()> {
        match self {
            Self::Here(here) => {
                let client = &here.open_run(run_id).await?.client;
                let asked = client.cancel(run_id, "cancelled from the command line");
                asked.await.map_err(of_run(run_id))
            }
            Self::There(client) => Ok(client.cancel(run_id, Some("from the command line")).await?),
        }
    }

    /// Ends a run at once.
    pub(crate) async fn terminate(&self, run_id: &str, reason: &str) -> Result<()> {
        match self {
            Self::Here(here) => {
                let client = &here.session().await?.client;
                match client.terminate(run_id, reason).await {
                    // Of one that has ended the engine says that it is not there.
                    Err(status) if status.code() == Code::NotFound => {
                        here.open_run(run_id).await?;
                        Err(of_run(run_id)(status))
                    }
                    ended => ended.map_err(of_run(run_id)),
                }
            }
            Self::There(client) => Ok(client.terminate(run_id, Some(reason)).await?),
        }
    }

    /// The result of a run that has ended.
    pub(crate) async fn result(&self, run_id: &str) -> Result<RunResult> {
        match self {
            Self::Here(here) => result(here.session().await?, here.blobs().await?, run_id).await,
            Self::There(client) => Ok(client.result(run_id).await?),
        }
    }

    /// The files of a run.
    pub(crate) async fn artifacts(&self, run_id: &str) -> Result<Vec<Artifact>> {
        match self {
            Self::Here(here) => {
                let history = history_so_far(&here.session().await?.client, run_id).await;
                Ok(helve_runs::artifacts(&history.map_err(of_run(run_id))?))
            }
            Self::There(client) => Ok(client.artifacts(run_id).await?),
        }
    }

    /// The bytes of one; all of them, checked.
    pub(crate) async fn artifact(&self, run_id: &str, artifact: &Artifact) -> Result<Vec<u8>> {
        match self {
            Self::Here(here) => Ok(read_blob(here.blobs().await?, run_id, &artifact.blob())?),
            Self::There(client) => Ok(client.artifact(run_id, artifact).await?),
        }
    }

    /// The packed targets, the one that was used last first.
    pub(crate) async fn targets(&self) -> Result<Vec<Target>> {
        match self {
            Self::Here(here) => {
                let blobs = here.blobs().await?;
                block_in_place(|| helve_runs::targets(blobs)).map_err(|error| Problem::new(error.to_string()))
            }
            Self::There(client) => Ok(client.targets().await?),
        }
    }

    /// The target whose id begins so.
    pub(crate) async fn target(&self, text: &str) -> Result<Target> {
        Ok(find_target(&self.targets().await?, text)?)
    }

    /// The runs that scanned a target, newest first.
    pub(crate) async fn runs_on(&self, target: &Target) -> Result<Vec<String>> {
        match self {
            Self::Here(here) => helve_runs::runs_on(&here.session().await?.client, &target.blob.id)
                .await
                .map_err(|status| refused("cannot list the runs", &status)),
            Self::There(client) => {
                let asked = RunsAsked {
                    target: target.manifest.as_ref().map(|manifest| manifest.name.clone()),
                    ..RunsAsked::default()
                };
                let mut found = Vec::new();
                // Runs of one name may have scanned different contents.
                for run in client.runs(&asked, LOOKED_AT).await? {
                    let detail = client.run(&run.run_id).await?;
                    if detail
                        .target
                        .is_some_and(|scanned| scanned.id == target.blob.id.to_hex())
                    {
                        found.push(run.run_id);
                    }
                }
                Ok(found)
            }
        }
    }

    /// Removes targets; what an open run needs stays unless `force` says otherwise.
    pub(crate) async fn remove_targets(&self, targets: &[Target], force: bool) -> Result<()> {
        match self {
            Self::Here(here) => {
                if !force {
                    here.refuse_needed(targets).await?;
                }
                let blobs = here.blobs().await?;
                for target in targets {
                    block_in_place(|| blobs.remove(&target.blob.id))
                        .map_err(|error| Problem::new(error.to_string()))?;
                }
                Ok(())
            }
            Self::There(_) if force => Err(Problem::new(
                "a server keeps the bytes of a target as long as a run needs them",
            )
            .help("leave out --force: the target is forgotten, and its runs go on")),
            Self::There(client) => {
                for target in targets {
                    client.forget_target(&target.blob.id.to_hex()).await?;
                }
                Ok(())
            }
        }
    }

    /// The workers, and the verticals that none of them serves.
    pub(crate) async fn workers(&self) -> Result<WorkersView> {
        match self {
            Self::Here(here) => {
                let workers = helve_runs::workers(&here.session().await?.client).await;
                let workers = workers.map_err(|status| match status.code() {
                    Code::Unimplemented => Problem::new("this server keeps no register of workers"),
                    _ => refused("the workers cannot be listed", &status),
                })?;
                Ok(WorkersView {
                    missing: unserved(&here.app.toolbox, &workers),
                    workers,
                })
            }
            Self::There(client) => Ok(client.workers().await?),
        }
    }
}

/// `workflows`, `modules` or `verticals`, as JSON. Needs no data directory.
pub(crate) async fn catalog(app: &App, what: &str) -> Result<Vec<Value>> {
    if let Some(client) = &app.server {
        return Ok(client.list(what).await?);
    }
    let toolbox = &app.toolbox;
    Ok(match what {
        "workflows" => toolbox.workflows().map(catalog::workflow_json).collect(),
        "modules" => toolbox.modules().map(catalog::module_json).collect(),
        _ => toolbox.verticals().map(verticals::vertical_json).collect(),
    })
}

/// One of them by its name.
pub(crate) async fn catalog_item(app: &App, what: &str, name: &str) -> Result<Value> {
    if let Some(client) = &app.server {
        return Ok(client.one(what, name).await?);
    }
    let toolbox = &app.toolbox;
    match what {
        "workflows" => toolbox.workflow(name).map(catalog::workflow_json),
        "modules" => toolbox.module(name).map(catalog::module_json),
        _ => toolbox.vertical(name).map(verticals::vertical_json),
    }
    .map_err(not_found)
}

/// The result of a run that has ended, from an open engine.
pub(crate) async fn result(session: &Session, blobs: &BlobStore, run_id: &str) -> Result<RunResult> {
    let described = session.client.describe(run_id).await.map_err(of_run(run_id))?;
    let facts = facts_in(described.workflow_execution_info.unwrap_or_default().memo.as_ref());
    let history = history_so_far(&session.client, run_id).await.map_err(of_run(run_id))?;
    Ok(RunResult::collect(
        run_id,
        session.engine.clone(),
        &history,
        facts,
        blobs,
    )?)
}

/// What the engine's answer means when it was asked about a run.
pub(crate) fn of_run(run_id: &str) -> impl Fn(tonic::Status) -> Problem {
    move |status| helve_runs::Error::of_run(run_id, status).into()
}

impl Here<'_> {
    pub(crate) async fn session(&self) -> Result<&Session> {
        let open = || self.app.session(&self.data, self.role, Sharing::Brief);
        self.session.get_or_try_init(open).await
    }

    pub(crate) async fn blobs(&self) -> Result<&BlobStore> {
        self.blobs
            .get_or_try_init(|| async { self.app.blobs(&self.data) })
            .await
    }

    /// The way to a run that has not ended: what cannot be stopped any more is said as a server says it.
    async fn open_run(&self, run_id: &str) -> Result<&Session> {
        let session = self.session().await?;
        let described = session.client.describe(run_id).await.map_err(of_run(run_id))?;
        let info = described.workflow_execution_info.unwrap_or_default();
        match info.close_time {
            None => Ok(session),
            Some(_) => Err(Problem::new(format!(
                "run {run_id} has ended already: {}",
                status_name(info.status())
            ))
            .code("conflict")),
        }
    }

    async fn run(&self, run_id: &str) -> Result<RunDetail> {
        let client = &self.session().await?.client;
        let described = client.describe(run_id).await.map_err(of_run(run_id))?;
        let info = described.workflow_execution_info.unwrap_or_default();
        let pending: Vec<Pending> = described.pending_activities.iter().map(pending_activity).collect();
        let facts = facts_in(info.memo.as_ref());
        let history = history_so_far(client, run_id).await.map_err(of_run(run_id))?;
        let said = says(client, run_id, &history).await;
        Ok(RunDetail::from(&Shown {
            run_id,
            status: status_name(info.status()),
            said: &said,
            facts: facts.as_ref(),
            history: &history,
            pending: &pending,
            now: Timestamp::now(),
        }))
    }

    async fn refuse_needed(&self, targets: &[Target]) -> Result<()> {
        let client = self.session().await?.client.clone();
        let mut sweeper = Sweeper::new(client, self.blobs().await?.clone(), Default::default());
        let needed = sweeper.needed().await?;
        match targets.iter().find(|target| needed.contains(&target.blob.id)) {
            None => Ok(()),
            Some(target) => Err(
                Problem::new(format!("an open run needs target {}", target.blob.id)).help(
                    "`helve runs list --open` shows it; cancel it, or remove the target with --force and let it fail",
                ),
            ),
        }
    }
}
