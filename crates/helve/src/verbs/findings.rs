//! `helve findings`.

use helve_findings::{Finding, diff};
use serde_json::json;

use super::counting::{Known, apply};
use super::export::{check_destinations, text, write_files};
use super::managed;
use crate::app::App;
use crate::cli::{Export, FindingsArgs, FindingsVerb};
use crate::errors::{Problem, Result};
use crate::place::Place;
use crate::render::findings::{findings as table, summary};
use crate::terminal::{Style, print, print_json};

pub(crate) async fn findings(app: &App, args: FindingsArgs) -> Result<u8> {
    match (args.verb, &args.run_id) {
        (Some(FindingsVerb::Diff { before, after }), _) => compare(app, &before, &after).await,
        (Some(FindingsVerb::List(filter)), _) => managed::list(app, *filter).await,
        (Some(FindingsVerb::Show { id }), _) => managed::show(app, &id).await,
        (Some(FindingsVerb::Triage(args)), _) => managed::triage(app, *args).await,
        (Some(FindingsVerb::Comment { id, text }), _) => managed::comment(app, &id, text).await,
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
    let result = Place::with(app, "helve findings", async |place| {
        let baseline = known.load(async |run_id| place.result(run_id).await).await?;
        let mut result = place.result(run_id).await?;
        apply(&mut result, &args.counting, baseline.as_ref());
        Ok(result)
    });
    let result = result.await?;
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
    if app.global.json {
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

async fn compare(app: &App, before: &str, after: &str) -> Result<u8> {
    let results = Place::with(app, "helve findings diff", async |place| {
        Ok([place.result(before).await?, place.result(after).await?])
    });
    let results = results.await?;
    let [old, new] = &results;
    if let Some(without) = results.iter().find(|result| !result.has_report) {
        return Err(Problem::new(format!(
            "run {} ({}) has no report to compare",
            without.run_id, without.status
        )));
    }
    let diff = diff(&old.report, &new.report);
    if app.global.json {
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
