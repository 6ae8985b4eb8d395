//! What a node says of itself and of the cluster.

use openraft::ServerState;
use serde::{Deserialize, Serialize};

use crate::node::Inner;
use crate::types::{Epoch, NodeId};

/// What a node is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It leads.
    Leader,
    /// It follows, and votes.
    Follower,
    /// It tries to lead.
    Candidate,
    /// It follows without a vote: it was not admitted yet, or was removed.
    Learner,
    /// It does nothing any more; the log of the program says why.
    Failed,
}

/// What a node says of itself and of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which node says it.
    pub id: NodeId,
    /// What it is.
    pub state: State,
    /// Raft's term.
    pub term: u64,
    /// Who leads, if it is known.
    pub leader: Option<NodeId>,
    /// The epoch that it leads in.
    pub epoch: Option<Epoch>,
    /// The last entry in its log.
    pub last: Option<u64>,
    /// The last entry that its databases have.
    pub applied: Option<u64>,
    /// The last entry that its log does not have any more.
    pub purged: Option<u64>,
    /// All nodes of the cluster, as far as it knows.
    pub members: Vec<MemberStatus>,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number.
    pub id: NodeId,
    /// Where it is reached.
    pub address: String,
    /// What its owner tells of it.
    pub about: String,
    /// Whether it votes.
    pub votes: bool,
    /// By how many entries it is behind. Only the leader knows.
    pub lag: Option<u64>,
}

impl Status {
    pub(crate) fn of(node: &Inner) -> Self {
        let metrics = node.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let voters: Vec<_> = membership.voter_ids().collect();
        let last = metrics.last_log_index;
        let members = membership
            .nodes()
            .map(|(id, member)| {
                let matched = metrics.replication.as_ref().and_then(|others| others.get(id));
                MemberStatus {
                    id: *id,
                    address: member.address.clone(),
                    about: member.about.clone(),
                    votes: voters.contains(id),
                    lag: matched.map(|matched| match matched {
                        Some(matched) => last.unwrap_or_default().saturating_sub(matched.index),
                        None => last.map_or(0, |last| last + 1),
                    }),
                }
            })
            .collect();
        Status {
            id: metrics.id,
            state: match metrics.state {
                _ if metrics.running_state.is_err() => State::Failed,
                ServerState::Leader => State::Leader,
                ServerState::Follower => State::Follower,
                ServerState::Candidate => State::Candidate,
                ServerState::Learner => State::Learner,
                ServerState::Shutdown => State::Failed,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            epoch: node.leadership().map(|leadership| leadership.epoch),
            last,
            applied: metrics.last_applied.map(|applied| applied.index),
            purged: metrics.purged.map(|purged| purged.index),
            members,
        }
    }
}
