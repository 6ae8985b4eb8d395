//! What the log holds, and what became of it.

use bytes::Bytes;
use helve_db::CommitError;
use serde::{Deserialize, Serialize};

use crate::machine::SnapshotData;

/// A node of a cluster. Chosen by whoever sets it up, never used twice at the same time.
pub type NodeId = u64;

openraft::declare_raft_types!(
    /// The types that Raft is used with.
    pub(crate) Types:
        D = Command,
        R = Outcome,
        NodeId = NodeId,
        Node = Member,
        SnapshotData = SnapshotData,
);

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type Membership = openraft::StoredMembership<NodeId, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, Member>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;

/// How a node is reached, and which one it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Host and port of its listener.
    pub address: String,
    /// A random number in its directory. A node that lost its disk has another one: it cannot pretend to still have what it
    /// once acknowledged, but must be removed and join again.
    pub identity: u128,
    /// What its owner tells the owners of the others: its name, where it serves. Nothing to the cluster itself.
    pub about: String,
}

/// From the moment a node leads until it does not: what is written in one epoch is never mixed with what another one wrote.
///
/// Two epochs are never equal, even if the same node leads in both of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Raft's term. Two nodes may lead in one, one after the other.
    pub term: u64,
    /// Who leads.
    pub node: NodeId,
    /// Where in the log the epoch was opened.
    pub index: u64,
}

impl Epoch {
    /// The epoch that an entry opens.
    pub(crate) fn opened_by(log_id: LogId) -> Self {
        Epoch {
            term: log_id.leader_id.term,
            node: log_id.leader_id.node_id,
            index: log_id.index,
        }
    }

    /// Whether an entry is by the leader whose epoch this is.
    pub(crate) fn is_by(&self, log_id: LogId) -> bool {
        self.term == log_id.leader_id.term && self.node == log_id.leader_id.node_id
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Begins an epoch: what was proposed in an older one, and is not in the log by now, will not be applied. The scripts come
    /// along so that every node changes its schema at the same place of the log, whichever version of the program it is.
    Open(Vec<Schema>),
    /// Batches for one database.
    Group(Group),
    /// A part of a batch that is too large for one entry. The last one is a group, which says how many came before it.
    Part(Part),
}

/// What a database is to look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) application_id: i32,
    pub(crate) scripts: Vec<String>,
}

/// Batches that were waiting at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Where the epoch was opened.
    pub(crate) epoch: u64,
    /// When it was proposed, as the leader's clock showed it: see [`crate::Time`]. Milliseconds of Unix time.
    pub(crate) at: u64,
    /// Which of the databases.
    pub(crate) database: u8,
    /// How many parts are to be put in front of the body.
    pub(crate) parts: u32,
    /// See [`crate::codec`].
    pub(crate) body: Bytes,
}

/// A part of a batch, in front of its group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Where the epoch was opened.
    pub(crate) epoch: u64,
    /// Which of the databases. It keeps the part until the group comes.
    pub(crate) database: u8,
    /// From 0. The first one clears away what was left of a batch whose group never came.
    pub(crate) number: u32,
    /// The bytes.
    pub(crate) body: Bytes,
}

/// What became of an entry, told to who proposed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// There is nothing to tell.
    Nothing,
    /// An epoch is open.
    Opened {
        /// The schema versions that the databases have now.
        versions: Vec<u32>,
        /// The latest time at which anything before was proposed.
        latest: u64,
    },
    /// Each batch of the group.
    #[serde(skip)]
    Applied(Vec<Result<(), CommitError>>),
    /// It is of another epoch: nothing was done.
    Fenced,
}
