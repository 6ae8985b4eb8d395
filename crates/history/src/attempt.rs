//! Facts about an activity and its current attempt: what its history will only say when it closes, if at all. [trap 8]

use std::{sync::Arc, time::Duration};

use crate::{
    Sdk, Timestamp,
    proto::{ActivityOptions, Failure, Payloads},
};

/// The current attempt of an activity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    /// Raised whenever the task that was offered before must not be taken any more: by every attempt, and by every
    /// operation on the activity.
    pub(crate) stamp: u32,
    pub(crate) phase: Phase,
    /// Why the last attempt failed, cut to the limit.
    pub(crate) last_failure: Option<Arc<Failure>>,
    /// Who ran the last attempt.
    pub(crate) last_worker: String,
    /// What that worker is made with. Kept for standalone activities only: nobody can ask it of others.
    pub(crate) last_sdk: Option<Arc<Sdk>>,
    /// When an attempt was started last.
    pub(crate) last_started: Option<Timestamp>,
    /// The latest progress, of this attempt or an earlier one.
    pub(crate) heartbeat: Option<Arc<Payloads>>,
    pub(crate) heartbeat_time: Option<Timestamp>,
    /// Heartbeats of all attempts.
    pub(crate) heartbeats: u64,
    /// When the last attempt ended, and how long this one had to wait for its turn.
    pub(crate) last_ended: Option<Timestamp>,
    pub(crate) retry_interval: Duration,
    /// The failing code asked for that interval itself.
    pub(crate) interval_requested: bool,
    /// While it is paused: not handed out, whatever its phase.
    pub(crate) paused: Option<Arc<Pause>>,
    /// A worker had the activity when it was reset: what is to be done when the attempt ends.
    pub(crate) reset: Option<Reset>,
    /// The options in force, if they are not those it was scheduled with.
    pub(crate) options: Option<Arc<ActivityOptions>>,
    /// The last requests of each sort, for deduplication.
    pub(crate) requests: Option<Arc<Requests>>,
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

/// Who paused an activity, when, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pause {
    pub(crate) time: Timestamp,
    pub(crate) identity: String,
    pub(crate) reason: String,
    pub(crate) request_id: String,
}

/// A reset that waits for the end of the attempt under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reset {
    pub(crate) clear_heartbeat: bool,
    pub(crate) restore_options: bool,
}

/// The last request of each sort that was carried out. Empty: none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    pub(crate) pause: String,
    pub(crate) unpause: String,
    pub(crate) reset: String,
    pub(crate) update: String,
    pub(crate) cancel: String,
    pub(crate) terminate: String,
}

impl Attempt {
    /// The first attempt, as the Scheduled event and a start delay alone imply it.
    pub(crate) fn first(scheduled: Timestamp, delay: Duration) -> Self {
        Self {
            number: 1,
            stamp: 0,
            phase: if delay.is_zero() {
                Phase::Ready { since: scheduled }
            } else {
                Phase::BackingOff {
                    until: scheduled + delay,
                }
            },
            last_failure: None,
            last_worker: String::new(),
            last_sdk: None,
            last_started: None,
            heartbeat: None,
            heartbeat_time: None,
            heartbeats: 0,
            last_ended: None,
            retry_interval: Duration::ZERO,
            interval_requested: false,
            paused: None,
            reset: None,
            options: None,
            requests: None,
        }
    }

    pub(crate) fn started(&self) -> Option<&StartedAttempt> {
        match &self.phase {
            Phase::Started(started) => Some(started),
            Phase::Ready { .. } | Phase::BackingOff { .. } => None,
        }
    }

    /// Puts it up for pollers at a time; what was offered before is void.
    pub(crate) fn dispatch_at(&mut self, time: Timestamp, now: Timestamp) {
        self.stamp += 1;
        self.phase = if time > now {
            Phase::BackingOff { until: time }
        } else {
            Phase::Ready { since: now }
        };
    }

    /// When the pending retry is due.
    pub(crate) fn retry_due(&self) -> Option<Timestamp> {
        self.last_ended
            .filter(|_| !self.retry_interval.is_zero())
            .map(|ended| ended + self.retry_interval)
    }

    /// Counts from 1 again.
    pub(crate) fn start_over(&mut self) {
        self.number = 1;
        self.retry_interval = Duration::ZERO;
        self.interval_requested = false;
    }

    pub(crate) fn clear_heartbeat(&mut self) {
        self.heartbeat = None;
        self.heartbeat_time = None;
    }

    /// Remembers a request that was carried out.
    pub(crate) fn remember(&mut self, note: impl FnOnce(&mut Requests)) {
        note(Arc::make_mut(self.requests.get_or_insert_default()));
    }

    /// Was this the last request of its sort? One without an id is never repeated.
    pub(crate) fn repeats(&self, id: &str, last: impl FnOnce(&Requests) -> &String) -> bool {
        !id.is_empty() && self.requests.as_deref().is_some_and(|requests| last(requests) == id)
    }
}
