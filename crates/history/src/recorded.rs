//! What a run's history says: the fold of its events. Nothing in here is stored a second time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    EventId, RunKind, Timestamp,
    attempt::Attempt,
    growing_set::GrowingSet,
    proto::{
        ActivityTaskScheduledEventAttributes, HistoryEvent, Link, Payload,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
        SignalExternalWorkflowExecutionInitiatedEventAttributes, StartChildWorkflowExecutionInitiatedEventAttributes,
        UserMetadata, WorkflowExecutionStartedEventAttributes,
    },
    requests::RequestEvent,
    shared::SharedMap,
    standalone::Standalone,
    timestamp::duration,
    update::RecordedUpdates,
};

/// The fold of a run's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) kind: RunKind,
    /// Events stored so far.
    pub(crate) length: EventId,
    /// Their encoded bytes.
    pub(crate) size: u64,
    /// The latest event time.
    pub(crate) last_time: Timestamp,
    pub(crate) started: Arc<RunStarted>,
    /// The close event, which is also the last one.
    pub(crate) close: Option<Arc<HistoryEvent>>,
    /// A workflow task was scheduled at least once.
    pub(crate) had_workflow_task: bool,
    /// The Started event of the last completed workflow task, or 0 before the first.
    pub(crate) last_completed_started_id: EventId,
    pub(crate) cancel_requested: bool,
    /// What only the history of a standalone activity says.
    pub(crate) standalone: Option<Arc<Standalone>>,
    pub(crate) memo: Arc<HashMap<String, Payload>>,
    pub(crate) search_attributes: Arc<HashMap<String, Payload>>,

    pub(crate) activities: SharedMap<EventId, Activity>,
    pub(crate) activity_ids: SharedMap<Arc<str>, EventId>,
    pub(crate) timers: SharedMap<EventId, Timer>,
    pub(crate) timer_ids: SharedMap<Arc<str>, EventId>,
    pub(crate) children: SharedMap<EventId, Child>,
    pub(crate) external_signals: SharedMap<EventId, ExternalSignal>,
    pub(crate) external_cancels: SharedMap<EventId, ExternalCancel>,
    /// Request ids of signals, for deduplication.
    pub(crate) signal_ids: GrowingSet<Arc<str>>,
    pub(crate) signals: u64,
    pub(crate) updates: RecordedUpdates,
    /// Requests after the start that are remembered by their ids.
    pub(crate) requests: SharedMap<Arc<str>, RequestEvent>,
    /// The resets that made this history what it is, oldest first.
    pub(crate) resets: Arc<Vec<ResetPoint>>,
}

/// Where a reset run leaves the history it was copied from: its WorkflowTaskFailed event. [trap 15]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResetPoint {
    pub(crate) event_id: EventId,
    /// The run from which everything before was copied.
    pub(crate) base_run_id: String,
    pub(crate) time: Timestamp,
}

/// The first event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunStarted {
    pub(crate) attributes: WorkflowExecutionStartedEventAttributes,
    pub(crate) time: Timestamp,
    pub(crate) user_metadata: Option<UserMetadata>,
    pub(crate) links: Vec<Link>,
}

impl RunStarted {
    pub(crate) fn backoff(&self) -> Duration {
        duration(self.attributes.first_workflow_task_backoff.as_ref())
    }

    pub(crate) fn workflow_task_timeout(&self) -> Duration {
        duration(self.attributes.workflow_task_timeout.as_ref())
    }

    pub(crate) fn task_queue(&self) -> &str {
        self.attributes.task_queue.as_ref().map_or("", |queue| &queue.name)
    }

    pub(crate) fn workflow_type(&self) -> &str {
        self.attributes.workflow_type.as_ref().map_or("", |kind| &kind.name)
    }
}

/// An activity that is not closed, or the one of a standalone run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Activity {
    pub(crate) scheduled: Arc<ActivityTaskScheduledEventAttributes>,
    pub(crate) scheduled_time: Timestamp,
    /// How long its first attempt was to wait: only standalone activities do.
    pub(crate) start_delay: Duration,
    /// The event that asked it to cancel itself.
    pub(crate) cancel_requested: Option<EventId>,
    /// Not part of the history: see [`Attempt`].
    pub(crate) attempt: Attempt,
}

/// A timer that did not fire yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timer {
    pub(crate) id: String,
    pub(crate) fires_at: Timestamp,
}

/// A child that is not closed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Child {
    pub(crate) initiated: Arc<StartChildWorkflowExecutionInitiatedEventAttributes>,
    pub(crate) user_metadata: Option<UserMetadata>,
    pub(crate) started: Option<ChildRun>,
}

/// A child that is known to run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChildRun {
    pub(crate) run_id: String,
    /// `None` while the Started event is buffered and has no id yet.
    pub(crate) started_event_id: Option<EventId>,
}

/// A signal to another run, under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalSignal {
    pub(crate) initiated: Arc<SignalExternalWorkflowExecutionInitiatedEventAttributes>,
}

/// A cancel request to another run, under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalCancel {
    pub(crate) initiated: Arc<RequestCancelExternalWorkflowExecutionInitiatedEventAttributes>,
}

impl Activity {
    /// Its first attempt, as history alone implies it.
    pub(crate) fn first_attempt(&self) -> Attempt {
        Attempt::first(self.scheduled_time, self.start_delay)
    }
}

impl Recorded {
    /// Of a run without events.
    pub(crate) fn empty(kind: RunKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    pub(crate) fn next_event_id(&self) -> EventId {
        self.length + 1
    }

    pub(crate) fn is_running(&self) -> bool {
        self.close.is_none()
    }

    /// When the run began: by its first event, or by the last reset.
    pub(crate) fn start_time(&self) -> Timestamp {
        self.resets.last().map_or(self.started.time, |reset| reset.time)
    }

    /// When the first workflow task is due.
    pub(crate) fn execution_time(&self) -> Timestamp {
        self.start_time() + self.started.backoff()
    }

    /// When the run as such times out. A reset begins its time anew.
    pub(crate) fn run_expiration(&self) -> Option<Timestamp> {
        let timeout = duration(self.started.attributes.workflow_run_timeout.as_ref());
        let begin = self
            .resets
            .last()
            .map_or_else(|| self.execution_time(), |reset| reset.time);
        (!timeout.is_zero()).then(|| begin + timeout)
    }

    /// When the chain of runs it belongs to times out. A reset begins its time anew.
    pub(crate) fn execution_expiration(&self) -> Option<Timestamp> {
        let a = &self.started.attributes;
        let timeout = duration(a.workflow_execution_timeout.as_ref());
        match self.resets.last() {
            Some(reset) if !timeout.is_zero() => Some(reset.time + timeout),
            _ => a.workflow_execution_expiration_time.map(Timestamp::from),
        }
    }

    /// The run that recorded an event: this one, or one of those it was copied from.
    pub(crate) fn recorded_by<'a>(&'a self, event_id: EventId, own_run_id: &'a str) -> &'a str {
        let reset = self.resets.iter().find(|reset| reset.event_id > event_id);
        reset.map_or(own_run_id, |reset| &reset.base_run_id)
    }

    /// The first workflow task waits for a start delay, a retry's or a cron schedule's time. [trap 14]
    pub(crate) fn in_first_backoff(&self) -> bool {
        self.kind == RunKind::Workflow && !self.had_workflow_task && !self.started.backoff().is_zero()
    }

    pub(crate) fn activity_by_id(&self, id: &str) -> Option<EventId> {
        self.activity_ids.get(id).map(|id| **id)
    }
}
