//! Finding the run a request is about.

use std::sync::Arc;

use helve_history::{Input, Reply};

use crate::{
    error::Failed,
    namespaces::Namespace,
    run::{Loaded, Slot},
    shell::Shell,
    storage::{run_by_id, run_by_workflow_id},
};

/// How a request names a run.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) workflow_id: String,
    /// Empty for the current run.
    pub(crate) run_id: String,
}

impl Target {
    fn not_found(&self) -> Failed {
        Failed::not_found(if self.run_id.is_empty() {
            format!("workflow not found for ID: {}", self.workflow_id)
        } else {
            format!(
                "workflow execution not found for workflow ID {:?} and run ID {:?}",
                self.workflow_id, self.run_id
            )
        })
    }
}

impl Shell {
    /// The run that a request names.
    pub(crate) async fn find(&self, namespace: &Namespace, target: &Target) -> Result<Arc<Slot>, Failed> {
        let found = if target.run_id.is_empty() {
            self.find_current(namespace, &target.workflow_id).await?
        } else {
            self.find_run(&target.run_id).await?
        };
        let is_meant = |slot: &Arc<Slot>| {
            slot.namespace.id == namespace.id
                && (target.workflow_id.is_empty() || slot.key.workflow_id == target.workflow_id)
        };
        found.filter(is_meant).ok_or_else(|| target.not_found())
    }

    /// The current run of a workflow id, open or closed.
    pub(crate) async fn find_current(
        &self,
        namespace: &Namespace,
        workflow_id: &str,
    ) -> Result<Option<Arc<Slot>>, Failed> {
        if let Some(slot) = self.registry.current(namespace.id, workflow_id) {
            return Ok(Some(slot));
        }
        // Every open run is in memory, so what is found here is closed, unless it was started this very moment.
        let (id, name) = (namespace.id, workflow_id.to_owned());
        let Some(row) = self
            .store
            .read(move |db| run_by_workflow_id(db, id, &name))
            .await
            .map_err(fault)?
        else {
            return Ok(None);
        };
        let slot = self.admit(self.read_run(row).await?)?;
        self.registry.set_current(&slot);
        Ok(Some(slot))
    }

    async fn find_run(&self, run_id: &str) -> Result<Option<Arc<Slot>>, Failed> {
        if let Some(slot) = self.registry.by_run_id(run_id) {
            return Ok(Some(slot));
        }
        let id = run_id.to_owned();
        let Some(row) = self.store.read(move |db| run_by_id(db, &id)).await.map_err(fault)? else {
            return Ok(None);
        };
        Ok(Some(self.admit(self.read_run(row).await?)?))
    }

    /// Gives an input to the run that a request names. If it names the current run, that is the one which is current when
    /// the input is decided: a successor that comes meanwhile gets it.
    pub(crate) async fn apply_to<T, F>(
        self: &Arc<Self>,
        namespace: &Namespace,
        target: &Target,
        input: Input,
        then: F,
    ) -> Result<T, Failed>
    where
        T: Send + 'static,
        F: FnOnce(&Loaded, Reply) -> T + Send + Clone + 'static,
    {
        loop {
            let slot = self.find(namespace, target).await?;
            if !target.run_id.is_empty() {
                return self.apply(&slot, input, then).await;
            }
            if let Some(answer) = self.apply_if_current(&slot, input.clone(), then.clone()).await? {
                return Ok(answer);
            }
        }
    }
}

fn fault(error: helve_db::ReadError) -> Failed {
    Failed::Fault(error.into())
}
