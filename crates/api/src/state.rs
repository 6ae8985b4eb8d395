//! What every handler has.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use helve_blobs::BlobStore;
use helve_ledger::{Ledger, Rates, Strangers, Time};
use helve_metrics::Registry;
use helve_runs::Client;
use helve_toolbox::Shelf;
use tokio::sync::Semaphore;

use crate::feeds::Feeds;
use crate::figures::ApiFigures;
use crate::notes::{FileNotes, Notes};
use crate::oidc::{Oidc, OidcOptions};
use crate::routes::health::Readiness;
use crate::targets::{TargetIndex, Uploads};

/// What the API stands on.
pub struct Options {
    /// To the engine, in the namespace that is meant when none is named.
    pub client: Client,
    /// As `--engine` names it, for results.
    pub engine: String,
    /// Targets, reports, artifacts.
    pub blobs: BlobStore,
    /// Workflows, modules and verticals as they stand.
    pub toolbox: Shelf,
    /// Tokens, findings, the audit log.
    pub ledger: Ledger,
    /// Who presents wrong tokens, here and to the other doors of this process.
    pub strangers: Arc<Strangers>,
    /// A private directory: unfinished uploads, and which targets each namespace has.
    pub dir: PathBuf,
    /// Where small things are written down; none: in that directory.
    pub notes: Option<Arc<dyn Notes>>,
    /// Bounds.
    pub limits: Limits,
    /// Which hosts requests may be meant for.
    pub hosts: Hosts,
    /// Whether browsers come by TLS: then they are told to come in no other way.
    pub secure: bool,
    /// An identity provider whose users may come in.
    pub oidc: Option<OidcOptions>,
    /// All figures of the process; those of the API are added.
    pub metrics: Registry,
    /// Whether the engine can write, if it is one of this process.
    pub engine_check: Option<EngineCheck>,
    /// How it is reached over the mesh, if it is.
    pub mesh: Option<Arc<dyn Mesh>>,
}

/// The mesh, as far as those who administrate it ask.
pub trait Mesh: Send + Sync {
    /// The key of this node.
    fn id(&self) -> String;

    /// A ticket to this server, with a secret to join by, or for those who are known.
    fn ticket(&self, secret: Option<&str>) -> String;

    /// Which endpoints are connected, by their keys, and since when.
    fn present(&self) -> HashMap<String, Time>;
}

/// Answers whether the engine can write, or why not.
pub type EngineCheck = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Bounds of what a request may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a JSON body.
    pub json_bytes: usize,
    /// Bytes of an upload.
    pub upload_bytes: u64,
    /// Bytes that all unfinished uploads take together.
    pub uploads_bytes: u64,
    /// How long the next bytes of a body may take.
    pub body_idle: Duration,
    /// Unfinished uploads are forgotten after this time without a byte.
    pub upload_idle: Duration,
    /// Live streams of events at a time.
    pub streams: usize,
    /// Requests of one token in a second, in the long run; ten times as many at once. The same for an address without a token.
    /// 0: any number.
    pub requests_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes: 1 << 20,
            upload_bytes: 4 << 30,
            uploads_bytes: 64 << 30,
            body_idle: Duration::from_secs(30),
            upload_idle: Duration::from_secs(24 * 60 * 60),
            streams: 4096,
            requests_per_second: 500,
        }
    }
}

/// Which hosts requests may be meant for. A page of another site can make a browser send requests to a loopback address
/// under a name of its own; the name then gives it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// `localhost` and the loopback addresses, on any port, and these names.
    Loopback(Vec<String>),
    /// Any: the server listens where others reach it, under names that it does not know.
    Any,
}

/// The state of the router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) engine: String,
    pub(crate) blobs: BlobStore,
    pub(crate) toolbox: Shelf,
    pub(crate) ledger: Ledger,
    pub(crate) limits: Limits,
    pub(crate) hosts: Hosts,
    pub(crate) secure: bool,
    pub(crate) oidc: Option<Oidc>,
    pub(crate) uploads: Uploads,
    pub(crate) targets: TargetIndex,
    pub(crate) rates: Rates,
    pub(crate) turns: crate::quotas::Turns,
    pub(crate) feeds: Feeds,
    pub(crate) jobs: helve_queue::Jobs,
    /// Archives that are unpacked and packed at a time.
    pub(crate) packing: Semaphore,
    pub(crate) strangers: Arc<Strangers>,
    /// Who comes from the identity provider with what is no good answer. Each may cost a question to the provider, so whoever
    /// sent too many is not listened to at all. Apart from `strangers`: wrong tokens shut out nobody who has an account.
    pub(crate) forgers: Strangers,
    pub(crate) metrics: Registry,
    pub(crate) figures: Arc<ApiFigures>,
    pub(crate) engine_check: Option<EngineCheck>,
    pub(crate) mesh: Option<Arc<dyn Mesh>>,
    pub(crate) readiness: Readiness,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    /// What all clones share.
    pub(crate) fn shared(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Makes the directory when needed.
    pub(crate) fn new(options: Options) -> std::io::Result<Self> {
        let Options {
            client,
            engine,
            blobs,
            toolbox,
            ledger,
            strangers,
            dir,
            notes,
            limits,
            hosts,
            secure,
            oidc,
            metrics,
            engine_check,
            mesh,
        } = options;
        let jobs = jobs(&client, &engine, &dir)?;
        let oidc = oidc.map(Oidc::new).transpose();
        let oidc = oidc.map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        let feeds = Feeds::new(limits.streams);
        let figures = Arc::new(ApiFigures::new(feeds.listeners()));
        metrics.add(figures.clone());
        Ok(Self(Arc::new(Inner {
            jobs,
            uploads: Uploads::open(&dir.join("uploads"))?,
            targets: TargetIndex::new(match notes {
                Some(notes) => notes,
                None => Arc::new(FileNotes::open(&dir.join("targets"))?),
            }),
            feeds,
            metrics,
            figures,
            engine_check,
            mesh,
            readiness: Readiness::default(),
            packing: Semaphore::new(2),
            strangers,
            forgers: Strangers::default(),
            client,
            engine,
            rates: Rates::new(limits.requests_per_second),
            turns: crate::quotas::Turns::default(),
            blobs,
            toolbox,
            ledger,
            limits,
            hosts,
            secure,
            oidc,
        })))
    }
}

/// The job queue on the same engine. Whoever has the data directory honours the claims that are made here.
fn jobs(client: &Client, engine: &str, dir: &std::path::Path) -> std::io::Result<helve_queue::Jobs> {
    let key = helve_queue::ClaimKey::in_file(&dir.join("claims.key")).map_err(std::io::Error::other)?;
    let reach = match engine {
        "embedded" => helve_queue::Reach::InProcess,
        _ => helve_queue::Reach::Network,
    };
    Ok(helve_queue::Jobs::new(
        client.connection.clone(),
        &client.namespace,
        reach,
        key,
    ))
}
