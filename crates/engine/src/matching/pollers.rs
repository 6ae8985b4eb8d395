//! Who polled a queue lately.

use std::{collections::BTreeMap, time::Duration};

use helve_history::{Sdk, Timestamp};

/// Pollers that are remembered; newcomers beyond are not.
const MAX_KNOWN: usize = 256;
/// For how long.
const REMEMBER: Duration = Duration::from_secs(300);

/// What a poll says about its worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Poller {
    pub(crate) identity: String,
    /// Names the worker process' instance, by [`instance_of`]; empty for SDKs that do not send it.
    pub(crate) instance: String,
    /// The queue is that of one worker, for the runs it has in its cache.
    pub(crate) is_sticky: bool,
    /// The tasks per second that its queue shall hand out to all workers together, if the worker says so.
    pub(crate) max_tasks_per_second: Option<f64>,
    /// What the worker is made with, if it says so.
    pub(crate) sdk: Option<Sdk>,
}

/// An instance of a worker process in a namespace: what it is called in one says nothing about another.
pub(crate) fn instance_of(namespace: &str, instance: &str) -> String {
    match instance {
        "" => String::new(),
        _ => format!("{instance} {namespace}"),
    }
}

/// A poller as it was last seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) identity: String,
    pub(crate) at: Timestamp,
    pub(crate) max_tasks_per_second: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Pollers {
    known: BTreeMap<String, (Timestamp, Option<f64>)>,
    last: Option<Timestamp>,
}

impl Pollers {
    pub(super) fn note(&mut self, poller: &Poller, now: Timestamp) {
        self.last = Some(now);
        let seen = (now, poller.max_tasks_per_second);
        if let Some(known) = self.known.get_mut(&poller.identity) {
            *known = seen;
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.retain(|_, (at, _)| now.since(*at) < REMEMBER);
        }
        if self.known.len() < MAX_KNOWN {
            self.known.insert(poller.identity.clone(), seen);
        }
    }

    pub(super) fn seen_within(&self, now: Timestamp, recently: Duration) -> bool {
        self.last.is_some_and(|last| now.since(last) < recently)
    }

    /// Nobody polls any more.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    pub(super) fn recent(&self, now: Timestamp) -> Vec<Seen> {
        self.known
            .iter()
            .filter(|(_, (at, _))| now.since(*at) < REMEMBER)
            .map(|(identity, (at, rate))| Seen {
                identity: identity.clone(),
                at: *at,
                max_tasks_per_second: *rate,
            })
            .collect()
    }
}
