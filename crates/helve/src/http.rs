//! The HTTP API of `helve up`: its ledger, its address, the first token, and the link for a browser.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use helve_api::{Hosts, Limits, Options};
use helve_blobs::BlobStore;
use helve_ledger::{Actor, Ledger, NewSession, NewToken, Role, Scope};
use helve_runs::Client;
use helve_toolbox::Shelf;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::HttpArgs;
use crate::errors::{Problem, Result};
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
}

/// The API while it is served.
pub(crate) struct Http {
    address: SocketAddr,
    ledger: Ledger,
    stop: CancellationToken,
    server: JoinHandle<()>,
    _sweeper: AbortOnDropHandle<()>,
}

impl Http {
    /// Opens the ledger and listens.
    pub(crate) async fn start(args: &HttpArgs, address: SocketAddr, data: &DataDir, parts: Parts) -> Result<Self> {
        check_exposure(address, args.expose)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| cannot_listen(address, &error))?;
        let address = listener.local_addr().map_err(|error| cannot_listen(address, &error))?;
        let ledger = Ledger::open(&data.ledger(), helve_ledger::Options::default()).await;
        let ledger = ledger.map_err(|error| cannot_open(data, &error))?;
        admin_token(&ledger, &data.admin_token()).await?;
        let hosts = match address.ip().is_loopback() {
            true => Hosts::Loopback(args.http_host.clone()),
            false => Hosts::Any,
        };
        let options = Options {
            client: parts.client,
            engine: parts.engine,
            blobs: parts.blobs,
            toolbox: parts.toolbox,
            ledger: ledger.clone(),
            dir: data.http(),
            limits: Limits {
                requests_per_second: args.rate_limit,
                upload_bytes: args.max_upload.0,
                ..Limits::default()
            },
            hosts,
        };
        let router = helve_api::router(options);
        let router = router.map_err(|error| Problem::io("make folders in", data.root(), &error))?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(helve_api::serve(listener, router, stop.clone()));
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
            address,
            ledger,
            stop,
            server,
            _sweeper: sweeper,
        })
    }

    /// Says where it is, and how a browser gets in.
    pub(crate) async fn announce(&self, data: &DataDir) -> Result<()> {
        let base = format!("http://{}", reachable(self.address));
        eprint_line(&format!(
            "http     {base} (API under /api/v1; token in {})",
            data.admin_token().display()
        ));
        if !self.address.ip().is_loopback() {
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
        if let Err(error) = self.ledger.close().await {
            tracing::warn!(%error, "the ledger was not closed cleanly; nothing that was promised is lost");
        }
    }
}

/// An address that a browser on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn check_exposure(address: SocketAddr, expose: bool) -> Result<()> {
    match address.ip().is_loopback() || expose {
        true => Ok(()),
        false => Err(Problem::new(format!(
            "{address} can be reached from other machines, and HTTP is not encrypted"
        ))
        .help("put a proxy with TLS in front of 127.0.0.1, or say --http-expose if the network is trusted")),
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
    let made = ledger.create_token(&Actor::system(ACTOR), new).await;
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
        "it holds findings, tokens and the audit log: mend the disk or restore it; without --http it is not needed",
    )
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Problem {
    match error.kind() {
        ErrorKind::AddrInUse => Problem::new(format!("the address {address} is taken by another program"))
            .help("choose another one with --http, such as --http 127.0.0.1:0 for any free port"),
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
        let error = check_exposure(open, false).unwrap_err().to_string();
        assert!(error.contains("--http-expose"), "{error}");
        assert!(check_exposure(open, true).is_ok());
        assert!(check_exposure("[::1]:8080".parse().unwrap(), false).is_ok());
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
