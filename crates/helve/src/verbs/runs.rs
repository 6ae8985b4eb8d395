//! `helve runs`.

use helve_runs::{
    Client, Listed, Pending, RunDetail, RunSummary, Shown, facts_in, history_so_far, pending_activity, says,
    status_name,
};
use jiff::Timestamp;
use serde_json::json;

use super::run::no_such_run;
use crate::app::App;
use crate::cli::RunsVerb;
use crate::embedded::Sharing;
use crate::errors::{Result, refused};
use crate::render::runs::{list, show};
use crate::terminal::{Style, print, print_json};

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
                true => print_json(&json!(runs.iter().map(RunSummary::from).collect::<Vec<_>>())),
                false if runs.is_empty() => print("no runs yet; start one with `helve run WORKFLOW TARGET`\n"),
                false => print(&list(&runs, Timestamp::now(), Style::stdout())),
            }
        }
        RunsVerb::Show { run_id, json } => show_run(client, &run_id, json).await?,
        RunsVerb::Cancel { run_id, json } => {
            client
                .cancel(&run_id, "cancelled from the command line")
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
    helve_runs::list(client, limit, open, all)
        .await
        .map_err(|status| refused("cannot list the runs", &status))
}

async fn show_run(client: &Client, run_id: &str, as_json: bool) -> Result<()> {
    let described = client
        .describe(run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    let info = described.workflow_execution_info.unwrap_or_default();
    let pending: Vec<Pending> = described.pending_activities.iter().map(pending_activity).collect();
    let status = status_name(info.status());
    let facts = facts_in(info.memo.as_ref());
    let history = history_so_far(client, run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    let said = says(client, run_id, &history).await;
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
        true => print_json(&json!(RunDetail::from(&shown))),
        false => print(&show(&shown, Style::stdout())),
    }
    Ok(())
}
