//! A control plane of several nodes.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use helve_cluster::{NodeId, Ticket};

pub(super) const CLUSTER_HELP: &str = "\
Three nodes on three machines go on when one of them dies, five when two do:
  helve cluster init --listen 10.0.0.1:7236              on the first; prints a ticket
  helve up
  helve cluster join TICKET --listen 10.0.0.2:7236       on each further one
  helve up

Clients come to any node. Nodes trust each other by the secret in the ticket: handle it as a password. docs/cluster.md says more.";

/// `helve cluster`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Make an empty data directory the first node of a new cluster
    Init(NodeArgs),
    /// Make an empty data directory a further node of a cluster that runs
    Join {
        /// What `helve cluster init` or `helve cluster ticket` printed
        #[arg(value_name = "TICKET")]
        ticket: Ticket,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Print the ticket with which further nodes join
    Ticket,
    /// Say how the nodes are, who leads, and how far behind the others are
    Status,
    /// Remove a node from the cluster, whether it is there or not
    Remove {
        /// Its number, or its name
        #[arg(value_name = "NODE")]
        node: String,
    },
    /// Copy the databases of the cluster while it runs, as they are at one moment
    Snapshot {
        /// Where to: a directory that is made, or is empty
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Make an empty data directory the first node of a new cluster, with what is in a snapshot or in another data directory
    Restore {
        /// The snapshot, or a data directory that no `helve up` runs on: it is copied, and stays as it is
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// A node that is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeArgs {
    /// Address of this machine at which the other nodes reach it; with port 0 a free one is chosen, and stays
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7236")]
    pub(crate) listen: SocketAddr,
    /// How the other nodes reach it, if that is another address
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// What people call the node [default: the name of the machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Its number [default: the next free one]
    #[arg(long, value_name = "N")]
    pub(crate) node: Option<NodeId>,
}
