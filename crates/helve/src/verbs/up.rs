//! `helve up`: engine and worker until somebody asks to stop.

use std::net::SocketAddr;
use std::time::Duration;

use helve_blobs::BlobStore;
use helve_tls::Server;
use helve_worker::WorkerHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::staying;
use crate::app::App;
use crate::cli::{EngineChoice, UpArgs};
use crate::connect::Session;
use crate::embedded::{Owned, Sharing, in_use};
use crate::errors::{Problem, Result};
use crate::http::{Door, Http, Parts, check_exposure, reachable};
use crate::mesh::{MeshServer, Streams};
use crate::monitoring;
use crate::paths::DataDir;
use crate::render::count;
use crate::rest;
use crate::retention::Sweeper;
use crate::server::{Places, Served};
use crate::signals;
use crate::terminal::{eprint_line, print_json_line};
use crate::tls;

/// How long steps may go on after the first Ctrl-C.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn up(app: &App, args: &UpArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let tuning = app.staying(&args.worker, DRAIN_GRACE)?;
    if args.http.no_http && (!args.tls.acme.is_empty() || args.oidc.oidc_issuer.is_some()) {
        return Err(Problem::new("--acme and --oidc-issuer are for the HTTP listener").help("leave out --no-http"));
    }
    let data = app.data_dir()?;
    let tls = tls::server(&args.tls, &data)?;
    let blobs = app.blobs(&data)?;
    let session = app.session_in(&data, "helve up", Sharing::Shared, None).await?;
    if session.is_attached() {
        return Err(in_use(&data));
    }
    if let Some(engine) = session.owned() {
        engine.register(&app.metrics);
    }
    let _metrics = match monitoring::serve(args.metrics, &app.metrics).await {
        Ok(metrics) => metrics,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    let doors = match Doors::open(app, args, &session, &data, &blobs, tls.as_ref()).await {
        Ok(doors) => doors,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    let (store, sweeper) = (
        blobs.name(),
        Sweeper::new(session.client.clone(), blobs.clone(), args.keep.into()),
    );
    let worker = match args.no_worker {
        true => Ok(None),
        false => app.worker(&session, &data, blobs, tuning).await.map(Some),
    };
    let mut worker = match worker {
        Ok(worker) => worker,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    doors.say_engine(app);
    eprint_line(&format!("data     {}", data.root().display()));
    if !app.is_local(&data) {
        eprint_line(&format!("blobs    {store}"));
    }
    if let Some(open) = session.owned().map(Owned::recovered).filter(|open| *open > 0) {
        eprint_line(&format!("runs     {} under way go on", count(open as u64, "run")));
    }
    let mut announced = match &doors.http {
        Some(http) => http.announce(&data).await,
        None => Ok(()),
    };
    if let (Ok(()), Some(mesh)) = (&announced, &doors.mesh) {
        announced = mesh.announce().await;
    }
    // Certificates from files are there from the beginning.
    if tls.as_ref().is_some_and(|tls| !tls.has_certificate()) {
        eprint_line(&format!(
            "tls      no certificate for {} yet: asking {} for one; until then nobody else gets in",
            args.tls.acme.join(", "),
            args.tls.acme_directory
        ));
    }
    eprint_line(match worker {
        Some(_) => "worker   ready; Ctrl-C stops after the running steps",
        None => "worker   none here (--no-worker); Ctrl-C stops the engine",
    });
    if app.global.json {
        // For programs, which need the ports: when this line has come, everything that it names is served.
        print_json_line(&json!({
            "event": "ready",
            "engine": session.engine,
            "grpc": doors.grpc.map(|address| address.to_string()),
            "http": doors.http.as_ref().map(Http::url),
            "data_dir": data.root(),
            "worker": worker.is_some(),
        }));
    }
    super::catalog::say_problems(&app.problems);
    let sweeping = AbortOnDropHandle::new(tokio::spawn(sweeper.keep_on(args.expire_every.duration())));
    let _certificates = tls.map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh())));
    tokio::spawn(rest::after_the_start());
    let mut served = announced;
    if let (Ok(()), Some(here)) = (&served, &mut worker) {
        served = work(app, args, here, &interrupted).await;
        if served.is_ok() && here.asked_to_leave().is_cancelled() && !interrupted.is_cancelled() {
            leave(worker.take(), &interrupted).await;
        }
    }
    if served.is_ok() && worker.is_none() {
        interrupted.cancelled().await;
    }
    drop(sweeping);
    if let Some(http) = doors.http {
        http.close().await;
    }
    if let Some(mesh) = doors.mesh {
        mesh.close().await;
    }
    if let Some(worker) = worker {
        worker.drain().await;
    }
    session.close().await;
    // The engine asks it until it has shut down.
    if let Some(door) = doors.door {
        door.close().await;
    }
    served.map(|()| 0)
}

/// The ways in.
struct Doors {
    /// Who may come in; none when nobody is asked.
    door: Option<Door>,
    grpc: Option<SocketAddr>,
    /// Whether gRPC asks for tokens.
    asks: bool,
    /// Whether nobody else can read what is said.
    is_private: bool,
    http: Option<Http>,
    mesh: Option<MeshServer>,
    _served: Option<Served>,
}

impl Doors {
    async fn open(
        app: &App,
        args: &UpArgs,
        session: &Session,
        data: &DataDir,
        blobs: &BlobStore,
        tls: Option<&Server>,
    ) -> Result<Self> {
        let asks = session.owned().is_some() && !args.grpc_open;
        let door = match asks || !args.http.no_http {
            true => Some(Door::open(data).await?),
            false => None,
        };
        let grpc = match session.owned() {
            Some(engine) => {
                check_exposure("gRPC", args.grpc, args.grpc_expose || (asks && tls.is_some()))?;
                let access = door
                    .as_ref()
                    .filter(|_| asks)
                    .map(|door| door.access(args.http.rate_limit));
                Some(engine.serve_grpc(args.grpc, access, tls).await?)
            }
            None => None,
        };
        let (mut mesh, mut over_http) = (None, None);
        if let Some((server, streams)) = Self::mesh(args, session, data, blobs, door.as_ref()).await? {
            if let (Some(engine), Some(door)) = (session.owned(), &door) {
                engine.serve_mesh(streams.grpc, door.access(args.http.rate_limit));
            }
            (mesh, over_http) = (Some(server), Some(streams.http));
        }
        let http = match &door {
            Some(door) if !args.http.no_http => {
                let parts = Parts {
                    client: session.client.clone(),
                    engine: session.engine.clone(),
                    blobs: blobs.clone(),
                    toolbox: app.shelf.clone(),
                    door: door.clone(),
                    tls: tls.cloned(),
                    name: args.tls.acme.first().cloned(),
                    metrics: app.metrics.clone(),
                    engine_check: session.owned().map(Owned::check),
                    mesh: over_http.zip(mesh.as_ref().map(MeshServer::view)),
                };
                Some(Http::start(&args.http, &args.oidc, data, parts).await?)
            }
            _ => None,
        };
        let places = Places {
            http: http.as_ref().map(Http::near),
            http_socket: http.as_ref().and_then(Http::socket),
            grpc: grpc.map(|address| reachable(address).to_string()),
            mesh: mesh
                .as_ref()
                .and_then(MeshServer::socket)
                .map(|address| address.to_string()),
        };
        let served = Served::announce(data, &places);
        let served = served.inspect_err(|error| tracing::warn!(%error, "other commands will not find this server"));
        Ok(Self {
            _served: served.ok(),
            door,
            grpc,
            asks,
            is_private: tls.is_some(),
            http,
            mesh,
        })
    }

    async fn mesh(
        args: &UpArgs,
        session: &Session,
        data: &DataDir,
        blobs: &BlobStore,
        door: Option<&Door>,
    ) -> Result<Option<(MeshServer, Streams)>> {
        let Some(address) = args.mesh.mesh else { return Ok(None) };
        if session.owned().is_none() {
            return Err(Problem::new("--mesh needs the engine of this process")
                .help("leave out --engine, or let workers reach that server by its address"));
        }
        let Some(door) = door else {
            return Err(
                Problem::new("--mesh asks everybody who comes, and --grpc-open with --no-http asks nobody")
                    .help("leave out --grpc-open or --no-http"),
            );
        };
        let started = MeshServer::start(address, &args.mesh, data, &door.ledger, blobs).await;
        started.map(Some)
    }

    fn say_engine(&self, app: &App) {
        match (&app.global.engine, self.grpc) {
            (EngineChoice::Embedded, Some(address)) => {
                let how = match self.asks {
                    true => "with a token",
                    false => "without a token",
                };
                let scheme = if self.is_private { "temporals" } else { "temporal" };
                eprint_line(&format!(
                    "engine   {scheme}://{address} (any Temporal client {how}; `helve run --engine {scheme}://{address}`)"
                ));
                if !self.asks {
                    tracing::warn!(%address, "--grpc-open: whoever reaches this address may do everything, unasked");
                }
                if !address.ip().is_loopback() && !self.is_private {
                    eprint_line(
                        "WARNING  gRPC is reachable by others, and unencrypted: whoever can read the traffic can take tokens from it",
                    );
                }
            }
            (engine, _) => eprint_line(&format!("engine   {engine}")),
        }
    }
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
