//! Decide, commit, publish: the one way in which a run changes.
//!
//! A run's lock is held across its own commit. Inputs that come meanwhile share the next one (`combine`); different runs
//! share what the disk writes at once. Nothing here knows what an input means.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use helve_db::{Batch, CommitError, Store};
use helve_history::{Env, Input, Reply, RunState, SearchAttributeCheck, Timestamp, Transition, decide, fact_changes};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::{
    ahead::Ahead,
    clock::Clock,
    encoded::EncodedEvents,
    error::{Failed, Fault},
    figures::Figures,
    lock::DataDirLock,
    matching::Matching,
    namespaces::{Namespace, Namespaces},
    options::EngineOptions,
    publish::{Effects, obligations},
    queries::DirectQueries,
    registry::Registry,
    run::{Cell, Loaded, Published, RunGuard, Slot, Tail},
    schedules::Schedules,
    storage::{CopiedHistory, MAX_ROW, NewRun, RowId, RunUpdate, StoredRun, insert_run, load_run, update_run},
    tasks::Offer,
    timers::Timers,
    workers::Workers,
};

/// All that the engine's parts share.
pub(crate) struct Shell {
    pub(crate) options: EngineOptions,
    /// Held for as long as anything may write; `None` if the store's owner answers for that.
    pub(crate) lock_file: Option<DataDirLock>,
    pub(crate) store: Store,
    pub(crate) namespaces: Namespaces,
    pub(crate) registry: Registry,
    pub(crate) matching: Matching<Offer>,
    pub(crate) timers: Timers<Slot>,
    pub(crate) schedules: Schedules,
    pub(crate) direct_queries: DirectQueries,
    pub(crate) workers: Workers,
    pub(crate) figures: Figures,
    /// Told that there is something to delete.
    pub(crate) deletions: Notify,
    /// Work that must not be cut short by a caller who goes away.
    pub(crate) background: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Held while the limits of a task queue are changed.
    pub(crate) queue_configs: tokio::sync::Mutex<()>,
    next_row: AtomicI64,
}

/// A decision that is on disk and installed: what to answer, and what to publish once the lock is released.
pub(crate) struct Step {
    pub(crate) reply: Reply,
    pub(crate) effects: Effects,
}

/// How a run comes about: the first of a chain, or whatever follows another one.
pub(crate) struct Beginning {
    pub(crate) transition: Box<Transition>,
    /// Events of another run that come before those of the transition.
    pub(crate) copied: Option<CopiedHistory>,
}

impl From<Box<Transition>> for Beginning {
    fn from(transition: Box<Transition>) -> Self {
        Beginning {
            transition,
            copied: None,
        }
    }
}

/// A run that is about to exist. Its lock is held until its state is installed.
struct Newborn {
    slot: Arc<Slot>,
    guard: RunGuard,
    transition: Box<Transition>,
    /// Those of the transition.
    events: EncodedEvents,
    /// Tasks that it starts with, and what the transition was without that: its state and the number of its events.
    ahead: Vec<Ahead>,
    plain: (RunState, usize),
}

impl Shell {
    pub(crate) fn new(
        options: EngineOptions,
        lock_file: Option<DataDirLock>,
        store: Store,
        namespaces: Namespaces,
        last_row: RowId,
    ) -> Self {
        Shell {
            registry: Registry::new(
                options.max_closed_runs,
                options.max_closed_bytes,
                options.max_open_bytes,
            ),
            matching: Matching::new(options.clock.clone()),
            options,
            lock_file,
            store,
            namespaces,
            timers: Timers::default(),
            schedules: Schedules::default(),
            direct_queries: DirectQueries::default(),
            workers: Workers::default(),
            figures: Figures::default(),
            deletions: Notify::new(),
            background: TaskTracker::new(),
            stopping: CancellationToken::new(),
            queue_configs: tokio::sync::Mutex::default(),
            next_row: AtomicI64::new(last_row + 1),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// An id that nobody had before. All of the engine's ids come from here.
    pub(crate) fn fresh_id(&self) -> String {
        self.options.ids.fresh().to_string()
    }

    /// A row number that nothing had before: runs and schedules draw from one sequence.
    pub(crate) fn fresh_row(&self) -> Result<RowId, Fault> {
        let row = self.next_row.fetch_add(1, Ordering::Relaxed);
        if row > MAX_ROW {
            return Err(Fault::Unavailable(
                "the database has no numbers left for new rows".to_owned(),
            ));
        }
        Ok(row)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.options.clock
    }

    /// Waits by the engine's clock; `false` if the engine stops first.
    pub(crate) async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.clock().sleep_until(self.now() + duration) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    /// Runs a future to its end even if the caller goes away meanwhile: between a commit and the installation of its
    /// state nobody may be cancelled.
    pub(crate) async fn detached<T, F>(&self, future: F) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        // In the trace of the caller, if that is in one.
        match self.background.spawn(future.in_current_span()).await {
            Ok(result) => result,
            Err(error) => Err(Fault::Bug(format!("a decision was cut short: {error}")).into()),
        }
    }

    /// Gives an input to a run. `then` makes the answer from the new state, still under the run's lock.
    pub(crate) async fn apply<T, F>(self: &Arc<Self>, slot: &Arc<Slot>, input: Input, then: F) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: FnOnce(&Loaded, Reply) -> T + Send + 'static,
    {
        let made = self.combine(slot, input, |_, _| true, then).await?;
        made.ok_or_else(|| Fault::Conflict.into())
    }

    /// Like [`Shell::apply`], unless another run took over the workflow id meanwhile: then nothing happens.
    pub(crate) async fn apply_if_current<T, F>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        input: Input,
        then: F,
    ) -> Result<Option<T>, Failed>
    where
        T: Send + 'static,
        F: FnOnce(&Loaded, Reply) -> T + Send + 'static,
    {
        // A run gives up its workflow id only under its lock, so this stays true until the lock is released.
        let is_current = |shell: &Shell, slot: &Arc<Slot>| shell.registry.is_current(slot);
        self.combine(slot, input, is_current, then).await
    }

    /// Takes a run's lock and makes sure that its state is there.
    pub(crate) async fn lock(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<RunGuard, Failed> {
        let mut guard = slot.look().await?;
        if matches!(*guard, Cell::Unread) {
            let mut loaded = Loaded::from(self.read_run(slot.row).await?).0;
            let effects = Effects::of(obligations(slot, &mut loaded, self, false));
            *guard = Cell::Loaded(Box::new(loaded));
            self.publish(effects);
        }
        Ok(guard)
    }

    /// Decides and commits; the caller holds the run's lock.
    pub(crate) async fn step(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        cell: &mut Cell,
        input: Input,
    ) -> Result<Step, Failed> {
        let mut transition = Box::new(self.decide(slot, cell, input)?);
        let reply = std::mem::replace(&mut transition.reply, Reply::Done);
        let effects = self.carry_out(slot, cell, transition).await?;
        Ok(Step { reply, effects })
    }

    /// Makes a transition of a run whose lock the caller holds true, in whatever way it needs.
    pub(crate) async fn carry_out(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        cell: &mut Cell,
        transition: Box<Transition>,
    ) -> Result<Effects, Failed> {
        if transition.is_noop() {
            Ok(Effects::default())
        } else if transition.is_memory_only() {
            self.keep(slot, cell, transition)
        } else {
            self.commit(slot, cell, transition, None).await
        }
    }

    /// Installs a transition of which nothing is to be stored. [trap 10]
    fn keep(&self, slot: &Arc<Slot>, cell: &mut Cell, transition: Box<Transition>) -> Result<Effects, Failed> {
        let loaded = cell.loaded().ok_or(Fault::Conflict)?;
        loaded.state = transition.next;
        slot.updates.tell(transition.updates);
        Ok(Effects::of(obligations(slot, loaded, self, false)))
    }

    /// Only decides.
    pub(crate) fn decide(&self, slot: &Slot, cell: &mut Cell, input: Input) -> Result<Transition, Failed> {
        let state = &cell.loaded().ok_or(Fault::Conflict)?.state;
        self.with_env(&slot.namespace, |env| Ok(decide(state, input, env)?))
    }

    /// Calls `decide` with the present time, the limits, and an id nobody uses yet.
    pub(crate) fn with_env<T>(&self, namespace: &Namespace, decide: impl FnOnce(&Env<'_>) -> T) -> T {
        let mut buffer = Uuid::encode_buffer();
        let fresh_run_id = &*self.options.ids.fresh().hyphenated().encode_lower(&mut buffer);
        let settings = namespace.settings();
        let search_attributes = |fields: &_| settings.attributes.check(fields, &namespace.name);
        decide(&Env {
            now: self.now(),
            limits: &self.options.limits,
            namespace_id: &namespace.uuid,
            fresh_run_id,
            search_attributes: SearchAttributeCheck::new(&search_attributes),
        })
    }

    /// Waits until a batch is on disk, which a trace shows.
    async fn write(&self, batch: Batch) -> Result<(), CommitError> {
        let span = tracing::debug_span!(target: "trace", "commit", traced_within = Empty);
        self.store.commit(batch).instrument(span).await
    }

    /// Commits a transition of a run whose lock the caller holds, together with the start of an unrelated run that takes
    /// over its workflow id, if any.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        cell: &mut Cell,
        mut transition: Box<Transition>,
        replacement: Option<Beginning>,
    ) -> Result<Effects, Failed> {
        let loaded = cell.loaded().ok_or(Fault::Conflict)?;
        let ahead = self.start_ahead(slot, &loaded.published, &mut transition);
        let next = &transition.next;
        let settled = is_settled(next);
        let events = EncodedEvents::encode(&transition.events);
        let mut batch = Batch::new();
        let buffered = update_run(
            &mut batch,
            RunUpdate {
                row: slot.row,
                attributes: &slot.namespace.settings().attributes,
                version: loaded.version,
                before: &loaded.state,
                state: next,
                events: &events,
                changes: fact_changes(Some(&loaded.state), next),
                settled,
                buffered: loaded.buffered,
            },
        );
        let newborn = self.insert_chain(
            &mut batch,
            &slot.namespace,
            transition.successor.take().map(Beginning::from).or(replacement),
            slot.row,
        )?;
        if let Err(error) = self.write(batch).await {
            // It may be on disk all the same. A worker must not be waited for that never got its task, nor a run that goes on
            // in another one.
            if error.may_be_written() && !(ahead.is_empty() && newborn.is_empty()) {
                self.read_again(slot, cell);
                for started in ahead {
                    started.ask_again(slot, &self.matching);
                }
            }
            return Err(self.undo(Some((slot, cell)), newborn, error));
        }
        let newly_settled = settled && !loaded.settled;
        loaded.version += 1;
        loaded.settled = settled;
        loaded.buffered = buffered;
        loaded.tail.extend(events, &transition.next);
        if loaded.state.is_running() && !transition.next.is_running() {
            self.figures.ended(transition.next.status());
        }
        loaded.state = transition.next;
        let mut effects = Effects::of(obligations(slot, loaded, self, newly_settled).hand_out(ahead, loaded));
        self.install(newborn, &mut effects);
        slot.updates.tell(transition.updates);
        Ok(effects)
    }

    /// Commits the first run of a workflow id, or one that follows a closed run (`previous`, whose lock the caller
    /// holds).
    pub(crate) async fn commit_start(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        beginning: impl Into<Beginning>,
        previous: RowId,
    ) -> Result<Effects, StartFailed> {
        if namespace.is_deleted() {
            return Err(StartFailed::Failed(Failed::not_found(format!(
                "Namespace {} is not found.",
                namespace.name
            ))));
        }
        let mut batch = Batch::new();
        let newborn = self.insert_chain(&mut batch, namespace, Some(beginning.into()), previous)?;
        if previous == 0
            && !newborn
                .first()
                .is_some_and(|first| self.registry.add_first(&first.slot))
        {
            return Err(StartFailed::NotFirst(self.bury(newborn)));
        }
        match self.write(batch).await {
            Ok(()) => {}
            Err(CommitError::Conflict { .. }) => return Err(StartFailed::NotNewest(self.bury(newborn))),
            Err(error) => return Err(StartFailed::Failed(self.undo(None, newborn, error))),
        }
        let mut effects = Effects::default();
        self.install(newborn, &mut effects);
        Ok(effects)
    }

    /// Adds a new run and its successors to a batch. They are known to the registry from here on, so that nobody reads
    /// them from disk a second time; their locks are held until they are committed.
    fn insert_chain(
        &self,
        batch: &mut Batch,
        namespace: &Arc<Namespace>,
        first: Option<Beginning>,
        mut previous: RowId,
    ) -> Result<Vec<Newborn>, Fault> {
        let mut newborn = Vec::new();
        let mut next = first;
        while let Some(Beginning { mut transition, copied }) = next {
            next = transition.successor.take().map(Beginning::from);
            let row = match self.fresh_row() {
                Ok(row) => row,
                Err(fault) => {
                    self.bury(newborn);
                    return Err(fault);
                }
            };
            let (slot, guard) = Slot::locked(transition.key().clone(), row, namespace.clone());
            let plain = (transition.next.clone(), transition.events.len());
            let ahead = self.start_ahead(&slot, &Published::default(), &mut transition);
            let events = EncodedEvents::encode(&transition.events);
            insert_run(
                batch,
                NewRun {
                    row,
                    namespace: namespace.id,
                    attributes: &namespace.settings().attributes,
                    state: &transition.next,
                    copied: copied.as_ref(),
                    events: &events,
                    changes: fact_changes(None, &transition.next),
                    previous,
                },
            );
            // The first run of a workflow id has yet to see whether it is the first.
            if previous != 0 {
                self.registry.add(&slot);
            }
            previous = row;
            newborn.push(Newborn {
                slot,
                guard,
                transition,
                events,
                ahead,
                plain,
            });
        }
        Ok(newborn)
    }

    fn install(&self, newborn: Vec<Newborn>, effects: &mut Effects) {
        self.figures.started(newborn.len());
        for Newborn {
            slot,
            mut guard,
            transition,
            events,
            ahead,
            ..
        } in newborn
        {
            let next = transition.next;
            let stored = StoredRun {
                row: slot.row,
                version: 1,
                settled: false,
                summary: next.summary(),
                buffered: next.buffered_events().len() as i64,
                history: vec![events],
                state: next,
            };
            let mut loaded = Loaded::from(stored).0;
            self.registry.set_current(&slot);
            effects.push(obligations(&slot, &mut loaded, self, false).hand_out(ahead, &loaded));
            *guard = Cell::Loaded(Box::new(loaded));
        }
    }

    /// After a failed commit nothing happened.
    fn undo(
        self: &Arc<Self>,
        run: Option<(&Arc<Slot>, &mut Cell)>,
        newborn: Vec<Newborn>,
        error: CommitError,
    ) -> Failed {
        if let (Some((slot, cell)), CommitError::Conflict { .. }) = (run, &error) {
            self.give_up(slot, cell);
        }
        let run_ids: Vec<_> = newborn.iter().map(|newborn| newborn.slot.key.run_id.clone()).collect();
        self.bury(newborn);
        if error.may_be_written() && !run_ids.is_empty() {
            self.look_for(run_ids);
        }
        Fault::from(error).into()
    }

    /// Memory and disk differ: the run is read again. Cannot happen unless somebody else writes the database.
    fn give_up(self: &Arc<Self>, slot: &Arc<Slot>, cell: &mut Cell) {
        tracing::error!(run = %slot.key, "the run on disk is not the one in memory; it is read again");
        self.read_again(slot, cell);
    }

    fn read_again(self: &Arc<Self>, slot: &Arc<Slot>, cell: &mut Cell) {
        if let Some(loaded) = cell.loaded() {
            loaded.published.withdraw_tasks();
        }
        slot.updates.lose();
        *cell = Cell::Unread;
        let (shell, slot) = (self.clone(), slot.clone());
        self.background.spawn(async move {
            if let Err(error) = shell.lock(&slot).await {
                tracing::error!(run = %slot.key, %error, "the run could not be read again");
            }
        });
    }

    /// Forgets runs that were not committed; gives the decision to make them back.
    fn bury(&self, newborn: Vec<Newborn>) -> Option<Box<Transition>> {
        let mut decision = None;
        for Newborn {
            slot,
            mut guard,
            mut transition,
            plain,
            ..
        } in newborn.into_iter().rev()
        {
            self.registry.remove(&slot);
            *guard = Cell::Dead;
            transition.next = plain.0;
            transition.events.truncate(plain.1);
            transition.successor = decision;
            decision = Some(transition);
        }
        decision
    }

    /// Reads a run from disk.
    pub(crate) async fn read_run(&self, row: RowId) -> Result<StoredRun, Fault> {
        let names = self.namespace_names();
        Ok(self
            .store
            .read(move |db| load_run(db, row, |id| names.get(&id).cloned()))
            .await?)
    }

    /// Names of namespaces by their numbers, for a read on another thread.
    pub(crate) fn namespace_names(&self) -> HashMap<i64, String> {
        self.namespaces
            .all()
            .iter()
            .map(|namespace| (namespace.id, namespace.name.to_string()))
            .collect()
    }

    /// Puts a run that was read from disk in its place in memory, unless it is there already.
    pub(crate) fn admit(&self, stored: StoredRun) -> Result<Arc<Slot>, Fault> {
        let namespace = self
            .namespaces
            .by_name(&stored.state.key().namespace)
            .ok_or_else(|| Fault::Corrupt(format!("run {} is of an unknown namespace", stored.state.key())))?;
        let (slot, mut guard) = Slot::locked(stored.state.key().clone(), stored.row, namespace);
        let (loaded, settled) = Loaded::from(stored);
        slot.show_progress(&loaded.state);
        *guard = Cell::Loaded(Box::new(loaded));
        drop(guard);
        let known = self.registry.add(&slot);
        if self.registry.forget_if_deleted(&slot) {
            return Err(Fault::Conflict);
        }
        if settled && Arc::ptr_eq(&known, &slot) {
            self.registry.settle(&slot);
        }
        Ok(known)
    }
}

/// Why a start was not committed.
pub(crate) enum StartFailed {
    /// The workflow id has a current run in memory after all. The decision may be committed another time.
    NotFirst(Option<Box<Transition>>),
    /// The workflow id has a later run on disk. Likewise.
    NotNewest(Option<Box<Transition>>),
    Failed(Failed),
}

impl From<Fault> for StartFailed {
    fn from(fault: Fault) -> Self {
        StartFailed::Failed(fault.into())
    }
}

/// Closed, and owing nothing to anybody.
pub(crate) fn is_settled(state: &RunState) -> bool {
    !state.is_running() && state.outbox_ids().is_empty()
}

impl Loaded {
    /// Also answers whether the run is settled.
    pub(crate) fn from(stored: StoredRun) -> (Self, bool) {
        let StoredRun {
            version,
            settled,
            state,
            buffered,
            history,
            ..
        } = stored;
        let tail = Tail::new(history, &state);
        (
            Loaded {
                state,
                version,
                settled,
                buffered,
                tail,
                published: Published::default(),
            },
            settled,
        )
    }
}
