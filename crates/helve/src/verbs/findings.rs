//! `helve findings`.

use helve_runs::{Client, RunResult, facts_in, history_so_far};
use serde_json::json;

use super::report::{check_destination, write_sarif};
use super::run::no_such_run;
use crate::app::App;
use crate::cli::FindingsArgs;
use crate::embedded::Sharing;
use crate::errors::Result;
use crate::render::findings::{findings as table, summary};
use crate::terminal::{Style, print, print_json};

pub(crate) async fn findings(app: &App, args: FindingsArgs) -> Result<u8> {
    if let Some(path) = &args.sarif {
        check_destination(path)?;
    }
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve findings", Sharing::Brief).await?;
    let result = collect(&session.client, &session.engine, &args.run_id, &blobs).await;
    session.close().await;
    let result = result?;
    if let Some(path) = &args.sarif {
        write_sarif(&result, path)?;
    }
    let mut shown = result.report.findings();
    if let Some(least) = args.severity {
        shown.retain(|finding| finding.severity >= least);
    }
    if args.json {
        print_json(&json!(shown));
        return Ok(0);
    }
    let style = Style::stdout();
    if !shown.is_empty() {
        print(&format!("{}\n", table(&shown, usize::MAX, style)));
    }
    print(&summary(&result, style));
    Ok(0)
}

async fn collect(client: &Client, engine: &str, run_id: &str, blobs: &helve_blobs::BlobStore) -> Result<RunResult> {
    let described = client
        .describe(run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    let facts = facts_in(described.workflow_execution_info.unwrap_or_default().memo.as_ref());
    let history = history_so_far(client, run_id)
        .await
        .map_err(|status| no_such_run(run_id, &status))?;
    Ok(RunResult::collect(run_id, engine.to_owned(), &history, facts, blobs)?)
}
