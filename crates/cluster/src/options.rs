//! How a node is set up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::machine::Database;
use crate::network::{Links, Secret};
use crate::types::NodeId;

/// How a node is set up. All nodes of a cluster have the same databases, in the same order, and the same times.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything of this node is, and nothing of another.
    pub dir: PathBuf,
    /// Its number, from 1.
    pub id: NodeId,
    /// Where it listens to the other nodes. Loopback unless said otherwise.
    pub listen: SocketAddr,
    /// How the others reach it, if that is another address than the one it listens on.
    pub advertise: Option<String>,
    /// What all nodes are told of it: see [`crate::Member::about`]. At most [`crate::MAX_ABOUT`] bytes.
    pub about: String,
    /// Who takes the connections that other nodes carry here. None: they are refused.
    pub carried: Option<tokio::sync::mpsc::Sender<crate::Carried>>,
    /// What all nodes of the cluster know.
    pub secret: Secret,
    /// What they have in common.
    pub databases: Vec<Database>,
    /// How often a leader says that it leads.
    pub heartbeat: Duration,
    /// Nobody votes for another leader for so long after hearing from one. Somebody tries to lead half of it to all of it
    /// after that, so without a leader it takes at most about twice as long to have one.
    pub election: Duration,
    /// The log is shortened after so many entries ...
    pub purge_every: u64,
    /// ... but for the newest of them. A node that was away for longer gets a copy of the databases.
    pub keep_entries: u64,
    /// For tests.
    pub links: Links,
}

impl Options {
    /// A node on loopback, at a port of the system's choice.
    pub fn new(dir: impl Into<PathBuf>, id: NodeId, secret: Secret, databases: Vec<Database>) -> Self {
        Options {
            dir: dir.into(),
            id,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertise: None,
            about: String::new(),
            carried: None,
            secret,
            databases,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(800),
            purge_every: 20_000,
            keep_entries: 20_000,
            links: Links::default(),
        }
    }

    pub(crate) fn raft(&self) -> Result<openraft::Config, Box<openraft::ConfigError>> {
        openraft::Config {
            cluster_name: "helve".to_owned(),
            heartbeat_interval: self.heartbeat.as_millis() as u64,
            election_timeout_min: self.election.as_millis() as u64 / 2,
            election_timeout_max: self.election.as_millis() as u64,
            max_payload_entries: 64,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.purge_every),
            max_in_snapshot_log_to_keep: self.keep_entries,
            replication_lag_threshold: 100,
            ..openraft::Config::default()
        }
        .validate()
        .map_err(Box::new)
    }
}
