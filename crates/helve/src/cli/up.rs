//! `helve up` and `helve worker`: the commands that stay.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Args, ValueEnum};
use helve_toolbox::Span;

use super::KeepArgs;
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
    #[command(flatten)]
    pub(crate) http: HttpArgs,
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

/// The HTTP API of `helve up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// Serve the HTTP API too [default address: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub(crate) http: Option<std::net::SocketAddr>,
    /// Allow an address for --http that other machines reach, although HTTP is not encrypted
    #[arg(long = "http-expose", requires = "http")]
    pub(crate) expose: bool,
    /// A further name that a server on a loopback address goes by, such as that of a proxy (repeatable)
    #[arg(long, value_name = "NAME", requires = "http")]
    pub(crate) http_host: Vec<String>,
    /// Requests that one token may make in a second, ten times as many at once, and fifty times as many for the job queue;
    /// 0: any number
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) rate_limit: u32,
    /// Bytes that an upload may have, such as `500M` or `20G`
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) max_upload: Size,
}

/// `helve worker`.
#[derive(Debug, Clone, Args)]
#[command(after_help = WORKER_HELP)]
pub(crate) struct WorkerArgs {
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
    /// Answer `GET /healthz` (it lives) and `GET /readyz` (its polls reach the engine) there
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) health: Option<std::net::SocketAddr>,
}

/// A part of what workers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Workflows,
    Activities,
}
