//! The table of schedules.

use helve_db::{Batch, ReadError, rusqlite::Connection};
use helve_schedule::ScheduleState;
use prost::Message;
use temporalio_protos::temporal::api::common::v1::{Memo, SearchAttributes};

use super::RowId;

/// A stored schedule.
pub(crate) struct StoredSchedule {
    pub(crate) row: RowId,
    pub(crate) namespace: i64,
    pub(crate) schedule_id: String,
    pub(crate) version: i64,
    pub(crate) request_id: String,
    pub(crate) state: ScheduleState,
    pub(crate) memo: Memo,
    pub(crate) search_attributes: SearchAttributes,
}

pub(crate) fn load_schedules(db: &Connection) -> Result<Vec<StoredSchedule>, ReadError> {
    let mut query = db.prepare(
        "SELECT id, namespace, schedule_id, version, request_id, definition, progress, memo, search_attributes
         FROM schedules ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut schedules = Vec::new();
    while let Some(row) = rows.next()? {
        let schedule_id: String = row.get(2)?;
        let corrupt = |error: String| ReadError::Corrupt(format!("schedule {schedule_id}: {error}"));
        let (definition, progress): (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
        let (memo, attributes): (Vec<u8>, Vec<u8>) = (row.get(7)?, row.get(8)?);
        schedules.push(StoredSchedule {
            row: row.get(0)?,
            namespace: row.get(1)?,
            version: row.get(3)?,
            request_id: row.get(4)?,
            state: ScheduleState::decode(&definition, &progress).map_err(|error| corrupt(error.to_string()))?,
            memo: Memo::decode(memo.as_slice()).map_err(|error| corrupt(error.to_string()))?,
            search_attributes: SearchAttributes::decode(attributes.as_slice())
                .map_err(|error| corrupt(error.to_string()))?,
            schedule_id,
        });
    }
    Ok(schedules)
}

/// A conflict means that the namespace is no more.
pub(crate) fn insert_schedule(batch: &mut Batch, schedule: &StoredSchedule, start_time: i64) {
    batch.run_one(
        "INSERT INTO schedules (id, namespace, schedule_id, version, request_id, start_time, paused, definition,
             progress, memo, search_attributes)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
         WHERE EXISTS (SELECT 1 FROM namespaces WHERE id = ?2)",
        vec![
            schedule.row.into(),
            schedule.namespace.into(),
            schedule.schedule_id.as_str().into(),
            schedule.version.into(),
            schedule.request_id.as_str().into(),
            start_time.into(),
            schedule.state.is_paused().into(),
            schedule.state.definition().into(),
            schedule.state.progress().into(),
            schedule.memo.encode_to_vec().into(),
            schedule.search_attributes.encode_to_vec().into(),
        ],
    );
}

/// Writes a later state. What stays as it is, is not written again.
pub(crate) fn update_schedule(
    batch: &mut Batch,
    row: RowId,
    version: i64,
    state: &ScheduleState,
    definition: Option<Vec<u8>>,
    memo: Option<&Memo>,
    search_attributes: Option<&SearchAttributes>,
) {
    batch.run_one(
        "UPDATE schedules SET version = version + 1, paused = ?3, progress = ?4, definition = coalesce(?5, definition),
             memo = coalesce(?6, memo), search_attributes = coalesce(?7, search_attributes)
         WHERE id = ?1 AND version = ?2",
        vec![
            row.into(),
            version.into(),
            state.is_paused().into(),
            state.progress().into(),
            definition.into(),
            memo.map(Message::encode_to_vec).into(),
            search_attributes.map(Message::encode_to_vec).into(),
        ],
    );
}

pub(crate) fn delete_schedule(batch: &mut Batch, row: RowId, version: i64) {
    batch.run_one(
        "DELETE FROM schedules WHERE id = ?1 AND version = ?2",
        vec![row.into(), version.into()],
    );
}
