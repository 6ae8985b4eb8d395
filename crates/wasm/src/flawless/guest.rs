//! What the host knows of one module at work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::imports::Guest;

/// The store's data.
pub(crate) struct State {
    pub(super) base: Guest,
    /// The input as the module gets it: JSON.
    pub(super) input: String,
    /// What the module answered to whoever started it.
    pub(super) response: Option<Value>,
    pub(super) secrets: Secrets,
    /// The workflows of this module.
    pub(super) workflows: Arc<BTreeSet<String>>,
    /// While it is found out whether the module understands its input: a panic is an answer then, and not logged.
    pub(super) trying: bool,
}

impl State {
    pub(crate) fn base_mut(&mut self) -> &mut Guest {
        &mut self.base
    }
}

/// Stand-ins for the secrets that the module has asked for. The module sees no secret, so none can get into the history,
/// a log or an output, and a run is replayed wherever it is without any.
#[derive(Debug, Default)]
pub(crate) struct Secrets(BTreeMap<String, Option<String>>);

impl Secrets {
    /// What stands for a secret that was asked for before; None within if there is no such secret.
    pub(super) fn get(&self, name: &str) -> Option<&Option<String>> {
        self.0.get(name)
    }

    /// A stand-in that nobody outside of the run can guess: what a server answers, and the module sends on, must not turn
    /// into a secret.
    pub(super) fn add(&mut self, name: String, drawn: [u64; 2]) -> String {
        let stand_in = format!("helve-secret-{:016x}{:016x}", drawn[0], drawn[1]);
        self.0.insert(name, Some(stand_in.clone()));
        stand_in
    }

    pub(super) fn add_missing(&mut self, name: String) {
        self.0.insert(name, None);
    }

    pub(super) fn by_stand_in(&self) -> BTreeMap<String, String> {
        let pairs = self.0.iter();
        pairs
            .filter_map(|(name, stand_in)| Some((stand_in.clone()?, name.clone())))
            .collect()
    }
}
