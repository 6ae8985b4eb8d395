//! Webhooks: whom to tell what happens, and the outbox of what is to be told.
//!
//! A delivery is written by the batch that makes what it tells of, so a crash loses none. Whoever delivers claims some, says how
//! each ended, and is asked again if they say nothing: at least once, and in no order.

mod endpoints;
mod outbox;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::Error;

pub(crate) use endpoints::Endpoints;
pub use endpoints::{NewWebhook, Webhook, WebhookChange};
pub use outbox::{Delivery, DeliveryInfo, DeliveryState, MAX_ATTEMPTS, Room};
pub(crate) use outbox::{Event, push};

/// What webhooks tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A run ended.
    #[serde(rename = "run.finished")]
    RunFinished,
    /// A run found something new (or again) that somebody has to do something about.
    #[serde(rename = "finding.new")]
    NewFinding,
    /// A fuzzer found a crash that is new.
    #[serde(rename = "crash.found")]
    CrashFound,
    /// Somebody wants to see whether a webhook is heard. None listens to it: it is told to the one that is meant.
    #[serde(rename = "webhook.test")]
    Test,
}

impl EventKind {
    /// All that a webhook can listen to.
    pub const ALL: [EventKind; 3] = [EventKind::RunFinished, EventKind::NewFinding, EventKind::CrashFound];

    /// The name used in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            EventKind::RunFinished => "run.finished",
            EventKind::NewFinding => "finding.new",
            EventKind::CrashFound => "crash.found",
            EventKind::Test => "webhook.test",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        EventKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "there is no event `{text}`: use run.finished, finding.new or crash.found"
                ))
            })
    }
}
