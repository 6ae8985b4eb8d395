//! A node's directory: what makes it this node, its log, its databases.

use std::io;
use std::path::{Path, PathBuf};

use helve_db::OpenError;
use serde::{Deserialize, Serialize};

use crate::log::{LogError, read_small, write_small};
use crate::network::Answer;
use crate::types::NodeId;

const IDENTITY: &str = "identity";

/// Why a node does not start. Nothing was changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is not this node's.
    #[error("{}: {what}", dir.display())]
    Directory {
        /// Which one.
        dir: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Its log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// It cannot listen.
    #[error("cannot listen on {address}: {source}. Choose an address of this machine that is free")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An option is out of range.
    #[error("this node cannot be set up: {0}")]
    Options(String),
    /// Raft did not start.
    #[error("this node cannot start: {0}")]
    Raft(String),
    /// The cluster did not let it in.
    #[error("the cluster at {address} did not let this node in: {reason}")]
    Join {
        /// Who was asked.
        address: String,
        /// What it said.
        reason: String,
    },
}

/// What makes a directory this node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: NodeId,
    pub(crate) identity: u128,
}

pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

pub(crate) fn state_dir(dir: &Path) -> PathBuf {
    dir.join("state")
}

pub(crate) fn trouble(dir: &Path, error: &io::Error) -> StartError {
    StartError::Directory {
        dir: dir.to_owned(),
        what: format!("{error}. Check that it is writable and has space"),
    }
}

/// Whether a directory is somebody's.
pub(crate) fn is_settled(dir: &Path) -> bool {
    dir.join(IDENTITY).exists()
}

/// Who a directory belongs to.
pub(crate) fn identify(dir: &Path, id: NodeId) -> Result<Identity, StartError> {
    let wrong = |what: String| StartError::Directory {
        dir: dir.to_owned(),
        what,
    };
    let found: Option<Identity> = read_small(&dir.join(IDENTITY)).map_err(|error| trouble(dir, &error))?;
    match found {
        None => Err(wrong(
            "no node of a cluster is here: begin a cluster, join one, or restore a backup".to_owned(),
        )),
        Some(found) if found.id != id => Err(wrong(format!("this is node {}, not node {id}", found.id))),
        Some(found) => Ok(found),
    }
}

/// Makes a directory a new node's.
pub(crate) fn settle(dir: &Path, id: NodeId) -> Result<Identity, StartError> {
    if id == 0 {
        return Err(StartError::Options("nodes are numbered from 1".to_owned()));
    }
    let io = |error: io::Error| trouble(dir, &error);
    std::fs::create_dir_all(dir).map_err(io)?;
    if std::fs::read_dir(dir).map_err(io)?.next().is_some() {
        return Err(StartError::Directory {
            dir: dir.to_owned(),
            what: "it is not empty: start the node that is there, or choose another directory".to_owned(),
        });
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io(io::Error::other(error)))?;
    Ok(Identity {
        id,
        identity: u128::from_le_bytes(random),
    })
}

/// Says that a directory is complete. Before that it is nobody's.
pub(crate) fn confirm(dir: &Path, identity: &Identity) -> Result<(), StartError> {
    write_small(&dir.join(IDENTITY), identity).map_err(|error| trouble(dir, &error))
}

/// What another node said to a question that is answered with `Done`.
pub(crate) fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused(reason) => reason,
        Answer::NotLeader(_) => "nobody leads it at present: try again".to_owned(),
        _ => "it answered something else than was asked: it may be of another version".to_owned(),
    }
}
