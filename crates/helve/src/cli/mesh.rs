//! The mesh: how `helve up` is reached by a ticket, and who may come.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use helve_mesh::{RelayUrl, Ticket};
use helve_toolbox::Span;

use super::WorkerRun;

/// Where the mesh is when nobody says anything.
const DEFAULT_MESH: &str = "0.0.0.0:7235";

/// How `helve up` is reached over the mesh.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeshArgs {
    /// Let workers and commands come by a ticket, from any network that lets UDP out, to this UDP address
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = DEFAULT_MESH)]
    pub(crate) mesh: Option<SocketAddr>,
    /// An address that leads here from elsewhere, such as that of a router that forwards a port (repeatable)
    #[arg(long = "mesh-external", value_name = "ADDRESS", requires = "mesh")]
    pub(crate) external: Vec<SocketAddr>,
    /// A relay of one's own (`helve relay`) for sites that block UDP, such as `https://relay.example` (repeatable)
    #[arg(long = "mesh-relay", value_name = "URL", requires = "mesh")]
    pub(crate) relays: Vec<RelayUrl>,
    /// The file with the secret that these relays ask for. Tickets hold it from then on
    #[arg(long = "mesh-relay-secret", value_name = "FILE", requires = "relays", value_hint = ValueHint::FilePath)]
    pub(crate) relay_secret: Option<PathBuf>,
    /// Who signs the certificates of these relays, in PEM, beside the authorities that everybody knows. Tickets hold it from then on
    #[arg(long = "mesh-relay-ca", value_name = "FILE", requires = "relays", value_hint = ValueHint::FilePath)]
    pub(crate) relay_ca: Option<PathBuf>,
}

const JOIN_HELP: &str = "\
Examples:
  helve worker join helve1aebagba…                       a worker, from behind any NAT
  helve worker join $TICKET --vertical rust --concurrency 4

`helve up --mesh` prints a ticket, `helve mesh ticket` makes others. The key of this data directory is what the server knows
the worker by from then on: after a restart any ticket of that server will do, also one that is used up. Targets come over the
mesh, and reports go back. Nothing listens on an address that others have to reach, and nobody else is contacted.";

/// What else `helve worker` does.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkerVerb {
    /// Be a worker of the server that a ticket names, wherever it is
    #[command(after_help = JOIN_HELP)]
    Join(Box<JoinArgs>),
}

/// `helve worker join`.
#[derive(Debug, Clone, Args)]
pub(crate) struct JoinArgs {
    /// The ticket
    #[arg(value_name = "TICKET")]
    pub(crate) ticket: Ticket,
    /// What the server's lists call this worker [default: the name of the machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Fetch blobs from the server alone, and hand none on to other workers
    #[arg(long)]
    pub(crate) no_peer_blobs: bool,
    #[command(flatten)]
    pub(crate) run: WorkerRun,
}

const TICKET_HELP: &str = "\
Examples:
  helve mesh ticket                                    any number of workers, for a day
  helve mesh ticket --uses 1 --expires-in 1h --name ci-runner-7
  helve mesh ticket --vertical rust,native --in-namespace team-a --approve
  helve mesh ticket --role analyst --uses 1            for a person: helve --server TICKET runs list

Whoever has the ticket can join with it: it is a secret.";

/// `helve mesh`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum MeshVerb {
    /// Make a ticket with which workers or people join
    #[command(after_help = TICKET_HELP)]
    Ticket {
        /// What it is for
        #[arg(long, value_name = "NAME", default_value = "made by `helve mesh ticket`")]
        name: String,
        /// What whoever joins may do: worker, viewer, analyst, operator or admin
        #[arg(long, value_name = "ROLE", default_value = "worker")]
        role: String,
        /// Namespaces that they may work in [default: all]
        #[arg(long = "in-namespace", value_name = "NAME,...", value_delimiter = ',')]
        namespaces: Vec<String>,
        /// Verticals that workers may work for [default: all]
        #[arg(long = "vertical", value_name = "NAME,...", value_delimiter = ',')]
        verticals: Vec<String>,
        /// How many endpoints may join with it [default: any number]
        #[arg(long, value_name = "N")]
        uses: Option<NonZeroU32>,
        /// How long it is good
        #[arg(long, value_name = "TIME", default_value = "24h")]
        expires_in: Span,
        /// Somebody has to approve of each endpoint (`helve mesh approve`)
        #[arg(long)]
        approve: bool,
    },
    /// List the endpoints that joined, and the tickets
    List,
    /// Let an endpoint in that waits for it, or that was revoked
    Approve {
        /// Its key, or the beginning of it
        #[arg(value_name = "ENDPOINT")]
        id: String,
    },
    /// Shut an endpoint out whatever ticket it has, or take a ticket back
    Revoke {
        /// Its key, or the beginning of it; or the id of a ticket
        #[arg(value_name = "ENDPOINT|TICKET")]
        id: String,
    },
}
