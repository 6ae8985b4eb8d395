//! `helve worker`: a worker for an engine that runs elsewhere, until somebody asks to stop.

use helve_blobs::{BlobStore, Place};
use helve_mesh::blobs::{Handing, Remote};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::up::DRAIN_GRACE;
use super::{catalog, staying};
use crate::app::App;
use crate::cli::{DEFAULT_NAMESPACE, JoinArgs, Role, WorkerArgs, WorkerChoice, WorkerRun, WorkerVerb};
use crate::cluster::Settings;
use crate::connect::Session;
use crate::embedded::Sharing;
use crate::errors::{INTERRUPTED, Problem, RECYCLED, Result};
use crate::mesh::{self, Joined};
use crate::paths::DataDir;
use crate::recycling::Recycling;
use crate::render::count;
use crate::rest;
use crate::signals;
use crate::terminal::{eprint_line, print_json_line};

pub(crate) async fn worker(app: &App, args: WorkerArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let data = app.data_dir()?;
    match args.verb {
        None => {
            if Settings::find(&data)?.is_some() && matches!(app.place(&data)?, Place::Directory(_)) {
                return Err(Problem::new("the blobs of this cluster are in its databases, where only its nodes reach them").help(
                    "make a ticket with `helve mesh ticket` (nodes run with `helve up --mesh`), and start `helve worker join TICKET`",
                ));
            }
            let blobs = app.blobs(&data)?;
            let session = app.session(&data, "helve worker", Sharing::Brief).await?;
            serve(app, &args.run, &data, blobs, session, interrupted).await
        }
        Some(WorkerVerb::Join(join)) => joined(app, *join, data, interrupted).await,
    }
}

/// A worker of the server that a ticket names.
async fn joined(app: &App, args: JoinArgs, data: DataDir, interrupted: CancellationToken) -> Result<u8> {
    let link = mesh::link(&args.ticket, &data).await?;
    let name = args.name.unwrap_or_else(mesh::own_name);
    let joining = mesh::join(&link, &args.ticket, &name);
    let may = tokio::select! {
        may = joining => may?,
        () = interrupted.cancelled() => {
            link.close().await;
            return Ok(INTERRUPTED);
        }
    };
    let (mut run, namespace) = (args.run, namespace(app, &may)?);
    narrow(&mut run.worker, &may)?;
    let remote = match args.no_peer_blobs {
        true => Remote::new(link.clone()),
        false => Remote::sharing(link.clone()),
    };
    let blobs = app.blobs_over(remote, &data)?;
    let handing = (!args.no_peer_blobs).then(|| Handing::begin(&link, blobs.clone()));
    let session = Session::over_mesh(&link, namespace).await?;
    let left = serve(app, &run, &data, blobs, session, interrupted).await;
    if let Some(bytes) = handing.as_ref().map(Handing::bytes).filter(|bytes| *bytes > 0) {
        eprint_line(&format!(
            "blobs    handed on {} MiB to other workers",
            bytes.div_ceil(1 << 20)
        ));
    }
    drop(handing);
    link.close().await;
    left
}

/// Where it works: the only place that it may, or the one that was named.
fn namespace(app: &App, may: &Joined) -> Result<String> {
    let wanted = app.global.server.namespace.as_deref();
    match (&may.namespaces, wanted) {
        (Some(namespaces), Some(wanted)) if !namespaces.iter().any(|name| name == wanted) => {
            Err(Problem::new(format!(
                "the ticket is not good for the namespace `{wanted}`, but for {}",
                namespaces.join(", ")
            )))
        }
        (_, Some(wanted)) => Ok(wanted.to_owned()),
        (Some(namespaces), None) => match namespaces.as_slice() {
            [only] => Ok(only.clone()),
            several => Err(Problem::new(format!(
                "the ticket is good for several namespaces: {}",
                several.join(", ")
            ))
            .help("choose one with --namespace")),
        },
        (None, None) => Ok(DEFAULT_NAMESPACE.to_owned()),
    }
}

/// Who may work for some verticals takes steps of these, and nothing of workflows.
fn narrow(choice: &mut WorkerChoice, may: &Joined) -> Result<()> {
    let Some(allowed) = &may.verticals else { return Ok(()) };
    if let Some(other) = choice.verticals.iter().find(|name| !allowed.contains(name)) {
        return Err(Problem::new(format!(
            "the ticket is not good for the vertical `{other}`, but for {}",
            allowed.join(", ")
        )));
    }
    if choice.verticals.is_empty() {
        choice.verticals.clone_from(allowed);
    }
    choice.roles = vec![Role::Activities];
    Ok(())
}

async fn serve(
    app: &App,
    args: &WorkerRun,
    data: &DataDir,
    blobs: BlobStore,
    session: Session,
    interrupted: CancellationToken,
) -> Result<u8> {
    let tuning = app.staying(&args.worker, DRAIN_GRACE)?;
    let recycling = Recycling::new(args)?;
    if session.owned().is_some() {
        session.close().await;
        return Err(Problem::new("no engine runs on this data directory")
            .help("start `helve up` on it first, or name a server with --engine temporal://HOST:PORT"));
    }
    let (served, verticals) = (tuning.verticals.clone(), tuning.verticals.join(", "));
    let store = blobs.name();
    let mut worker = app.worker(&session, data, blobs, tuning).await?;
    eprint_line(&format!("engine   {}", session.engine));
    eprint_line(&format!("data     {}", data.root().display()));
    if !app.is_local(data) {
        eprint_line(&format!("blobs    {store}"));
    }
    eprint_line(&format!(
        "worker   ready for {verticals}; Ctrl-C stops after the running steps"
    ));
    catalog::say_problems(&app.problems);
    let health = staying::health(app, &args.worker, &worker).await?;
    if app.global.json {
        print_json_line(&json!({
            "event": "ready",
            "identity": session.worker_identity(),
            "engine": session.engine,
            "data_dir": data.root(),
            "verticals": served,
            "health": health.as_ref().map(|health| format!("http://{}", health.address)),
        }));
    }
    tokio::spawn(rest::after_the_start());
    let work = worker.work();
    let leave = worker.asked_to_leave();
    let mut due = None;
    let end = async {
        tokio::select! {
            () = interrupted.cancelled() => {}
            () = leave.cancelled() => {}
            reason = recycling.due(&work) => due = Some(reason),
        }
    };
    let served = staying::serve(app, &args.worker, &mut worker, end).await;
    if leave.is_cancelled() {
        eprint_line(&format!(
            "leaving as asked: no new steps, {} running",
            count(work.running() as u64, "step")
        ));
        worker.finish(interrupted.cancelled()).await;
        return served.map(|()| 0);
    }
    let Some(reason) = due else {
        if served.is_ok() {
            eprint_line("stopping: running steps have 10 s to finish; Ctrl-C again leaves at once");
        }
        worker.drain().await;
        return served.map(|()| 0);
    };
    eprint_line(&format!(
        "recycling: {reason}; no new steps, {} running",
        count(work.running() as u64, "step")
    ));
    worker.finish(interrupted.cancelled()).await;
    eprint_line("recycling: done; exit code 75 asks for a fresh start");
    Ok(RECYCLED)
}
