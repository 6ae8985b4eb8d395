//! Schedules: decide, commit, publish, as with runs, but for crate `schedule`'s decisions.
//!
//! All schedules are in memory, each behind its lock. What one owes (starts, ends, watching what it started) is derived
//! from its state; each duty is a task of its own, which tells the schedule of its outcome. Whatever was under way when
//! the engine stopped is derived again. A start carries a request id that belongs to it, so that doing it twice is
//! noticed.

mod duty;
mod tick;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use helve_db::Batch;
use helve_history::{Rejection, RunKind, Timestamp};
use helve_schedule::{Duty, Input, ScheduleRejection, ScheduleState, decide};
use temporalio_protos::temporal::api::{
    common::v1::{Memo, SearchAttributes},
    schedule::v1::{Schedule, SchedulePatch},
};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::{
    error::{Failed, Fault},
    namespaces::Namespace,
    shell::Shell,
    storage::{
        RowId, StoredSchedule, delete_attributes, delete_schedule, insert_schedule, update_schedule, write_attributes,
    },
    timers::Timers,
};

/// All schedules.
#[derive(Default)]
pub(crate) struct Schedules {
    by_id: Mutex<BTreeMap<(i64, String), Arc<ScheduleSlot>>>,
    timers: Timers<ScheduleSlot>,
}

/// A schedule's place in memory.
pub(crate) struct ScheduleSlot {
    pub(crate) row: RowId,
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) id: String,
    /// Empty if the schedule was deleted, or never committed.
    cell: Arc<tokio::sync::Mutex<Option<Kept>>>,
    /// Whether a start is under way.
    starting: watch::Sender<bool>,
}

/// A schedule and what goes with it.
pub(crate) struct Kept {
    pub(crate) state: ScheduleState,
    pub(crate) memo: Memo,
    pub(crate) search_attributes: SearchAttributes,
    request_id: String,
    version: i64,
    /// Duties that somebody sees to.
    busy: BTreeSet<Duty>,
    /// The earliest entry in the timers.
    armed: Option<Timestamp>,
}

/// How long a description waits for a start under way, which takes longer only if the disk is in trouble.
const START_PATIENCE: Duration = Duration::from_secs(3);

type Guard = OwnedMutexGuard<Option<Kept>>;

/// What else a change replaces.
#[derive(Default)]
pub(crate) struct Attachments {
    pub(crate) memo: Option<Memo>,
    pub(crate) search_attributes: Option<SearchAttributes>,
}

/// What a client wants to have.
pub(crate) struct NewSchedule {
    pub(crate) id: String,
    pub(crate) request_id: String,
    pub(crate) schedule: Schedule,
    pub(crate) patch: Option<SchedulePatch>,
    pub(crate) memo: Memo,
    pub(crate) search_attributes: SearchAttributes,
}

impl Schedules {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(i64, String), Arc<ScheduleSlot>>> {
        // Nothing in here can panic half way.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, namespace: i64, id: &str) -> Option<Arc<ScheduleSlot>> {
        self.lock().get(&(namespace, id.to_owned())).cloned()
    }

    fn of_namespace(&self, namespace: i64) -> Vec<Arc<ScheduleSlot>> {
        let all = self.lock();
        let slots = all.iter().filter(|((of, _), _)| *of == namespace);
        slots.map(|(_, slot)| slot.clone()).collect()
    }

    /// Adds a schedule unless there is one of its id; answers the one that is there.
    fn add(&self, slot: &Arc<ScheduleSlot>) -> Result<(), Arc<ScheduleSlot>> {
        let mut all = self.lock();
        let key = (slot.namespace.id, slot.id.clone());
        match all.get(&key) {
            Some(there) => Err(there.clone()),
            None => {
                all.insert(key, slot.clone());
                Ok(())
            }
        }
    }

    fn remove(&self, slot: &Arc<ScheduleSlot>) {
        let mut all = self.lock();
        let key = (slot.namespace.id, slot.id.clone());
        if all.get(&key).is_some_and(|there| Arc::ptr_eq(there, slot)) {
            all.remove(&key);
        }
    }
}

impl ScheduleSlot {
    fn new(row: RowId, namespace: Arc<Namespace>, id: String) -> Arc<Self> {
        Arc::new(ScheduleSlot {
            row,
            namespace,
            id,
            cell: Arc::default(),
            starting: watch::Sender::new(false),
        })
    }

    /// Waits for the schedule's lock. No run's lock may be held, nor taken while it is held.
    async fn lock(&self) -> Guard {
        self.cell.clone().lock_owned().await
    }

    /// Looks at the schedule; `None` if it is no more.
    pub(crate) async fn look<T>(&self, look: impl FnOnce(&Kept) -> T) -> Option<T> {
        self.lock().await.as_ref().map(look)
    }
}

impl Shell {
    /// Makes a schedule. Answers its conflict token; an id that is taken is refused, unless by the very same request.
    pub(crate) async fn create_schedule(
        self: &Arc<Self>,
        namespace: Arc<Namespace>,
        new: NewSchedule,
    ) -> Result<i64, Failed> {
        let shell = self.clone();
        self.detached(async move { shell.create_schedule_now(namespace, new).await })
            .await
    }

    async fn create_schedule_now(self: &Arc<Self>, namespace: Arc<Namespace>, new: NewSchedule) -> Result<i64, Failed> {
        if self.stopping.is_cancelled() {
            return Err(Fault::ShuttingDown.into());
        }
        let NewSchedule {
            id,
            request_id,
            schedule,
            patch,
            memo,
            search_attributes,
        } = new;
        let now = self.now();
        let state = helve_schedule::create(schedule, patch, &self.fresh_id(), now.into()).map_err(rejected)?;
        if namespace.is_deleted() {
            return Err(Failed::not_found(format!("Namespace {} is not found.", namespace.name)));
        }
        let slot = ScheduleSlot::new(self.fresh_row()?, namespace.clone(), id);
        let mut guard = slot.lock().await;
        while let Err(there) = self.schedules.add(&slot) {
            let found = there
                .look(|kept| (kept.request_id == request_id).then(|| kept.state.conflict_token()))
                .await;
            match found {
                Some(Some(token)) => return Ok(token),
                Some(None) => {
                    return Err(Rejection::AlreadyStarted {
                        kind: RunKind::Workflow,
                        message: format!("schedule {:?} is already registered", slot.id),
                        start_request_id: String::new(),
                        run_id: String::new(),
                        first_run_id: String::new(),
                    }
                    .into());
                }
                // It was deleted, or not committed, this very moment.
                None => self.schedules.remove(&there),
            }
        }
        let stored = StoredSchedule {
            row: slot.row,
            namespace: namespace.id,
            schedule_id: slot.id.clone(),
            version: 1,
            request_id,
            state,
            memo,
            search_attributes,
        };
        let mut batch = Batch::new();
        insert_schedule(&mut batch, &stored, now.as_nanos());
        let attributes = &namespace.settings().attributes;
        write_attributes(
            &mut batch,
            slot.row,
            attributes,
            &stored.search_attributes.indexed_fields,
            true,
        );
        if let Err(error) = self.store.commit(batch).await {
            self.schedules.remove(&slot);
            return Err(Fault::from(error).into());
        }
        let kept = guard.insert(Kept::from(stored));
        let token = kept.state.conflict_token();
        self.publish_schedule(&slot, kept);
        Ok(token)
    }

    /// Gives an input to a schedule, and replaces what is attached to it.
    pub(crate) async fn apply_to_schedule(
        self: &Arc<Self>,
        slot: &Arc<ScheduleSlot>,
        input: Input,
        attachments: Attachments,
    ) -> Result<(), Failed> {
        let (shell, slot) = (self.clone(), slot.clone());
        self.detached(async move {
            let mut guard = slot.lock().await;
            shell.step_schedule(&slot, &mut guard, input, attachments).await
        })
        .await
    }

    /// Decides, commits, publishes; the caller holds the schedule's lock.
    async fn step_schedule(
        self: &Arc<Self>,
        slot: &Arc<ScheduleSlot>,
        cell: &mut Option<Kept>,
        input: Input,
        attachments: Attachments,
    ) -> Result<(), Failed> {
        let kept = cell.as_mut().ok_or_else(schedule_not_found)?;
        let now = self.now();
        let next = decide(&kept.state, input, now.into()).map_err(rejected)?;
        if next.is_over(now.into()) {
            return self.delete_schedule_locked(slot, cell).await;
        }
        let Attachments {
            memo,
            search_attributes,
        } = attachments;
        let is_defined = next.is_defined_like(&kept.state);
        let mut batch = Batch::new();
        update_schedule(
            &mut batch,
            slot.row,
            kept.version,
            &next,
            (!is_defined).then(|| next.definition()),
            memo.as_ref(),
            search_attributes.as_ref(),
        );
        if let Some(search_attributes) = &search_attributes {
            let attributes = &slot.namespace.settings().attributes;
            write_attributes(
                &mut batch,
                slot.row,
                attributes,
                &search_attributes.indexed_fields,
                false,
            );
        }
        self.store.commit(batch).await.map_err(Fault::from)?;
        kept.version += 1;
        kept.state = next;
        kept.memo = memo.unwrap_or_else(|| std::mem::take(&mut kept.memo));
        kept.search_attributes = search_attributes.unwrap_or_else(|| std::mem::take(&mut kept.search_attributes));
        self.publish_schedule(slot, kept);
        Ok(())
    }

    /// Deletes a schedule; what it started goes on.
    pub(crate) async fn delete_schedule(self: &Arc<Self>, slot: &Arc<ScheduleSlot>) -> Result<(), Failed> {
        let (shell, slot) = (self.clone(), slot.clone());
        self.detached(async move {
            let mut guard = slot.lock().await;
            shell.delete_schedule_locked(&slot, &mut guard).await
        })
        .await
    }

    /// Deletes all schedules of a namespace.
    pub(crate) async fn delete_schedules_of(self: &Arc<Self>, namespace: i64) -> Result<(), Failed> {
        for slot in self.schedules.of_namespace(namespace) {
            match self.delete_schedule(&slot).await {
                // Somebody else was faster.
                Ok(()) | Err(Failed::Rejected(Rejection::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn delete_schedule_locked(&self, slot: &Arc<ScheduleSlot>, cell: &mut Option<Kept>) -> Result<(), Failed> {
        let kept = cell.as_ref().ok_or_else(schedule_not_found)?;
        let mut batch = Batch::new();
        delete_schedule(&mut batch, slot.row, kept.version);
        delete_attributes(&mut batch, slot.row);
        self.store.commit(batch).await.map_err(Fault::from)?;
        *cell = None;
        self.schedules.remove(slot);
        slot.starting.send_replace(false);
        Ok(())
    }

    /// Waits a moment for starts under way: what was asked for and acknowledged has happened when its owner looks.
    pub(crate) async fn settle_schedule(&self, slot: &ScheduleSlot) {
        let mut starting = slot.starting.subscribe();
        tokio::select! {
            biased;
            _ = starting.wait_for(|starting| !starting) => {}
            _ = self.sleep(START_PATIENCE) => {}
        }
    }

    /// Sets the schedule's timer, and sees to what it owes.
    fn publish_schedule(self: &Arc<Self>, slot: &Arc<ScheduleSlot>, kept: &mut Kept) {
        let wake = kept.state.wake_at().map(engine_time);
        // A later entry is made when this one fires.
        if let Some(wake) = wake.filter(|wake| kept.armed.is_none_or(|armed| *wake < armed)) {
            kept.armed = Some(wake);
            self.schedules.timers.arm(wake, Arc::downgrade(slot));
        }
        let owed: BTreeSet<Duty> = kept.state.duties().into_iter().collect();
        for duty in owed.difference(&kept.busy) {
            self.background.spawn(self.clone().see_to(slot.clone(), duty.clone()));
        }
        kept.busy = owed;
        slot.starting.send_replace(kept.state.is_starting());
    }
}

impl From<StoredSchedule> for Kept {
    fn from(stored: StoredSchedule) -> Self {
        Kept {
            state: stored.state,
            memo: stored.memo,
            search_attributes: stored.search_attributes,
            request_id: stored.request_id,
            version: stored.version,
            busy: BTreeSet::new(),
            armed: None,
        }
    }
}

pub(crate) fn schedule_not_found() -> Failed {
    Failed::not_found("schedule not found")
}

fn rejected(rejection: ScheduleRejection) -> Failed {
    let message = rejection.to_string();
    match rejection {
        ScheduleRejection::Spec(_) => Failed::invalid(message),
        ScheduleRejection::Conflict => Rejection::FailedPrecondition(message).into(),
    }
}

/// A time of crate `schedule` as the engine has it.
fn engine_time(time: helve_schedule::Timestamp) -> Timestamp {
    let nanos = time.as_nanosecond();
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}
