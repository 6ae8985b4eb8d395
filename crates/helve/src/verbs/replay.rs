//! `helve workflows replay`: whether a changed workflow could go on with a recorded run.

use std::fs;
use std::path::Path;

use helve_blobs::BlobStore;
use helve_runs::{Client, Wait};
use helve_worker::{Code, Verdict, replay};
use serde_json::json;
use temporalio_protos::temporal::api::history::v1::History;

use crate::app::App;
use crate::embedded::Sharing;
use crate::errors::{FAILED, Problem, Result};
use crate::place;
use crate::terminal::{print, print_json};

/// `helve workflows replay`.
pub(crate) async fn replay_run(app: &App, run_id: &str, with: Option<&Path>) -> Result<u8> {
    let code = with.map(fs::read).transpose();
    let code = code.map_err(|error| Problem::io("read", with.unwrap_or(Path::new("")), &error))?;
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve workflows replay", Sharing::Brief).await?;
    let history = history(&session.client, run_id).await;
    session.close().await;
    let verdict = judge(app, run_id, history?, code, blobs, data.compiled()).await?;
    let (compatible, reason) = match &verdict {
        Verdict::Compatible => (true, None),
        Verdict::Incompatible { reason } => (false, Some(reason.as_str())),
    };
    match (app.global.json, reason) {
        (true, _) => print_json(&json!({"run_id": run_id, "compatible": compatible, "reason": reason})),
        (false, None) => print(&format!("run {run_id}: compatible\n")),
        (false, Some(reason)) => print(&format!("run {run_id}: not compatible\n  {reason}\n")),
    }
    Ok(if compatible { 0 } else { FAILED })
}

async fn judge(
    app: &App,
    run_id: &str,
    history: History,
    code: Option<Vec<u8>>,
    blobs: BlobStore,
    compiled: std::path::PathBuf,
) -> Result<Verdict> {
    let code = Code {
        toolbox: app.shelf.clone(),
        blobs,
        compiled: Some(compiled),
        instead: code,
    };
    replay(run_id, history, code)
        .await
        .map_err(|error| Problem::new(error.to_string()))
}

async fn history(client: &Client, run_id: &str) -> Result<History> {
    let mut history = History::default();
    let mut token = Vec::new();
    loop {
        let page = client.history(run_id, token, Wait::No).await;
        let (events, next) = page.map_err(place::of_run(run_id))?;
        history.events.extend(events);
        if next.is_empty() {
            return Ok(history);
        }
        token = next;
    }
}
