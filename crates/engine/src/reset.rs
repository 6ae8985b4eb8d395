//! Resetting runs: under the lock of the workflow id's current run, for only one run may take its place.

use std::sync::Arc;

use helve_db::{ReadError, rusqlite::Connection};
use helve_history::{Reset, ResetBase, ResetRequest, RunState, is_reapplied};
use temporalio_protos::temporal::api::history::v1::{HistoryEvent, history_event::Attributes};

use crate::{
    encoded::EncodedEvents,
    error::{Failed, Fault},
    find::Target,
    namespaces::Namespace,
    publish::Effects,
    run::{Cell, Slot},
    shell::{Beginning, Shell, StartFailed},
    storage::{CopiedHistory, RowId, StoredHistory, read_history, run_by_id},
};

/// The histories that a reset looks at.
struct Histories {
    base: StoredHistory,
    /// Of the runs that continued the base run as new: ids, and what may happen again.
    continued: Vec<(String, Vec<HistoryEvent>)>,
}

impl Shell {
    /// Makes a new run of the one that a request names; answers its id.
    pub(crate) async fn reset(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        target: &Target,
        request: ResetRequest,
    ) -> Result<String, Failed> {
        let (shell, namespace, target) = (self.clone(), namespace.clone(), target.clone());
        self.detached(async move {
            loop {
                let base = shell.find(&namespace, &target).await?;
                if let Some(run_id) = shell.reset_run(&base, &request).await? {
                    return Ok(run_id);
                }
            }
        })
        .await
    }

    /// `None` if another run took over the workflow id meanwhile.
    async fn reset_run(self: &Arc<Self>, base: &Arc<Slot>, request: &ResetRequest) -> Result<Option<String>, Failed> {
        let key = &base.key;
        let Some(slot) = self.find_current(&base.namespace, key.kind, &key.workflow_id).await? else {
            return Ok(None);
        };
        // A run that is not the current one is closed: what is read of it stays true.
        let base_state = if Arc::ptr_eq(base, &slot) {
            None
        } else {
            Some(self.state_of(base).await?)
        };
        let guard = self.lock(&slot).await;
        if !self.registry.is_current(&slot) {
            return Ok(None);
        }
        let mut guard = guard?;
        let current = guard.loaded().ok_or(Fault::Conflict)?.state.clone();
        if current.reset_request_id() == request.request_id {
            return Ok(Some(current.key().run_id.clone()));
        }
        let base_state = base_state.as_ref().unwrap_or(&current);
        let row = base.row;
        let histories = self.store.read(move |db| read_histories(db, row)).await;
        let histories = histories.map_err(Fault::from)?;
        let reset = self.with_env(&base.namespace, |env| {
            let base = ResetBase {
                state: base_state,
                events: &histories.base.events,
                continued: &histories.continued,
            };
            helve_history::reset(&base, &current, request, env)
        })?;
        let run_id = reset.run.key().run_id.clone();
        let effects = self.commit_reset(&slot, &mut guard, reset, row, histories.base).await?;
        drop(guard);
        let is_done = effects.is_some();
        self.publish(effects.unwrap_or_default());
        Ok(is_done.then_some(run_id))
    }

    /// Writes all of a reset in one batch; `None` if the current run is not the latest one after all.
    async fn commit_reset(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        cell: &mut Cell,
        reset: Reset,
        base: RowId,
        history: StoredHistory,
    ) -> Result<Option<Effects>, Failed> {
        let beginning = Beginning {
            transition: Box::new(reset.run),
            copied: Some(copied(base, history, reset.copied)),
        };
        if let Some(current) = reset.current {
            return Ok(Some(self.commit(slot, cell, Box::new(current), Some(beginning)).await?));
        }
        match self.commit_start(&slot.namespace, beginning, slot.row).await {
            Ok(effects) => Ok(Some(effects)),
            Err(StartFailed::NotFirst(_) | StartFailed::NotNewest(_)) => {
                self.registry.forget_current(slot);
                Ok(None)
            }
            Err(StartFailed::Failed(failed)) => Err(failed),
        }
    }

    /// A run's state as it is now.
    pub(crate) async fn state_of(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<RunState, Failed> {
        let mut guard = self.lock(slot).await?;
        Ok(guard.loaded().ok_or(Fault::Conflict)?.state.clone())
    }
}

/// The first `to` events: whole batches, and the first part of another one.
fn copied(from: RowId, history: StoredHistory, to: i64) -> CopiedHistory {
    let whole_to = history.ends.iter().copied().filter(|end| *end <= to).max().unwrap_or(0);
    let is_rest = |event: &HistoryEvent| (whole_to + 1..=to).contains(&event.event_id);
    let rest: Vec<_> = history.events.into_iter().filter(is_rest).collect();
    CopiedHistory {
        from,
        whole_to,
        rest: EncodedEvents::encode(&rest),
    }
}

fn read_histories(db: &Connection, base: RowId) -> Result<Histories, ReadError> {
    let base = read_history(db, base)?;
    let mut next = continued_as(&base.events);
    let mut continued = Vec::new();
    while let Some(run_id) = next {
        // What was deleted cuts the chain short.
        let Some(row) = run_by_id(db, &run_id)? else { break };
        let mut events = read_history(db, row)?.events;
        next = continued_as(&events);
        events.retain(is_reapplied);
        continued.push((run_id, events));
    }
    Ok(Histories { base, continued })
}

/// The run that continues a history as new.
fn continued_as(events: &[HistoryEvent]) -> Option<String> {
    match &events.last()?.attributes {
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => Some(a.new_execution_run_id.clone()),
        _ => None,
    }
}
