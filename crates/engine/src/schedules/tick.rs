//! Time passes, and the engine starts: what schedules do by themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use helve_schedule::Input;

use super::{Attachments, Kept, ScheduleSlot, engine_time};
use crate::{
    error::{Failed, Fault},
    shell::Shell,
    storage::load_schedules,
};

/// A schedule that could not be changed (a full disk, say) is woken again after this.
const PAUSE: Duration = Duration::from_secs(1);

impl Shell {
    /// Loads all schedules and goes on where they stopped. Runs must be there already.
    pub(crate) async fn recover_schedules(self: &Arc<Self>) -> Result<(), Fault> {
        let stored = self.store.read(load_schedules).await?;
        let namespaces = self.namespaces.all().into_iter();
        let namespaces: BTreeMap<_, _> = namespaces.map(|namespace| (namespace.id, namespace)).collect();
        for schedule in stored {
            let namespace = namespaces.get(&schedule.namespace).cloned().ok_or_else(|| {
                Fault::Corrupt(format!("schedule {} is of an unknown namespace", schedule.schedule_id))
            })?;
            let slot = ScheduleSlot::new(schedule.row, namespace, schedule.schedule_id.clone());
            let mut guard = slot.lock().await;
            // The database lets no two have the same id.
            if self.schedules.add(&slot).is_ok() {
                let kept = guard.insert(Kept::from(schedule));
                self.publish_schedule(&slot, kept);
            }
        }
        Ok(())
    }

    /// Wakes schedules until the engine stops.
    pub(crate) async fn wake_schedules(self: Arc<Self>) {
        loop {
            let due = tokio::select! {
                biased;
                due = self.schedules.timers.due(self.clock()) => due,
                () = self.stopping.cancelled() => return,
            };
            for slot in due.into_iter().filter_map(|slot| slot.upgrade()) {
                self.background.spawn(self.clone().wake_schedule(slot));
            }
        }
    }

    async fn wake_schedule(self: Arc<Self>, slot: Arc<ScheduleSlot>) {
        let mut guard = slot.lock().await;
        let Some(kept) = guard.as_mut() else { return };
        kept.armed = None;
        let now = self.now();
        let is_due = kept.state.wake_at().is_some_and(|wake| engine_time(wake) <= now);
        if !is_due {
            self.publish_schedule(&slot, kept);
            return;
        }
        let Err(error) = self
            .step_schedule(&slot, &mut guard, Input::Tick, Attachments::default())
            .await
        else {
            return;
        };
        if error == Failed::Fault(Fault::ShuttingDown) {
            return;
        }
        // A store that cannot write says so itself, once and not for every schedule.
        if !matches!(error, Failed::Fault(Fault::Unavailable(_))) {
            tracing::warn!(schedule = slot.id, %error, "a schedule is woken again later");
        }
        if let Some(kept) = guard.as_mut() {
            let again = now + PAUSE;
            kept.armed = Some(again);
            self.schedules.timers.arm(again, Arc::downgrade(&slot));
        }
    }
}
