//! All that is there while the engine is in this process: what serves it, the worker, and what tidies up.
//!
//! `helve up` has one from its start to its end. A node of a cluster has one whenever it leads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use helve_blobs::BlobStore;
use helve_mesh::SecretKey;
use helve_tls::Server;
use helve_worker::WorkerHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::cli::{EngineChoice, UpArgs};
use crate::connect::Session;
use crate::doorway::{Doorway, Way};
use crate::embedded::Owned;
use crate::errors::{Problem, Result};
use crate::http::{Door, Http, Parts, reachable};
use crate::mesh::{MeshServer, Streams};
use crate::paths::DataDir;
use crate::render::count;
use crate::retention::Sweeper;
use crate::server::Places;
use crate::terminal::eprint_line;

/// How long steps may go on after the first Ctrl-C.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How long everything may take to end when this node does not lead any more.
const ABANDON_WITHIN: Duration = Duration::from_secs(5);

/// What it stands on.
pub(crate) struct Ground {
    pub(crate) session: Session,
    pub(crate) blobs: BlobStore,
    /// Who may come in; none when nobody is asked.
    pub(crate) door: Option<Door>,
    /// Where the API writes down small things; none: in the data directory.
    pub(crate) notes: Option<Arc<dyn helve_api::Notes>>,
    pub(crate) ways: Ways,
}

/// Where clients come in. What is none is not served.
#[derive(Default)]
pub(crate) struct Ways {
    pub(crate) grpc: Option<Way>,
    pub(crate) http: Option<Way>,
    /// The API for commands on the data directory.
    pub(crate) owner: Option<Doorway>,
    /// How this is known in the mesh.
    pub(crate) mesh: Option<InMesh>,
}

/// Who a server is in the mesh.
pub(crate) struct InMesh {
    pub(crate) address: SocketAddr,
    pub(crate) key: SecretKey,
    /// Where it may be as well, at other times: at nodes that come and go.
    pub(crate) elsewhere: Elsewhere,
}

/// Answers where a server of the mesh may be as well.
pub(crate) type Elsewhere = Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>;

/// All of it.
pub(crate) struct Stage {
    pub(crate) session: Session,
    pub(crate) worker: Option<WorkerHandle>,
    store: String,
    doors: Doors,
    _sweeping: AbortOnDropHandle<()>,
}

impl Stage {
    /// Begins to serve. What was begun is ended again when something fails.
    pub(crate) async fn open(
        app: &App,
        args: &UpArgs,
        data: &DataDir,
        tls: Option<&Server>,
        ground: Ground,
    ) -> Result<Self> {
        let Ground {
            session,
            blobs,
            door,
            notes,
            ways,
        } = ground;
        let doors = match Doors::open(app, args, data, tls, &session, &blobs, (door, notes), ways).await {
            Ok(doors) => doors,
            Err(problem) => {
                session.close().await;
                return Err(problem);
            }
        };
        let store = blobs.name();
        let sweeper = Sweeper::new(session.client.clone(), blobs.clone(), args.keep.into());
        let worker = match args.no_worker {
            true => Ok(None),
            false => match app.staying(&args.worker, DRAIN_GRACE) {
                Ok(tuning) => app.worker(&session, data, blobs, tuning).await.map(Some),
                Err(problem) => Err(problem),
            },
        };
        let worker = match worker {
            Ok(worker) => worker,
            Err(problem) => {
                session.close().await;
                return Err(problem);
            }
        };
        let every = args.expire_every.duration();
        Ok(Self {
            session,
            worker,
            store,
            doors,
            _sweeping: AbortOnDropHandle::new(tokio::spawn(sweeper.keep_on(every))),
        })
    }

    /// Says where everything is.
    pub(crate) async fn announce(&self, app: &App, args: &UpArgs, data: &DataDir, tls: Option<&Server>) -> Result<()> {
        self.doors.say_engine(app);
        eprint_line(&format!("data     {}", data.root().display()));
        if !app.is_local(data) {
            eprint_line(&format!("blobs    {}", self.store));
        }
        if let Some(open) = self.session.owned().map(Owned::recovered).filter(|open| *open > 0) {
            eprint_line(&format!("runs     {} under way go on", count(open as u64, "run")));
        }
        let announced = match &self.doors.http {
            Some(http) => http.announce(data).await,
            None => Ok(()),
        };
        announced?;
        if let Some(mesh) = &self.doors.mesh {
            mesh.announce().await?;
        }
        // Certificates from files are there from the beginning.
        if tls.is_some_and(|tls| !tls.has_certificate()) {
            eprint_line(&format!(
                "tls      no certificate for {} yet: asking {} for one; until then nobody else gets in",
                args.tls.acme.join(", "),
                args.tls.acme_directory
            ));
        }
        eprint_line(match self.worker {
            Some(_) => "worker   ready; Ctrl-C stops after the running steps",
            None => "worker   none here (--no-worker); Ctrl-C stops the engine",
        });
        Ok(())
    }

    /// Where other commands find it.
    pub(crate) fn places(&self, data: &DataDir) -> Places {
        let doors = &self.doors;
        Places {
            http: doors.http.as_ref().map(Http::near),
            http_socket: doors.is_for_owner.then(|| data.http_socket()),
            grpc: doors.grpc.map(|address| reachable(address).to_string()),
            mesh: doors
                .mesh
                .as_ref()
                .and_then(MeshServer::socket)
                .map(|address| address.to_string()),
        }
    }

    /// The URL of the pages.
    pub(crate) fn url(&self) -> Option<String> {
        self.doors.http.as_ref().map(Http::url)
    }

    /// Where gRPC is served.
    pub(crate) fn grpc(&self) -> Option<SocketAddr> {
        self.doors.grpc
    }

    /// Lets everybody end what they are at.
    pub(crate) async fn close(self) {
        let Self {
            session, worker, doors, ..
        } = self;
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
    }

    /// Lets the worker end what it is at while everybody else is still served, and then leaves to others at once.
    pub(crate) async fn hand_over(mut self) {
        if let Some(worker) = self.worker.take() {
            worker.drain().await;
        }
        self.abandon().await;
    }

    /// Ends it when its stores are somebody else's already: nothing that is still under way can be kept. The steps of the worker
    /// are left to end by themselves, since what they say is not heard any more.
    pub(crate) async fn abandon(self) {
        let Self {
            session, worker, doors, ..
        } = self;
        if let Some(worker) = worker {
            tokio::spawn(worker.drain());
        }
        let http = async {
            if let Some(http) = doors.http {
                http.close().await;
            }
        };
        let mesh = async {
            if let Some(mesh) = doors.mesh {
                mesh.close().await;
            }
        };
        let ending = async {
            tokio::join!(http, mesh, session.close());
            if let Some(door) = doors.door {
                door.close().await;
            }
        };
        // This node may be about to lead again, and somebody else's webhook is no reason to wait.
        if tokio::time::timeout(ABANDON_WITHIN, ending).await.is_err() {
            tracing::warn!("not all that served ended in time; what is left has no store any more");
        }
    }
}

/// The ways in, while they are served.
struct Doors {
    /// Who may come in; none when nobody is asked.
    door: Option<Door>,
    grpc: Option<SocketAddr>,
    /// Whether gRPC asks for tokens.
    asks: bool,
    /// Whether nobody else can read what is said.
    is_private: bool,
    is_for_owner: bool,
    http: Option<Http>,
    mesh: Option<MeshServer>,
}

impl Doors {
    #[expect(clippy::too_many_arguments, reason = "it is where all of it comes together")]
    async fn open(
        app: &App,
        args: &UpArgs,
        data: &DataDir,
        tls: Option<&Server>,
        session: &Session,
        blobs: &BlobStore,
        (door, notes): (Option<Door>, Option<Arc<dyn helve_api::Notes>>),
        ways: Ways,
    ) -> Result<Self> {
        let asks = session.owned().is_some() && !args.grpc_open;
        let grpc = session.owned().zip(ways.grpc).map(|(engine, way)| {
            let access = door
                .as_ref()
                .filter(|_| asks)
                .map(|door| door.access(args.http.rate_limit));
            engine.serve_grpc(way, access, tls)
        });
        let (mut mesh, mut over_http) = (None, None);
        if let Some(in_mesh) = ways.mesh {
            let (server, streams) = Self::mesh(args, session, data, blobs, door.as_ref(), in_mesh).await?;
            if let (Some(engine), Some(door)) = (session.owned(), &door) {
                engine.serve_mesh(streams.grpc, door.access(args.http.rate_limit));
            }
            (mesh, over_http) = (Some(server), Some(streams.http));
        }
        let is_for_owner = ways.owner.is_some();
        let http = match (&door, ways.http) {
            (Some(door), Some(way)) => {
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
                    notes,
                    mesh: over_http.zip(mesh.as_ref().map(MeshServer::view)),
                };
                Some(Http::start(&args.http, &args.oidc, data, way, ways.owner, parts)?)
            }
            _ => None,
        };
        Ok(Self {
            door,
            grpc,
            asks,
            is_private: tls.is_some(),
            is_for_owner,
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
        in_mesh: InMesh,
    ) -> Result<(MeshServer, Streams)> {
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
        MeshServer::start(in_mesh, &args.mesh, data, &door.ledger, blobs).await
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
