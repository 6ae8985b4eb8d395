//! What makes a data directory a node's: a file that only its owner can read.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use helve_cluster::{NodeId, Options, Secret, Ticket};
use serde::{Deserialize, Serialize};

use super::databases;
use crate::errors::{Problem, Result};
use crate::paths::DataDir;

/// Who a node is, and how it reaches the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Its number in the cluster.
    pub(crate) node: NodeId,
    /// What people call it.
    pub(crate) name: String,
    /// Where it listens to the other nodes.
    pub(crate) listen: SocketAddr,
    /// How they reach it, if that is another address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<String>,
    /// Nodes that were there before; none for the first.
    #[serde(default)]
    pub(crate) peers: Vec<String>,
    secret: String,
}

/// What a node tells the others of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// What people call it.
    #[serde(default)]
    pub(crate) name: String,
    /// Its version of Helve.
    #[serde(default)]
    pub(crate) version: String,
    /// Where its mesh is reached, if it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mesh: Vec<SocketAddr>,
}

impl About {
    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl Settings {
    /// A node that is yet to be begun.
    pub(crate) fn new(
        node: NodeId,
        name: String,
        listen: SocketAddr,
        advertise: Option<String>,
        secret: &Secret,
    ) -> Result<Self> {
        // The others must find it again after a restart.
        let listen = match listen.port() {
            0 => free_port(listen)?,
            _ => listen,
        };
        if listen.ip().is_unspecified() && advertise.is_none() {
            return Err(Problem::new(format!(
                "{listen} is every address of this machine, so the other nodes would not know which one to call"
            ))
            .help("name the address that they reach it at with --listen, or with --advertise HOST:PORT"));
        }
        Ok(Self {
            node,
            name,
            listen,
            advertise,
            peers: Vec::new(),
            secret: secret.reveal(),
        })
    }

    /// Those of a data directory; none if it is no node's.
    pub(crate) fn find(data: &DataDir) -> Result<Option<Self>> {
        let file = data.cluster_settings();
        match fs::read(&file) {
            Ok(bytes) => {
                let settings: Self = serde_json::from_slice(&bytes).map_err(|error| broken(&file, &error))?;
                settings.secret()?;
                Ok(Some(settings))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Problem::io("read", &file, &error)),
        }
    }

    /// The same where there must be some.
    pub(crate) fn needed(data: &DataDir) -> Result<Self> {
        Self::find(data)?.ok_or_else(|| {
            Problem::new(format!("{} is not the data directory of a node of a cluster", data.root().display()))
                .code("no-cluster")
                .help("`helve cluster init` begins a cluster there, `helve cluster join TICKET` makes it a further node of one")
        })
    }

    /// Refuses a data directory in which there is something already that a cluster would not know.
    pub(crate) fn check_fresh(data: &DataDir) -> Result<()> {
        if Self::find(data)?.is_some() {
            return Err(
                Problem::new(format!("{} is a node of a cluster already", data.root().display()))
                    .help("`helve up` runs it, `helve cluster status` says how it is; or choose another --data-dir"),
            );
        }
        for used in [data.engine(), data.ledger()] {
            if used.exists() {
                return Err(
                    Problem::new(format!("{} has runs of its own already", data.root().display()))
                        .help("choose an empty --data-dir; `helve cluster restore` there takes over what is here"),
                );
            }
        }
        Ok(())
    }

    /// Writes it down.
    pub(crate) fn write(&self, data: &DataDir) -> Result<()> {
        let file = data.cluster_settings();
        let failed = |error: &std::io::Error| Problem::io("write", &file, error);
        let dir = data.cluster();
        fs::create_dir_all(&dir).map_err(|error| failed(&error))?;
        // Temporary files are private from the beginning.
        let mut partial = tempfile::NamedTempFile::new_in(&dir).map_err(|error| failed(&error))?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| broken(&file, &error))?;
        let written = partial.write_all(&text).and_then(|()| partial.as_file().sync_all());
        written.map_err(|error| failed(&error))?;
        partial.persist(&file).map(drop).map_err(|error| failed(&error.error))
    }

    pub(crate) fn secret(&self) -> Result<Secret> {
        self.secret.parse().map_err(|error: helve_cluster::BadSecret| {
            Problem::new(format!("the settings of this node are damaged: {error}"))
        })
    }

    /// How the other nodes reach it.
    pub(crate) fn address(&self) -> String {
        self.advertise.clone().unwrap_or_else(|| self.listen.to_string())
    }

    /// With what further nodes join.
    pub(crate) fn ticket(&self, data: &DataDir) -> Result<Ticket> {
        let mut nodes = vec![self.address()];
        nodes.extend(self.peers.iter().cloned());
        nodes.dedup();
        Ok(Ticket {
            secret: self.secret()?,
            nodes,
            note: fs::read_to_string(data.place()).unwrap_or_default().trim().to_owned(),
        })
    }

    /// For the node itself.
    pub(crate) fn options(&self, data: &DataDir) -> Result<Options> {
        let mut options = Options::new(node_dir(data), self.node, self.secret()?, databases());
        options.listen = self.listen;
        options.advertise.clone_from(&self.advertise);
        Ok(options)
    }
}

/// Where log and databases of the node are.
pub(super) fn node_dir(data: &DataDir) -> PathBuf {
    data.cluster().join("node")
}

fn free_port(listen: SocketAddr) -> Result<SocketAddr> {
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    bound.map_err(|error| {
        Problem::new(format!("cannot listen on {listen}: {error}")).help("choose another address with --listen")
    })
}

fn broken(file: &std::path::Path, error: &serde_json::Error) -> Problem {
    Problem::new(format!("{} is damaged: {error}", file.display()))
        .help("remove this node from the cluster, move its data directory away, and let it join again")
}
