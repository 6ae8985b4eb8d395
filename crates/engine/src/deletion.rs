//! Deleting runs: what was asked for, what is too old to be kept, and what belongs to a deleted namespace.
//!
//! A request to delete is a row, written before it is answered. The sweep carries it out: it terminates the run if that is
//! open, and deletes it once it owes nothing to anybody. So a restart in between loses nothing.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use helve_db::{Batch, CommitError};
use helve_history::{Input, Rejection, RunKind, Termination};
use temporalio_protos::temporal::api::enums::v1::NamespaceState;

use crate::{
    error::{Failed, Fault},
    namespaces::Namespace,
    run::{Cell, Slot},
    shell::Shell,
    storage::{
        RunRow, delete_namespace, delete_run, insert_deletion, purge_attribute, read_space, removed_attributes,
        runs_closed_before, runs_of_namespace, runs_to_delete,
    },
};

/// What is too old is looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Runs deleted at once; each is a batch of its own, and they share commits.
const RUNS_AT_ONCE: usize = 100;
/// Less free space than this is never given back. Unit: pages of 4 KiB.
const SPARE_PAGES: u32 = 1024;
/// Pages given back in one batch.
const PAGES_AT_ONCE: u32 = 256;
/// Values of a removed search attribute deleted in one batch.
const VALUES_AT_ONCE: usize = 1000;

impl Shell {
    /// Asks for a run to be deleted. It will be, even if the engine stops; open ones are terminated first.
    pub(crate) async fn request_deletion(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), Failed> {
        let (shell, slot) = (self.clone(), slot.clone());
        self.detached(async move {
            let mut batch = Batch::new();
            insert_deletion(&mut batch, slot.row);
            shell.store.commit(batch).await.map_err(Fault::from)?;
            shell.doom(&slot);
            Ok(())
        })
        .await
    }

    /// Deletes a run for good, at once and whatever its state: rows and memory. Whoever waits for it is told that it is
    /// not there.
    pub(crate) async fn delete_run(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), Failed> {
        let (shell, slot) = (self.clone(), slot.clone());
        self.detached(async move {
            let mut guard = slot.lock().await;
            if matches!(*guard, Cell::Dead) {
                return Ok(());
            }
            let mut batch = Batch::new();
            delete_run(&mut batch, slot.row);
            match shell.store.commit(batch).await {
                // It was deleted before, and only its name was in memory.
                Ok(()) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(Fault::from(error).into()),
            }
            if let Some(loaded) = guard.loaded() {
                loaded.published.withdraw_tasks();
            }
            *guard = Cell::Dead;
            shell.registry.delete(&slot);
            slot.vanish();
            // They look for the run again, and are told that it is not there.
            slot.queries.free_all();
            Ok(())
        })
        .await
    }

    /// Carries out deletions until the engine stops.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            // From before it begins: what becomes too old meanwhile is found the next time.
            let next = self.now() + SWEEP_EVERY;
            if let Err(error) = self.sweep_once().await
                && !matches!(error, Failed::Fault(Fault::ShuttingDown | Fault::Unavailable(_)))
            {
                // A store that cannot write says so itself.
                tracing::warn!(%error, "deleting goes on later");
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = self.deletions.notified() => {}
                () = self.clock().sleep_until(next) => {}
            }
        }
    }

    async fn sweep_once(self: &Arc<Self>) -> Result<(), Failed> {
        self.delete_doomed().await?;
        for namespace in self.namespaces.all() {
            if namespace.is_deleted() {
                self.delete_namespace_rows(&namespace).await?;
            } else if let Some(retention) = namespace.settings().retention {
                self.delete_old(&namespace, retention).await?;
            }
        }
        self.purge_attributes().await?;
        self.give_space_back().await
    }

    /// Terminates what was asked to be deleted, and deletes what is ready for it.
    async fn delete_doomed(self: &Arc<Self>) -> Result<(), Failed> {
        let mut after = 0;
        loop {
            let runs = self.store.read(move |db| runs_to_delete(db, after, RUNS_AT_ONCE)).await;
            let runs = runs.map_err(Fault::from)?;
            let Some(last) = runs.last() else { return Ok(()) };
            after = last.row;
            let slots = self.slots(&runs);
            for result in join_all(slots.iter().map(|slot| self.delete_when_settled(slot))).await {
                result?;
            }
        }
    }

    async fn delete_when_settled(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), Failed> {
        slot.doom();
        let order = Termination {
            reason: "Delete workflow execution".to_owned(),
            identity: "helve".to_owned(),
            ..Termination::default()
        };
        match self.apply(slot, Input::Terminate(order), |_, _| ()).await {
            Ok(()) | Err(Failed::Rejected(_)) => {}
            Err(failed) => return Err(failed),
        }
        let mut guard = match self.lock(slot).await {
            Ok(guard) => guard,
            Err(Failed::Rejected(Rejection::NotFound(_))) => return Ok(()),
            Err(failed) => return Err(failed),
        };
        let is_settled = guard.loaded().is_some_and(|loaded| loaded.settled);
        drop(guard);
        if is_settled {
            self.delete_run(slot).await?;
        }
        // Otherwise it is looked at again as soon as it is settled.
        Ok(())
    }

    /// Runs that closed too long ago, the oldest first.
    async fn delete_old(self: &Arc<Self>, namespace: &Arc<Namespace>, retention: Duration) -> Result<(), Failed> {
        let (id, limit) = (namespace.id, RUNS_AT_ONCE);
        let Some(nanos) = i64::try_from(retention.as_nanos())
            .ok()
            .and_then(|retention| self.now().as_nanos().checked_sub(retention))
        else {
            return Ok(());
        };
        let time = helve_history::Timestamp::from_nanos(nanos);
        for kind in [RunKind::Workflow, RunKind::Activity] {
            loop {
                let read = move |db: &_| runs_closed_before(db, id, kind, time, limit);
                let runs = self.store.read(read).await.map_err(Fault::from)?;
                self.delete_all(&runs).await?;
                if runs.len() < limit || self.stopping.is_cancelled() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// All that belongs to a deleted namespace, then the namespace.
    async fn delete_namespace_rows(self: &Arc<Self>, namespace: &Arc<Namespace>) -> Result<(), Failed> {
        let id = namespace.id;
        self.delete_schedules_of(id).await?;
        loop {
            let runs = self.store.read(move |db| runs_of_namespace(db, id, RUNS_AT_ONCE)).await;
            let runs = runs.map_err(Fault::from)?;
            if runs.is_empty() {
                break;
            }
            self.delete_all(&runs).await?;
            if self.stopping.is_cancelled() {
                return Ok(());
            }
        }
        let mut batch = Batch::new();
        delete_namespace(&mut batch, id);
        match self.store.commit(batch).await {
            Ok(()) => self.namespaces.remove(&namespace.name),
            // A run or a schedule that was being made got in just now.
            Err(CommitError::Conflict { .. }) => self.deletions.notify_one(),
            Err(error) => return Err(Fault::from(error).into()),
        }
        Ok(())
    }

    async fn delete_all(self: &Arc<Self>, runs: &[RunRow]) -> Result<(), Failed> {
        let slots = self.slots(runs);
        for result in join_all(slots.iter().map(|slot| self.delete_run(slot))).await {
            result?;
        }
        Ok(())
    }

    async fn purge_attributes(&self) -> Result<(), Failed> {
        loop {
            let removed = self.store.read(removed_attributes).await.map_err(Fault::from)?;
            if removed.is_empty() || self.stopping.is_cancelled() {
                return Ok(());
            }
            for number in removed {
                let mut batch = Batch::new();
                purge_attribute(&mut batch, number, VALUES_AT_ONCE);
                self.store.commit(batch).await.map_err(Fault::from)?;
            }
        }
    }

    /// Deleting leaves free space in the file, which new rows fill. If it is a large part of the file, most of it is given
    /// back to the file system: in small batches like all others, so that nobody waits for long.
    async fn give_space_back(&self) -> Result<(), Failed> {
        let mut space = self.store.read(read_space).await.map_err(Fault::from)?;
        if !space.can_shrink || space.free < SPARE_PAGES.max(space.pages / 4) {
            return Ok(());
        }
        let keep = SPARE_PAGES.max(space.pages / 8) / 2;
        while space.free > keep && !self.stopping.is_cancelled() {
            let mut batch = Batch::new();
            batch.give_back(PAGES_AT_ONCE);
            self.store.commit(batch).await.map_err(Fault::from)?;
            let before = space.free;
            space = self.store.read(read_space).await.map_err(Fault::from)?;
            if space.free >= before {
                // More is deleted meanwhile than this gives back: the next sweep goes on.
                break;
            }
        }
        Ok(())
    }

    fn doom(&self, slot: &Slot) {
        slot.doom();
        self.deletions.notify_one();
    }

    /// The runs' places in memory, made where there are none; the states are not read.
    fn slots(&self, runs: &[RunRow]) -> Vec<Arc<Slot>> {
        let place = |run: &RunRow| {
            if let Some(slot) = self.registry.by_row(run.row) {
                return Some(slot);
            }
            let namespace = self.namespaces.by_number(run.namespace)?;
            let (slot, guard) = Slot::locked(run.key(&namespace.name), run.row, namespace);
            drop(guard);
            Some(self.registry.add(&slot))
        };
        runs.iter().filter_map(place).collect()
    }

    /// Renames a namespace, and deletes it and all that belongs to it by and by. Answers the name it has until then.
    pub(crate) async fn delete_namespace(self: &Arc<Self>, namespace: &Arc<Namespace>) -> Result<String, Failed> {
        let (shell, namespace) = (self.clone(), namespace.clone());
        self.detached(async move {
            let _changing = shell.namespaces.changes.lock().await;
            if namespace.is_deleted() {
                return Ok(namespace.name.to_string());
            }
            let id: String = namespace.uuid.chars().filter(char::is_ascii_alphanumeric).collect();
            let name = (5..=id.len())
                .map(|length| format!("{}-deleted-{}", namespace.name, &id[..length]))
                .find(|name| shell.namespaces.by_name(name).is_none())
                .ok_or_else(|| Fault::Bug("no name is left for a deleted namespace".to_owned()))?;
            let mut settings = crate::namespaces::Settings::clone(&namespace.settings());
            settings.state = NamespaceState::Deleted;
            let renamed = Arc::new(Namespace::new(
                namespace.id,
                &name,
                namespace.uuid.clone(),
                namespace.created_at,
                settings.clone(),
            ));
            shell.store_namespace(&renamed, &settings).await?;
            // Whoever holds the namespace under its old name sees that it is deleted.
            namespace.set(settings);
            shell.namespaces.remove(&namespace.name);
            shell.namespaces.insert(renamed);
            shell.deletions.notify_one();
            Ok(name)
        })
        .await
    }
}

impl Slot {
    /// Notes that the run is to be deleted as soon as it is settled.
    fn doom(&self) {
        self.doomed.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
