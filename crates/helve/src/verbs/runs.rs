//! `helve runs`.

use std::time::Duration;

use helve_toolbox::run::{MEMO_TARGET, WORKFLOW_QUEUE};
use jiff::Timestamp;
use serde_json::json;
use temporalio_client::tonic::Code;
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;

use super::follow::{history_so_far, pending_activity};
use super::run::no_such_run;
use crate::app::App;
use crate::cli::RunsVerb;
use crate::client::{Client, from_payload};
use crate::embedded::Sharing;
use crate::errors::{Result, refused};
use crate::history::{RunHistory, timestamp};
use crate::render::runs::{Listed, Pending, Said, Shown, list, list_json, show, show_json};
use crate::result::{MEMO_TARGET_FACTS, TargetFacts};
use crate::terminal::{Style, print, print_json};

/// How long a run's code is waited for when it is asked how it stands: longer than it takes to bring it back from its
/// history, shorter than people wait.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) async fn runs(app: &App, verb: RunsVerb) -> Result<u8> {
    let data = app.data_dir()?;
    let session = app.session(&data, "helve runs", Sharing::Brief).await?;
    let outcome = dispatch(&session.client, verb).await;
    session.close().await;
    outcome.map(|()| 0)
}

async fn dispatch(client: &Client, verb: RunsVerb) -> Result<()> {
    match verb {
        RunsVerb::List { limit, open, all, json } => {
            let runs = collect(client, limit, open, all).await?;
            match json {
                true => print_json(&list_json(&runs)),
                false if runs.is_empty() => print("no runs yet; start one with `helve run WORKFLOW TARGET`\n"),
                false => print(&list(&runs, Timestamp::now(), Style::stdout())),
            }
        }
        RunsVerb::Show { run_id, json } => show_run(client, &run_id, json).await?,
        RunsVerb::Cancel { run_id, json } => {
            client
                .cancel(&run_id)
                .await
                .map_err(|status| no_such_run(&run_id, &status))?;
            confirm(&run_id, "asked to stop", "cancel_requested", json);
        }
        RunsVerb::Terminate { run_id, reason, json } => {
            client
                .terminate(&run_id, &reason)
                .await
                .map_err(|status| no_such_run(&run_id, &status))?;
            confirm(&run_id, "terminated", "terminated", json);
        }
    }
    Ok(())
}

fn confirm(run_id: &str, words: &str, status: &str, json: bool) {
    match json {
        true => print_json(&json!({"run_id": run_id, "status": status})),
        false => print(&format!("run {run_id}: {words}\n")),
    }
}

/// The newest runs.
pub(super) async fn collect(client: &Client, limit: usize, open: bool, all: bool) -> Result<Vec<Listed>> {
    let mut runs = Vec::new();
    let mut token = Vec::new();
    loop {
        let (page, next) = client
            .list(token)
            .await
            .map_err(|status| refused("cannot list the runs", &status))?;
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

fn listed(info: WorkflowExecutionInfo) -> Listed {
    Listed {
        status: status_name(info.status()),
        run_id: info.execution.unwrap_or_default().workflow_id,
        workflow: info.r#type.unwrap_or_default().name,
        target: info.memo.and_then(|memo| from_payload(memo.fields.get(MEMO_TARGET)?)),
        started: info.start_time.as_ref().and_then(timestamp),
        ended: info.close_time.as_ref().and_then(timestamp),
    }
}

async fn show_run(client: &Client, run_id: &str, as_json: bool) -> Result<()> {
    let described = client
        .describe(run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    let info = described.workflow_execution_info.unwrap_or_default();
    let pending: Vec<Pending> = described.pending_activities.iter().map(pending_activity).collect();
    let status = status_name(info.status());
    let facts: Option<TargetFacts> = info
        .memo
        .and_then(|memo| from_payload(memo.fields.get(MEMO_TARGET_FACTS)?));
    let history = history_so_far(client, run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    let said = match history.end {
        None => says(client, run_id, &history).await,
        Some(_) => Said::Nothing,
    };
    let shown = Shown {
        run_id,
        status,
        said: &said,
        facts: facts.as_ref(),
        history: &history,
        pending: &pending,
        now: Timestamp::now(),
    };
    match as_json {
        true => print_json(&show_json(&shown)),
        false => print(&show(&shown, Style::stdout())),
    }
    Ok(())
}

/// What a run that is code says of itself: only its worker knows, the history does not.
async fn says(client: &Client, run_id: &str, history: &RunHistory) -> Said {
    if history.plan.as_ref().is_none_or(|plan| plan.code.is_none()) {
        return Said::Nothing;
    }
    match client.status(run_id, PATIENCE).await {
        Ok(view) => view.progress.map_or(Said::Nothing, Said::Progress),
        Err(status) => Said::Unknown(match status.code() {
            Code::FailedPrecondition => "there is no worker to ask".to_owned(),
            Code::DeadlineExceeded | Code::Cancelled => {
                format!("no worker answered within {} s", PATIENCE.as_secs())
            }
            _ => status.message().to_owned(),
        }),
    }
}

fn status_name(status: WorkflowExecutionStatus) -> &'static str {
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
