//! What the engine does by itself: load what was under way, and fire timers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use helve_history::Input;
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;

use crate::{
    error::{Failed, Fault},
    publish::{Effects, obligations},
    run::{Progress, Slot},
    shell::Shell,
    storage::{RowId, StoredRun, UnsettledRun, load_run, unsettled_runs},
};

/// Runs read in one go at start. Bounds the memory that rows take beside the states made of them.
const RECOVERY_CHUNK: usize = 128;
/// So many of them at the same time, each with a connection of its own: most of the time goes into decoding.
const RECOVERY_READS: usize = 4;
/// A timer whose run could not be changed (a full disk, say) fires again after this.
const TIMER_PAUSE: Duration = Duration::from_secs(1);
/// Unused task queues, and runs that only wait, are looked for this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);

impl Shell {
    /// Takes in every run that is open or owes something, and goes on where it stopped. Those that only wait are not read
    /// before their time. Answers how many there are.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<usize, Fault> {
        self.recover_queue_configs().await?;
        let names = self.namespace_names();
        let runs = self
            .store
            .read(move |db| unsettled_runs(db, |id| names.get(&id).cloned()))
            .await?;
        let (count, mut owing) = (runs.len(), Vec::new());
        for run in runs {
            if run.summary.owes {
                owing.push(run.row);
            } else {
                self.wait_for(run)?;
            }
        }
        let mut slots = Vec::with_capacity(owing.len());
        let chunks: Vec<_> = owing.chunks(RECOVERY_CHUNK).map(<[RowId]>::to_vec).collect();
        let reads = chunks.into_iter().map(|chunk| self.read_chunk(chunk));
        let mut reads = stream::iter(reads).buffered(RECOVERY_READS);
        while let Some(read) = reads.next().await {
            for stored in read? {
                let is_running = stored.state.is_running();
                let slot = self.admit(stored)?;
                if is_running {
                    self.registry.set_current(&slot);
                }
                slots.push(slot);
            }
        }
        // Only when all are there: what one run owes may concern another.
        for slot in &slots {
            self.resume(slot).await.map_err(|failed| match failed {
                Failed::Fault(fault) => fault,
                Failed::Rejected(rejection) => Fault::Bug(rejection.to_string()),
            })?;
        }
        Ok(count)
    }

    /// Gives an open run that owes nothing its place in memory, and sets its timer.
    fn wait_for(&self, run: UnsettledRun) -> Result<(), Fault> {
        let namespace = self
            .namespaces
            .by_name(&run.key.namespace)
            .ok_or_else(|| Fault::Corrupt(format!("run {} is of an unknown namespace", run.key)))?;
        let slot = Arc::new(Slot::unread(run.key, run.row, namespace));
        slot.weight.store(run.history_size, Ordering::Relaxed);
        slot.progress.send_replace(Progress {
            last_event_id: run.history_length,
            transitions: run.transitions,
            status: WorkflowExecutionStatus::Running,
            is_gone: false,
        });
        slot.set_armed(run.summary.due);
        if let Some(due) = run.summary.due {
            self.timers.arm(due, Arc::downgrade(&slot));
        }
        self.registry.add(&slot);
        self.registry.set_current(&slot);
        Ok(())
    }

    async fn read_chunk(&self, rows: Vec<RowId>) -> Result<Vec<StoredRun>, Fault> {
        let names = self.namespace_names();
        let runs = self
            .store
            .read(move |db| {
                rows.into_iter()
                    .map(|row| load_run(db, row, |id| names.get(&id).cloned()))
                    .collect()
            })
            .await?;
        Ok(runs)
    }

    /// Offers what the run owes, and sets its timer, as far as that was not done.
    pub(crate) async fn resume(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), Failed> {
        let mut guard = self.lock(slot).await?;
        let loaded = guard.loaded().ok_or(Fault::Conflict)?;
        let effects = Effects::of(obligations(slot, loaded, self, false));
        drop(guard);
        self.publish(effects);
        Ok(())
    }

    /// Fires timers until the engine stops.
    pub(crate) async fn fire_timers(self: Arc<Self>) {
        loop {
            let due = tokio::select! {
                biased;
                due = self.timers.due(self.clock()) => due,
                () = self.stopping.cancelled() => return,
            };
            for slot in due.into_iter().filter_map(|slot| slot.upgrade()) {
                self.background.spawn(self.clone().tick(slot));
            }
        }
    }

    async fn tick(self: Arc<Self>, slot: Arc<Slot>) {
        if let Err(error) = self.try_tick(&slot).await {
            if error == Failed::Fault(Fault::ShuttingDown) || slot.is_gone() {
                return;
            }
            // A store that cannot write says so itself, once and not for every run.
            if !matches!(error, Failed::Fault(Fault::Unavailable(_))) {
                tracing::warn!(run = %slot.key, %error, "a timer fires again later");
            }
            self.timers.arm(self.now() + TIMER_PAUSE, Arc::downgrade(&slot));
        }
    }

    async fn try_tick(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), Failed> {
        let mut guard = self.lock(slot).await?;
        let loaded = guard.loaded().ok_or(Fault::Conflict)?;
        let due = loaded.state.next_deadline().filter(|deadline| *deadline <= self.now());
        // As long as this is set, the same deadline is not armed again.
        slot.set_armed(due);
        let mut effects = if due.is_some() {
            self.step(slot, &mut guard, Input::Tick).await?.effects
        } else {
            Effects::default()
        };
        let loaded = guard.loaded().ok_or(Fault::Conflict)?;
        let is_stuck = due.is_some() && loaded.state.next_deadline() == due;
        if !is_stuck {
            slot.set_armed(None);
            effects.push(obligations(slot, loaded, self, false));
        }
        drop(guard);
        self.publish(effects);
        if is_stuck {
            Err(Fault::Bug("what was due stays due".to_owned()).into())
        } else {
            Ok(())
        }
    }

    /// Hands out the tasks that rate limits held back, when their time comes.
    pub(crate) async fn pace_queues(self: Arc<Self>) {
        tokio::select! {
            biased;
            () = self.matching.pace() => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// Forgets unused task queues, and states of runs that only wait, now and then.
    pub(crate) async fn tidy(self: Arc<Self>) {
        while self.sleep(TIDY_EVERY).await {
            self.matching.tidy();
            self.registry.drop_idle_states();
        }
    }
}
