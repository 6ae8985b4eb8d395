//! `helve findings`.

use helve_findings::{Finding, diff};
use helve_runs::{Client, RunResult, facts_in, history_so_far};
use serde_json::json;

use super::counting::{Known, apply};
use super::export::{check_destinations, text, write_files};
use super::run::no_such_run;
use crate::app::App;
use crate::cli::{Export, FindingsArgs, FindingsVerb};
use crate::embedded::Sharing;
use crate::errors::{Problem, Result};
use crate::render::findings::{findings as table, summary};
use crate::terminal::{Style, print, print_json};

pub(crate) async fn findings(app: &App, args: FindingsArgs) -> Result<u8> {
    match (args.verb, &args.run_id) {
        (Some(FindingsVerb::Diff { before, after, json }), _) => compare(app, &before, &after, json).await,
        (None, Some(run_id)) => {
            let run_id = run_id.clone();
            show(app, &run_id, FindingsArgs { verb: None, ..args }).await
        }
        (None, None) => Err(Problem::new("which run? `helve runs list` shows them")),
    }
}

async fn show(app: &App, run_id: &str, args: FindingsArgs) -> Result<u8> {
    let files = args.format.zip(args.output.clone());
    let files: Vec<Export> = files
        .map(|(format, path)| Export { format, path })
        .into_iter()
        .collect();
    check_destinations(args.sarif.as_deref(), &files)?;
    let known = Known::new(&args.counting)?;
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve findings", Sharing::Brief).await?;
    let result = async {
        let baseline = known.load(&session, &blobs).await?;
        let mut result = collect(&session.client, &session.engine, run_id, &blobs).await?;
        apply(&mut result, &args.counting, baseline.as_ref());
        Ok::<_, Problem>(result)
    };
    let result = result.await;
    session.close().await;
    let result = result?;
    write_files(&result, args.sarif.as_deref(), &files)?;
    if let Some(format) = args.format {
        if files.is_empty() {
            print(&text(&result, format)?);
        }
        return Ok(0);
    }
    let mut shown = result.report.findings();
    if let Some(least) = args.severity {
        shown.retain(|finding| finding.severity >= least);
    }
    if args.json {
        print_json(&json!(shown));
        return Ok(0);
    }
    shown.retain(|finding| args.suppressed || !finding.is_suppressed());
    let style = Style::stdout();
    if !shown.is_empty() {
        print(&format!("{}\n", table(&shown, usize::MAX, style)));
    }
    print(&summary(&result, style));
    Ok(0)
}

async fn compare(app: &App, before: &str, after: &str, json: bool) -> Result<u8> {
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve findings diff", Sharing::Brief).await?;
    let mut results = Vec::new();
    for run_id in [before, after] {
        results.push(collect(&session.client, &session.engine, run_id, &blobs).await);
    }
    session.close().await;
    let results: Vec<RunResult> = results.into_iter().collect::<Result<_>>()?;
    let [old, new] = results.as_slice() else {
        unreachable!("two runs were asked for")
    };
    if let Some(without) = results.iter().find(|result| !result.has_report) {
        return Err(Problem::new(format!(
            "run {} ({}) has no report to compare",
            without.run_id, without.status
        )));
    }
    let diff = diff(&old.report, &new.report);
    if json {
        print_json(&json!({
            "before": old.run_id,
            "after": new.run_id,
            "new": diff.new,
            "unchanged": diff.unchanged,
            "fixed": diff.fixed,
            "unknown": diff.unknown,
        }));
        return Ok(0);
    }
    let style = Style::stdout();
    let section = |title: &str, findings: &[&Finding]| {
        if !findings.is_empty() {
            print(&format!(
                "{}\n{}\n",
                style.paint("1", title),
                table(findings, usize::MAX, style)
            ));
        }
    };
    section("New", &diff.new);
    section("Fixed", &diff.fixed);
    section("Gone, but not looked at again", &diff.unknown);
    print(&format!(
        "{} new · {} unchanged · {} fixed · {} not looked at again\n",
        diff.new.len(),
        diff.unchanged.len(),
        diff.fixed.len(),
        diff.unknown.len()
    ));
    Ok(0)
}

/// The result of a run that has ended.
pub(crate) async fn collect(
    client: &Client,
    engine: &str,
    run_id: &str,
    blobs: &helve_blobs::BlobStore,
) -> Result<RunResult> {
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
