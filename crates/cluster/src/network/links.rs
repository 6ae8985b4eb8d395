//! Which ways between nodes are cut. For tests: nothing is ever cut otherwise.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::types::NodeId;

/// The ways between the nodes of one process, each in one direction. All are open at first.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Mutex<HashSet<(NodeId, NodeId)>>>);

impl Links {
    /// From now on nothing that `from` says reaches `to`: no question and no answer.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.ways().insert((from, to));
    }

    /// Opens every way again.
    pub fn mend(&self) {
        self.ways().clear();
    }

    pub(crate) fn is_open(&self, from: NodeId, to: NodeId) -> bool {
        !self.ways().contains(&(from, to))
    }

    fn ways(&self) -> std::sync::MutexGuard<'_, HashSet<(NodeId, NodeId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
