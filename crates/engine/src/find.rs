//! Finding the run a request is about.

use std::sync::Arc;

use helve_history::{Input, Reply, RunKey, RunKind};

use crate::{
    error::Failed,
    namespaces::Namespace,
    run::{Loaded, Slot},
    shell::Shell,
    storage::{RowId, current_run, run_by_id},
};

/// How a request names a run.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) kind: RunKind,
    pub(crate) workflow_id: String,
    /// Empty for the current run.
    pub(crate) run_id: String,
}

impl Target {
    /// The current run of a workflow id, or the given one.
    pub(crate) fn workflow(workflow_id: String, run_id: String) -> Self {
        Target {
            kind: RunKind::Workflow,
            workflow_id,
            run_id,
        }
    }

    /// This very run.
    pub(crate) fn run(key: RunKey) -> Self {
        Target {
            kind: key.kind,
            workflow_id: key.workflow_id,
            run_id: key.run_id,
        }
    }

    fn not_found(&self) -> Failed {
        let Target {
            kind,
            workflow_id,
            run_id,
        } = self;
        Failed::not_found(match kind {
            RunKind::Workflow if run_id.is_empty() => format!("workflow not found for ID: {workflow_id}"),
            RunKind::Workflow => {
                format!("workflow execution not found for workflow ID {workflow_id:?} and run ID {run_id:?}")
            }
            RunKind::Activity => format!("activity not found for ID: {workflow_id}"),
        })
    }
}

impl Shell {
    /// The run that a request names.
    pub(crate) async fn find(self: &Arc<Self>, namespace: &Namespace, target: &Target) -> Result<Arc<Slot>, Failed> {
        let found = if target.run_id.is_empty() {
            self.find_current(namespace, target.kind, &target.workflow_id).await?
        } else {
            self.find_run(&target.run_id).await?
        };
        let is_meant = |slot: &Arc<Slot>| {
            slot.namespace.id == namespace.id
                && slot.key.kind == target.kind
                && (target.workflow_id.is_empty() || slot.key.workflow_id == target.workflow_id)
        };
        found.filter(is_meant).ok_or_else(|| target.not_found())
    }

    /// The current run of an id, open or closed.
    pub(crate) async fn find_current(
        self: &Arc<Self>,
        namespace: &Namespace,
        kind: RunKind,
        id: &str,
    ) -> Result<Option<Arc<Slot>>, Failed> {
        if let Some(slot) = self.registry.current(namespace.id, kind, id) {
            return Ok(Some(slot));
        }
        // Every open run is in memory, so what is found here is closed, unless it was started this very moment.
        let (namespace, id) = (namespace.id, id.to_owned());
        let Some(row) = self
            .store
            .read(move |db| current_run(db, namespace, kind, &id))
            .await
            .map_err(fault)?
        else {
            return Ok(None);
        };
        let slot = self.found(row).await?;
        self.registry.set_current(&slot);
        Ok(Some(slot))
    }

    /// Runs that a commit made, if it went well, which nobody knows: then they go on as if that had been known.
    pub(crate) fn look_for(self: &Arc<Self>, run_ids: Vec<String>) {
        let shell = self.clone();
        self.background.spawn(async move {
            for run_id in run_ids {
                if let Err(error) = shell.find_run(&run_id).await {
                    tracing::warn!(run_id, %error, "whether a run was started is not known");
                }
            }
        });
    }

    /// A run on disk. One that is open, or owes something, is in memory, unless nobody knew that it was made.
    async fn found(self: &Arc<Self>, row: RowId) -> Result<Arc<Slot>, Failed> {
        let stored = self.read_run(row).await?;
        let (is_settled, is_running) = (stored.settled, stored.state.is_running());
        let slot = self.admit(stored)?;
        if is_running {
            self.registry.set_current(&slot);
        }
        if !is_settled {
            self.resume(&slot).await?;
        }
        Ok(slot)
    }

    async fn find_run(self: &Arc<Self>, run_id: &str) -> Result<Option<Arc<Slot>>, Failed> {
        if let Some(slot) = self.registry.by_run_id(run_id) {
            return Ok(Some(slot));
        }
        let id = run_id.to_owned();
        let Some(row) = self.store.read(move |db| run_by_id(db, &id)).await.map_err(fault)? else {
            return Ok(None);
        };
        Ok(Some(self.found(row).await?))
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
