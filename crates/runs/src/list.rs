//! Lists of runs.

use helve_toolbox::run::{MEMO_TARGET, WORKFLOW_QUEUE};
use jiff::Timestamp;
use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;

use crate::client::{Client, from_payload};
use crate::history::timestamp;

/// Memo key: who started a run.
pub const MEMO_STARTED_BY: &str = "helve.started_by";

/// A run in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Temporal's workflow id.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// What its user calls the target.
    pub target: Option<String>,
    /// Who started it, as far as that was written down.
    pub started_by: Option<String>,
    /// `running`, `completed`, ...
    pub status: &'static str,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Which runs are wanted; by default all that Helve started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// As [`status_name`] writes it.
    pub status: Option<String>,
    /// That began then or later.
    pub started_from: Option<Timestamp>,
    /// That began before.
    pub started_before: Option<Timestamp>,
}

impl Filter {
    /// In the language of Temporal's lists. None if no run can have that status.
    fn query(&self) -> Option<String> {
        let mut parts = vec![format!("TaskQueue = {}", quoted(WORKFLOW_QUEUE))];
        if let Some(workflow) = &self.workflow {
            parts.push(format!("WorkflowType = {}", quoted(workflow)));
        }
        if let Some(status) = &self.status {
            let (_, name) = STATUSES.iter().find(|(ours, _)| ours == status)?;
            parts.push(format!("ExecutionStatus = '{name}'"));
        }
        if let Some(from) = self.started_from {
            parts.push(format!("StartTime >= '{from}'"));
        }
        if let Some(before) = self.started_before {
            parts.push(format!("StartTime < '{before}'"));
        }
        Some(parts.join(" AND "))
    }
}

/// The statuses that a list can be asked for, as we and as Temporal's filters name them.
pub const STATUSES: [(&str, &str); 7] = [
    ("running", "Running"),
    ("completed", "Completed"),
    ("failed", "Failed"),
    ("canceled", "Canceled"),
    ("terminated", "Terminated"),
    ("timed_out", "TimedOut"),
    ("continued_as_new", "ContinuedAsNew"),
];

/// A text in a filter, whatever it holds.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// One page of the runs that a filter lets through, newest first, and the token of the next page; an empty one means that
/// this is all.
pub async fn page(
    client: &Client,
    filter: &Filter,
    size: i32,
    token: Vec<u8>,
) -> Result<(Vec<Listed>, Vec<u8>), Status> {
    let Some(query) = filter.query() else {
        return Ok((Vec::new(), Vec::new()));
    };
    let (page, next) = client.list_matching(query, size, token).await?;
    Ok((page.into_iter().map(listed).collect(), next))
}

/// One page of the runs that have ended, since a time if one is given, and the token of the next page.
pub async fn closed(
    client: &Client,
    since: Option<Timestamp>,
    size: i32,
    token: Vec<u8>,
) -> Result<(Vec<Listed>, Vec<u8>), Status> {
    let mut query = format!(
        "TaskQueue = {} AND ExecutionStatus != 'Running'",
        quoted(WORKFLOW_QUEUE)
    );
    if let Some(since) = since {
        query.push_str(&format!(" AND CloseTime >= '{since}'"));
    }
    let (page, next) = client.list_matching(query, size, token).await?;
    Ok((page.into_iter().map(listed).collect(), next))
}

/// The newest runs; only `open` ones, or of `all` programs on the engine.
pub async fn list(client: &Client, limit: usize, open: bool, all: bool) -> Result<Vec<Listed>, Status> {
    let mut runs = Vec::new();
    let mut token = Vec::new();
    loop {
        let (page, next) = client.list(token).await?;
        let wanted = page
            .into_iter()
            .filter(|info| all || info.task_queue == WORKFLOW_QUEUE)
            .map(listed);
        runs.extend(wanted.filter(|run| !open || run.status == "running"));
        if next.is_empty() || runs.len() >= limit {
            runs.truncate(limit);
            return Ok(runs);
        }
        token = next;
    }
}

/// An execution as a list shows it.
pub fn listed(info: WorkflowExecutionInfo) -> Listed {
    let memo = |key: &str| from_payload(info.memo.as_ref()?.fields.get(key)?);
    Listed {
        status: status_name(info.status()),
        target: memo(MEMO_TARGET),
        started_by: memo(MEMO_STARTED_BY),
        run_id: info.execution.unwrap_or_default().workflow_id,
        workflow: info.r#type.unwrap_or_default().name,
        started: info.start_time.as_ref().and_then(timestamp),
        ended: info.close_time.as_ref().and_then(timestamp),
    }
}

/// A status as `--json` writes it.
pub fn status_name(status: WorkflowExecutionStatus) -> &'static str {
    match status {
        WorkflowExecutionStatus::Running => "running",
        WorkflowExecutionStatus::Completed => "completed",
        WorkflowExecutionStatus::Failed => "failed",
        WorkflowExecutionStatus::Canceled => "canceled",
        WorkflowExecutionStatus::Terminated => "terminated",
        WorkflowExecutionStatus::ContinuedAsNew => "continued_as_new",
        WorkflowExecutionStatus::TimedOut => "timed_out",
        WorkflowExecutionStatus::Paused => "paused",
        WorkflowExecutionStatus::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_cannot_be_broken_out_of() {
        let filter = Filter {
            workflow: Some("x' OR WorkflowType != '\\".to_owned()),
            status: Some("timed_out".to_owned()),
            ..Filter::default()
        };
        assert_eq!(
            filter.query().unwrap(),
            r"TaskQueue = 'helve-workflows' AND WorkflowType = 'x\' OR WorkflowType != \'\\' AND ExecutionStatus = 'TimedOut'"
        );
    }

    #[test]
    fn a_status_that_no_run_has_lets_nothing_through() {
        let filter = Filter {
            status: Some("on fire".to_owned()),
            ..Filter::default()
        };
        assert_eq!(filter.query(), None);
    }
}
