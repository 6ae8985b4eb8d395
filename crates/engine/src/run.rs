//! One run in memory: its state behind its lock, and what others may look at without it.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use helve_history::{EventId, MessageId, ReadyTask, RunKey, RunState, Timestamp};
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::{
    combine::Inputs,
    encoded::EncodedEvents,
    error::{Failed, Fault},
    namespaces::Namespace,
    queries::QueryBuffer,
    storage::RowId,
    updates::UpdateWaiters,
};

/// A run's place in memory. There is at most one per run.
pub(crate) struct Slot {
    pub(crate) key: RunKey,
    pub(crate) row: RowId,
    pub(crate) namespace: Arc<Namespace>,
    cell: Arc<Mutex<Cell>>,
    /// What is to be decided next.
    pub(crate) inputs: Inputs,
    /// What long polls of its history wait for.
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) queries: QueryBuffer,
    pub(crate) updates: UpdateWaiters,
    /// Looked at since the cache last wanted to forget it.
    pub(crate) touched: AtomicBool,
    /// To be deleted as soon as it is settled.
    pub(crate) doomed: AtomicBool,
    /// Roughly what it takes in memory: the bytes of its history.
    pub(crate) weight: AtomicU64,
    /// What the registry counts for its state, as long as it is open and in memory.
    pub(crate) charged: AtomicU64,
    /// It is in the registry's queue of those that may be dropped. Written under the registry's lock.
    pub(crate) queued: AtomicBool,
    /// The earliest entry of this run in the timers; `NOT_ARMED` if there is none. Written under the run's lock.
    armed: AtomicI64,
}

const NOT_ARMED: i64 = i64::MAX;

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) last_event_id: EventId,
    /// How often it changed.
    pub(crate) transitions: i64,
    pub(crate) status: WorkflowExecutionStatus,
    /// It was deleted: there is nothing more to come.
    pub(crate) is_gone: bool,
}

impl Progress {
    pub(crate) fn is_running(self) -> bool {
        self.status == WorkflowExecutionStatus::Running && !self.is_gone
    }
}

/// What stands behind a run's lock.
pub(crate) enum Cell {
    /// Not read yet, or given up after a conflict: the next one to hold the lock reads it.
    Unread,
    Loaded(Box<Loaded>),
    /// The run was never committed, or was deleted. Whoever waited for it looks again.
    Dead,
}

/// A run's state and what goes with it.
pub(crate) struct Loaded {
    pub(crate) state: RunState,
    pub(crate) version: i64,
    pub(crate) settled: bool,
    /// Buffered events in the database.
    pub(crate) buffered: i64,
    pub(crate) tail: Tail,
    pub(crate) published: Published,
}

/// What the rest of the engine was told of a run's obligations.
#[derive(Default)]
pub(crate) struct Published {
    /// Tasks that matching has, each with its flag.
    pub(crate) tasks: BTreeMap<ReadyTask, Arc<AtomicBool>>,
    /// Which of the run's priorities they were offered with.
    pub(crate) priority_changes: u32,
    /// Messages under way.
    pub(crate) messages: HashSet<MessageId>,
}

impl Published {
    /// Tells matching that none of the tasks is wanted any more.
    pub(crate) fn withdraw_tasks(&mut self) {
        for (_, live) in std::mem::take(&mut self.tasks) {
            live.store(false, Ordering::Relaxed);
        }
    }
}

pub(crate) type RunGuard = OwnedMutexGuard<Cell>;

impl Slot {
    /// A slot whose lock is held by the caller, who fills it.
    pub(crate) fn locked(key: RunKey, row: RowId, namespace: Arc<Namespace>) -> (Arc<Slot>, RunGuard) {
        let slot = Slot::unread(key, row, namespace);
        let guard = slot.cell.clone().try_lock_owned();
        (Arc::new(slot), guard.expect("nobody else knows this lock yet"))
    }

    /// A slot whose run is read when somebody needs it.
    pub(crate) fn unread(key: RunKey, row: RowId, namespace: Arc<Namespace>) -> Slot {
        let progress = Progress {
            last_event_id: 0,
            transitions: 0,
            status: WorkflowExecutionStatus::Running,
            is_gone: false,
        };
        Slot {
            key,
            row,
            namespace,
            cell: Arc::new(Mutex::new(Cell::Unread)),
            inputs: Inputs::default(),
            progress: watch::Sender::new(progress),
            queries: QueryBuffer::default(),
            updates: UpdateWaiters::default(),
            touched: AtomicBool::new(true),
            doomed: AtomicBool::new(false),
            weight: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            armed: AtomicI64::new(NOT_ARMED),
        }
    }

    /// The earliest entry of this run in the timers.
    pub(crate) fn armed(&self) -> Option<Timestamp> {
        let nanos = self.armed.load(Ordering::Relaxed);
        (nanos != NOT_ARMED).then(|| Timestamp::from_nanos(nanos))
    }

    pub(crate) fn set_armed(&self, at: Option<Timestamp>) {
        self.armed
            .store(at.map_or(NOT_ARMED, Timestamp::as_nanos), Ordering::Relaxed);
    }

    /// Drops the state of an open run from memory if nothing is lost by that and nobody uses it now: all of it is on disk,
    /// and all that it owes to the engine is a timer. Answers the state, to be dropped where that disturbs nobody.
    pub(crate) fn unload(&self) -> Option<Box<Loaded>> {
        let mut cell = self.cell.try_lock().ok()?;
        let loaded = cell.loaded()?;
        let owes = !loaded.published.tasks.is_empty() || !loaded.published.messages.is_empty();
        if owes || !loaded.state.is_running() || !loaded.state.is_durable() || !self.queries.is_empty() {
            return None;
        }
        match std::mem::replace(&mut *cell, Cell::Unread) {
            Cell::Loaded(loaded) => Some(loaded),
            Cell::Unread | Cell::Dead => None,
        }
    }

    /// Waits for the run's lock. Never hold two at once.
    pub(crate) async fn lock(&self) -> RunGuard {
        self.touched.store(true, Ordering::Relaxed);
        self.cell.clone().lock_owned().await
    }

    /// Likewise, unless there is nothing behind it. The run may yet have to be read.
    pub(crate) async fn look(&self) -> Result<RunGuard, Failed> {
        let guard = self.lock().await;
        match *guard {
            Cell::Loaded(_) | Cell::Unread => Ok(guard),
            Cell::Dead if self.is_gone() => Err(self.not_found()),
            Cell::Dead => Err(Fault::Conflict.into()),
        }
    }

    /// Shows how far the run got.
    pub(crate) fn show_progress(&self, state: &RunState) {
        self.weight.store(state.history_size(), Ordering::Relaxed);
        let now = Progress {
            last_event_id: state.history_length(),
            transitions: state.transition_count(),
            status: state.status(),
            is_gone: false,
        };
        self.progress.send_if_modified(|progress| {
            let changed = *progress != now;
            *progress = now;
            changed
        });
    }
}

impl Slot {
    /// Tells whoever waits for the run that it was deleted.
    pub(crate) fn vanish(&self) {
        self.progress.send_modify(|progress| progress.is_gone = true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.progress.borrow().is_gone
    }

    /// What whoever asks for it is told once it is gone.
    pub(crate) fn not_found(&self) -> Failed {
        Failed::not_found(format!("workflow not found for ID: {}", self.key.workflow_id))
    }
}

impl Cell {
    pub(crate) fn loaded(&mut self) -> Option<&mut Loaded> {
        match self {
            Cell::Loaded(loaded) => Some(loaded),
            Cell::Unread | Cell::Dead => None,
        }
    }
}

/// The last events of a history: all that a worker with the run in its cache has not seen. While the history is short, all
/// of it: then no worker's task waits for a read.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// As they were stored, one transition's after the other's.
    parts: VecDeque<EncodedEvents>,
    /// Bytes in `parts`.
    size: usize,
}

/// What a worker has seen is kept as long as it is no more than this, with what it has not seen.
const KEPT_BYTES: usize = 16 << 10;

impl Tail {
    /// Of a run that was read, or is new: its last events, or all.
    pub(crate) fn new(parts: Vec<EncodedEvents>, state: &RunState) -> Self {
        let mut tail = Tail::default();
        for part in parts {
            tail.push(part);
        }
        tail.forget(state);
        tail
    }

    /// Appends new events.
    pub(crate) fn extend(&mut self, events: EncodedEvents, state: &RunState) {
        self.push(events);
        self.forget(state);
    }

    fn push(&mut self, events: EncodedEvents) {
        if !events.is_empty() {
            self.size += events.bytes().len();
            self.parts.push_back(events);
        }
    }

    /// Forgets events up to the last one that the worker has seen.
    fn forget(&mut self, state: &RunState) {
        let seen = state.previous_started_event_id();
        while self.size > KEPT_BYTES && self.parts.front().is_some_and(|part| part.last() <= seen) {
            let forgotten = self.parts.pop_front();
            self.size -= forgotten.map_or(0, |part| part.bytes().len());
        }
    }

    pub(crate) fn events(&self) -> EncodedEvents {
        EncodedEvents::join(&self.parts)
    }

    /// Events `from..=to`, if all of them are here.
    pub(crate) fn slice(&self, from: EventId, to: EventId) -> Option<EncodedEvents> {
        if from > to {
            return Some(EncodedEvents::default());
        }
        let (first, last) = (self.parts.front()?.first(), self.parts.back()?.last());
        if from < first || to > last {
            return None;
        }
        let parts: Vec<_> = self.parts.iter().map(|part| part.range(from, to)).collect();
        Some(EncodedEvents::join(&parts))
    }
}
