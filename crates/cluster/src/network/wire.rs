//! Questions and answers.

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize};

use crate::status::Status;
use crate::types::{Member, NodeId, SnapshotMeta, Types, Vote};

/// A question, and between which nodes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    /// Which directory is meant, not only which number. None: whichever it is.
    pub(crate) identity: Option<u128>,
    pub(crate) request: Request,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<NodeId>),
    /// Files of these names and lengths follow, one after the other, in frames; then a digest of all their bytes.
    Snapshot {
        vote: Vote,
        meta: SnapshotMeta,
        files: Vec<(String, u64)>,
    },
    Join {
        id: NodeId,
        member: Member,
    },
    Remove {
        id: NodeId,
    },
    Status,
    /// The databases as they are now: answered with [`Answer::Files`], and the files.
    Copy,
    /// What comes on this connection from here on is for whoever owns the node.
    Carry {
        kind: u8,
        origin: String,
    },
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(AppendEntriesResponse<NodeId>),
    Vote(VoteResponse<NodeId>),
    Snapshot(SnapshotResponse<NodeId>),
    Done,
    /// Somebody else is to be asked, if it is known who.
    NotLeader(Option<(NodeId, Member)>),
    Status(Box<Status>),
    /// Files of these names and lengths follow, as with a snapshot.
    Files(Vec<(String, u64)>),
    Refused(String),
}
