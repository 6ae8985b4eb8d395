//! Workflow executions as lists show them.

use helve_db::{ReadError, rusqlite::Row};
use helve_history::{EventId, Timestamp};
use helve_visibility::Attributes;
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    workflow::v1::WorkflowExecutionInfo,
};

/// What [`execution_info`] reads.
pub(crate) const COLUMNS: &str = "runs.id, runs.workflow_id, runs.run_id, runs.status, runs.type, runs.task_queue, \
                                  runs.start_time, runs.execution_time, runs.close_time, runs.history_length, \
                                  runs.history_size, runs.transitions, runs.info";

/// A row as a list shows it.
pub(crate) fn execution_info(row: &Row<'_>, attributes: &Attributes) -> Result<WorkflowExecutionInfo, ReadError> {
    let id: i64 = row.get(0)?;
    let info: Vec<u8> = row.get(12)?;
    let mut info = WorkflowExecutionInfo::decode(info.as_slice())
        .map_err(|error| ReadError::Corrupt(format!("info of run row {id}: {error}")))?;
    if let Some(set) = &mut info.search_attributes {
        set.indexed_fields = attributes.shown(&set.indexed_fields);
    }
    let (start_time, execution_time, close_time): (i64, i64, Option<i64>) = (row.get(6)?, row.get(7)?, row.get(8)?);
    let history_length: EventId = row.get(9)?;
    let time = |nanos| Timestamp::from_nanos(nanos).into();
    Ok(WorkflowExecutionInfo {
        execution: Some(WorkflowExecution {
            workflow_id: row.get(1)?,
            run_id: row.get(2)?,
        }),
        status: row.get(3)?,
        r#type: Some(WorkflowType { name: row.get(4)? }),
        task_queue: row.get(5)?,
        start_time: Some(time(start_time)),
        execution_time: Some(time(execution_time)),
        close_time: close_time.map(time),
        execution_duration: close_time.map(|close| duration(close - execution_time)),
        history_length,
        history_size_bytes: row.get(10)?,
        state_transition_count: row.get(11)?,
        ..info
    })
}

pub(super) fn duration(nanos: i64) -> prost_types::Duration {
    let nanos = nanos.max(0);
    prost_types::Duration {
        seconds: nanos / 1_000_000_000,
        nanos: i32::try_from(nanos % 1_000_000_000).expect("below 1e9"),
    }
}
