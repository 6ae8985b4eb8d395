//! Is memory what the disk has? Asked by tests and simulations, of every run at once.

use std::sync::Arc;

use crate::{run::Slot, shell::Shell};

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
        let Some(loaded) = guard.loaded() else { return Ok(()) };
        let stored = self.read_run(slot.row).await.map_err(|fault| fault.to_string())?;
        same("version", &loaded.version, &stored.version)?;
        same("settled", &loaded.settled, &stored.settled)?;
        same("number of buffered events", &loaded.buffered, &stored.buffered)?;
        same(
            "tail",
            &loaded.tail.events().collect::<Vec<_>>(),
            &stored.tail.iter().collect(),
        )?;
        same("state", &loaded.state, &stored.state)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, memory: &T, disk: &T) -> Result<(), String> {
    if memory == disk {
        Ok(())
    } else {
        Err(format!("its {what} is {memory:?} in memory and {disk:?} on disk"))
    }
}
