//! The engine inside this process, or inside another Helve that holds the data directory.
//!
//! Whoever holds it listens on a socket in the data directory, which only its owner can open, so other `helve`
//! commands work while a run is going on. When the holder leaves, whoever is attached takes over.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use helve_api::EngineCheck;
use helve_engine::{Access, Engine, EngineOptions, Holder, InProcess, OpenError};
use helve_metrics::Registry;
use temporalio_client::callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse};
use temporalio_client::tonic::Status;
use temporalio_client::{Connection, ConnectionOptions, RetryOptions, Url};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::Settings;
use crate::connect::connect;
use crate::doorway::{Doorway, Way};
use crate::errors::{Problem, Result, innermost};
use crate::paths::DataDir;
use crate::trouble::Trouble;

/// How long to wait for a holder that cannot be attached to: it is just starting, or listing runs, or leaving.
const PATIENCE: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// A holder that is stopped (Ctrl-Z) accepts connections and never answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// A holder that is gone will not come back: then this process takes over, the sooner the better.
const ATTACHED_RETRIES: Duration = Duration::from_millis(500);

/// Trouble that passes sooner than this is not worth a word.
const TROUBLE_LASTS: Duration = Duration::from_secs(3);
const LOOK_FOR_TROUBLE: Duration = Duration::from_secs(1);

/// Who has the engine.
pub(crate) enum Opened {
    /// This process.
    Here(Owned),
    /// Another one; this is the way to it.
    Elsewhere(Connection),
}

/// Whether other commands may use the engine while this one has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Yes: it stays for a while, and has a worker.
    Shared,
    /// No: it is about to leave.
    Brief,
}

/// The engine of this process.
pub(crate) struct Owned {
    engine: Arc<Engine>,
    servers: TaskTracker,
    stop: CancellationToken,
    socket: Option<PathBuf>,
    trouble: Arc<Trouble>,
}

/// Opens the engine of the data directory, or finds the process that has it open.
pub(crate) async fn open(data: &DataDir, role: &str, sharing: Sharing) -> Result<Opened> {
    if Settings::find(data)?.is_some() {
        // The engine is where the cluster says, and comes and goes.
        return match attach(data, None).await {
            Some(connection) => Ok(Opened::Elsewhere(connection)),
            None => Err(Problem::new(format!(
                "{} is a node of a cluster, and does not answer",
                data.root().display()
            ))
            .help("start it with `helve up`; `helve cluster status` says how the nodes are")),
        };
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = EngineOptions {
            role: role.to_owned(),
            ..EngineOptions::new(data.root())
        };
        match Engine::open(options).await {
            Ok(engine) => {
                let mut owned = Owned::new(engine);
                if sharing == Sharing::Shared {
                    owned.listen(&data.socket());
                }
                return Ok(Opened::Here(owned));
            }
            Err(OpenError::Locked { holder, .. }) => {
                if let Some(connection) = attach(data, holder.as_ref()).await {
                    return Ok(Opened::Elsewhere(connection));
                }
                if Instant::now() >= deadline {
                    return Err(in_use(data)
                        .detail("it does not answer")
                        .help("if it is suspended, let it go on (`fg`); or stop it, or choose another --data-dir"));
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
            Err(error) => return Err(cannot_open(&error)),
        }
    }
}

impl Owned {
    /// The owner of an engine that was opened.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            servers: TaskTracker::new(),
            stop: CancellationToken::new(),
            socket: None,
            trouble: Arc::default(),
        }
    }

    /// A connection without a port, a socket or a copy more than needed.
    pub(crate) fn connection_options(&self, identity: String) -> ConnectionOptions {
        let engine = self.engine.in_process();
        let (trouble, stop) = (Arc::clone(&self.trouble), self.stop.clone());
        let callback = move |request| -> CallFuture {
            // Nobody is to try again what cannot come back.
            if stop.is_cancelled() {
                return Box::pin(async { Err(Status::cancelled("the engine of this process has ended")) });
            }
            Box::pin(call(engine.clone(), Arc::clone(&trouble), request))
        };
        ConnectionOptions::new(Url::parse("http://in-process").expect("a constant URL"))
            .identity(identity)
            .client_name("helve")
            .client_version(env!("CARGO_PKG_VERSION"))
            .dns_load_balancing(None)
            .service_override(CallbackBasedGrpcService {
                callback: Arc::new(callback),
            })
            .build()
    }

    /// How many runs were under way when the engine was opened.
    pub(crate) fn recovered(&self) -> usize {
        self.engine.recovered()
    }

    /// Adds what is counted of it.
    pub(crate) fn register(&self, metrics: &Registry) {
        let (engine, store) = self.engine.figures();
        metrics.add(Arc::new(engine));
        metrics.add(Arc::new(store));
    }

    /// Whether it can write now.
    pub(crate) fn check(&self) -> EngineCheck {
        let engine = Arc::downgrade(&self.engine);
        Arc::new(move || {
            let engine = engine.upgrade();
            Box::pin(async move {
                match engine {
                    Some(engine) => engine.check_writable().await,
                    None => Err("it has ended".to_owned()),
                }
            })
        })
    }

    /// Ready when the engine has not been able to write for a while, with the reason.
    pub(crate) async fn cannot_write(&self) -> String {
        loop {
            tokio::time::sleep(LOOK_FOR_TROUBLE).await;
            if let Some(reason) = self.trouble.lasting(TROUBLE_LASTS) {
                return reason;
            }
        }
    }

    /// Serves gRPC to any Temporal client that `access` lets in, and to every one without; by TLS if there are certificates.
    pub(crate) fn serve_grpc(
        &self,
        Way { doorway, address }: Way,
        access: Option<Arc<dyn Access>>,
        tls: Option<&helve_tls::Server>,
    ) -> SocketAddr {
        // Commands on the same data directory do not know what to trust there.
        if tls.is_none()
            && let Err(error) = self.engine.announce(address.to_string())
        {
            tracing::warn!(%error, "the address could not be written down; other commands use the socket");
        }
        let (engine, stop) = (Arc::clone(&self.engine), self.stop.clone());
        let tls = tls.cloned();
        self.servers.spawn(async move {
            let stop = stop.cancelled_owned();
            let served = match (tls, access) {
                (Some(tls), Some(access)) => engine.serve_guarded(tls.grpc(doorway).streams(), access, stop).await,
                (Some(tls), None) => engine.serve(tls.grpc(doorway).streams(), stop).await,
                (None, Some(access)) => engine.serve_guarded(doorway.streams(), access, stop).await,
                (None, None) => engine.serve(doorway.streams(), stop).await,
            };
            if let Err(error) = served {
                tracing::error!(error = innermost(&error), "gRPC is not served any more");
            }
        });
        address
    }

    /// Serves endpoints of the mesh, which are asked about as all others are.
    pub(crate) fn serve_mesh(&self, streams: mpsc::Receiver<helve_mesh::Stream>, access: Arc<dyn Access>) {
        let (engine, stop) = (Arc::clone(&self.engine), self.stop.clone());
        self.servers.spawn(async move {
            let connections = ReceiverStream::new(streams).map(Ok::<_, std::convert::Infallible>);
            if let Err(error) = engine.serve_guarded(connections, access, stop.cancelled_owned()).await {
                tracing::error!(error = innermost(&error), "gRPC is not served over the mesh any more");
            }
        });
    }

    /// Serves other `helve` commands. They can do without, so a failure is only logged.
    fn listen(&mut self, path: &Path) {
        match Doorway::private(path) {
            Ok(doorway) => {
                self.socket = Some(path.to_owned());
                self.serve_owner(doorway);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "other commands cannot be served"),
        }
    }

    /// Serves whoever owns the data directory, unasked.
    pub(crate) fn serve_owner(&self, doorway: Doorway) {
        let (engine, stop) = (Arc::clone(&self.engine), self.stop.clone());
        self.servers.spawn(async move {
            if let Err(error) = engine.serve(doorway.streams(), stop.cancelled_owned()).await {
                tracing::warn!(error = innermost(&error), "other commands are not served any more");
            }
        });
    }

    /// Closes the engine.
    pub(crate) async fn close(self) {
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
        self.stop.cancel();
        self.servers.close();
        // Servers wait for their long polls, which are answered as the engine shuts down.
        tokio::join!(self.engine.shutdown(), async {
            let _ = tokio::time::timeout(PATIENCE, self.servers.wait()).await;
        });
    }
}

pub(crate) type CallFuture = std::pin::Pin<Box<dyn Future<Output = CallResult> + Send>>;
pub(crate) type CallResult = std::result::Result<GrpcSuccessResponse, Status>;

async fn call(engine: InProcess, trouble: Arc<Trouble>, request: GrpcRequest) -> CallResult {
    let GrpcRequest {
        service,
        rpc,
        headers,
        proto,
    } = request;
    let outcome = engine.call(&service, &rpc, headers, proto).await;
    trouble.note(&rpc, &outcome);
    let (headers, proto) = outcome?;
    Ok(GrpcSuccessResponse { headers, proto })
}

/// The way to the process that holds the data directory, if it answers.
pub(crate) async fn attach(data: &DataDir, holder: Option<&Holder>) -> Option<Connection> {
    let grpc = holder
        .and_then(|holder| holder.grpc.as_ref())
        .map(|address| format!("http://{address}"));
    // The socket asks for none.
    let token = std::fs::read_to_string(data.admin_token()).ok();
    let token = token.map(|token| token.trim().to_owned());
    for address in socket_url(&data.socket()).into_iter().chain(grpc) {
        let Ok(url) = Url::parse(&address) else { continue };
        match tokio::time::timeout(ANSWERS_WITHIN, connect(url, None, token.as_deref())).await {
            Ok(Ok(mut connection)) => {
                *connection.retry_options_mut() =
                    RetryOptions::builder().max_elapsed_time(Some(ATTACHED_RETRIES)).build();
                return Some(connection);
            }
            Ok(Err(error)) => tracing::debug!(address, %error, "the holder of the data directory cannot be reached"),
            Err(_) => tracing::debug!(address, "the holder of the data directory does not answer"),
        }
    }
    None
}

/// None when the path has characters that a URL would write differently.
fn socket_url(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let url = Url::parse(&format!("unix://{path}")).ok()?;
    (cfg!(unix) && url.path() == path).then(|| url.to_string())
}

/// The data directory belongs to another process.
pub(crate) fn in_use(data: &DataDir) -> Problem {
    locked(data, Holder::read(data.root()).as_ref())
}

fn locked(data: &DataDir, holder: Option<&Holder>) -> Problem {
    let directory = data.root().display();
    match holder {
        Some(Holder { pid, role, .. }) => Problem::new(format!(
            "the data directory {directory} is in use by `{role}` (process {pid})"
        ))
        .help("wait for it, stop it, or choose another --data-dir"),
        None => Problem::new(format!("the data directory {directory} is in use by another Helve"))
            .help("wait for it, stop it, or choose another --data-dir"),
    }
}

fn cannot_open(error: &OpenError) -> Problem {
    let problem = Problem::new(error.to_string());
    match error {
        OpenError::NewerSchema(_) => problem.help("use the newer Helve that wrote it, or another --data-dir"),
        // These say it themselves.
        OpenError::Corrupt(_) | OpenError::Locked { .. } | OpenError::Io { .. } | OpenError::Options(_) => problem,
    }
}

/// Listens for gRPC.
pub(crate) async fn bind_grpc(address: SocketAddr) -> Result<Way> {
    let bound = Doorway::tcp(address).await;
    let (doorway, address) = bound.map_err(|error| cannot_listen(address, &error))?;
    Ok(Way { doorway, address })
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Problem::new(format!("the address {address} is taken by another program"))
            .help("choose another one with --grpc, such as --grpc 127.0.0.1:0 for any free port"),
        std::io::ErrorKind::PermissionDenied => Problem::new(format!("not allowed to listen on {address}"))
            .help("choose a port of 1024 or more with --grpc"),
        std::io::ErrorKind::AddrNotAvailable => Problem::new(format!("{address} is not an address of this machine"))
            .help("127.0.0.1 is reachable from this machine only, 0.0.0.0 from everywhere"),
        _ => Problem::new(format!("cannot listen on {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_one_clear_error() {
        let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let text = cannot_listen("127.0.0.1:7233".parse().unwrap(), &error).to_string();
        assert!(
            text.starts_with("error: the address 127.0.0.1:7233 is taken by another program\n help: choose"),
            "{text}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_with_an_odd_path_is_not_used_by_url() {
        assert_eq!(
            socket_url(Path::new("/data/engine.sock")).as_deref(),
            Some("unix:///data/engine.sock")
        );
        assert_eq!(socket_url(Path::new("/my data/engine.sock")), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_holder_that_accepts_and_never_answers_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(dir.path())).unwrap();
        let _suspended = std::os::unix::net::UnixListener::bind(data.socket()).unwrap();
        assert!(attach(&data, None).await.is_none());
    }

    #[test]
    fn a_locked_data_directory_names_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(dir.path())).unwrap();
        let holder = Holder {
            pid: 42,
            role: "helve run assessment".into(),
            grpc: None,
        };
        let text = locked(&data, Some(&holder)).to_string();
        assert!(
            text.contains("is in use by `helve run assessment` (process 42)"),
            "{text}"
        );
    }
}
