//! Tells the owner of a node what the node is, and opens an epoch when it begins to lead.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use openraft::ServerState;
use tokio::sync::{mpsc, watch};

use crate::leadership::Leadership;
use crate::node::Inner;
use crate::time::Time;
use crate::types::{Command, Epoch, Member, NodeId, Outcome, Schema};

/// What a node is to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It leads, and everything that was ever acknowledged is applied here. An engine may be opened on its stores; it is to
    /// be closed when this changes, and finds out by itself if it is late: its stores answer with errors.
    Leader {
        /// Until the next change.
        epoch: Epoch,
    },
    /// Another node leads.
    Follower {
        /// Which one.
        leader: NodeId,
        /// Where it listens to other nodes.
        address: String,
    },
    /// Nobody leads, as far as this node knows: an election is on, or it is cut off from the others.
    NoLeader,
    /// It does nothing any more.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
}

/// An epoch was opened, or was not.
type Opened = Option<(Epoch, Vec<u32>, Time)>;

/// Runs until the node is gone.
pub(crate) async fn proclaim(node: Weak<Inner>, roles: watch::Sender<Role>, tick: Duration) {
    let Some(mut metrics) = node.upgrade().map(|node| node.raft.metrics()) else {
        return;
    };
    let (tell, mut told) = mpsc::channel::<Opened>(1);
    let mut is_opening = false;
    loop {
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                // A node that is stopped stops this task first.
                if let Some(node) = node.upgrade() {
                    node.set_leadership(None);
                }
                let reason = "this node stopped by a mistake in it, which its log tells of: start it again".to_owned();
                roles.send_replace(Role::Failed { reason });
                return;
            },
            () = tokio::time::sleep(tick) => {}
            opened = told.recv() => {
                is_opening = false;
                let Some(node) = node.upgrade() else { return };
                if let Some(Some((epoch, versions, time))) = opened {
                    lead(&node, epoch, &versions, time);
                }
            }
        }
        let Some(node) = node.upgrade() else { return };
        let now = metrics.borrow_and_update().clone();
        let membership = now.membership_config.membership();
        node.lease
            .set_voters(membership.get_joint_config().clone(), now.current_term, Instant::now());
        let leads = now.running_state.is_ok()
            && now.state == ServerState::Leader
            && node.lease.is_held(now.current_term, Instant::now());
        if let Some(leadership) = node.leadership()
            && (!leads || leadership.epoch.term != now.current_term)
        {
            tracing::warn!(epoch = ?leadership.epoch, "this node does not lead any more");
            node.set_leadership(None);
        }
        if leads && node.leadership().is_none() && !is_opening && !node.is_outdated() {
            is_opening = true;
            let (node, tell) = (node.clone(), tell.clone());
            tokio::spawn(async move {
                // An error means that the node is gone.
                let _ = tell.send(open(&node).await).await;
            });
        }
        let role = match (&now.running_state, node.leadership(), now.current_leader) {
            (Err(fatal), ..) => Role::Failed {
                reason: node
                    .machine
                    .state()
                    .broken()
                    .map_or_else(|| fatal.to_string(), str::to_owned),
            },
            (Ok(()), Some(leadership), _) => Role::Leader {
                epoch: leadership.epoch,
            },
            (Ok(()), None, Some(leader)) if leader != now.id => Role::Follower {
                leader,
                address: membership
                    .get_node(&leader)
                    .map(|member: &Member| member.address.clone())
                    .unwrap_or_default(),
            },
            (Ok(()), None, _) => Role::NoLeader,
        };
        let is_over = matches!(role, Role::Failed { .. });
        roles.send_if_modified(|told| {
            let is_new = *told != role;
            *told = role;
            is_new
        });
        if is_over {
            return;
        }
    }
}

/// Opens an epoch. Everything that was committed before is applied when this returns, and the schemas are there.
async fn open(node: &Arc<Inner>) -> Opened {
    let schemas = node
        .options
        .databases
        .iter()
        .map(|database| Schema {
            application_id: database.options.application_id,
            scripts: database
                .options
                .migrations
                .iter()
                .map(|&script| script.to_owned())
                .collect(),
        })
        .collect();
    let term = node.raft.metrics().borrow().current_term;
    let opening = node.raft.client_write(Command::Open(schemas));
    // A leader that lost its majority waits here for ever; meanwhile another one may have come.
    let mut metrics = node.raft.metrics();
    let lost = metrics.wait_for(|metrics| metrics.current_term != term || metrics.state != ServerState::Leader);
    let response = tokio::select! {
        response = opening => response.ok()?,
        _ = lost => return None,
    };
    let Outcome::Opened { versions, latest } = response.data else {
        return None;
    };
    Some((Epoch::opened_by(response.log_id), versions, Time::from(latest)))
}

fn lead(node: &Arc<Inner>, epoch: Epoch, versions: &[u32], time: Time) {
    let known = node
        .options
        .databases
        .iter()
        .map(|database| database.options.migrations.len());
    if known.zip(versions).any(|(known, version)| known < *version as usize) {
        tracing::error!(
            "the cluster's databases were written by a newer version of this program: this node follows, but cannot lead. \
             Start the newer version here as well"
        );
        node.step_back();
        return;
    }
    let leadership = Leadership::new(epoch, time, node.lease.clone());
    if leadership.is_held() {
        tracing::info!(?epoch, "this node leads");
        node.set_leadership(Some(Arc::new(leadership)));
    }
}
