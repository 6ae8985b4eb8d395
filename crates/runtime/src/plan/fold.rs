//! Many outputs become one: the items of a fan-out, the steps of a run.

use std::collections::BTreeMap;

use helve_toolbox::Plan;
use helve_toolbox::run::{ReportOutput, RunOutput, RunStatus, StepOutput, StepState, StepStatus};
use serde_json::Value;

use super::limits::MAX_REASON_CHARS;
use super::step::{Ended, Item, StepRun};

/// The end of a step all of whose items ended.
pub(crate) fn ended(items: Vec<Item>, fan_out: bool, continue_on_error: bool) -> Ended {
    let outputs: Vec<StepOutput> = items
        .into_iter()
        .filter_map(|item| match item {
            Item::Ended(output) => Some(output),
            Item::Waiting { .. } | Item::Running { .. } => None,
        })
        .collect();
    let output = if fan_out {
        sum(&outputs)
    } else {
        outputs.first().cloned().unwrap_or_default()
    };
    let blocks = match output.status {
        StepStatus::Failed { .. } => !continue_on_error,
        StepStatus::Cancelled => true,
        StepStatus::Completed | StepStatus::Inconclusive { .. } | StepStatus::Skipped { .. } => false,
    };
    Ended {
        output,
        items: fan_out.then_some(outputs),
        blocks,
    }
}

fn sum(outputs: &[StepOutput]) -> StepOutput {
    let mut total = StepOutput {
        status: status_of_items(outputs),
        ..StepOutput::default()
    };
    for output in outputs {
        total.findings += output.findings;
        total.notifications += output.notifications;
        total.artifacts.extend(output.artifacts.iter().cloned());
        for (severity, count) in &output.by_severity {
            *total.by_severity.entry(severity.clone()).or_default() += count;
        }
    }
    total
}

// The worst counts: an item that failed makes the step fail, one that could not look makes it inconclusive.
fn status_of_items(outputs: &[StepOutput]) -> StepStatus {
    let of = |state: StepState| outputs.iter().filter(move |o| o.status.state() == state);
    let reason = |state, verb: &str| {
        let first = of(state).next()?.status.reason()?.to_owned();
        Some(shorten(&format!(
            "{} of {} items {verb}: {first}",
            of(state).count(),
            outputs.len()
        )))
    };
    if let Some(reason) = reason(StepState::Failed, "failed") {
        return StepStatus::Failed { reason };
    }
    if of(StepState::Cancelled).next().is_some() {
        return StepStatus::Cancelled;
    }
    match reason(StepState::Inconclusive, "are inconclusive") {
        Some(reason) => StepStatus::Inconclusive { reason },
        None => StepStatus::Completed,
    }
}

/// The run's result once all steps ended.
pub(crate) fn run_output(plan: &Plan, steps: &[StepRun], cancelled: bool, report: Option<ReportOutput>) -> RunOutput {
    let outputs: BTreeMap<String, StepOutput> = plan
        .steps
        .iter()
        .zip(steps)
        .filter_map(|(step, run)| match run {
            StepRun::Ended(ended) => Some((step.id.clone(), ended.output.clone())),
            StepRun::Pending | StepRun::Running { .. } => None,
        })
        .collect();
    let status = if cancelled {
        RunStatus::Cancelled
    } else {
        status(plan, steps)
    };
    let (report, sarif, total, by_severity) = match report {
        Some(merged) => (
            Some(merged.report),
            Some(merged.sarif),
            merged.total,
            merged.by_severity,
        ),
        None => (None, None, outputs.values().map(|o| o.findings).sum(), BTreeMap::new()),
    };
    RunOutput {
        status,
        steps: outputs,
        report,
        sarif,
        total,
        by_severity,
        output: Value::Null,
    }
}

/// How a run that was not cancelled ended.
pub(crate) fn status(plan: &Plan, steps: &[StepRun]) -> RunStatus {
    let mut status = RunStatus::Completed;
    for (step, run) in plan.steps.iter().zip(steps) {
        let StepRun::Ended(ended) = run else { continue };
        match &ended.output.status {
            StepStatus::Failed { .. } if !step.continue_on_error => return RunStatus::Failed,
            // What was allowed to fail, or was cancelled by itself, still did not look.
            StepStatus::Failed { .. } | StepStatus::Inconclusive { .. } | StepStatus::Cancelled => {
                status = RunStatus::Inconclusive;
            }
            StepStatus::Completed | StepStatus::Skipped { .. } => {}
        }
    }
    status
}

/// Names the steps that made the run fail, with their reasons.
pub(crate) fn failure_message(plan: &Plan, steps: &[StepRun]) -> String {
    let failed: Vec<String> = plan
        .steps
        .iter()
        .zip(steps)
        .filter(|(step, _)| !step.continue_on_error)
        .filter_map(|(step, run)| match run {
            StepRun::Ended(ended) => match &ended.output.status {
                StepStatus::Failed { reason } => Some(format!("`{}`: {reason}", step.id)),
                _ => None,
            },
            StepRun::Pending | StepRun::Running { .. } => None,
        })
        .collect();
    let count = match failed.len() {
        1 => "a step failed".to_owned(),
        n => format!("{n} steps failed"),
    };
    shorten(&format!("{count}: {}", failed.join("; ")))
}

/// A reason of bounded length.
pub(crate) fn shorten(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}
