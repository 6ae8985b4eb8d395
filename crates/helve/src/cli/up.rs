//! `helve up` and `helve worker`: the commands that stay.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Args, ValueEnum};
use helve_toolbox::Span;

use super::{KeepArgs, MeshArgs, OidcArgs, TlsArgs, WorkerVerb};
use crate::recycling::Size;

const WORKER_HELP: &str = "\
Examples:
  helve worker --vertical python,web                         more hands for the `helve up` of this data directory
  helve worker --vertical rust --role activities --engine temporal://127.0.0.1:7233
  helve worker --vertical native --max-runs 200 --max-memory 8Gi --health 127.0.0.1:8080

Targets and reports are in the data directory, unless `--blobs s3://BUCKET/PREFIX` puts them into a bucket: a worker elsewhere
needs the same one, and keeps a cache of its own. A worker without it needs the data directory of whoever starts the runs.
SIGTERM and Ctrl-C stop it: running steps have 10 s to finish, and go back to their queue otherwise.
With --max-runs, --max-age or --max-memory it stops taking steps at that point, lets those that run end however long they
take, and leaves with exit code 75: a supervisor (systemd, Docker, Kubernetes) starts it again. See docs/workers.md.";

/// `helve up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Address that Temporal clients and workers connect to
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7233")]
    pub(crate) grpc: std::net::SocketAddr,
    /// Let everybody who reaches the gRPC address do everything, without a token
    #[arg(long = "grpc-open")]
    pub(crate) grpc_open: bool,
    /// Allow an address for --grpc that other machines reach, although gRPC is not encrypted
    #[arg(long = "grpc-expose")]
    pub(crate) grpc_expose: bool,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) oidc: OidcArgs,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    /// Answer `GET /metrics` there without a token, on a loopback address; the HTTP API does so with one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// How often blobs that have expired are removed
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) expire_every: Span,
    /// Only the engine: steps and the code of workflows are left to workers of their own (`helve worker`)
    #[arg(long, conflicts_with_all = ["verticals", "roles", "concurrency", "health"])]
    pub(crate) no_worker: bool,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerChoice,
}

/// Where pages and API are when nobody says anything.
const DEFAULT_HTTP: &str = "127.0.0.1:8080";

/// The pages and the HTTP API of `helve up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// Address of the web pages and the HTTP API
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_value = DEFAULT_HTTP, default_missing_value = DEFAULT_HTTP)]
    pub(crate) http: std::net::SocketAddr,
    /// Without pages and HTTP API
    #[arg(long = "no-http", conflicts_with_all = ["http", "expose", "http_host"])]
    pub(crate) no_http: bool,
    /// Allow an address for --http that other machines reach although nothing is encrypted (no --tls-cert)
    #[arg(long = "http-expose")]
    pub(crate) expose: bool,
    /// A further name that a server on a loopback address goes by, such as that of a proxy (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) http_host: Vec<String>,
    /// Requests that one token may make in a second, ten times as many at once, and fifty times as many for the job queue and
    /// over gRPC; 0: any number
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) rate_limit: u32,
    /// Bytes that an upload may have, such as `500M` or `20G`
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) max_upload: Size,
    /// A host that webhooks may be told at although it is not public, such as `127.0.0.1:9000` or `hooks.corp.example`
    /// (repeatable; public hosts need no leave)
    #[arg(
        long,
        value_name = "HOST",
        env = "HELVE_WEBHOOK_ALLOW",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) webhook_allow: Vec<helve_net::Allow>,
}

/// `helve worker`.
#[derive(Debug, Clone, Args)]
#[command(after_help = WORKER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) run: WorkerRun,
    #[command(subcommand)]
    pub(crate) verb: Option<WorkerVerb>,
}

/// A worker, and when it leaves.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerRun {
    #[command(flatten)]
    pub(crate) worker: WorkerChoice,
    /// Leave after this many steps, to be started again
    #[arg(long, value_name = "N")]
    pub(crate) max_runs: Option<NonZeroU64>,
    /// Leave after this time, such as `12h`, to be started again
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<Span>,
    /// Leave when it holds, together with its tools, more memory than this, such as `4Gi`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<Size>,
}

/// What a worker that stays does.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerChoice {
    /// Verticals whose steps it runs [default: all that the toolbox names]
    #[arg(long = "vertical", value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) verticals: Vec<String>,
    /// What it runs: the code of workflows, or their steps
    #[arg(
        long = "role",
        value_name = "ROLE,...",
        value_enum,
        value_delimiter = ',',
        default_values = ["workflows", "activities"]
    )]
    pub(crate) roles: Vec<Role>,
    /// Steps that run at the same time, per vertical [default: number of cores]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Answer `GET /healthz` (it lives), `GET /readyz` (its polls reach the engine) and `GET /metrics` there
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) health: Option<std::net::SocketAddr>,
}

/// A part of what workers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Workflows,
    Activities,
}
