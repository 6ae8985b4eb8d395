//! Lists and counts as SQL.

use helve_db::{
    ReadError, Value,
    rusqlite::{Connection, Row, params_from_iter},
};
use helve_history::{EventId, Timestamp};
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    workflow::v1::WorkflowExecutionInfo,
};

use super::filter::{Filter, Grouping, status_name};
use crate::error::Failed;

/// The last execution of the page before. Opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct PageToken {
    #[prost(int64, tag = "1")]
    start_time: i64,
    #[prost(int64, tag = "2")]
    row: i64,
}

impl PageToken {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Failed> {
        if bytes.is_empty() {
            return Ok(None);
        }
        PageToken::decode(bytes)
            .map(Some)
            .map_err(|_| Failed::invalid("Invalid NextPageToken."))
    }
}

/// One page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) executions: Vec<WorkflowExecutionInfo>,
    /// Empty after the last one.
    pub(crate) next: Vec<u8>,
}

const COLUMNS: &str = "id, workflow_id, run_id, status, type, task_queue, start_time, execution_time, close_time, \
                       history_length, history_size, info";

/// A page of executions, newest first.
pub(crate) fn list(
    db: &Connection,
    namespace: i64,
    filter: &Filter,
    after: Option<PageToken>,
    size: usize,
) -> Result<Page, ReadError> {
    let mut params = filter.params.clone();
    let mut condition = condition(namespace, filter, &mut params);
    if let Some(PageToken { start_time, row }) = after {
        params.extend([Value::from(start_time), Value::from(row)]);
        let at = params.len();
        condition.push_str(&format!(" AND (start_time, id) < (?{}, ?{at})", at - 1));
    }
    // One more than asked for tells whether there is another page.
    params.push(Value::from(size as i64 + 1));
    let sql = format!(
        "SELECT {COLUMNS} FROM runs WHERE {condition} ORDER BY start_time DESC, id DESC LIMIT ?{}",
        params.len()
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(&params))?;
    let mut page = Page::default();
    let mut last = PageToken::default();
    while let Some(row) = rows.next()? {
        if page.executions.len() == size {
            page.next = last.encode_to_vec();
            break;
        }
        let execution;
        (last, execution) = read(row)?;
        page.executions.push(execution);
    }
    Ok(page)
}

/// How many executions there are, by group; one nameless group if the filter names no grouping.
pub(crate) fn count(db: &Connection, namespace: i64, filter: &Filter) -> Result<Vec<(String, i64)>, ReadError> {
    let mut params = filter.params.clone();
    let condition = condition(namespace, filter, &mut params);
    match filter.grouping {
        None => {
            let sql = format!("SELECT count(*) FROM runs WHERE {condition}");
            let count = db
                .prepare_cached(&sql)?
                .query_row(params_from_iter(&params), |row| row.get(0))?;
            Ok(vec![(String::new(), count)])
        }
        Some(Grouping::Status) => {
            let sql = format!("SELECT status, count(*) FROM runs WHERE {condition} GROUP BY status ORDER BY status");
            let mut query = db.prepare_cached(&sql)?;
            let groups = query.query_map(params_from_iter(&params), |row| {
                Ok((status_name(row.get(0)?).to_owned(), row.get(1)?))
            })?;
            Ok(groups.collect::<Result<_, _>>()?)
        }
    }
}

/// The filter within a namespace. Its own parameters come first, so the namespace is numbered after them.
fn condition(namespace: i64, filter: &Filter, params: &mut Vec<Value>) -> String {
    params.push(namespace.into());
    let namespace = format!("namespace = ?{} AND kind = 0", params.len());
    if filter.sql.is_empty() {
        namespace
    } else {
        format!("{namespace} AND {}", filter.sql)
    }
}

fn read(row: &Row<'_>) -> Result<(PageToken, WorkflowExecutionInfo), ReadError> {
    let (id, start_time): (i64, i64) = (row.get(0)?, row.get(6)?);
    let info: Vec<u8> = row.get(11)?;
    let info = WorkflowExecutionInfo::decode(info.as_slice())
        .map_err(|error| ReadError::Corrupt(format!("info of run row {id}: {error}")))?;
    let (execution_time, close_time): (i64, Option<i64>) = (row.get(7)?, row.get(8)?);
    let history_length: EventId = row.get(9)?;
    let time = |nanos| Timestamp::from_nanos(nanos).into();
    let info = WorkflowExecutionInfo {
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
        execution_duration: close_time.map(|close| duration(close - start_time)),
        history_length,
        history_size_bytes: row.get(10)?,
        ..info
    };
    Ok((PageToken { start_time, row: id }, info))
}

fn duration(nanos: i64) -> prost_types::Duration {
    let nanos = nanos.max(0);
    prost_types::Duration {
        seconds: nanos / 1_000_000_000,
        nanos: i32::try_from(nanos % 1_000_000_000).expect("below 1e9"),
    }
}
