//! Standalone activities as lists show them.

use helve_db::{ReadError, rusqlite::Row};
use helve_history::Timestamp;
use helve_visibility::Attributes;
use prost::Message;
use temporalio_protos::temporal::api::{
    activity::v1::ActivityExecutionListInfo, common::v1::ActivityType, workflow::v1::WorkflowExecutionInfo,
};

use super::workflows::duration;

/// What [`activity_info`] reads.
pub(crate) const ACTIVITY_COLUMNS: &str = "runs.workflow_id, runs.run_id, runs.status, runs.type, runs.task_queue, \
                                           runs.start_time, runs.execution_time, runs.close_time, runs.history_size, \
                                           runs.transitions, runs.info";

/// A row as a list shows it. How often it changed and how large it is are only told of a closed one.
pub(crate) fn activity_info(row: &Row<'_>, attributes: &Attributes) -> Result<ActivityExecutionListInfo, ReadError> {
    let (activity_id, run_id): (String, String) = (row.get(0)?, row.get(1)?);
    let info: Vec<u8> = row.get(10)?;
    let info = WorkflowExecutionInfo::decode(info.as_slice())
        .map_err(|error| ReadError::Corrupt(format!("info of activity run {run_id}: {error}")))?;
    let mut search_attributes = info.search_attributes.unwrap_or_default();
    search_attributes.indexed_fields = attributes.shown(&search_attributes.indexed_fields);
    let (start_time, execution_time, close_time): (i64, i64, Option<i64>) = (row.get(5)?, row.get(6)?, row.get(7)?);
    let time = |nanos| Timestamp::from_nanos(nanos).into();
    let (size, transitions): (i64, i64) = (row.get(8)?, row.get(9)?);
    let when_closed = |number: i64| if close_time.is_some() { number } else { 0 };
    Ok(ActivityExecutionListInfo {
        activity_id,
        run_id,
        activity_type: Some(ActivityType { name: row.get(3)? }),
        schedule_time: Some(time(start_time)),
        close_time: close_time.map(time),
        status: row.get(2)?,
        search_attributes: Some(search_attributes),
        task_queue: row.get(4)?,
        state_transition_count: when_closed(transitions),
        state_size_bytes: when_closed(size),
        execution_duration: close_time.map(|close| duration(close - start_time)),
        execution_time: Some(time(execution_time)),
    })
}
