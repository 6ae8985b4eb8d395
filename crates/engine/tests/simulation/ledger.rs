//! What was promised to whom. At the end the histories must agree with all of it.

use std::collections::{BTreeMap, BTreeSet};

use helve_engine::Timestamp;
use temporalio_protos::temporal::api::{common::v1::WorkflowExecution, history::v1::HistoryEvent};

use crate::{
    batches::KnownBatches, schedules::KnownSchedules, standalone::KnownActivities, updates::KnownUpdates, world::World,
};

#[derive(Default)]
pub(crate) struct Ledger {
    /// Runs whose start was acknowledged: workflow id by run id.
    pub(crate) started: BTreeMap<String, String>,
    /// Run ids that the engine named for a request id. There may be only one for each.
    started_by: BTreeMap<String, String>,
    /// Acknowledged signals by the text they carry: the workflow they were sent to.
    pub(crate) signals: BTreeMap<String, String>,
    /// Signals that came with a start: they may begin before their run's time.
    pub(crate) with_start: BTreeSet<String>,
    /// How many signals were acknowledged for a run.
    pub(crate) signals_of_run: BTreeMap<String, usize>,
    /// Runs for which a cancel request was acknowledged, and when that was first. It means nothing to closed runs.
    pub(crate) cancelled: BTreeMap<String, Timestamp>,
    /// Runs whose termination was acknowledged.
    pub(crate) terminated: BTreeSet<String>,
    /// Workflow tasks whose completion was acknowledged: run id and Started event.
    pub(crate) completed_tasks: BTreeSet<(String, i64)>,
    /// Results of activities whose completion was acknowledged: run id and result.
    pub(crate) completed_activities: BTreeSet<(String, String)>,
    /// The last attempt of an activity whose failure was acknowledged: by run id and activity id.
    pub(crate) failed_attempts: BTreeMap<(String, String), i32>,
    /// Pauses that were acknowledged, and when: by run id and activity id.
    pub(crate) paused: BTreeMap<(String, String), Timestamp>,
    /// Runs whose activities may have been unpaused or reset: pauses and attempts of theirs begin anew.
    pub(crate) woken: BTreeSet<String>,
    /// Runs of which somebody asked the deletion, with their workflow or activity ids.
    pub(crate) doomed: BTreeMap<String, String>,
    /// Those of them for which it was acknowledged, with their workflow ids.
    pub(crate) deleted: BTreeMap<String, String>,
    /// The same of standalone activities.
    pub(crate) deleted_activities: BTreeSet<String>,
    /// Runs made by a reset: the run that was reset, and whether its signals were to be left out.
    pub(crate) resets: BTreeMap<String, (String, bool)>,
    /// Workflow ids that a cron schedule keeps busy for ever.
    pub(crate) endless: BTreeSet<String>,
    pub(crate) updates: KnownUpdates,
    pub(crate) activities: KnownActivities,
    pub(crate) schedules: KnownSchedules,
    pub(crate) batches: KnownBatches,
    /// Results that were ever sent.
    pub(crate) sent_results: BTreeSet<String>,
    /// All that somebody was shown of a run's history: it can never be taken back.
    shown: BTreeMap<String, Vec<HistoryEvent>>,
}

impl Ledger {
    /// Whether a run may be missing since somebody asked for that.
    pub(crate) fn may_be_deleted(&self, run_id: &str) -> bool {
        self.doomed.contains_key(run_id)
    }

    /// Whether that concerns any run of a workflow id.
    pub(crate) fn some_deleted(&self, workflow_id: &str) -> bool {
        self.doomed.iter().any(|(_, of)| of == workflow_id)
    }
}

impl World {
    /// The engine says that a request started a run, or had started it before.
    pub(crate) fn acknowledge_start(&self, request_id: &str, workflow_id: &str, run_id: &str) {
        let run = (run_id.to_owned(), workflow_id.to_owned());
        self.ledger.borrow_mut().started.extend([run]);
        self.acknowledge_only_start(request_id, run_id);
    }

    /// The same of anything that can be started.
    pub(crate) fn acknowledge_only_start(&self, request_id: &str, run_id: &str) {
        let ledger = &mut *self.ledger.borrow_mut();
        let known = ledger
            .started_by
            .entry(request_id.to_owned())
            .or_insert_with(|| run_id.to_owned());
        if known != run_id {
            self.violated(format!(
                "the start request {request_id} made two runs: {known} and {run_id}"
            ));
        }
    }

    /// Somebody sees events of a history, from the first or a later one on.
    pub(crate) fn show(&self, execution: &WorkflowExecution, events: &[HistoryEvent]) {
        let ledger = &mut *self.ledger.borrow_mut();
        let shown = ledger.shown.entry(execution.run_id.clone()).or_default();
        for event in events {
            match usize::try_from(event.event_id - 1).ok().and_then(|at| shown.get(at)) {
                Some(before) if before == event => {}
                Some(before) => {
                    return self.violated(format!("{execution:?}: an event was {before:?} and is now {event:?}"));
                }
                None if event.event_id == shown.len() as i64 + 1 => shown.push(event.clone()),
                // Seen by somebody who had the beginning from elsewhere.
                None if event.event_id > shown.len() as i64 => return,
                None => {
                    return self.violated(format!(
                        "{execution:?}: event {} follows {}",
                        event.event_id,
                        shown.len()
                    ));
                }
            }
        }
    }

    pub(crate) fn shown(&self) -> BTreeMap<String, Vec<HistoryEvent>> {
        self.ledger.borrow().shown.clone()
    }
}
