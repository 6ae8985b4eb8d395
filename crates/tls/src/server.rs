//! The certificates of a server, and its connections.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;

use crate::error::Error;
use crate::incoming::{Bounds, Incoming};
use crate::keys::Keys;
use crate::pair::{Pair, PairText, read, roots};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a server has.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its certificate and key.
    pub pair: Pair,
    /// Whether gRPC clients are asked for certificates, and which are good.
    pub clients: Option<Clients>,
}

/// The certificates of gRPC clients.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The file of the authorities that sign them, in PEM.
    pub authorities: PathBuf,
    /// Whether a client without one is refused. One with a wrong certificate always is.
    pub required: bool,
}

/// The certificates of a server. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    options: Options,
    keys: Arc<Keys>,
    /// Made anew with every change, so that no session of before can be gone on with.
    configs: RwLock<Configs>,
    /// What the files held when they were last looked at, good or not.
    seen: Mutex<Seen>,
}

struct Configs {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
}

#[derive(PartialEq, Eq)]
struct Seen {
    pair: PairText,
    authorities: Option<Vec<u8>>,
}

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Http,
    Grpc,
}

impl Server {
    /// Reads the files. Blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they do not fit together.
    pub fn open(options: Options) -> Result<Self, Error> {
        let seen = Seen::look(&options)?;
        let keys = Arc::new(Keys::default());
        keys.set(options.pair.certified(&seen.pair)?);
        let configs = Configs::new(&options, &seen, &keys)?;
        Ok(Self(Arc::new(Inner {
            configs: RwLock::new(configs),
            seen: Mutex::new(seen),
            keys,
            options,
        })))
    }

    /// Connections of HTTP clients, after their handshakes.
    pub fn http(&self, listener: TcpListener) -> Incoming {
        Incoming::new(listener, self.clone(), For::Http, Bounds::default())
    }

    /// Connections of gRPC clients, after their handshakes. [`identity_of`](crate::identity_of) says who they are.
    pub fn grpc(&self, listener: TcpListener) -> Incoming {
        Incoming::new(listener, self.clone(), For::Grpc, Bounds::default())
    }

    /// Looks at the files again, and goes on with them if they are good: connections that are there stay as they are. Whether
    /// something changed. Blocks as [`Server::open`] does.
    ///
    /// # Errors
    ///
    /// When they are not good. They are told of once, and the old ones go on.
    pub fn look_again(&self) -> Result<bool, Error> {
        let inner = &*self.0;
        let new = Seen::look(&inner.options)?;
        let mut seen = inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == new {
            return Ok(false);
        }
        *seen = new;
        // Both or none.
        let certified = inner.options.pair.certified(&seen.pair)?;
        let configs = Configs::new(&inner.options, &seen, &inner.keys)?;
        inner.keys.set(certified);
        *inner.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(true)
    }

    /// Looks at the files every few seconds, for ever.
    pub async fn keep_fresh(self) {
        let mut trouble = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let server = self.clone();
            let looked = tokio::task::spawn_blocking(move || server.look_again()).await;
            match looked {
                Ok(Ok(changed)) => {
                    if changed {
                        tracing::info!("new certificates are in use");
                    }
                    if changed || trouble.as_ref().is_some_and(|(read, _)| *read) {
                        trouble = None;
                    }
                }
                Ok(Err(error)) => {
                    let new = (matches!(error, Error::Read { .. }), error.to_string());
                    if trouble.as_ref() != Some(&new) {
                        tracing::error!("{}: the certificates of before stay in use", new.1);
                        trouble = Some(new);
                    }
                }
                Err(stopped) => tracing::error!(%stopped, "certificates could not be looked at"),
            }
        }
    }

    pub(crate) fn config(&self, wanted: For) -> Arc<ServerConfig> {
        let configs = self.0.configs.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match wanted {
            For::Http => &configs.http,
            For::Grpc => &configs.grpc,
        })
    }
}

impl Seen {
    fn look(options: &Options) -> Result<Self, Error> {
        let clients = options.clients.as_ref();
        Ok(Self {
            pair: options.pair.read()?,
            authorities: clients.map(|clients| read(&clients.authorities)).transpose()?,
        })
    }
}

impl Configs {
    fn new(options: &Options, seen: &Seen, keys: &Arc<Keys>) -> Result<Self, Error> {
        let verifier = match (&options.clients, &seen.authorities) {
            (Some(clients), Some(text)) => Some(verifier(clients, text)?),
            _ => None,
        };
        Ok(Self {
            http: Arc::new(config(keys, None, &[b"http/1.1"])),
            grpc: Arc::new(config(keys, verifier, &[b"h2"])),
        })
    }
}

fn verifier(clients: &Clients, text: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let path = &clients.authorities;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path, text)?), provider());
    let builder = match clients.required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| Error::content(path, format!("cannot be used for certificates of clients: {error}")))
}

fn config(keys: &Arc<Keys>, verifier: Option<Arc<dyn ClientCertVerifier>>, protocols: &[&[u8]]) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need");
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(keys) as _);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
