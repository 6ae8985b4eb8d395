//! Transitions as rows.

use helve_db::Batch;
use helve_history::{Buffered, EventId, FactChanges, RunState};
use helve_visibility::Attributes;
use prost::Message;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;

use super::{RowId, position, span, write_attributes};
use crate::encoded::EncodedEvents;

/// The first transition of a run.
pub(crate) struct NewRun<'a> {
    pub(crate) row: RowId,
    pub(crate) namespace: i64,
    /// The search attributes of the namespace.
    pub(crate) attributes: &'a Attributes,
    pub(crate) state: &'a RunState,
    /// What comes before `events`.
    pub(crate) copied: Option<&'a CopiedHistory>,
    pub(crate) events: &'a EncodedEvents,
    pub(crate) changes: FactChanges,
    /// The row of the workflow id's current run as the decision saw it, or 0: the precondition.
    pub(crate) previous: RowId,
}

/// The first events of another run's history, which a run begins with.
#[derive(Debug)]
pub(crate) struct CopiedHistory {
    /// That run.
    pub(crate) from: RowId,
    /// Its stored batches up to this event are copied as they are.
    pub(crate) whole_to: EventId,
    /// The events after that: the first part of a batch.
    pub(crate) rest: EncodedEvents,
}

/// A later transition of a run.
pub(crate) struct RunUpdate<'a> {
    pub(crate) row: RowId,
    /// The search attributes of the namespace.
    pub(crate) attributes: &'a Attributes,
    /// The version the decision saw: the precondition.
    pub(crate) version: i64,
    pub(crate) before: &'a RunState,
    pub(crate) state: &'a RunState,
    pub(crate) events: &'a EncodedEvents,
    pub(crate) changes: FactChanges,
    pub(crate) settled: bool,
    /// Buffered events that are stored now.
    pub(crate) buffered: i64,
}

const INSERT_RUN: &str = "
    INSERT INTO runs (id, namespace, workflow_id, run_id, version, settled, facts, status, type, task_queue, start_time,
        execution_time, close_time, history_length, history_size, info, kind, transitions, parent_workflow_id,
        parent_run_id, root_workflow_id, root_run_id, due, owes)
    SELECT ?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?18, ?19, ?20, ?21, ?22, ?23, ?24
    WHERE coalesce((SELECT max(id) FROM runs WHERE namespace = ?2 AND kind = ?16 AND workflow_id = ?3), 0) = ?17
        AND EXISTS (SELECT 1 FROM namespaces WHERE id = ?2)";

const UPDATE_RUN: &str = "
    UPDATE runs SET version = version + 1, facts = coalesce(?3, facts), history_length = ?4, history_size = ?5,
        transitions = ?6, due = ?7, owes = ?8
    WHERE id = ?1 AND version = ?2";

const UPDATE_ALL: &str = "
    UPDATE runs SET version = version + 1, facts = coalesce(?3, facts), history_length = ?4, history_size = ?5,
        transitions = ?6, due = ?7, owes = ?8, settled = ?9, status = ?10, close_time = ?11, info = ?12, task_queue = ?13,
        execution_time = ?14
    WHERE id = ?1 AND version = ?2";

pub(crate) fn insert_run(batch: &mut Batch, new: NewRun<'_>) {
    let NewRun {
        row,
        namespace,
        attributes,
        state,
        copied,
        events,
        changes,
        previous,
    } = new;
    let (info, summary) = (info(state), state.summary());
    let parent = info.parent_execution.as_ref();
    let root = info.root_execution.as_ref();
    let text = |text: Option<&String>| text.map(String::as_str).into();
    batch.run_one(
        INSERT_RUN,
        vec![
            row.into(),
            namespace.into(),
            state.key().workflow_id.as_str().into(),
            state.key().run_id.as_str().into(),
            false.into(),
            changes.core.unwrap_or_default().into(),
            i64::from(state.listed_status()).into(),
            state.workflow_type().into(),
            state.task_queue().into(),
            state.start_time().as_nanos().into(),
            state.execution_time().as_nanos().into(),
            state.close_time().map(|time| time.as_nanos()).into(),
            state.history_length().into(),
            (state.history_size() as i64).into(),
            info.encode_to_vec().into(),
            i64::from(state.key().kind as u8).into(),
            previous.into(),
            state.transition_count().into(),
            text(parent.map(|parent| &parent.workflow_id)),
            text(parent.map(|parent| &parent.run_id)),
            text(root.map(|root| &root.workflow_id)),
            text(root.map(|root| &root.run_id)),
            summary.due.map(|due| due.as_nanos()).into(),
            summary.owes.into(),
        ],
    );
    write_attributes(batch, row, attributes, &state.search_attributes(), true);
    if let Some(copied) = copied {
        copy_events(batch, row, copied);
    }
    append_events(batch, row, events);
    write_activities(batch, row, changes.activities);
    write_buffered(batch, row, changes.buffered, 0);
}

/// Copies on disk what can be copied there: a history may be far larger than a batch ought to be.
fn copy_events(batch: &mut Batch, row: RowId, copied: &CopiedHistory) {
    let (from, to) = span(copied.from);
    batch.run(
        "INSERT INTO history (at, last_event_id, events)
         SELECT at - ?1 + ?2, last_event_id, events FROM history WHERE at BETWEEN ?1 AND ?3 AND last_event_id <= ?4",
        vec![from.into(), span(row).0.into(), to.into(), copied.whole_to.into()],
    );
    append_events(batch, row, &copied.rest);
}

/// Answers how many buffered events are stored afterwards.
pub(crate) fn update_run(batch: &mut Batch, update: RunUpdate<'_>) -> i64 {
    let RunUpdate {
        row,
        attributes,
        version,
        before,
        state,
        events,
        changes,
        settled,
        buffered,
    } = update;
    let summary = state.summary();
    let mut params = vec![
        row.into(),
        version.into(),
        changes.core.into(),
        state.history_length().into(),
        (state.history_size() as i64).into(),
        state.transition_count().into(),
        summary.due.map(|due| due.as_nanos()).into(),
        summary.owes.into(),
    ];
    let same_attributes = before.search_attributes() == state.search_attributes();
    let looks_the_same = before.listed_status() == state.listed_status()
        && before.task_queue() == state.task_queue()
        && before.execution_time() == state.execution_time();
    if state.is_running() && before.memo() == state.memo() && same_attributes && looks_the_same {
        batch.run_one(UPDATE_RUN, params);
    } else {
        params.extend([
            settled.into(),
            i64::from(state.listed_status()).into(),
            state.close_time().map(|time| time.as_nanos()).into(),
            info(state).encode_to_vec().into(),
            state.task_queue().into(),
            state.execution_time().as_nanos().into(),
        ]);
        batch.run_one(UPDATE_ALL, params);
    }
    if !same_attributes {
        write_attributes(batch, row, attributes, &state.search_attributes(), false);
    }
    append_events(batch, row, events);
    write_activities(batch, row, changes.activities);
    write_buffered(batch, row, changes.buffered, buffered)
}

fn append_events(batch: &mut Batch, row: RowId, events: &EncodedEvents) {
    if !events.is_empty() {
        batch.run_one(
            "INSERT INTO history (at, last_event_id, events) VALUES (?1, ?2, ?3)",
            vec![
                position(row, events.first()).into(),
                events.last().into(),
                events.bytes().clone().into(),
            ],
        );
    }
}

fn write_activities(batch: &mut Batch, row: RowId, activities: Vec<(EventId, Option<Vec<u8>>)>) {
    for (scheduled, facts) in activities {
        let at = position(row, scheduled).into();
        match facts {
            Some(facts) => batch.run(
                "INSERT INTO activities (at, facts) VALUES (?1, ?2) ON CONFLICT (at) DO UPDATE SET facts = excluded.facts",
                vec![at, facts.into()],
            ),
            None => batch.run("DELETE FROM activities WHERE at = ?1", vec![at]),
        }
    }
}

fn write_buffered(batch: &mut Batch, row: RowId, change: Buffered, stored: i64) -> i64 {
    let (clear, mut place, events) = match change {
        Buffered::Unchanged => return stored,
        Buffered::Cleared => (true, 0, Vec::new()),
        Buffered::Appended(events) => (false, stored, events),
        Buffered::Replaced(events) => (true, 0, events),
    };
    if clear && stored > 0 {
        let (from, to) = span(row);
        batch.run(
            "DELETE FROM buffered WHERE at BETWEEN ?1 AND ?2",
            vec![from.into(), to.into()],
        );
    }
    for event in events {
        batch.run_one(
            "INSERT INTO buffered (at, event) VALUES (?1, ?2)",
            vec![position(row, place).into(), event.into()],
        );
        place += 1;
    }
    place
}

/// What lists show and no column holds.
fn info(state: &RunState) -> WorkflowExecutionInfo {
    WorkflowExecutionInfo {
        execution: None,
        r#type: None,
        task_queue: String::new(),
        start_time: None,
        execution_time: None,
        close_time: None,
        ..state.describe_execution()
    }
}
