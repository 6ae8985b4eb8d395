//! The table of batch operations.

use helve_db::{
    Batch, ReadError,
    rusqlite::{Connection, OptionalExtension, Row},
};
use helve_history::Timestamp;
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::BatchOperationState, workflowservice::v1::StartBatchOperationRequest,
};

/// A batch operation as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    pub(crate) namespace: i64,
    pub(crate) job_id: String,
    pub(crate) request: StartBatchOperationRequest,
    pub(crate) state: BatchOperationState,
    pub(crate) start_time: Timestamp,
    pub(crate) close_time: Option<Timestamp>,
    pub(crate) progress: Progress,
}

/// How far a batch operation got.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Executions it concerns, as they were counted at its start.
    pub(crate) total: i64,
    /// Executions done with.
    pub(crate) done: i64,
    /// Those of them for which the operation failed.
    pub(crate) failed: i64,
    /// Where to go on.
    pub(crate) place: Vec<u8>,
}

const COLUMNS: &str = "namespace, job_id, request, state, start_time, close_time, total, done, failed, place";

/// A conflict means that the job id is taken (or the namespace no more).
pub(crate) fn insert_batch(batch: &mut Batch, new: &StoredBatch) {
    batch.run_one(
        "INSERT INTO batches (namespace, job_id, request, state, start_time, total, done, failed, place)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0, 0, x'' WHERE NOT EXISTS (
             SELECT 1 FROM batches WHERE namespace = ?1 AND job_id = ?2)
             AND EXISTS (SELECT 1 FROM namespaces WHERE id = ?1)",
        vec![
            new.namespace.into(),
            new.job_id.as_str().into(),
            new.request.encode_to_vec().into(),
            i64::from(new.state as i32).into(),
            new.start_time.as_nanos().into(),
            new.progress.total.into(),
        ],
    );
}

/// A conflict means that the operation does not run any more.
pub(crate) fn update_batch(batch: &mut Batch, namespace: i64, job_id: &str, progress: &Progress) {
    batch.run_one(
        "UPDATE batches SET done = ?3, failed = ?4, place = ?5 WHERE namespace = ?1 AND job_id = ?2 AND state = 1",
        vec![
            namespace.into(),
            job_id.into(),
            progress.done.into(),
            progress.failed.into(),
            progress.place.clone().into(),
        ],
    );
}

/// A conflict means that the operation does not run any more.
pub(crate) fn close_batch(batch: &mut Batch, namespace: i64, job_id: &str, state: BatchOperationState, at: Timestamp) {
    batch.run_one(
        "UPDATE batches SET state = ?3, close_time = ?4 WHERE namespace = ?1 AND job_id = ?2 AND state = 1",
        vec![
            namespace.into(),
            job_id.into(),
            i64::from(state as i32).into(),
            at.as_nanos().into(),
        ],
    );
}

pub(crate) fn read_batch(db: &Connection, namespace: i64, job_id: &str) -> Result<Option<StoredBatch>, ReadError> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM batches WHERE namespace = ?1 AND job_id = ?2"
    ))?;
    let row = query.query_row((namespace, job_id), |row| Ok(read(row))).optional()?;
    row.transpose()
}

/// All that run, of all namespaces.
pub(crate) fn running_batches(db: &Connection) -> Result<Vec<StoredBatch>, ReadError> {
    let mut query = db.prepare(&format!(
        "SELECT {COLUMNS} FROM batches WHERE state = 1 ORDER BY namespace, start_time, job_id"
    ))?;
    let mut rows = query.query([])?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(read(row)?);
    }
    Ok(batches)
}

pub(crate) fn count_running_batches(db: &Connection, namespace: i64) -> Result<i64, ReadError> {
    let mut query = db.prepare_cached("SELECT count(*) FROM batches WHERE namespace = ?1 AND state = 1")?;
    Ok(query.query_row([namespace], |row| row.get(0))?)
}

/// Newest first, those after the one with the given start time and job id.
pub(crate) fn list_batches(
    db: &Connection,
    namespace: i64,
    after: Option<(Timestamp, String)>,
    count: usize,
) -> Result<Vec<StoredBatch>, ReadError> {
    let (time, job_id) = after.map_or((i64::MAX, String::new()), |(time, job_id)| (time.as_nanos(), job_id));
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM batches WHERE namespace = ?1 AND (start_time, job_id) < (?2, ?3)
         ORDER BY start_time DESC, job_id DESC LIMIT ?4"
    ))?;
    let mut rows = query.query((namespace, time, job_id, count as i64))?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(read(row)?);
    }
    Ok(batches)
}

fn read(row: &Row<'_>) -> Result<StoredBatch, ReadError> {
    let job_id: String = row.get(1)?;
    let request: Vec<u8> = row.get(2)?;
    let state: i32 = row.get(3)?;
    let corrupt = |what: String| ReadError::Corrupt(format!("batch operation {job_id}: {what}"));
    Ok(StoredBatch {
        namespace: row.get(0)?,
        request: StartBatchOperationRequest::decode(request.as_slice()).map_err(|error| corrupt(error.to_string()))?,
        state: BatchOperationState::try_from(state).map_err(|error| corrupt(error.to_string()))?,
        start_time: Timestamp::from_nanos(row.get(4)?),
        close_time: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_nanos),
        progress: Progress {
            total: row.get(6)?,
            done: row.get(7)?,
            failed: row.get(8)?,
            place: row.get(9)?,
        },
        job_id,
    })
}
