//! Who belongs to the cluster, and what nodes answer each other.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::storage::Snapshot;

use crate::machine::{Copied, Incoming, SnapshotData};
use crate::network::{ANY, Answer, Request, Served, ask};
use crate::node::{Inner, Node};
use crate::setup::refused;
use crate::status::Status;
use crate::types::{Member, NodeId, SnapshotMeta, Vote};

/// Why the members were not changed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// This node could not ask the leader.
    #[error("the leader could not be asked: {0}")]
    Unreachable(#[from] io::Error),
    /// The cluster refused.
    #[error("the cluster refused: {0}")]
    Refused(String),
}

impl Node {
    /// Removes a node from the cluster, whether it is there or not. Any node can be asked.
    ///
    /// # Errors
    ///
    /// When there is no leader, or the node is not one of the cluster, or it is the last one.
    pub async fn remove(&self, id: NodeId) -> Result<(), MembershipError> {
        self.change(Request::Remove { id }).await
    }

    /// Asks whoever leads.
    pub(crate) async fn change(&self, request: Request) -> Result<(), MembershipError> {
        let mut answer = self.inner.answer(request.clone()).await;
        if let Answer::NotLeader(Some((_, leader))) = &answer {
            answer = ask(&self.inner.caller, ANY, &leader.address, request).await?;
        }
        match answer {
            Answer::Done => Ok(()),
            other => Err(MembershipError::Refused(refused(other))),
        }
    }
}

/// What the node at an address says of itself and of the cluster; asked from outside, with the secret.
impl Node {
    /// Asks another node for its status.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub async fn status_of(&self, address: &str) -> Result<Status, MembershipError> {
        match ask(&self.inner.caller, ANY, address, Request::Status).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(MembershipError::Refused(refused(other))),
        }
    }
}

impl Served for Inner {
    fn identity(&self) -> u128 {
        self.identity.identity
    }

    async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Append(append) => match self.raft.append_entries(append).await {
                Ok(response) => Answer::Append(response),
                Err(error) => Answer::Refused(error.to_string()),
            },
            Request::Vote(vote) => match self.raft.vote(vote).await {
                Ok(response) => Answer::Vote(response),
                Err(error) => Answer::Refused(error.to_string()),
            },
            Request::Join { id, member } => self.let_in(id, member).await,
            Request::Remove { id } => self.let_go(id).await,
            Request::Status => Answer::Status(Box::new(Status::of(self))),
            Request::Snapshot { .. } | Request::Copy | Request::Carry { .. } => {
                Answer::Refused("this is more than a question".to_owned())
            }
        }
    }

    fn incoming(&self) -> io::Result<PathBuf> {
        self.machine.incoming()
    }

    async fn copy(&self) -> io::Result<Copied> {
        self.machine.copy().await
    }

    async fn install(&self, vote: Vote, meta: SnapshotMeta, dir: PathBuf) -> Answer {
        let snapshot = Snapshot {
            meta,
            snapshot: Box::new(SnapshotData::Incoming(Incoming { dir })),
        };
        match self.raft.install_full_snapshot(vote, snapshot).await {
            Ok(response) => Answer::Snapshot(response),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }
}

impl Inner {
    /// A node becomes a learner, catches up, and votes from then on.
    async fn let_in(&self, id: NodeId, member: Member) -> Answer {
        let known = self.members();
        if let Some(other) = known.iter().find(|(known, _)| *known == id)
            && other.1.identity != member.identity
        {
            return Answer::Refused(format!(
                "it has a node {id} already, which was another directory: remove that one first"
            ));
        }
        let votes = self
            .raft
            .metrics()
            .borrow()
            .membership_config
            .voter_ids()
            .any(|voter| voter == id);
        if votes {
            // It is at another address now, or tells something else of itself.
            let nodes = std::collections::BTreeMap::from([(id, member)]);
            return match self.raft.change_membership(ChangeMembers::SetNodes(nodes), true).await {
                Ok(_) => Answer::Done,
                Err(error) => self.explain(error),
            };
        }
        let added = self.raft.add_learner(id, member, true).await;
        if let Err(error) = added {
            return self.explain(error);
        }
        let changed = self
            .raft
            .change_membership(ChangeMembers::AddVoterIds(BTreeSet::from([id])), true)
            .await;
        match changed {
            Ok(_) => Answer::Done,
            Err(error) => self.explain(error),
        }
    }

    async fn let_go(&self, id: NodeId) -> Answer {
        if !self.members().iter().any(|(known, _)| *known == id) {
            return Answer::Refused(format!("there is no node {id}"));
        }
        let ids = BTreeSet::from([id]);
        let votes = self
            .raft
            .metrics()
            .borrow()
            .membership_config
            .voter_ids()
            .any(|voter| voter == id);
        let changes = if votes {
            ChangeMembers::RemoveVoters(ids)
        } else {
            ChangeMembers::RemoveNodes(ids)
        };
        match self.raft.change_membership(changes, false).await {
            Ok(_) => Answer::Done,
            Err(error) => self.explain(error),
        }
    }

    pub(crate) fn members(&self) -> Vec<(NodeId, Member)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let nodes = metrics.membership_config.nodes();
        nodes.map(|(id, member)| (*id, member.clone())).collect()
    }

    fn explain(&self, error: RaftError<NodeId, ClientWriteError<NodeId, Member>>) -> Answer {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
                Answer::NotLeader(forward.leader_id.zip(forward.leader_node))
            }
            RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
                Answer::Refused("another node is just joining or leaving: try again in a moment".to_owned())
            }
            error => Answer::Refused(error.to_string()),
        }
    }
}
