//! Runs that are to be deleted: which, and how.

use helve_db::{Batch, ReadError, rusqlite::Connection};
use helve_history::{RunKey, RunKind, Timestamp};

use super::{RowId, delete_attributes, span};

/// A run named by its row, without its state.
pub(crate) struct RunRow {
    pub(crate) row: RowId,
    pub(crate) namespace: i64,
    pub(crate) kind: RunKind,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

impl RunRow {
    /// `namespace` is the name of its namespace.
    pub(crate) fn key(&self, namespace: &str) -> RunKey {
        RunKey {
            namespace: namespace.to_owned(),
            kind: self.kind,
            workflow_id: self.workflow_id.clone(),
            run_id: self.run_id.clone(),
        }
    }
}

/// Deletes all that is stored of a run. That it is there is the precondition.
pub(crate) fn delete_run(batch: &mut Batch, row: RowId) {
    batch.run_one("DELETE FROM runs WHERE id = ?1", vec![row.into()]);
    let (from, to) = span(row);
    for sql in [
        "DELETE FROM history WHERE at BETWEEN ?1 AND ?2",
        "DELETE FROM activities WHERE at BETWEEN ?1 AND ?2",
        "DELETE FROM buffered WHERE at BETWEEN ?1 AND ?2",
    ] {
        batch.run(sql, vec![from.into(), to.into()]);
    }
    delete_attributes(batch, row);
    batch.run("DELETE FROM deletions WHERE run = ?1", vec![row.into()]);
}

/// Notes that a run is to be deleted.
pub(crate) fn insert_deletion(batch: &mut Batch, row: RowId) {
    batch.run("INSERT OR IGNORE INTO deletions (run) VALUES (?1)", vec![row.into()]);
}

/// Runs after `after` that are to be deleted.
pub(crate) fn runs_to_delete(db: &Connection, after: RowId, limit: usize) -> Result<Vec<RunRow>, ReadError> {
    select(
        db,
        "FROM deletions JOIN runs ON runs.id = deletions.run WHERE deletions.run > ?1 ORDER BY deletions.run LIMIT ?2",
        (after, limit as i64),
    )
}

/// Some runs of a namespace.
pub(crate) fn runs_of_namespace(db: &Connection, namespace: i64, limit: usize) -> Result<Vec<RunRow>, ReadError> {
    select(
        db,
        "FROM runs WHERE runs.namespace = ?1 ORDER BY runs.kind, runs.list_order LIMIT ?2",
        (namespace, limit as i64),
    )
}

/// Runs of a namespace that closed before a time and owe nothing to anybody, those that closed first.
pub(crate) fn runs_closed_before(
    db: &Connection,
    namespace: i64,
    kind: RunKind,
    time: Timestamp,
    limit: usize,
) -> Result<Vec<RunRow>, ReadError> {
    select(
        db,
        "FROM runs WHERE runs.namespace = ?1 AND runs.kind = ?2 AND runs.list_order < ?3 AND runs.settled = 1
         ORDER BY runs.list_order LIMIT ?4",
        (namespace, kind as u8, time.as_nanos(), limit as i64),
    )
}

fn select(db: &Connection, from: &str, params: impl helve_db::rusqlite::Params) -> Result<Vec<RunRow>, ReadError> {
    let sql = format!("SELECT runs.id, runs.namespace, runs.kind, runs.workflow_id, runs.run_id {from}");
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(params)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let kind = row.get(2)?;
        runs.push(RunRow {
            row: row.get(0)?,
            namespace: row.get(1)?,
            kind: RunKind::from_number(kind)
                .ok_or_else(|| ReadError::Corrupt(format!("a run is of unknown kind {kind}")))?,
            workflow_id: row.get(3)?,
            run_id: row.get(4)?,
        });
    }
    Ok(runs)
}

/// Deletes what is left of a namespace that has no runs and no schedules any more, which is the precondition.
pub(crate) fn delete_namespace(batch: &mut Batch, namespace: i64) {
    batch.run(
        "DELETE FROM task_queue_configs WHERE namespace = ?1",
        vec![namespace.into()],
    );
    batch.run("DELETE FROM batches WHERE namespace = ?1", vec![namespace.into()]);
    // Their values went with the runs.
    batch.run(
        "DELETE FROM search_attributes WHERE namespace = ?1",
        vec![namespace.into()],
    );
    batch.run_one(
        "DELETE FROM namespaces WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE namespace = ?1)
             AND NOT EXISTS (SELECT 1 FROM schedules WHERE namespace = ?1)",
        vec![namespace.into()],
    );
}
