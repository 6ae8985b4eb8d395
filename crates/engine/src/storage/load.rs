//! Runs read back from their rows.

use helve_db::{
    ReadError,
    rusqlite::{Connection, OptionalExtension},
};
use helve_history::{EventId, RunKey, RunKind, RunState, Summary, Timestamp};
use temporalio_protos::temporal::api::history::v1::HistoryEvent;

use super::{RowId, position, span, stored_batch, within};
use crate::encoded::EncodedEvents;

/// A run as it is stored.
pub(crate) struct StoredRun {
    pub(crate) row: RowId,
    pub(crate) version: i64,
    pub(crate) settled: bool,
    pub(crate) summary: Summary,
    pub(crate) state: RunState,
    /// Buffered events that are stored.
    pub(crate) buffered: i64,
    /// Its events, or the last of them: those of a new run that begins with another one's are not read back.
    pub(crate) history: Vec<EncodedEvents>,
}

/// A run that is open or owes something, and what is known of it without loading it.
pub(crate) struct UnsettledRun {
    pub(crate) row: RowId,
    pub(crate) key: RunKey,
    pub(crate) history_length: EventId,
    pub(crate) history_size: u64,
    pub(crate) transitions: i64,
    pub(crate) summary: Summary,
}

/// All runs that are open or owe something, in the order in which they were started. `namespace` names a namespace by its
/// number.
pub(crate) fn unsettled_runs(
    db: &Connection,
    namespace: impl Fn(i64) -> Option<String>,
) -> Result<Vec<UnsettledRun>, ReadError> {
    let mut query = db.prepare(
        "SELECT id, namespace, kind, workflow_id, run_id, history_length, history_size, transitions, due, owes
         FROM runs WHERE settled = 0 ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(UnsettledRun {
            row: row.get(0)?,
            key: run_key(row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, &namespace)?,
            history_length: row.get(5)?,
            history_size: row.get::<_, i64>(6)? as u64,
            transitions: row.get(7)?,
            summary: summary(row.get(8)?, row.get(9)?),
        });
    }
    Ok(runs)
}

fn run_key(
    number: i64,
    kind: i64,
    workflow_id: String,
    run_id: String,
    namespace: impl FnOnce(i64) -> Option<String>,
) -> Result<RunKey, ReadError> {
    let namespace = namespace(number)
        .ok_or_else(|| ReadError::Corrupt(format!("run {run_id} is of unknown namespace {number}")))?;
    let kind = RunKind::from_number(kind)
        .ok_or_else(|| ReadError::Corrupt(format!("run {run_id} is of unknown kind {kind}")))?;
    Ok(RunKey {
        namespace,
        kind,
        workflow_id,
        run_id,
    })
}

fn summary(due: Option<i64>, owes: bool) -> Summary {
    Summary {
        due: due.map(Timestamp::from_nanos),
        owes,
    }
}

/// The highest row number in use.
pub(crate) fn max_row(db: &Connection) -> Result<RowId, ReadError> {
    Ok(db.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM runs), 0), coalesce((SELECT max(id) FROM schedules), 0))",
        [],
        |row| row.get(0),
    )?)
}

/// The row of a run by its id.
pub(crate) fn run_by_id(db: &Connection, run_id: &str) -> Result<Option<RowId>, ReadError> {
    let mut query = db.prepare_cached("SELECT id FROM runs WHERE run_id = ?1")?;
    Ok(query.query_row([run_id], |row| row.get(0)).optional()?)
}

/// The row of an id's current run.
pub(crate) fn current_run(
    db: &Connection,
    namespace: i64,
    kind: RunKind,
    id: &str,
) -> Result<Option<RowId>, ReadError> {
    let mut query =
        db.prepare_cached("SELECT max(id) FROM runs WHERE namespace = ?1 AND kind = ?2 AND workflow_id = ?3")?;
    Ok(query.query_row((namespace, kind as u8, id), |row| row.get(0))?)
}

/// Loads a run by its row; `namespace` names a namespace by its number.
pub(crate) fn load_run(
    db: &Connection,
    row: RowId,
    namespace: impl FnOnce(i64) -> Option<String>,
) -> Result<StoredRun, ReadError> {
    type Row = (i64, i64, String, String, i64, bool, Vec<u8>, Option<i64>, bool);
    let (number, kind, workflow_id, run_id, version, settled, facts, due, owes): Row = db
        .prepare_cached(
            "SELECT namespace, kind, workflow_id, run_id, version, settled, facts, due, owes FROM runs WHERE id = ?1",
        )?
        .query_row([row], |r| r.try_into())?;
    let key = run_key(number, kind, workflow_id, run_id, namespace)?;
    let batches = read_batches(db, row)?;
    let activities = keyed(
        db,
        "SELECT at, facts FROM activities WHERE at BETWEEN ?1 AND ?2 ORDER BY at",
        row,
    )?;
    let buffered: Vec<Vec<u8>> = keyed(
        db,
        "SELECT at, event FROM buffered WHERE at BETWEEN ?1 AND ?2 ORDER BY at",
        row,
    )?
    .into_iter()
    .map(|(_, event)| event)
    .collect();
    let state = RunState::rebuild(key, decode(&batches)?, &facts, &activities, &buffered)
        .map_err(|corrupt| ReadError::Corrupt(format!("stored execution does not fit together: {corrupt}")))?;
    Ok(StoredRun {
        row,
        version,
        settled,
        summary: summary(due, owes),
        state,
        buffered: buffered.len() as i64,
        history: batches,
    })
}

/// A whole history as it is stored.
#[derive(Debug, Default)]
pub(crate) struct StoredHistory {
    pub(crate) events: Vec<HistoryEvent>,
    /// The last event of each stored batch.
    pub(crate) ends: Vec<EventId>,
}

/// Reads a run's whole history.
pub(crate) fn read_history(db: &Connection, row: RowId) -> Result<StoredHistory, ReadError> {
    let batches = read_batches(db, row)?;
    Ok(StoredHistory {
        events: decode(&batches)?,
        ends: batches.iter().map(EncodedEvents::last).collect(),
    })
}

fn read_batches(db: &Connection, row: RowId) -> Result<Vec<EncodedEvents>, ReadError> {
    let (from, to) = span(row);
    let mut query =
        db.prepare_cached("SELECT at, last_event_id, events FROM history WHERE at BETWEEN ?1 AND ?2 ORDER BY at")?;
    let mut rows = query.query((from, to))?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(stored_batch(row)?);
    }
    Ok(batches)
}

fn decode(batches: &[EncodedEvents]) -> Result<Vec<HistoryEvent>, ReadError> {
    let mut events = Vec::with_capacity(batches.iter().map(|batch| batch.count() as usize).sum());
    for batch in batches {
        let decoded = batch.decode();
        let decoded = decoded.map_err(|_| ReadError::Corrupt(format!("event {} cannot be decoded", batch.first())))?;
        events.extend(decoded);
    }
    Ok(events)
}

fn keyed(db: &Connection, sql: &str, row: RowId) -> Result<Vec<(EventId, Vec<u8>)>, ReadError> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map((position(row, 0), span(row).1), |r| Ok((within(r.get(0)?), r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
