//! The workflow task: at most one per run, and the only thing that moves a workflow's code.
//!
//! A *normal* task (attempt 1) has its Scheduled and Started events in history. From attempt 2 on it is *transient*: its
//! events are virtual, with the ids they would have, and only a completion makes them real. So a workflow whose code fails
//! for days does not grow its history. [trap 5] A *speculative* task exists in memory only. [trap 10]

mod complete;
pub(crate) use complete::complete;
pub(crate) use fail::TaskFailure;
mod fail;
mod poll;
pub(crate) mod speculative;

use std::time::Duration;

use crate::{
    EventId, Limits, RunState, Timestamp,
    draft::{Draft, Entry},
    proto::{
        Attributes, HistoryEvent, TaskQueue, TaskQueueKind, WorkflowTaskScheduledEventAttributes,
        WorkflowTaskStartedEventAttributes,
    },
    timestamp::proto_duration,
};

/// The run's workflow task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WorkflowTask {
    /// There is none; the next one will have this attempt.
    Idle { next_attempt: u32 },
    /// It waits for a poller.
    Scheduled(ScheduledTask),
    /// A worker has it.
    Started(ScheduledTask, StartedTask),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    Normal,
    Transient,
    Speculative,
}

/// The scheduled half of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScheduledTask {
    pub(crate) kind: TaskKind,
    /// Virtual unless the task is normal.
    pub(crate) event_id: EventId,
    pub(crate) attempt: u32,
    pub(crate) time: Timestamp,
    /// When the first of a row of heartbeats was scheduled. [trap 13]
    pub(crate) original_time: Timestamp,
    pub(crate) start_to_close: Duration,
    /// Offered on the sticky queue.
    pub(crate) sticky: bool,
}

/// The started half of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StartedTask {
    /// Virtual unless the task is normal.
    pub(crate) event_id: EventId,
    pub(crate) time: Timestamp,
    pub(crate) request_id: String,
    pub(crate) identity: String,
    /// As the worker was told, so that a transient task's real event can repeat it. [trap 5]
    pub(crate) history_size: i64,
    /// Likewise.
    pub(crate) suggest_continue_as_new: Vec<i32>,
    /// The worker was given only the events since its last task.
    pub(crate) sticky: bool,
}

/// The worker that holds the run in its cache.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sticky {
    pub(crate) queue: String,
    pub(crate) schedule_to_start: Duration,
}

impl WorkflowTask {
    /// The attempt of the task, or of the next one.
    pub(crate) fn is_speculative(&self) -> bool {
        matches!(self, WorkflowTask::Scheduled(task) | WorkflowTask::Started(task, _) if task.kind == TaskKind::Speculative)
    }

    pub(crate) fn attempt(&self) -> u32 {
        match self {
            Self::Idle { next_attempt } => *next_attempt,
            Self::Scheduled(scheduled) | Self::Started(scheduled, _) => scheduled.attempt,
        }
    }
}

impl ScheduledTask {
    pub(crate) fn scheduled_entry(&self, state: &RunState) -> Entry {
        let queue = match (&state.facts.sticky, self.sticky) {
            (Some(sticky), true) => TaskQueue {
                name: sticky.queue.clone(),
                kind: TaskQueueKind::Sticky.into(),
                normal_name: state.task_queue().to_owned(),
            },
            _ => normal_queue(state.task_queue()),
        };
        let attributes = WorkflowTaskScheduledEventAttributes {
            task_queue: Some(queue),
            start_to_close_timeout: Some(proto_duration(self.start_to_close)),
            attempt: i32::try_from(self.attempt).unwrap_or(i32::MAX),
        };
        Entry::from(Attributes::WorkflowTaskScheduledEventAttributes(attributes)).at(self.time)
    }
}

impl StartedTask {
    fn started_entry(&self, scheduled_event_id: EventId) -> Entry {
        let attributes = WorkflowTaskStartedEventAttributes {
            scheduled_event_id,
            identity: self.identity.clone(),
            request_id: self.request_id.clone(),
            suggest_continue_as_new: !self.suggest_continue_as_new.is_empty(),
            suggest_continue_as_new_reasons: self.suggest_continue_as_new.clone(),
            history_size_bytes: self.history_size,
            ..WorkflowTaskStartedEventAttributes::default()
        };
        Entry::from(Attributes::WorkflowTaskStartedEventAttributes(attributes)).at(self.time)
    }
}

/// A task queue as a user names it.
pub(crate) fn normal_queue(name: &str) -> TaskQueue {
    TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        normal_name: String::new(),
    }
}

impl Draft<'_> {
    /// Something happened that the workflow has to see: makes sure that a workflow task will come.
    pub(crate) fn wake(&mut self) {
        if !self.state().recorded.in_first_backoff() {
            self.wake_at_once();
        }
    }

    /// Likewise, without waiting for the end of the first backoff. [trap 14]
    pub(crate) fn wake_at_once(&mut self) {
        if self.state().is_running() && matches!(self.state().facts.workflow_task, WorkflowTask::Idle { .. }) {
            self.schedule_workflow_task(self.now);
        }
    }

    /// Schedules the next workflow task; there must be none.
    pub(crate) fn schedule_workflow_task(&mut self, original_time: Timestamp) {
        let WorkflowTask::Idle { next_attempt } = self.state().facts.workflow_task else {
            return;
        };
        // News since the failed attempt: the task is a new one, not a repetition. [trap 5]
        let attempt = if self.flush() { 1 } else { next_attempt.max(1) };
        let mut task = ScheduledTask {
            kind: if attempt == 1 {
                TaskKind::Normal
            } else {
                TaskKind::Transient
            },
            event_id: self.state().recorded.next_event_id(),
            attempt,
            time: self.now,
            original_time,
            start_to_close: start_to_close(self.state().workflow_task_timeout(), attempt, self.env.limits),
            sticky: self.state().facts.sticky.is_some(),
        };
        if task.kind == TaskKind::Normal {
            let entry = task.scheduled_entry(self.state());
            task.event_id = self.record(entry);
        }
        self.edit().facts.workflow_task = WorkflowTask::Scheduled(task);
    }

    /// Makes what the decision left behind fit together.
    pub(crate) fn settle(&mut self) {
        self.refresh_transient_task();
        self.enforce_limits();
        self.schedule_for_updates();
    }

    /// A transient task that waits while new events come becomes a normal one: virtual ids are always the next free ones.
    fn refresh_transient_task(&mut self) {
        let next = self.state().recorded.next_event_id();
        if let WorkflowTask::Scheduled(task) = &self.state().facts.workflow_task
            && task.kind == TaskKind::Transient
            && task.event_id != next
        {
            let original_time = task.original_time;
            self.edit().facts.workflow_task = WorkflowTask::Idle { next_attempt: 1 };
            self.schedule_workflow_task(original_time);
        }
    }
}

impl RunState {
    /// The events of the workflow task that are not stored, since the task is transient or speculative: they may never
    /// be, so people are not shown them. [traps 5 and 10]
    pub fn virtual_events(&self) -> Vec<HistoryEvent> {
        match &self.facts.workflow_task {
            WorkflowTask::Scheduled(scheduled) if scheduled.kind != TaskKind::Normal => {
                vec![self.virtual_scheduled(scheduled)]
            }
            WorkflowTask::Started(scheduled, started) if scheduled.kind != TaskKind::Normal => {
                self.virtual_events_of(scheduled, started)
            }
            _ => Vec::new(),
        }
    }

    fn virtual_events_of(&self, scheduled: &ScheduledTask, started: &StartedTask) -> Vec<HistoryEvent> {
        vec![
            self.virtual_scheduled(scheduled),
            started
                .started_entry(scheduled.event_id)
                .into_event(started.event_id, started.time),
        ]
    }

    fn virtual_scheduled(&self, scheduled: &ScheduledTask) -> HistoryEvent {
        scheduled
            .scheduled_entry(self)
            .into_event(scheduled.event_id, scheduled.time)
    }
}

/// A failing task is not delayed; its timeout grows instead, and with it the time until the next attempt. [trap 6]
fn start_to_close(timeout: Duration, attempt: u32, limits: &Limits) -> Duration {
    let Some(exponent) = attempt.checked_sub(limits.workflow_task_backoff_after + 1) else {
        return timeout;
    };
    let extension = limits
        .workflow_task_backoff_initial
        .saturating_mul(1_u32.checked_shl(exponent).unwrap_or(u32::MAX));
    timeout + extension.min(limits.workflow_task_backoff_max)
}
