//! The HTTP API of `helve up`: its ledger, its address, the first token, and the link for a browser.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use helve_api::{EngineCheck, Hosts, Limits, Options, Peer};
use helve_blobs::BlobStore;
use helve_engine::Access;
use helve_ledger::{Actor, Ledger, NewSession, NewToken, Principal, Rates, Role, Scope, Strangers};
use helve_metrics::Registry;
use helve_net::Policy;
use helve_runs::Client;
use helve_toolbox::Shelf;
use helve_webhooks::Dispatcher;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::access::LedgerAccess;
use crate::cli::{HttpArgs, OidcArgs};
use crate::doorway::{Connection, Doorway, Way};
use crate::errors::{Problem, Result};
use crate::monitoring;
use crate::oidc;
use crate::paths::DataDir;
use crate::terminal::eprint_line;

/// Who acts when nobody does.
const ACTOR: &str = "helve up";
/// How long the printed link may be followed.
const LINK_LASTS: Duration = Duration::from_secs(15 * 60);
/// How long a browser that followed it stays in.
const SESSION_LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// How often the ledger does what time brings.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What the API stands on.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) engine: String,
    pub(crate) blobs: BlobStore,
    pub(crate) toolbox: Shelf,
    pub(crate) door: Door,
    pub(crate) metrics: Registry,
    pub(crate) engine_check: Option<EngineCheck>,
    pub(crate) tls: Option<helve_tls::Server>,
    /// What the server is called by its certificate, as far as that is known.
    pub(crate) name: Option<String>,
    /// Where the API writes down small things; none: in the data directory.
    pub(crate) notes: Option<Arc<dyn helve_api::Notes>>,
    /// Connections over the mesh, and what is told of it.
    pub(crate) mesh: Option<(mpsc::Receiver<helve_mesh::Stream>, Arc<dyn helve_api::Mesh>)>,
}

/// Who may come in, over HTTP and gRPC.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) ledger: Ledger,
    pub(crate) strangers: Arc<Strangers>,
}

impl Door {
    /// Opens the ledger, with a token for whoever runs the server.
    pub(crate) async fn open(data: &DataDir) -> Result<Self> {
        let ledger = Ledger::open(&data.ledger(), helve_ledger::Options::default()).await;
        let ledger = ledger.map_err(|error| cannot_open(data, &error))?;
        Self::on(ledger, data).await
    }

    /// The same on a ledger that is open already.
    pub(crate) async fn on(ledger: Ledger, data: &DataDir) -> Result<Self> {
        admin_token(&ledger, &data.admin_token()).await?;
        Ok(Self {
            ledger,
            strangers: Arc::default(),
        })
    }

    /// For gRPC. `rate_limit` is that of HTTP.
    pub(crate) fn access(&self, rate_limit: u32) -> Arc<dyn Access> {
        Arc::new(LedgerAccess {
            ledger: self.ledger.clone(),
            strangers: Arc::clone(&self.strangers),
            rates: Rates::new(rate_limit),
        })
    }

    /// Writes what is still to be written.
    pub(crate) async fn close(self) {
        if let Err(error) = self.ledger.close().await {
            tracing::warn!(%error, "the ledger was not closed cleanly; nothing that was promised is lost");
        }
    }
}

/// The API while it is served.
pub(crate) struct Http {
    /// Where browsers reach it.
    base: String,
    /// Where commands of this machine do, whatever the public address is.
    near: String,
    /// Whether nobody else can read what is said.
    is_private: bool,
    ledger: Ledger,
    stop: CancellationToken,
    server: JoinHandle<()>,
    for_owner: Option<JoinHandle<()>>,
    webhooks: Dispatcher,
    _sweeper: AbortOnDropHandle<()>,
    _over_mesh: Option<AbortOnDropHandle<()>>,
}

impl Http {
    /// Serves on a way in, and on another one for whoever owns the data directory.
    pub(crate) fn start(
        args: &HttpArgs,
        login: &OidcArgs,
        data: &DataDir,
        Way { doorway, address }: Way,
        owner: Option<Doorway>,
        parts: Parts,
    ) -> Result<Self> {
        let Door { ledger, strangers } = parts.door;
        let public = match (&login.public_url, &parts.name) {
            (Some(given), _) => Some(oidc::public_url(given)?),
            (None, Some(name)) => Some(oidc::public_url(&format!("https://{name}:{}", address.port()))?),
            (None, None) => None,
        };
        let hosts = match address.ip().is_loopback() {
            true => {
                let named = public.iter().filter_map(|url| url.host_str()).map(str::to_owned);
                Hosts::Loopback(args.http_host.iter().cloned().chain(named).collect())
            }
            false => Hosts::Any,
        };
        // A proxy with TLS in front says so with its address.
        let secure = public
            .as_ref()
            .map_or(parts.tls.is_some(), |url| url.scheme() == "https");
        let scheme = if parts.tls.is_some() { "https" } else { "http" };
        let base = match &public {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("{scheme}://{}", reachable(address)),
        };
        let options = Options {
            client: parts.client,
            engine: parts.engine,
            blobs: parts.blobs,
            toolbox: parts.toolbox,
            ledger: ledger.clone(),
            strangers,
            dir: data.http(),
            notes: parts.notes,
            limits: Limits {
                requests_per_second: args.rate_limit,
                upload_bytes: args.max_upload.0,
                ..Limits::default()
            },
            hosts,
            secure,
            oidc: oidc::options(login, &base)?,
            engine_check: parts.engine_check,
            mesh: parts.mesh.as_ref().map(|(_, view)| Arc::clone(view)),
            metrics: parts.metrics.clone(),
        };
        monitoring::add_ledger(&parts.metrics, &ledger);
        let router = helve_api::router(options);
        let router = router.map_err(|error| Problem::io("make folders in", data.root(), &error))?;
        let stop = CancellationToken::new();
        let over_mesh = parts.mesh.map(|(streams, _)| {
            let streams = ReceiverStream::new(streams).map(|stream| {
                let peer = Peer::Endpoint(stream.peer().to_string());
                Ok((stream, peer))
            });
            AbortOnDropHandle::new(tokio::spawn(helve_api::serve(streams, router.clone(), stop.clone())))
        });
        let for_owner =
            owner.map(|doorway| tokio::spawn(helve_api::serve(owners(doorway), router.clone(), stop.clone())));
        let is_private = parts.tls.is_some() || address.ip().is_loopback();
        let server = match parts.tls {
            Some(tls) => tokio::spawn(helve_api::serve(tls.http(doorway), router, stop.clone())),
            None => tokio::spawn(helve_api::serve(doorway.connections(), router, stop.clone())),
        };
        let told = Policy::Public(args.webhook_allow.clone());
        let webhooks = Dispatcher::start(ledger.clone(), helve_webhooks::Options::new(told));
        let sweeping = ledger.clone();
        let sweeper = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                if let Err(error) = sweeping.sweep().await {
                    tracing::warn!(%error, "the ledger could not be tidied up");
                }
            }
        }));
        Ok(Self {
            base,
            near: format!("{scheme}://{}", reachable(address)),
            is_private,
            ledger,
            stop,
            server,
            for_owner,
            webhooks,
            _sweeper: sweeper,
            _over_mesh: over_mesh,
        })
    }

    /// Where browsers reach it.
    pub(crate) fn url(&self) -> String {
        self.base.clone()
    }

    /// Where commands of this machine reach it.
    pub(crate) fn near(&self) -> String {
        self.near.clone()
    }

    /// Says where it is, and how a browser gets in.
    pub(crate) async fn announce(&self, data: &DataDir) -> Result<()> {
        let base = &self.base;
        eprint_line(&format!(
            "http     {base} (API under /api/v1; token in {})",
            data.admin_token().display()
        ));
        if !self.is_private {
            eprint_line(
                "WARNING  the API is reachable by others, and unencrypted: whoever can read the traffic can take tokens from it",
            );
        }
        let session = NewSession {
            name: "admin".to_owned(),
            role: Role::Admin,
            scope: Scope::all(),
            lasts: SESSION_LASTS,
        };
        let code = self
            .ledger
            .create_login_code(&Actor::system(ACTOR), session, LINK_LASTS)
            .await;
        let code = code.map_err(|error| Problem::new(format!("no login link can be made: {error}")))?;
        eprint_line(&format!(
            "login    {base}/login?code={} (once, within 15 min)",
            code.secret.reveal()
        ));
        Ok(())
    }

    /// Lets requests that are under way end.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        let _ = self.server.await;
        if let Some(server) = self.for_owner {
            let _ = server.await;
        }
        self.webhooks.close().await;
    }
}

/// Listens for HTTP.
pub(crate) async fn bind_http(args: &HttpArgs, has_tls: bool) -> Result<Way> {
    check_exposure("HTTP", args.http, args.expose || has_tls)?;
    let bound = Doorway::tcp(args.http).await;
    let (doorway, address) = bound.map_err(|error| cannot_listen(args.http, &error))?;
    Ok(Way { doorway, address })
}

/// Listens for commands on the data directory. They can do without, so a failure is only logged.
pub(crate) fn bind_owner(data: &DataDir) -> Option<Doorway> {
    let path = data.http_socket();
    match Doorway::private(&path) {
        Ok(doorway) => Some(doorway),
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "other commands have to reach the API by its address");
            None
        }
    }
}

/// Connections of whoever owns the data directory.
fn owners(doorway: Doorway) -> impl Stream<Item = std::io::Result<(Connection, Peer)>> + Unpin {
    Box::pin(doorway.streams().map(|connection| Ok((connection?, Peer::Owner))))
}

/// An address that a browser on this machine can use.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Refuses an address that others reach, unless somebody said that they may.
pub(crate) fn check_exposure(protocol: &str, address: SocketAddr, expose: bool) -> Result<()> {
    match address.ip().is_loopback() || expose {
        true => Ok(()),
        false => {
            let option = protocol.to_lowercase();
            Err(Problem::new(format!(
                "{address} can be reached from other machines, and {protocol} is not encrypted"
            ))
            .help(format!(
                "give it a certificate with --tls-cert and --tls-key, or say --{option}-expose if the network is trusted"
            )))
        }
    }
}

/// The token of the person who runs the server: made once, and again when somebody took it back.
async fn admin_token(ledger: &Ledger, file: &Path) -> Result<()> {
    match fs::read_to_string(file) {
        Ok(token) if ledger.verify_token(token.trim()).is_ok() => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Problem::io("read", file, &error)),
    }
    let new = NewToken {
        name: "admin".to_owned(),
        role: Role::Admin,
        scope: Scope::all(),
        expires_at: None,
    };
    let made = ledger.create_token(&Principal::system(ACTOR), new).await;
    let made = made.map_err(|error| Problem::new(format!("no first token can be made: {error}")))?;
    write_private(file, made.secret.reveal()).map_err(|error| Problem::io("write", file, &error))
}

/// Whole or not there, and nobody else's to read.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    // Temporary files are private from the beginning.
    let mut partial = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    writeln!(partial, "{text}")?;
    partial.as_file().sync_all()?;
    partial.persist(file).map(drop).map_err(|error| error.error)
}

fn cannot_open(data: &DataDir, error: &helve_ledger::Error) -> Problem {
    Problem::new(format!("{} cannot be opened: {error}", data.ledger().display())).help(
        "it holds findings, tokens and the audit log: mend the disk or restore it; only --no-http together with --grpc-open does without",
    )
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    match error.kind() {
        ErrorKind::AddrInUse => Problem::new(format!("the address {address} is taken by another program"))
            .help("choose another one with --http, such as --http 127.0.0.1:0 for any free port, or leave it out with --no-http"),
        ErrorKind::PermissionDenied => Problem::new(format!("not allowed to listen on {address}"))
            .help("choose a port of 1024 or more with --http"),
        ErrorKind::AddrNotAvailable => Problem::new(format!("{address} is not an address of this machine"))
            .help("127.0.0.1 is reachable from this machine only"),
        _ => Problem::new(format!("cannot listen on {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_needs_a_word() {
        let open: SocketAddr = "0.0.0.0:8080".parse().unwrap();
        for (protocol, option) in [("HTTP", "--http-expose"), ("gRPC", "--grpc-expose")] {
            let error = check_exposure(protocol, open, false).unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
            assert!(check_exposure(protocol, open, true).is_ok());
            assert!(check_exposure(protocol, "[::1]:8080".parse().unwrap(), false).is_ok());
        }
    }

    #[tokio::test]
    async fn the_first_token_is_made_once_and_again_when_it_was_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db"), Default::default())
            .await
            .unwrap();
        let file = dir.path().join("admin.token");
        admin_token(&ledger, &file).await.unwrap();
        let first = fs::read_to_string(&file).unwrap();
        admin_token(&ledger, &file).await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let all = ledger.list_tokens(Default::default()).await.unwrap();
        ledger
            .revoke_token(&Actor::system("test"), &all.items[0].id)
            .await
            .unwrap();
        admin_token(&ledger, &file).await.unwrap();
        let second = fs::read_to_string(&file).unwrap();
        assert_ne!(second, first);
        assert!(ledger.verify_token(second.trim()).is_ok());
    }
}
