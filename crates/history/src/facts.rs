//! The stored form of what history does not contain, and loading a run from both.
//!
//! All of it is protobuf with stable tags: fields may be added, never reused.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prost::Message;

use crate::{
    Corrupt, EventId, MessageId, RunKey, RunState, Sdk, Timestamp,
    attempt::{Attempt, Pause, Phase, Requests, Reset, StartedAttempt},
    problems::{Problem, Problems},
    proto::{ActivityOptions, Failure, HistoryEvent, Payloads, TimeoutType, WorkflowTaskFailedCause},
    recorded::Recorded,
    state::Facts,
    update::WaitingUpdates,
    workflow_task::{ScheduledTask, StartedTask, Sticky, TaskKind, WorkflowTask},
};

/// What to write beside a transition's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FactChanges {
    /// The run's own record, if it changed.
    pub core: Option<Vec<u8>>,
    /// Activity records by Scheduled event id; `None` deletes.
    pub activities: Vec<(EventId, Option<Vec<u8>>)>,
    /// The buffered events.
    pub buffered: Buffered,
}

/// How the list of buffered events changed. Each event is an encoded `HistoryEvent`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Buffered {
    /// Not at all.
    #[default]
    Unchanged,
    /// It is empty now.
    Cleared,
    /// These came at its end.
    Appended(Vec<Vec<u8>>),
    /// It is this now.
    Replaced(Vec<Vec<u8>>),
}

/// What changed from `prev` (`None`: the run is new) to `next`. What is in memory only is not part of it.
pub fn fact_changes(prev: Option<&RunState>, next: &RunState) -> FactChanges {
    FactChanges {
        core: (prev.is_none_or(|prev| prev.facts != next.facts)).then(|| CoreRecord::from(&next.facts).encode_to_vec()),
        activities: activity_changes(prev, next),
        buffered: buffered_changes(prev.map_or(&[], |prev| prev.buffered.as_slice()), &next.buffered),
    }
}

fn activity_changes(prev: Option<&RunState>, next: &RunState) -> Vec<(EventId, Option<Vec<u8>>)> {
    let (new, old) = (&next.recorded.activities, prev.map(|prev| &prev.recorded.activities));
    if old.is_some_and(|old| old.same(new)) {
        return Vec::new();
    }
    // An activity whose attempt is just what its Scheduled event implies needs no record.
    let mut changes = Vec::new();
    for (id, activity) in new.iter() {
        let before = old.and_then(|old| old.get(id));
        if before.is_some_and(|before| Arc::ptr_eq(before, activity) || before.attempt == activity.attempt) {
            continue;
        }
        if activity.attempt != activity.first_attempt() {
            changes.push((*id, Some(AttemptRecord::from(&activity.attempt).encode_to_vec())));
        }
    }
    for (id, before) in old.into_iter().flat_map(|old| old.iter()) {
        if !new.contains(id) && before.attempt != before.first_attempt() {
            changes.push((*id, None));
        }
    }
    changes
}

fn buffered_changes(old: &[HistoryEvent], new: &[HistoryEvent]) -> Buffered {
    let encode = |events: &[HistoryEvent]| events.iter().map(Message::encode_to_vec).collect();
    if old == new {
        Buffered::Unchanged
    } else if new.is_empty() {
        Buffered::Cleared
    } else if let Some(added) = new.strip_prefix(old) {
        Buffered::Appended(encode(added))
    } else {
        Buffered::Replaced(encode(new))
    }
}

impl RunState {
    /// Loads a run from its stored events and facts.
    pub fn rebuild(
        key: RunKey,
        events: impl IntoIterator<Item = HistoryEvent>,
        core: &[u8],
        activities: &[(EventId, Vec<u8>)],
        buffered: &[Vec<u8>],
    ) -> Result<Self, Corrupt> {
        let corrupt = |problem: String| Corrupt {
            run: key.to_string(),
            problem,
        };
        let mut recorded = Recorded::empty(key.kind);
        for event in events {
            if event.event_id != recorded.next_event_id() {
                let (got, expected) = (event.event_id, recorded.next_event_id());
                return Err(corrupt(format!(
                    "its history has event {got} where event {expected} belongs"
                )));
            }
            recorded.apply(&event);
        }
        if recorded.length == 0 {
            return Err(corrupt("its history is empty".to_owned()));
        }
        for (id, bytes) in activities {
            let record = AttemptRecord::decode(bytes.as_slice())
                .map_err(|error| corrupt(format!("the record of activity {id} cannot be read: {error}")))?;
            let activity = recorded
                .activities
                .get_mut(id)
                .ok_or_else(|| corrupt(format!("there is a record of activity {id}, which is not pending")))?;
            activity.attempt = record.into_attempt(activity.scheduled_time);
        }
        let buffered: Vec<HistoryEvent> = buffered
            .iter()
            .map(|bytes| HistoryEvent::decode(bytes.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|error| corrupt(format!("a buffered event cannot be read: {error}")))?;
        for event in &buffered {
            recorded.absorb(event);
        }
        let facts = CoreRecord::decode(core)
            .map_err(|error| corrupt(format!("its record cannot be read: {error}")))?
            .into_facts();
        Ok(Self {
            key,
            recorded,
            buffered: Arc::new(buffered),
            facts,
            waiting: WaitingUpdates::default(),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct CoreRecord {
    #[prost(message, optional, tag = "1")]
    workflow_task: Option<TaskRecord>,
    #[prost(uint32, tag = "2")]
    next_attempt: u32,
    #[prost(message, optional, tag = "3")]
    sticky: Option<StickyRecord>,
    #[prost(string, tag = "4")]
    start_request_id: String,
    #[prost(message, repeated, tag = "5")]
    delivered: Vec<MessageRecord>,
    #[prost(int64, tag = "6")]
    transitions: i64,
    #[prost(bool, tag = "7")]
    close_attempted: bool,
    #[prost(string, tag = "20")]
    reset_run_id: String,
    #[prost(string, tag = "21")]
    reset_request_id: String,
    #[prost(string, optional, tag = "22")]
    untold_base: Option<String>,
    #[prost(message, optional, tag = "23")]
    problems: Option<ProblemsRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProblemsRecord {
    #[prost(uint32, tag = "1")]
    failures: u32,
    #[prost(message, optional, tag = "2")]
    last: Option<ProblemRecord>,
    #[prost(message, optional, tag = "3")]
    reported: Option<ProblemRecord>,
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Message)]
struct ProblemRecord {
    #[prost(enumeration = "WorkflowTaskFailedCause", tag = "1")]
    failed: i32,
    #[prost(enumeration = "TimeoutType", tag = "2")]
    timed_out: i32,
}

#[derive(Clone, PartialEq, Message)]
struct StickyRecord {
    #[prost(string, tag = "1")]
    queue: String,
    #[prost(uint64, tag = "2")]
    schedule_to_start_nanos: u64,
}

#[derive(Clone, PartialEq, Message)]
struct TaskRecord {
    #[prost(bool, tag = "1")]
    transient: bool,
    #[prost(int64, tag = "2")]
    scheduled_event_id: i64,
    #[prost(uint32, tag = "3")]
    attempt: u32,
    #[prost(int64, tag = "4")]
    scheduled_nanos: i64,
    #[prost(int64, tag = "5")]
    original_scheduled_nanos: i64,
    #[prost(uint64, tag = "6")]
    start_to_close_nanos: u64,
    #[prost(bool, tag = "7")]
    sticky: bool,
    #[prost(message, optional, tag = "8")]
    started: Option<StartedTaskRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct StartedTaskRecord {
    #[prost(int64, tag = "1")]
    started_event_id: i64,
    #[prost(int64, tag = "2")]
    started_nanos: i64,
    #[prost(string, tag = "3")]
    request_id: String,
    #[prost(string, tag = "4")]
    identity: String,
    #[prost(int64, tag = "5")]
    history_size: i64,
    #[prost(int32, repeated, tag = "6")]
    suggest_continue_as_new: Vec<i32>,
    #[prost(bool, tag = "7")]
    sticky: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct MessageRecord {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(int64, tag = "2")]
    event_id: i64,
}

#[derive(Clone, PartialEq, Message)]
struct AttemptRecord {
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

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<&Facts> for CoreRecord {
    fn from(facts: &Facts) -> Self {
        Self {
            workflow_task: TaskRecord::of(&facts.workflow_task),
            next_attempt: facts.workflow_task.attempt(),
            sticky: facts.sticky.as_ref().map(|sticky| StickyRecord {
                queue: sticky.queue.clone(),
                schedule_to_start_nanos: nanos(sticky.schedule_to_start),
            }),
            start_request_id: facts.start_request_id.clone(),
            delivered: facts.delivered.iter().map(|id| MessageRecord::from(*id)).collect(),
            transitions: facts.transitions,
            close_attempted: facts.close_attempted,
            reset_run_id: facts.reset_run_id.clone(),
            reset_request_id: facts.reset_request_id.clone(),
            untold_base: facts.untold_base.clone(),
            problems: (facts.problems != Problems::default()).then(|| (&facts.problems).into()),
        }
    }
}

impl From<&Problems> for ProblemsRecord {
    fn from(problems: &Problems) -> Self {
        Self {
            failures: problems.failures,
            last: problems.last.map(Into::into),
            reported: problems.reported.map(Into::into),
        }
    }
}

impl ProblemsRecord {
    fn into_problems(self) -> Problems {
        Problems {
            failures: self.failures,
            last: self.last.map(ProblemRecord::into_problem),
            reported: self.reported.map(ProblemRecord::into_problem),
        }
    }
}

impl From<Problem> for ProblemRecord {
    fn from(problem: Problem) -> Self {
        let mut record = Self::default();
        match problem {
            Problem::Failed(cause) => record.set_failed(cause),
            Problem::TimedOut(kind) => record.set_timed_out(kind),
        }
        record
    }
}

impl ProblemRecord {
    fn into_problem(self) -> Problem {
        match self.timed_out() {
            TimeoutType::Unspecified => Problem::Failed(self.failed()),
            kind => Problem::TimedOut(kind),
        }
    }
}

impl CoreRecord {
    fn into_facts(self) -> Facts {
        Facts {
            workflow_task: match self.workflow_task {
                Some(task) => task.into_task(),
                None => WorkflowTask::Idle {
                    next_attempt: self.next_attempt.max(1),
                },
            },
            sticky: self.sticky.map(|sticky| Sticky {
                queue: sticky.queue,
                schedule_to_start: Duration::from_nanos(sticky.schedule_to_start_nanos),
            }),
            start_request_id: self.start_request_id,
            delivered: Arc::new(
                self.delivered
                    .into_iter()
                    .filter_map(MessageRecord::into_id)
                    .collect::<BTreeSet<_>>(),
            ),
            transitions: self.transitions,
            close_attempted: self.close_attempted,
            reset_run_id: self.reset_run_id,
            reset_request_id: self.reset_request_id,
            untold_base: self.untold_base,
            problems: self.problems.map(ProblemsRecord::into_problems).unwrap_or_default(),
        }
    }
}

impl TaskRecord {
    fn of(task: &WorkflowTask) -> Option<Self> {
        let (scheduled, started) = match task {
            WorkflowTask::Idle { .. } => return None,
            WorkflowTask::Scheduled(scheduled) => (scheduled, None),
            WorkflowTask::Started(scheduled, started) => (scheduled, Some(started)),
        };
        if scheduled.kind == TaskKind::Speculative {
            return None;
        }
        Some(Self {
            transient: scheduled.kind == TaskKind::Transient,
            scheduled_event_id: scheduled.event_id,
            attempt: scheduled.attempt,
            scheduled_nanos: scheduled.time.as_nanos(),
            original_scheduled_nanos: scheduled.original_time.as_nanos(),
            start_to_close_nanos: nanos(scheduled.start_to_close),
            sticky: scheduled.sticky,
            started: started.map(|started| StartedTaskRecord {
                started_event_id: started.event_id,
                started_nanos: started.time.as_nanos(),
                request_id: started.request_id.clone(),
                identity: started.identity.clone(),
                history_size: started.history_size,
                suggest_continue_as_new: started.suggest_continue_as_new.clone(),
                sticky: started.sticky,
            }),
        })
    }

    fn into_task(self) -> WorkflowTask {
        let scheduled = ScheduledTask {
            kind: if self.transient {
                TaskKind::Transient
            } else {
                TaskKind::Normal
            },
            event_id: self.scheduled_event_id,
            attempt: self.attempt,
            time: Timestamp::from_nanos(self.scheduled_nanos),
            original_time: Timestamp::from_nanos(self.original_scheduled_nanos),
            start_to_close: Duration::from_nanos(self.start_to_close_nanos),
            sticky: self.sticky,
        };
        match self.started {
            None => WorkflowTask::Scheduled(scheduled),
            Some(started) => WorkflowTask::Started(
                scheduled,
                StartedTask {
                    event_id: started.started_event_id,
                    time: Timestamp::from_nanos(started.started_nanos),
                    request_id: started.request_id,
                    identity: started.identity,
                    history_size: started.history_size,
                    suggest_continue_as_new: started.suggest_continue_as_new,
                    sticky: started.sticky,
                },
            ),
        }
    }
}

impl From<MessageId> for MessageRecord {
    fn from(id: MessageId) -> Self {
        let (kind, event_id) = match id {
            MessageId::StartChild(id) => (1, id),
            MessageId::SignalExternal(id) => (2, id),
            MessageId::CancelExternal(id) => (3, id),
            MessageId::ParentClosed(id) => (4, id),
            MessageId::ChildClosed => (5, 0),
            MessageId::WasReset => (6, 0),
        };
        Self { kind, event_id }
    }
}

impl MessageRecord {
    fn into_id(self) -> Option<MessageId> {
        Some(match self.kind {
            1 => MessageId::StartChild(self.event_id),
            2 => MessageId::SignalExternal(self.event_id),
            3 => MessageId::CancelExternal(self.event_id),
            4 => MessageId::ParentClosed(self.event_id),
            5 => MessageId::ChildClosed,
            6 => MessageId::WasReset,
            _ => return None,
        })
    }
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
    fn into_attempt(self, scheduled: Timestamp) -> Attempt {
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
