//! What is told of a node to programs of monitoring. Every node tells of itself, whoever leads.

use std::sync::{Arc, Weak};

use helve_cluster::{Node, State};
use helve_metrics::{Collect, Text};

/// The figures of a node.
pub(super) struct Figures(Weak<Node>);

impl Figures {
    pub(super) fn of(node: &Arc<Node>) -> Self {
        Self(Arc::downgrade(node))
    }
}

impl Collect for Figures {
    fn collect(&self, text: &mut Text) {
        let Some(node) = self.0.upgrade() else { return };
        let status = node.status();
        let id = status.id.to_string();
        let flag = |is: bool| f64::from(u8::from(is));
        let mut value = |name, help, value| text.value(name, help, &[("node", &id)], value);
        value(
            "helve_cluster_is_leader",
            "Whether this node leads.",
            flag(status.state == State::Leader),
        );
        value(
            "helve_cluster_knows_leader",
            "Whether this node knows of one that leads. If no node does, nobody is served.",
            flag(status.leader.is_some()),
        );
        value(
            "helve_cluster_term",
            "How many elections there were, at least.",
            status.term as f64,
        );
        value(
            "helve_cluster_applied",
            "The last entry of the log that the databases of this node have.",
            status.applied.unwrap_or_default() as f64,
        );
        let voters = status.members.iter().filter(|member| member.votes).count();
        value(
            "helve_cluster_voters",
            "Nodes that vote, as this one knows.",
            voters as f64,
        );
        for member in status.members.iter().filter(|member| member.id != status.id) {
            if let Some(lag) = member.lag {
                let other = member.id.to_string();
                text.value(
                    "helve_cluster_lag_entries",
                    "By how many entries of the log another node is behind, as the leader knows.",
                    &[("node", &id), ("other", &other)],
                    lag as f64,
                );
            }
        }
    }
}
