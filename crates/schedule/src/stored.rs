//! What is kept of a schedule, as messages: what its owner said, and how far it got.

use jiff::Timestamp;
use temporalio_protos::temporal::api::{
    common::v1::Payloads,
    failure::v1::Failure,
    schedule::v1::{BackfillRequest, ScheduleActionResult, ScheduleState as Switches},
};

use crate::time::{proto_timestamp, timestamp};

/// How far a schedule got. Everything that changes without its owner's doing.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Progress {
    /// Makes request ids and jitter this schedule's own; stays when the schedule is updated.
    #[prost(string, tag = "1")]
    pub(crate) seed: String,
    /// Pause, notes, and the count of actions left.
    #[prost(message, required, tag = "2")]
    pub(crate) switches: Switches,
    #[prost(int64, tag = "3")]
    pub(crate) conflict_token: i64,
    /// High-water mark: times up to here were seen to.
    #[prost(message, optional, tag = "4")]
    pub(crate) seen_to: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "5")]
    pub(crate) created: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub(crate) updated: Option<prost_types::Timestamp>,
    /// Starts that wait for their turn.
    #[prost(message, repeated, tag = "7")]
    pub(crate) waiting: Vec<Start>,
    /// Starts whose turn has come, until it is known that they happened.
    #[prost(message, repeated, tag = "8")]
    pub(crate) starting: Vec<Start>,
    #[prost(message, repeated, tag = "9")]
    pub(crate) backfills: Vec<BackfillRequest>,
    /// Workflows that run and keep others from starting.
    #[prost(message, repeated, tag = "10")]
    pub(crate) running: Vec<Running>,
    /// The latest actions, oldest first.
    #[prost(message, repeated, tag = "11")]
    pub(crate) recent: Vec<ScheduleActionResult>,
    #[prost(message, optional, tag = "12")]
    pub(crate) last_result: Option<Payloads>,
    #[prost(message, optional, tag = "13")]
    pub(crate) last_failure: Option<Failure>,
    /// Starts that got a request id.
    #[prost(uint64, tag = "14")]
    pub(crate) starts: u64,
    #[prost(int64, tag = "15")]
    pub(crate) actions: i64,
    #[prost(int64, tag = "16")]
    pub(crate) missed_catchup: i64,
    #[prost(int64, tag = "17")]
    pub(crate) overlap_skipped: i64,
    #[prost(int64, tag = "18")]
    pub(crate) buffer_dropped: i64,
    /// Backfills go on at this time.
    #[prost(message, optional, tag = "19")]
    pub(crate) backfill_at: Option<prost_types::Timestamp>,
    /// The latest requests of the owner, oldest first: they are not heard twice.
    #[prost(string, repeated, tag = "20")]
    pub(crate) requests: Vec<String>,
}

/// One start of a workflow.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Start {
    /// Without jitter; part of the workflow id.
    #[prost(message, optional, tag = "1")]
    pub(crate) nominal: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "2")]
    pub(crate) actual: Option<prost_types::Timestamp>,
    /// An overlap policy; unspecified means the schedule's own at the time of the choice.
    #[prost(int32, tag = "3")]
    pub(crate) overlap_policy: i32,
    /// Asked for by somebody (triggered, or filled in later): pause, limit and catch-up window do not concern it.
    #[prost(bool, tag = "4")]
    pub(crate) manual: bool,
    /// It runs beside others: they neither wait for it, nor get its result.
    #[prost(bool, tag = "5")]
    pub(crate) beside: bool,
    /// Given when its turn comes.
    #[prost(string, tag = "6")]
    pub(crate) request_id: String,
    #[prost(string, tag = "7")]
    pub(crate) workflow_id: String,
}

/// A workflow that runs.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Running {
    #[prost(string, tag = "1")]
    pub(crate) workflow_id: String,
    /// The first run of its chain.
    #[prost(string, tag = "2")]
    pub(crate) run_id: String,
    /// It is to be cancelled for another one to start.
    #[prost(bool, tag = "3")]
    pub(crate) cancel: bool,
    #[prost(bool, tag = "4")]
    pub(crate) terminate: bool,
    /// It was told so.
    #[prost(bool, tag = "5")]
    pub(crate) told: bool,
}

impl Progress {
    pub(crate) fn seen_to(&self) -> Timestamp {
        timestamp(self.seen_to.as_ref()).unwrap_or_default()
    }

    pub(crate) fn see_to(&mut self, time: Timestamp) {
        if time > self.seen_to() {
            self.seen_to = Some(proto_timestamp(time));
        }
    }

    pub(crate) fn updated(&self) -> Timestamp {
        timestamp(self.updated.as_ref()).unwrap_or_default()
    }
}
