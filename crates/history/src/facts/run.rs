//! The record of a run.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prost::Message;

use super::nanos;
use crate::{
    MessageId, Timestamp,
    problems::{Problem, Problems},
    proto::{TimeoutType, WorkflowTaskFailedCause},
    state::Facts,
    workflow_task::{ScheduledTask, StartedTask, Sticky, TaskKind, WorkflowTask},
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct CoreRecord {
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
    pub(super) fn into_facts(self) -> Facts {
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
