//! Resets: runs that begin again at a point of their past, and lose nothing on the way.

use std::collections::BTreeSet;

use temporalio_protos::temporal::api::{
    enums::v1::{EventType, ResetReapplyExcludeType},
    history::v1::{HistoryEvent, history_event::Attributes as Event},
    workflowservice::v1::*,
};

use crate::{
    client::{Client, history},
    ledger::Ledger,
    oracle::{Record, Records, Verdict, ensure},
    proto::{namespace, run},
};

impl Client {
    /// Resets a run to any workflow task it had.
    pub(crate) async fn reset(&mut self) {
        let base = self.run_id.clone();
        if base.is_empty() {
            return;
        }
        let Ok(events) = history(&self.caller, &self.id, &base).await else {
            return;
        };
        let points: Vec<_> = events.iter().filter(|event| is_point(event)).collect();
        if points.is_empty() {
            return;
        }
        let point = points[self.rng.below(points.len() as u64) as usize].event_id;
        let without_signals = self.rng.percent(20);
        let excluded = without_signals.then_some(ResetReapplyExcludeType::Signal as i32);
        let request = ResetWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, &base),
            reason: "to try again".to_owned(),
            workflow_task_finish_event_id: point,
            request_id: self.request_id(),
            reset_reapply_exclude_types: excluded.into_iter().collect(),
            ..ResetWorkflowExecutionRequest::default()
        };
        let answer = self
            .caller
            .insist::<ResetWorkflowExecutionResponse>("ResetWorkflowExecution", request)
            .await;
        if let Ok(answer) = answer {
            let ledger = &mut self.caller.world.ledger.borrow_mut();
            ledger.resets.insert(answer.run_id.clone(), (base, without_signals));
            self.run_id = answer.run_id;
        }
    }
}

fn is_point(event: &HistoryEvent) -> bool {
    matches!(
        event.event_type(),
        EventType::WorkflowTaskStarted
            | EventType::WorkflowTaskCompleted
            | EventType::WorkflowTaskFailed
            | EventType::WorkflowTaskTimedOut
    )
}

impl Record {
    /// The run that this one is a copy of, and how many events at least, if a reset made it.
    pub(crate) fn reset_of(&self) -> Option<(&str, usize)> {
        self.events
            .iter()
            .rev()
            .find_map(|event| match event.attributes.as_ref() {
                Some(Event::WorkflowTaskFailedEventAttributes(a))
                    if !a.base_run_id.is_empty() && a.new_run_id == self.run_id() =>
                {
                    // The event before it, the start of the task, may be new as well.
                    Some((a.base_run_id.as_str(), event.event_id as usize - 2))
                }
                _ => None,
            })
    }
}

/// A reset run begins as its base did, and has every signal and update that came after that.
pub(crate) fn judge(ledger: &Ledger, records: &Records) -> Verdict {
    for (run_id, (base, _)) in &ledger.resets {
        let Some(record) = records.get(run_id) else { continue };
        ensure(record.reset_of().is_some_and(|(of, _)| of == base.as_str()), || {
            format!(
                "{run_id} was made by a reset of {base}, but says {:?}",
                record.reset_of()
            )
        })?;
    }
    for (run_id, record) in records {
        let Some((base, copied)) = record.reset_of() else {
            continue;
        };
        let Some(base_record) = records.get(base) else {
            ensure(ledger.may_be_deleted(base), || {
                format!("{run_id} is a copy of {base}, which is not there")
            })?;
            continue;
        };
        ensure(
            base_record.events.len() >= copied && base_record.events[..copied] == record.events[..copied],
            || format!("{run_id} does not begin as {base} did"),
        )?;
        // Nobody says so of a reset whose answer was lost.
        let Some((_, without_signals)) = ledger.resets.get(run_id) else {
            continue;
        };
        let (mut signals, mut updates) = (BTreeSet::new(), BTreeSet::new());
        let mut after = &base_record.events[copied..];
        loop {
            for event in after {
                match event.attributes.as_ref() {
                    Some(Event::WorkflowExecutionSignaledEventAttributes(a)) => {
                        signals.insert(a.signal_name.clone());
                    }
                    Some(Event::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                        updates.insert(a.protocol_instance_id.clone());
                    }
                    _ => {}
                }
            }
            let next = after.last().and_then(|last| match last.attributes.as_ref() {
                Some(Event::WorkflowExecutionContinuedAsNewEventAttributes(a)) => records.get(&a.new_execution_run_id),
                _ => None,
            });
            let Some(next) = next else { break };
            after = &next.events;
        }
        if !without_signals {
            let there: BTreeSet<_> = record.signals().collect();
            let lost: Vec<_> = signals.iter().filter(|name| !there.contains(name.as_str())).collect();
            ensure(lost.is_empty(), || {
                format!("the reset of {base} to {run_id} lost the signals {lost:?}")
            })?;
        }
        let there = asked_for_updates(record);
        let lost: Vec<_> = updates.difference(&there).collect();
        ensure(lost.is_empty(), || {
            format!("the reset of {base} to {run_id} lost the updates {lost:?}")
        })?;
    }
    Ok(())
}

/// The updates of which a history knows.
fn asked_for_updates(record: &Record) -> BTreeSet<String> {
    let id = |event: &HistoryEvent| match event.attributes.as_ref() {
        Some(Event::WorkflowExecutionUpdateAdmittedEventAttributes(a)) => {
            let meta = a.request.as_ref().and_then(|request| request.meta.as_ref());
            meta.map(|meta| meta.update_id.clone())
        }
        Some(Event::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => Some(a.protocol_instance_id.clone()),
        _ => None,
    };
    record.events.iter().filter_map(id).collect()
}
