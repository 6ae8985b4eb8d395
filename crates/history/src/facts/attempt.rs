//! The record of an activity: the attempt it is at.

use std::{sync::Arc, time::Duration};

use prost::Message;

use super::nanos;
use crate::{
    Sdk, Timestamp,
    attempt::{Attempt, Pause, Phase, Requests, Reset, StartedAttempt},
    proto::{ActivityOptions, Failure, Payloads},
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttemptRecord {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(int64, optional, tag = "2")]
    ready_since_nanos: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    backing_off_until_nanos: Option<i64>,
    #[prost(message, optional, tag = "4")]
    started: Option<StartedAttemptRecord>,
    #[prost(message, optional, tag = "5")]
    last_failure: Option<Failure>,
    #[prost(string, tag = "6")]
    last_worker: String,
    #[prost(message, optional, tag = "7")]
    heartbeat: Option<Payloads>,
    #[prost(int64, optional, tag = "8")]
    heartbeat_nanos: Option<i64>,
    #[prost(int64, optional, tag = "9")]
    last_ended_nanos: Option<i64>,
    #[prost(uint64, tag = "10")]
    retry_interval_nanos: u64,
    #[prost(uint32, tag = "11")]
    stamp: u32,
    #[prost(int64, optional, tag = "12")]
    last_started_nanos: Option<i64>,
    #[prost(uint64, tag = "13")]
    heartbeats: u64,
    #[prost(bool, tag = "14")]
    interval_requested: bool,
    #[prost(message, optional, tag = "15")]
    paused: Option<PauseRecord>,
    #[prost(message, optional, tag = "16")]
    reset: Option<ResetRecord>,
    #[prost(message, optional, tag = "17")]
    options: Option<ActivityOptions>,
    #[prost(message, optional, tag = "18")]
    requests: Option<RequestsRecord>,
    #[prost(message, optional, tag = "19")]
    last_sdk: Option<SdkRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct SdkRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct PauseRecord {
    #[prost(int64, tag = "1")]
    nanos: i64,
    #[prost(string, tag = "2")]
    identity: String,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    request_id: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ResetRecord {
    #[prost(bool, tag = "1")]
    clear_heartbeat: bool,
    #[prost(bool, tag = "2")]
    restore_options: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RequestsRecord {
    #[prost(string, tag = "1")]
    pause: String,
    #[prost(string, tag = "2")]
    unpause: String,
    #[prost(string, tag = "3")]
    reset: String,
    #[prost(string, tag = "4")]
    update: String,
    #[prost(string, tag = "5")]
    cancel: String,
    #[prost(string, tag = "6")]
    terminate: String,
}

#[derive(Clone, PartialEq, Message)]
struct StartedAttemptRecord {
    #[prost(int64, tag = "1")]
    started_nanos: i64,
    #[prost(string, tag = "2")]
    request_id: String,
    #[prost(string, tag = "3")]
    identity: String,
}

impl From<&Attempt> for AttemptRecord {
    fn from(attempt: &Attempt) -> Self {
        let mut record = Self {
            number: attempt.number,
            last_failure: attempt.last_failure.as_deref().cloned(),
            last_worker: attempt.last_worker.clone(),
            last_sdk: attempt.last_sdk.as_deref().map(|sdk| SdkRecord {
                name: sdk.name.clone(),
                version: sdk.version.clone(),
            }),
            heartbeat: attempt.heartbeat.as_deref().cloned(),
            heartbeat_nanos: attempt.heartbeat_time.map(Timestamp::as_nanos),
            last_ended_nanos: attempt.last_ended.map(Timestamp::as_nanos),
            retry_interval_nanos: nanos(attempt.retry_interval),
            stamp: attempt.stamp,
            last_started_nanos: attempt.last_started.map(Timestamp::as_nanos),
            heartbeats: attempt.heartbeats,
            interval_requested: attempt.interval_requested,
            paused: attempt.paused.as_deref().map(PauseRecord::from),
            reset: attempt.reset.map(|reset| ResetRecord {
                clear_heartbeat: reset.clear_heartbeat,
                restore_options: reset.restore_options,
            }),
            options: attempt.options.as_deref().cloned(),
            requests: attempt.requests.as_deref().map(RequestsRecord::from),
            ..Self::default()
        };
        match &attempt.phase {
            Phase::Ready { since } => record.ready_since_nanos = Some(since.as_nanos()),
            Phase::BackingOff { until } => record.backing_off_until_nanos = Some(until.as_nanos()),
            Phase::Started(started) => {
                record.started = Some(StartedAttemptRecord {
                    started_nanos: started.time.as_nanos(),
                    request_id: started.request_id.clone(),
                    identity: started.identity.clone(),
                });
                // Kept for the poll's answer, which names it again when the poll is repeated.
                record.ready_since_nanos = Some(started.ready_since.as_nanos());
            }
        }
        record
    }
}

impl AttemptRecord {
    pub(super) fn into_attempt(self, scheduled: Timestamp) -> Attempt {
        let ready_since = self.ready_since_nanos.map_or(scheduled, Timestamp::from_nanos);
        let phase = match (self.started, self.backing_off_until_nanos) {
            (Some(started), _) => Phase::Started(StartedAttempt {
                time: Timestamp::from_nanos(started.started_nanos),
                request_id: started.request_id,
                identity: started.identity,
                ready_since,
            }),
            (None, Some(until)) => Phase::BackingOff {
                until: Timestamp::from_nanos(until),
            },
            (None, None) => Phase::Ready { since: ready_since },
        };
        Attempt {
            number: self.number,
            phase,
            last_failure: self.last_failure.map(Arc::new),
            last_worker: self.last_worker,
            last_sdk: self.last_sdk.map(|sdk| {
                Arc::new(Sdk {
                    name: sdk.name,
                    version: sdk.version,
                })
            }),
            heartbeat: self.heartbeat.map(Arc::new),
            heartbeat_time: self.heartbeat_nanos.map(Timestamp::from_nanos),
            last_ended: self.last_ended_nanos.map(Timestamp::from_nanos),
            retry_interval: Duration::from_nanos(self.retry_interval_nanos),
            stamp: self.stamp,
            last_started: self.last_started_nanos.map(Timestamp::from_nanos),
            heartbeats: self.heartbeats,
            interval_requested: self.interval_requested,
            paused: self.paused.map(|pause| Arc::new(pause.into_pause())),
            reset: self.reset.map(|reset| Reset {
                clear_heartbeat: reset.clear_heartbeat,
                restore_options: reset.restore_options,
            }),
            options: self.options.map(Arc::new),
            requests: self.requests.map(|requests| Arc::new(requests.into_requests())),
        }
    }
}

impl From<&Pause> for PauseRecord {
    fn from(pause: &Pause) -> Self {
        Self {
            nanos: pause.time.as_nanos(),
            identity: pause.identity.clone(),
            reason: pause.reason.clone(),
            request_id: pause.request_id.clone(),
        }
    }
}

impl PauseRecord {
    fn into_pause(self) -> Pause {
        Pause {
            time: Timestamp::from_nanos(self.nanos),
            identity: self.identity,
            reason: self.reason,
            request_id: self.request_id,
        }
    }
}

impl From<&Requests> for RequestsRecord {
    fn from(requests: &Requests) -> Self {
        let Requests {
            pause,
            unpause,
            reset,
            update,
            cancel,
            terminate,
        } = requests.clone();
        Self {
            pause,
            unpause,
            reset,
            update,
            cancel,
            terminate,
        }
    }
}

impl RequestsRecord {
    fn into_requests(self) -> Requests {
        Requests {
            pause: self.pause,
            unpause: self.unpause,
            reset: self.reset,
            update: self.update,
            cancel: self.cancel,
            terminate: self.terminate,
        }
    }
}
