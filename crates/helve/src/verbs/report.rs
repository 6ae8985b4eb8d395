//! Presenting the result of a run: table, summary, JSON, SARIF, exit code.

use std::path::Path;

use helve_findings::sarif::{self, SarifOptions};
use helve_runs::RunResult;
use helve_toolbox::run::StepState;

use crate::cli::RunArgs;
use crate::errors::{FAILED, FINDINGS, Problem, Result};
use crate::render::findings::{SHOWN, findings, summary};
use crate::terminal::{Style, eprint_line, print, print_json};

/// Shows the result and returns the exit code.
pub(crate) fn present(result: &RunResult, args: &RunArgs) -> Result<u8> {
    let sarif = args.sarif.as_deref().map_or(Ok(()), |path| write_sarif(result, path));
    match args.json {
        true => print_json(&result.to_json()),
        false => print(&text(result)),
    }
    if let Some(problem) = failure(result) {
        // What went wrong with the run explains what went wrong with its file.
        eprint_line(&problem.render(Style::stderr().colour));
        return Ok(FAILED);
    }
    sarif?;
    let (worst, inconclusive) = (result.report.worst(), is_inconclusive(result));
    Ok(if args.fail_on.iter().any(|on| on.is_met_by(worst, inconclusive)) {
        FINDINGS
    } else {
        0
    })
}

/// Whether something that was to be looked at was not.
fn is_inconclusive(result: &RunResult) -> bool {
    !result.inconclusive.is_empty() || result.report.inconclusive().next().is_some()
}

fn text(result: &RunResult) -> String {
    let style = Style::stdout();
    let all = result.report.findings();
    let mut text = String::new();
    if !all.is_empty() {
        text.push_str(&findings(&all, SHOWN, style));
        if all.len() > SHOWN {
            text.push_str(&format!(
                "… and {} more: helve findings {}\n",
                all.len() - SHOWN,
                result.run_id
            ));
        }
        text.push('\n');
    }
    text.push_str(&summary(result, style));
    text
}

/// What to say about a run that did not complete.
fn failure(result: &RunResult) -> Option<Problem> {
    let run = &result.run_id;
    let problem = match result.status {
        "completed" => return None,
        "timed_out" => Problem::new(format!("run {run} did not finish within its --timeout"))
            .help("give it more time, or scan a smaller target"),
        "failed" => Problem::new(format!(
            "run {run} failed: {}",
            result.reason.as_deref().unwrap_or("no reason was given")
        )),
        "canceled" => Problem::new(format!("run {run} was cancelled")),
        "terminated" => {
            let reason = result
                .reason
                .as_deref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            Problem::new(format!("run {run} was terminated{reason}"))
        }
        other => Problem::new(format!("run {run} ended as {other}")),
    };
    let steps = result.steps.iter().filter_map(|step| {
        let reason = step.reason.as_ref()?;
        let known = result
            .reason
            .as_ref()
            .is_some_and(|text| text.contains(reason.as_str()));
        (step.status == StepState::Failed && !known).then(|| format!("step `{}`: {reason}", step.id))
    });
    Some(problem.details(steps))
}

/// Fails before a long scan and not after it.
pub(crate) fn check_destination(path: &Path) -> Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Problem::new(format!("{} is a directory", path.display())).help("--sarif takes the name of a file"));
    }
    match parent.is_dir() {
        true => Ok(()),
        false => Err(Problem::new(format!(
            "cannot write {}: there is no directory {}",
            path.display(),
            parent.display()
        ))
        .help("make the directory first, or name another file")),
    }
}

/// Writes the SARIF of a run to a file. Made anew from the report, since only we know what could not be packed.
pub(crate) fn write_sarif(result: &RunResult, path: &Path) -> Result<()> {
    if !result.has_report {
        return Err(Problem::new(format!(
            "run {} ({}) has no report, so nothing was written to {}",
            result.run_id,
            result.status,
            path.display()
        ))
        .help("an empty file would read as \"no findings\""));
    }
    let options = SarifOptions {
        category: Some(result.workflow.clone()),
        run_id: Some(result.run_id.clone()),
        ..SarifOptions::default()
    };
    let text = sarif::to_string(&result.report, &options);
    std::fs::write(path, text).map_err(|error| Problem::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::sample;

    #[test]
    fn a_run_that_timed_out_says_so() {
        let result = RunResult {
            status: "timed_out",
            ..sample()
        };
        assert_eq!(
            failure(&result).unwrap().to_string(),
            "error: run assessment-1 did not finish within its --timeout\n help: give it more time, or scan a smaller target"
        );
        assert!(failure(&sample()).is_none());
    }

    #[test]
    fn a_sarif_file_in_a_missing_directory_is_refused_before_the_scan() {
        let error = check_destination(Path::new("no/such/dir/out.sarif"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("error: cannot write no/such/dir/out.sarif: there is no directory no/such/dir"),
            "{error}"
        );
        assert!(check_destination(Path::new("out.sarif")).is_ok());
    }
}
