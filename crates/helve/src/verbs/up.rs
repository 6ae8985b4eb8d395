//! `helve up`: engine and worker until somebody asks to stop.

use std::sync::Arc;

use helve_tls::Server;
use helve_worker::WorkerHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::staying;
use crate::app::App;
use crate::cli::UpArgs;
use crate::cluster;
use crate::connect::Session;
use crate::embedded::{Sharing, bind_grpc, in_use};
use crate::errors::{Problem, Result};
use crate::http::{Door, bind_http, bind_owner, check_exposure};
use crate::monitoring;
use crate::paths::DataDir;
use crate::rest;
use crate::server::Served;
use crate::signals;
pub(crate) use crate::stage::DRAIN_GRACE;
use crate::stage::{Ground, InMesh, Stage, Ways};
use crate::terminal::{eprint_line, print_json_line};
use crate::tls;

pub(crate) async fn up(app: &App, args: &UpArgs) -> Result<u8> {
    let interrupted = signals::listen();
    // What is wrong with the command line is said before anything is opened.
    app.staying(&args.worker, DRAIN_GRACE)?;
    if args.http.no_http && (!args.tls.acme.is_empty() || args.oidc.oidc_issuer.is_some()) {
        return Err(Problem::new("--acme and --oidc-issuer are for the HTTP listener").help("leave out --no-http"));
    }
    let data = app.data_dir()?;
    let tls = tls::server(&args.tls, &data)?;
    if let Some(settings) = cluster::Settings::find(&data)? {
        return cluster::serve(app, args, &data, tls, settings, &interrupted).await;
    }
    let blobs = app.blobs(&data)?;
    let session = app.session_in(&data, "helve up", Sharing::Shared, None).await?;
    if session.is_attached() {
        return Err(in_use(&data));
    }
    if let Some(engine) = session.owned() {
        engine.register(&app.metrics);
    }
    // Whoever reads that line finds the engine's figures there.
    let _metrics = match monitoring::serve(args.metrics, &app.metrics).await {
        Ok(metrics) => metrics,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    let (ways, door) = match ways(args, &data, &session, tls.as_ref()).await {
        Ok(ways) => ways,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    let ground = Ground {
        session,
        blobs,
        door,
        notes: None,
        ways,
    };
    let mut stage = Stage::open(app, args, &data, tls.as_ref(), ground).await?;
    let served = Served::announce(&data, &stage.places(&data));
    let _served = served.inspect_err(|error| tracing::warn!(%error, "other commands will not find this server"));
    let announced = stage.announce(app, args, &data, tls.as_ref()).await;
    if app.global.json {
        say_ready(&data, &stage);
    }
    super::catalog::say_problems(&app.problems);
    let _certificates = tls.map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh())));
    tokio::spawn(rest::after_the_start());
    let mut outcome = announced;
    if outcome.is_ok() {
        outcome = stay(app, args, &mut stage.worker, &interrupted).await;
    }
    stage.close().await;
    outcome.map(|()| 0)
}

/// Opens what others come in by, and what says who may.
async fn ways(args: &UpArgs, data: &DataDir, session: &Session, tls: Option<&Server>) -> Result<(Ways, Option<Door>)> {
    let asks = session.owned().is_some() && !args.grpc_open;
    let door = match asks || !args.http.no_http {
        true => Some(Door::open(data).await?),
        false => None,
    };
    let grpc = match session.owned() {
        Some(_) => {
            check_exposure("gRPC", args.grpc, args.grpc_expose || (asks && tls.is_some()))?;
            Some(bind_grpc(args.grpc).await?)
        }
        None => None,
    };
    let mesh = args.mesh.mesh.map(|address| {
        let key = helve_mesh::read_key(&data.mesh_key()).map_err(|error| Problem::new(error.to_string()))?;
        Ok::<_, Problem>(InMesh {
            address,
            key,
            elsewhere: Arc::new(Vec::new),
        })
    });
    let http = match args.http.no_http {
        true => None,
        false => Some(bind_http(&args.http, tls.is_some()).await?),
    };
    let ways = Ways {
        grpc,
        owner: http.is_some().then(|| bind_owner(data)).flatten(),
        http,
        mesh: mesh.transpose()?,
    };
    Ok((ways, door))
}

/// For programs, which need the ports: when this line has come, everything that it names is served.
fn say_ready(data: &DataDir, stage: &Stage) {
    print_json_line(&json!({
        "event": "ready",
        "engine": stage.session.engine,
        "grpc": stage.grpc().map(|address| address.to_string()),
        "http": stage.url(),
        "data_dir": data.root(),
        "worker": stage.worker.is_some(),
    }));
}

/// Stays until somebody asks to stop; the worker, if there is one, until it is asked to leave.
pub(crate) async fn stay(
    app: &App,
    args: &UpArgs,
    worker: &mut Option<WorkerHandle>,
    interrupted: &CancellationToken,
) -> Result<()> {
    if let Some(here) = worker {
        work(app, args, here, interrupted).await?;
        if here.asked_to_leave().is_cancelled() && !interrupted.is_cancelled() {
            leave(worker.take(), interrupted).await;
        }
    }
    if worker.is_none() {
        interrupted.cancelled().await;
    }
    Ok(())
}

/// Ends the worker as it was asked to; engine and API stay.
async fn leave(worker: Option<WorkerHandle>, interrupted: &CancellationToken) {
    let Some(worker) = worker else { return };
    eprint_line("worker   leaves as asked, after its steps; engine and API stay");
    worker.finish(interrupted.cancelled()).await;
    eprint_line("worker   none here any more; start `helve up` again to have one");
}

/// Serves with the worker of this process until somebody asks to stop, or the worker to leave.
async fn work(app: &App, args: &UpArgs, worker: &mut WorkerHandle, interrupted: &CancellationToken) -> Result<()> {
    let _health = staying::health(app, &args.worker, worker).await?;
    let asked = worker.asked_to_leave();
    let end = async {
        tokio::select! {
            () = interrupted.cancelled() => {}
            () = asked.cancelled() => {}
        }
    };
    staying::serve(app, &args.worker, worker, end).await?;
    if !interrupted.is_cancelled() {
        return Ok(());
    }
    eprint_line("stopping: running steps have 10 s to finish; Ctrl-C again leaves at once");
    Ok(())
}
