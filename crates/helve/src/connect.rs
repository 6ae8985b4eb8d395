//! The way to an engine: one of this process, one of another Helve on the same data directory, or a Temporal server.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use helve_mesh::Link;
use helve_runs::Client;
use temporalio_client::tonic::Code;
use temporalio_client::{Connection, ConnectionOptions, TlsOptions, Url};

use crate::cli::{DEFAULT_NAMESPACE, EngineChoice, TrustArgs};
use crate::embedded::{self, Opened, Owned, Sharing};
use crate::errors::{Problem, Result, refused, unreachable};
use crate::mesh;
use crate::paths::DataDir;
use crate::server::{Served, same_place};
use crate::takeover::{self, EMBEDDED_WORKER};
use crate::tls;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection, and the engine if it is ours.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// As `--json` names the engine.
    pub(crate) engine: String,
    kind: Kind,
}

enum Kind {
    /// The engine runs in this process.
    Owned(Owned),
    /// Another Helve holds the engine, and has a worker.
    Attached,
    /// Somebody else's server.
    External,
}

impl Session {
    /// Connects. `role` is what others read when they find the data directory in use.
    pub(crate) async fn open(
        choice: &EngineChoice,
        trust: Trust<'_>,
        data: &DataDir,
        role: &str,
        sharing: Sharing,
        wanted: Option<&str>,
    ) -> Result<Self> {
        match choice {
            EngineChoice::Embedded => {
                let session = Self::embedded(data, role, sharing, wanted.unwrap_or(DEFAULT_NAMESPACE)).await?;
                match session.check_namespace(wanted).await {
                    Ok(()) => Ok(session),
                    Err(problem) => {
                        session.close().await;
                        Err(problem)
                    }
                }
            }
            EngineChoice::Temporal {
                address,
                namespace,
                tls,
            } => {
                let namespace = match wanted {
                    Some(wanted) if namespace == DEFAULT_NAMESPACE => wanted,
                    Some(wanted) if wanted != namespace => {
                        return Err(
                            Problem::new(format!("--namespace says `{wanted}`, and --engine `{namespace}`"))
                                .help("name the namespace in one of them"),
                        );
                    }
                    _ => namespace,
                };
                let scheme = if *tls { "https" } else { "http" };
                let url = Url::parse(&format!("{scheme}://{address}"))
                    .map_err(|error| Problem::new(format!("`{address}` is not an address: {error}")))?;
                let tls = tls.then(|| tls::client(trust.tls)).transpose()?;
                let token = token_for(address, data, trust.token_file)?;
                let connection = connect(url, tls, token.as_deref()).await;
                let connection = connection.map_err(|error| unreachable(address, &error))?;
                let client = Client {
                    connection,
                    namespace: namespace.to_owned(),
                };
                Ok(Self {
                    client,
                    engine: choice.to_string(),
                    kind: Kind::External,
                })
            }
        }
    }

    /// Whether the engine has the namespace that was named.
    async fn check_namespace(&self, wanted: Option<&str>) -> Result<()> {
        let Some(wanted) = wanted else { return Ok(()) };
        let looked = self.client.check_namespace().await;
        looked.map_err(|status| match status.code() {
            Code::NotFound => Problem::new(format!("there is no namespace `{wanted}`"))
                .code("not-found")
                .help("`helve namespaces make` makes one where `helve up` runs; leave out --namespace (HELVE_NAMESPACE) for the default"),
            _ => refused(&format!("cannot look up the namespace `{wanted}`"), &status),
        })
    }

    async fn embedded(data: &DataDir, role: &str, sharing: Sharing, namespace: &str) -> Result<Self> {
        let (connection, kind) = match embedded::open(data, role, sharing).await? {
            Opened::Here(owned) => {
                let options = owned.connection_options(identity());
                let connection = Connection::connect(options)
                    .await
                    .map_err(|error| Problem::new(format!("the embedded engine did not start: {error}")))?;
                (connection, Kind::Owned(owned))
            }
            Opened::Elsewhere(connection) => (connection, Kind::Attached),
        };
        let client = Client {
            connection,
            namespace: namespace.to_owned(),
        };
        if let Kind::Owned(owned) = &kind
            && owned.recovered() > 0
            && sharing == Sharing::Shared
        {
            // The worker of this process comes later. This ends by itself, or with the process.
            let now = SystemTime::now();
            tokio::spawn(takeover::give_back_steps_of_dead_workers(client.clone(), now));
        }
        Ok(Self {
            client,
            engine: EngineChoice::Embedded.to_string(),
            kind,
        })
    }

    /// Of an engine that was opened already.
    pub(crate) async fn of(owned: Owned) -> Result<Self> {
        let connected = Connection::connect(owned.connection_options(identity())).await;
        let connection = connected.map_err(|error| Problem::new(format!("the engine did not start: {error}")))?;
        if owned.recovered() > 0 {
            // The worker of this process comes later. This ends by itself, or with the process.
            let client = Client {
                connection: connection.clone(),
                namespace: DEFAULT_NAMESPACE.to_owned(),
            };
            tokio::spawn(takeover::give_back_steps_of_dead_workers(client, SystemTime::now()));
        }
        Ok(Self {
            client: Client {
                connection,
                namespace: DEFAULT_NAMESPACE.to_owned(),
            },
            engine: EngineChoice::Embedded.to_string(),
            kind: Kind::Owned(owned),
        })
    }

    /// Over the mesh, in a namespace of the server at its other end.
    pub(crate) async fn over_mesh(link: &Link, namespace: String) -> Result<Self> {
        Ok(Self {
            client: Client {
                connection: mesh::connect(link, identity()).await?,
                namespace,
            },
            engine: "mesh".to_owned(),
            kind: Kind::External,
        })
    }

    /// Whether runs only go on if this process has a worker.
    pub(crate) fn needs_worker(&self) -> bool {
        !matches!(self.kind, Kind::Attached)
    }

    /// Whether the engine may leave while this process stays.
    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.kind, Kind::Attached)
    }

    /// How a worker of this process calls itself in histories.
    pub(crate) fn worker_identity(&self) -> String {
        match self.kind {
            Kind::Owned(_) => format!("{EMBEDDED_WORKER} {}", process()),
            Kind::Attached | Kind::External => identity(),
        }
    }

    /// The engine of this process.
    pub(crate) fn owned(&self) -> Option<&Owned> {
        match &self.kind {
            Kind::Owned(owned) => Some(owned),
            Kind::Attached | Kind::External => None,
        }
    }

    /// Ready when the engine of this process has not been able to write for a while, with the reason.
    pub(crate) async fn cannot_write(&self) -> String {
        match &self.kind {
            Kind::Owned(owned) => owned.cannot_write().await,
            Kind::Attached | Kind::External => std::future::pending().await,
        }
    }

    /// Closes the engine, if it is ours: what was promised is on disk already, so this only makes the next start quicker.
    pub(crate) async fn close(self) {
        if let Kind::Owned(owned) = self.kind {
            owned.close().await;
        }
    }
}

/// The environment variable with the token for a server.
const TOKEN: &str = "HELVE_TOKEN";

/// What a server is shown, and what is expected of it.
#[derive(Clone, Copy)]
pub(crate) struct Trust<'a> {
    pub(crate) token_file: Option<&'a Path>,
    pub(crate) tls: &'a TrustArgs,
}

/// What is presented to a server: the content of `--token-file`, or of the variable; or, to the `helve up` of the data directory, the
/// token that it left there. Nothing, where there is none: many servers ask for none.
fn token_for(address: &str, data: &DataDir, given: Option<&Path>) -> Result<Option<String>> {
    if let Some(file) = given {
        let token = std::fs::read_to_string(file).map_err(|error| Problem::io("read", file, &error))?;
        return Ok(Some(token.trim().to_owned()));
    }
    if let Ok(token) = std::env::var(TOKEN) {
        return Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()));
    }
    let is_own = Served::find(data).grpc.is_some_and(|own| same_place(&own, address));
    let own = std::fs::read_to_string(data.admin_token()).ok().filter(|_| is_own);
    Ok(own.map(|token| token.trim().to_owned()))
}

/// Connects to a server by URL, `http:` or `unix:`, or `https:` with what it needs for TLS.
pub(crate) async fn connect(
    url: Url,
    tls: Option<TlsOptions>,
    token: Option<&str>,
) -> Result<Connection, temporalio_client::errors::ClientConnectError> {
    let headers = token.map(|token| HashMap::from([("authorization".to_owned(), format!("Bearer {token}"))]));
    let options = ConnectionOptions::new(url)
        .identity(identity())
        .client_name("helve")
        .client_version(env!("CARGO_PKG_VERSION"))
        .connect_timeout(CONNECT_TIMEOUT)
        .maybe_tls_options(tls)
        // One address, asked for once: a server behind changing addresses is reached by connecting again.
        .dns_load_balancing(None)
        .maybe_headers(headers)
        .build();
    Connection::connect(options).await
}

/// How this process calls itself in histories.
pub(crate) fn identity() -> String {
    format!("helve {}", process())
}

fn process() -> String {
    format!(
        "{}@{}",
        std::process::id(),
        gethostname::gethostname().to_string_lossy()
    )
}
