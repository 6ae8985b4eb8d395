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

#[derive(Serialize, Deserialize)]
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
    Refused(String),
}
