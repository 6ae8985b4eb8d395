//! `helve runs`.

use jiff::Timestamp;
use serde_json::json;

use crate::app::App;
use crate::cli::RunsVerb;
use crate::errors::Result;
use crate::place::Place;
use crate::render::runs::{list, show};
use crate::server;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn runs(app: &App, verb: RunsVerb) -> Result<u8> {
    if let RunsVerb::Retry { run_id } = verb {
        return retry(app, &run_id).await;
    }
    Place::with(app, "helve runs", async |place| dispatch(app, place, verb).await).await
}

async fn dispatch(app: &App, place: &Place<'_>, verb: RunsVerb) -> Result<u8> {
    let json = app.global.json;
    match verb {
        RunsVerb::List { limit, open, all } => {
            let runs = place.runs(limit, open, all).await?;
            match json {
                true => print_json(&json!(runs)),
                false if runs.is_empty() => print("no runs yet; start one with `helve run WORKFLOW TARGET`\n"),
                false => print(&list(&runs, Timestamp::now(), Style::stdout())),
            }
        }
        RunsVerb::Show { run_id } => {
            let run = place.run(&run_id).await?;
            match json {
                true => print_json(&json!(run)),
                false => print(&show(&run, Timestamp::now(), Style::stdout())),
            }
        }
        RunsVerb::Cancel { run_id } => {
            place.cancel(&run_id).await?;
            confirm(&run_id, "asked to stop", "cancel_requested", json);
        }
        RunsVerb::Terminate { run_id, reason } => {
            place.terminate(&run_id, &reason).await?;
            confirm(&run_id, "terminated", "terminated", json);
        }
        RunsVerb::Retry { run_id } => return retry(app, &run_id).await,
    }
    Ok(0)
}

async fn retry(app: &App, run_id: &str) -> Result<u8> {
    let started = server::needed(app, "`helve runs retry`")?.retry(run_id).await?;
    match app.global.json {
        true => print_json(&json!({"run_id": started.run_id, "workflow": started.workflow, "retry_of": run_id})),
        false => print(&format!("run {}: started\n", started.run_id)),
    }
    Ok(0)
}

fn confirm(run_id: &str, words: &str, status: &str, json: bool) {
    match json {
        true => print_json(&json!({"run_id": run_id, "status": status})),
        false => print(&format!("run {run_id}: {words}\n")),
    }
}
