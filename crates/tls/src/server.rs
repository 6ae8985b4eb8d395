//! The certificates of a server, and its connections.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::acme::{Acme, PROTOCOL, Renewer};
use crate::error::Error;
use crate::incoming::{Accept, Bounds, Incoming};
use crate::keys::Keys;
use crate::pair::{Pair, PairText, read, roots};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a server has.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its certificate and key.
    pub certificates: Certificates,
    /// Whether gRPC clients are asked for certificates, and which are good.
    pub clients: Option<Clients>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificates {
    /// From files of somebody else, who replaces them.
    Files(Pair),
    /// From an authority.
    Acme(Acme),
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
    /// With what certificates are asked for, and when the one that was kept is to be renewed.
    renewer: Option<(Renewer, Option<SystemTime>)>,
}

struct Configs {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
}

#[derive(PartialEq, Eq)]
struct Seen {
    pair: Option<PairText>,
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
        let renewer = match &options.certificates {
            Certificates::Files(_) => {
                if let Some(certified) = seen.certified(&options)? {
                    keys.set(certified);
                }
                None
            }
            Certificates::Acme(acme) => {
                let (renewer, kept) = Renewer::open(acme.clone(), Arc::clone(&keys))?;
                let renew_at = kept.as_ref().map(|kept| kept.renew_at());
                if let Some(kept) = kept {
                    keys.set(kept.certified);
                }
                Some((renewer, renew_at))
            }
        };
        let configs = Configs::new(&options, &seen, &keys)?;
        Ok(Self(Arc::new(Inner {
            configs: RwLock::new(configs),
            seen: Mutex::new(seen),
            renewer,
            keys,
            options,
        })))
    }

    /// Connections of HTTP clients, after their handshakes.
    pub fn http<A: Accept>(&self, listener: A) -> Incoming<A::Stream> {
        Incoming::new(listener, self.clone(), For::Http, Bounds::default())
    }

    /// Connections of gRPC clients, after their handshakes. [`identity_of`](crate::identity_of) says who they are.
    pub fn grpc<A: Accept>(&self, listener: A) -> Incoming<A::Stream> {
        Incoming::new(listener, self.clone(), For::Grpc, Bounds::default())
    }

    /// The certificates for a listener that does its handshakes itself. Those that change reach it, too.
    pub fn handshakes(&self) -> Arc<ServerConfig> {
        self.config(For::Http)
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
        let certified = seen.certified(&inner.options)?;
        let configs = Configs::new(&inner.options, &seen, &inner.keys)?;
        if let Some(certified) = certified {
            inner.keys.set(certified);
        }
        *inner.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(true)
    }

    /// Whether there is a certificate. Without one the first is asked for by [`Server::keep_fresh`], and no client gets in
    /// but the authority.
    pub fn has_certificate(&self) -> bool {
        self.0.keys.are_there()
    }

    /// Looks at the files every few seconds, and renews what is to be renewed, for ever.
    pub async fn keep_fresh(self) {
        tokio::join!(self.watch(), self.renew());
    }

    async fn renew(&self) {
        let Some((renewer, renew_at)) = &self.0.renewer else {
            return;
        };
        let used = |certified| self.0.keys.set(certified);
        renewer.keep_on(*renew_at, used).await;
    }

    async fn watch(&self) {
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
            pair: match &options.certificates {
                Certificates::Files(pair) => Some(pair.read()?),
                Certificates::Acme(_) => None,
            },
            authorities: clients.map(|clients| read(&clients.authorities)).transpose()?,
        })
    }

    /// What the files of the certificate make, if it comes from files.
    fn certified(&self, options: &Options) -> Result<Option<CertifiedKey>, Error> {
        match (&options.certificates, &self.pair) {
            (Certificates::Files(pair), Some(text)) => pair.certified(text).map(Some),
            _ => Ok(None),
        }
    }
}

impl Configs {
    fn new(options: &Options, seen: &Seen, keys: &Arc<Keys>) -> Result<Self, Error> {
        let verifier = match (&options.clients, &seen.authorities) {
            (Some(clients), Some(text)) => Some(verifier(clients, text)?),
            _ => None,
        };
        Ok(Self {
            http: Arc::new(config(keys, None, for_http(options))),
            grpc: Arc::new(config(keys, verifier, &[b"h2"])),
        })
    }
}

fn for_http(options: &Options) -> &'static [&'static [u8]] {
    match &options.certificates {
        Certificates::Files(_) => &[b"http/1.1"],
        Certificates::Acme(_) => &[b"http/1.1", PROTOCOL],
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
