//! Presenting the result of a run: table, summary, JSON, files, exit code.

use helve_runs::RunResult;
use helve_toolbox::run::StepState;

use super::export::write_files;
use crate::cli::RunArgs;
use crate::errors::{FAILED, FINDINGS, Problem, Result};
use crate::render::findings::{SHOWN, findings, summary};
use crate::terminal::{Style, print, print_json, say_problem};

/// Shows the result and returns the exit code.
pub(crate) fn present(result: &RunResult, args: &RunArgs, json: bool) -> Result<u8> {
    let written = write_files(result, args.sarif.as_deref(), &args.export);
    match json {
        true => print_json(&result.to_json()),
        false => print(&text(result)),
    }
    if let Some(problem) = failure(result) {
        // What went wrong with the run explains what went wrong with its file.
        say_problem(&problem);
        return Ok(FAILED);
    }
    written?;
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
    let mut all = result.report.findings();
    // What is accepted or known already is summed up in a line each.
    all.retain(|finding| finding.counts());
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
}
