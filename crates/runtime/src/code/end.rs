//! How a run whose workflow is code ends: its report, its output, its status.

use std::collections::BTreeMap;

use helve_toolbox::run::{
    EmittedFinding, FAILURE_CODE, FAILURE_STEPS, FAILURE_WORKFLOW, REPORT_ACTIVITY, ReportInput, ReportOutput,
    RunOutput, RunStatus, StepOutput, StepState,
};
use helve_wasm::{Failure, FailureKind};
use serde_json::{Value, json};

use super::run::{CodeRun, Phase, Verdict};
use crate::exchange::{Command, Resolution, RunFailure};
use crate::plan::fold::shorten;

impl CodeRun {
    pub(super) fn report_input(&self) -> ReportInput {
        let findings = self.guest.findings();
        let findings = findings.into_iter().map(|finding| EmittedFinding {
            rule: finding.rule,
            severity: json!(finding.severity).as_str().unwrap_or_default().to_owned(),
            message: finding.message,
            path: finding.path,
            line: finding.line,
        });
        ReportInput {
            workflow: self.pinned.workflow.clone(),
            version: self.pinned.version.clone(),
            digest: self.pinned.digest.clone(),
            target: self.input.target.clone(),
            steps: self.steps.iter().filter_map(|step| step.report()).collect(),
            findings: findings.collect(),
        }
    }

    pub(super) fn reported(&mut self, resolution: Resolution) {
        let Phase::Reporting(verdict) = &self.phase else { return };
        let verdict = verdict.clone();
        let (report, problem) = match resolution {
            Resolution::Completed(value) => match serde_json::from_value::<ReportOutput>(value) {
                Ok(report) => (Some(report), None),
                Err(error) => (
                    None,
                    Some(format!("the answer of `{REPORT_ACTIVITY}` is not a report: {error}")),
                ),
            },
            Resolution::Failed { reason, .. } => (None, Some(shorten(&reason))),
            Resolution::Cancelled => (None, None),
        };
        self.finish(verdict, report, problem);
    }

    /// The end. A cancellation that came too late to stop anything changes nothing.
    pub(super) fn finish(&mut self, verdict: Verdict, report: Option<ReportOutput>, problem: Option<String>) {
        let interrupted = self.guest.is_cancelled() && self.is_interrupted(&verdict);
        let (status, end) = match (verdict, problem) {
            (Verdict::Faulted(message), _) => (RunStatus::Failed, Err((FAILURE_CODE, message))),
            _ if interrupted => (RunStatus::Cancelled, Ok(Value::Null)),
            (_, Some(problem)) => {
                let message = format!("the report could not be made: {problem}");
                (RunStatus::Failed, Err((FAILURE_STEPS, message)))
            }
            (Verdict::Returned(Err(failure)), None) => (RunStatus::Failed, Err((FAILURE_WORKFLOW, failure.message))),
            (Verdict::Returned(Ok(value)), None) => (self.looked(), Ok(value)),
        };
        let mut output = self.output(status, report);
        self.phase = Phase::Ended(status);
        self.commands.push(match end {
            Err((kind, message)) => Command::Fail(Box::new(RunFailure {
                kind,
                message: shorten(&message),
                output: Some(output),
            })),
            Ok(_) if status == RunStatus::Cancelled => Command::Cancelled(Some(Box::new(output))),
            Ok(value) => {
                output.output = value;
                Command::Complete(Box::new(output))
            }
        });
    }

    /// Whether some step, or the guest, did not come to its own end.
    fn is_interrupted(&self, verdict: &Verdict) -> bool {
        let stopped = |output: &StepOutput| matches!(output.status.state(), StepState::Cancelled | StepState::Failed);
        let gave_up = |failure: &Failure| failure.kind == FailureKind::Cancelled;
        let guest = matches!(verdict, Verdict::Returned(Err(failure)) if gave_up(failure));
        guest || self.steps.iter().filter_map(|step| step.output()).any(stopped)
    }

    /// How a run whose guest ended well has ended: what it allowed to fail did not look.
    fn looked(&self) -> RunStatus {
        let all = self.steps.iter().all(|step| step.step_state() == StepState::Completed);
        if all {
            RunStatus::Completed
        } else {
            RunStatus::Inconclusive
        }
    }

    fn output(&self, status: RunStatus, report: Option<ReportOutput>) -> RunOutput {
        let steps: BTreeMap<String, StepOutput> = self
            .steps
            .iter()
            .filter_map(|step| Some((step.call.step.clone(), step.output()?.clone())))
            .collect();
        let found = steps.values().map(|output| output.findings).sum();
        let (report, sarif, total, by_severity) = match report {
            Some(merged) => (
                Some(merged.report),
                Some(merged.sarif),
                merged.total,
                merged.by_severity,
            ),
            None => (None, None, found, BTreeMap::new()),
        };
        RunOutput {
            status,
            steps,
            report,
            sarif,
            total,
            by_severity,
            output: Value::Null,
        }
    }
}
