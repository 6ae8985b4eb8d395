//! Is memory what the disk has? Asked by tests and simulations, of every run at once.

use std::sync::Arc;

use helve_history::{EventId, Summary};

use crate::{
    encoded::EncodedEvents,
    run::{Cell, Slot},
    shell::Shell,
};

impl Shell {
    /// Compares every run in memory with its rows; answers how many were compared, or what differs first.
    pub(crate) async fn audit(self: &Arc<Self>) -> Result<usize, String> {
        let slots = self.registry.all();
        for slot in &slots {
            self.audit_run(slot)
                .await
                .map_err(|difference| format!("run {} (row {}): {difference}", slot.key, slot.row))?;
        }
        Ok(slots.len())
    }

    async fn audit_run(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(), String> {
        // Under its lock, so that no commit of it is under way.
        let mut guard = slot.lock().await;
        if matches!(*guard, Cell::Dead) {
            return Ok(());
        }
        let stored = self.read_run(slot.row).await.map_err(|fault| fault.to_string())?;
        // What a restart goes by.
        same("summary", &stored.state.summary(), &stored.summary)?;
        let Some(loaded) = guard.loaded() else {
            return is_waited_for(slot, stored.summary);
        };
        same("version", &loaded.version, &stored.version)?;
        same("settled", &loaded.settled, &stored.settled)?;
        same("number of buffered events", &loaded.buffered, &stored.buffered)?;
        // After a reset the copied events are not kept: whoever wants them gets them from disk.
        let tail = loaded.tail.events();
        let stored_tail = EncodedEvents::join(&stored.history).range(tail.first(), EventId::MAX);
        same("tail", &tail, &stored_tail)?;
        same("state", &loaded.state.durable(), &stored.state)
    }
}

/// Of an open run that is not in memory nothing may be forgotten.
fn is_waited_for(slot: &Slot, summary: Summary) -> Result<(), String> {
    let (armed, due) = (slot.armed(), summary.due);
    // What owes something is being read at this moment.
    if summary.owes || due.is_none() || armed.is_some_and(|armed| Some(armed) <= due) {
        return Ok(());
    }
    Err(format!(
        "it is not in memory and looked at at {armed:?}, but due at {due:?}"
    ))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, memory: &T, disk: &T) -> Result<(), String> {
    if memory == disk {
        Ok(())
    } else {
        Err(format!("its {what} is {memory:?} in memory and {disk:?} on disk"))
    }
}
