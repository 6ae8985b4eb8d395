//! Facts about the current attempt of an activity: what its history will only say when it closes, if at all. [trap 8]

use std::{sync::Arc, time::Duration};

use crate::{
    Timestamp,
    proto::{Failure, Payloads},
};

/// The current attempt of an activity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) phase: Phase,
    /// Why the last attempt failed, cut to the limit.
    pub(crate) last_failure: Option<Arc<Failure>>,
    /// Who ran the last attempt.
    pub(crate) last_worker: String,
    /// The latest progress, of this attempt or an earlier one.
    pub(crate) heartbeat: Option<Arc<Payloads>>,
    pub(crate) heartbeat_time: Option<Timestamp>,
    /// When the last attempt ended, and how long this one had to wait for its turn.
    pub(crate) last_ended: Option<Timestamp>,
    pub(crate) retry_interval: Duration,
}

/// Where an attempt is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Waits for a poller.
    Ready {
        /// Since when.
        since: Timestamp,
    },
    /// Waits for its time.
    BackingOff {
        /// Until when.
        until: Timestamp,
    },
    /// A worker has it.
    Started(StartedAttempt),
}

/// A started attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StartedAttempt {
    pub(crate) time: Timestamp,
    pub(crate) request_id: String,
    pub(crate) identity: String,
    /// Since when it had waited for a poller.
    pub(crate) ready_since: Timestamp,
}

impl Attempt {
    /// The first attempt, as the Scheduled event alone implies it.
    pub(crate) fn first(scheduled: Timestamp) -> Self {
        Self {
            number: 1,
            phase: Phase::Ready { since: scheduled },
            last_failure: None,
            last_worker: String::new(),
            heartbeat: None,
            heartbeat_time: None,
            last_ended: None,
            retry_interval: Duration::ZERO,
        }
    }

    pub(crate) fn started(&self) -> Option<&StartedAttempt> {
        match &self.phase {
            Phase::Started(started) => Some(started),
            Phase::Ready { .. } | Phase::BackingOff { .. } => None,
        }
    }
}
