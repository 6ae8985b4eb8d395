//! The result of a run, as `helve run` and `helve findings` present it, put together from history and blobs.

use std::collections::BTreeMap;

use helve_blobs::{BlobStore, Packed, Skipped};
use helve_findings::{Notification, NotificationLevel, Report, Severity};
use helve_toolbox::run::{BlobRef, RunInput, RunOutput, StepOutput, StepState, StepStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::{Problem, Result};
use crate::history::{Activity, Outcome, RunHistory};
use crate::render::millis_between;

/// Memo key of [`TargetFacts`].
pub(crate) const MEMO_TARGET_FACTS: &str = "helve.target_facts";
/// Names kept in the memo: it is shown in listings, so it must stay small.
const NAMES_KEPT: usize = 20;

/// What packing said about the target: kept in the run's memo, so that whoever looks at the run later sees it too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetFacts {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Taken although ignore files name them: the first few.
    pub(crate) forced: Vec<String>,
    pub(crate) forced_total: u64,
    pub(crate) ignored: u64,
    /// Could not be taken: the first few.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) skipped_total: u64,
}

impl TargetFacts {
    pub(crate) fn new(packed: &Packed) -> Self {
        Self {
            id: packed.id.to_string(),
            name: packed.name.clone(),
            files: packed.files,
            bytes: packed.bytes,
            forced: packed.forced.iter().take(NAMES_KEPT).cloned().collect(),
            forced_total: packed.forced.len() as u64,
            ignored: packed.ignored,
            skipped: packed.skipped.iter().take(NAMES_KEPT).cloned().collect(),
            skipped_total: packed.skipped_total,
        }
    }

    /// What could not be packed was not looked at.
    fn notifications(&self) -> Vec<Notification> {
        let warning = |message: String, path| Notification {
            level: NotificationLevel::Warning,
            message,
            path,
        };
        let named = self
            .skipped
            .iter()
            .map(|s| warning(format!("not scanned: {}", s.reason), Some(s.path.clone())));
        let unnamed = self.skipped_total.saturating_sub(self.skipped.len() as u64);
        let rest =
            (unnamed > 0).then(|| warning(format!("{unnamed} more files or directories were not scanned"), None));
        named.chain(rest).collect()
    }

    /// All that is left to say when the memo is gone or was written by somebody else.
    fn from_input(input: &RunInput, blobs: &BlobStore) -> Option<Self> {
        let target = input.target.as_ref()?;
        let manifest = target.id.parse().ok().and_then(|id| blobs.target(&id));
        let (files, bytes) = manifest.map_or((0, 0), |manifest| (manifest.files, manifest.bytes));
        Some(Self {
            id: target.id.clone(),
            name: target.name.clone(),
            files,
            bytes,
            ..Self::default()
        })
    }
}

/// A step that could not look at everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    pub(crate) step: String,
    pub(crate) reason: String,
}

/// A step of the plan with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StepSummary {
    pub(crate) id: String,
    pub(crate) uses: String,
    pub(crate) status: StepState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) findings: u64,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) run_id: String,
    pub(crate) workflow: String,
    pub(crate) workflow_version: String,
    /// `completed`, `failed`, `canceled`, `terminated`, `timed_out`.
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) engine: String,
    pub(crate) target: Option<TargetFacts>,
    pub(crate) by_severity: BTreeMap<Severity, u64>,
    pub(crate) inconclusive: Vec<Gap>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) steps: Vec<StepSummary>,
    pub(crate) report: Report,
    /// Whether there is a report at all: a run that was terminated has none.
    pub(crate) has_report: bool,
    pub(crate) output: Value,
}

impl RunResult {
    /// Puts it together. A run without an end has no result.
    pub(crate) fn collect(
        run_id: &str,
        engine: String,
        history: &RunHistory,
        facts: Option<TargetFacts>,
        blobs: &BlobStore,
    ) -> Result<Self> {
        let Some(end) = &history.end else {
            return Err(Problem::new(format!("run {run_id} has not ended yet")).help(format!(
                "`helve run --resume {run_id}` waits for it, `helve runs show {run_id}` shows how far it is"
            )));
        };
        let target = facts.or_else(|| TargetFacts::from_input(history.input.as_ref()?, blobs));
        let blob = end.output.as_ref().and_then(|output| output.report.as_ref());
        let report = match blob {
            Some(blob) => read_report(blobs, run_id, blob)?,
            None => Report::default(),
        };
        let report = report.with_notifications(target.iter().flat_map(TargetFacts::notifications));
        let steps = steps(history, end.output.as_ref());
        Ok(Self {
            run_id: run_id.to_owned(),
            workflow: history.workflow.clone(),
            workflow_version: history
                .plan
                .as_ref()
                .map(|plan| plan.version.clone())
                .unwrap_or_default(),
            status: end.how.name(),
            reason: end.reason.clone(),
            engine,
            target,
            has_report: blob.is_some(),
            by_severity: report.counts(),
            inconclusive: steps.iter().filter_map(gap).collect(),
            duration_ms: millis_between(history.started, end.at),
            steps,
            output: end
                .output
                .as_ref()
                .map(|output| output.output.clone())
                .unwrap_or_default(),
            report,
        })
    }

    /// The document of `helve run --json`.
    pub(crate) fn to_json(&self) -> Value {
        let by_severity: BTreeMap<String, u64> = Severity::ALL
            .iter()
            .map(|s| (s.to_string(), self.by_severity.get(s).copied().unwrap_or(0)))
            .collect();
        let of_modules = self.report.modules.iter().flat_map(|module| {
            module
                .notifications
                .iter()
                .map(move |notification| (Some(&module.module), notification))
        });
        let notifications: Vec<Value> = of_modules
            .chain(
                self.report
                    .notifications
                    .iter()
                    .map(|notification| (None, notification)),
            )
            .map(|(module, notification)| {
                let mut value = json!(notification);
                value["module"] = json!(module);
                value
            })
            .collect();
        json!({
            "run_id": self.run_id,
            "workflow": self.workflow,
            "workflow_version": self.workflow_version,
            "status": self.status,
            "reason": self.reason,
            "engine": self.engine,
            "target": self.target,
            "summary": {
                "total": self.report.total(),
                "by_severity": by_severity,
                "inconclusive": self.inconclusive,
                "duration_ms": self.duration_ms,
            },
            "steps": self.steps,
            "findings": self.report.findings(),
            "notifications": notifications,
            "output": self.output,
        })
    }
}

fn read_report(blobs: &BlobStore, run_id: &str, blob: &BlobRef) -> Result<Report> {
    let bytes = read_blob(blobs, run_id, blob)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(format!("the report of run {run_id} cannot be read: {error}"))
            .help("it was written by another version of Helve: use that one, or scan again")
    })
}

/// Reads a blob that a run refers to.
pub(crate) fn read_blob(blobs: &BlobStore, run_id: &str, blob: &BlobRef) -> Result<Vec<u8>> {
    let id = blob
        .id
        .parse()
        .map_err(|error: helve_blobs::InvalidId| Problem::new(error.to_string()))?;
    tokio::task::block_in_place(|| blobs.get(&id)).map_err(|error| {
        Problem::new(format!("what run {run_id} left cannot be read: {error}"))
            .help("use the --blobs, or the --data-dir, of the worker that ran it")
    })
}

/// The plan's steps in order with what history says about each; steps of an unknown plan, and of code, in the order they
/// started.
pub(crate) fn steps(history: &RunHistory, output: Option<&RunOutput>) -> Vec<StepSummary> {
    // The items of a plan's step are one step. Code names its steps itself: `scan[2]` is as much a step as any.
    let is_code = history.plan.as_ref().is_some_and(|plan| plan.code.is_some());
    let id_of = |activity: &Activity| match is_code {
        true => activity.step.clone(),
        false => base_id(&activity.step).to_owned(),
    };
    let mut parts: BTreeMap<String, Vec<&Activity>> = BTreeMap::new();
    let mut started: Vec<(String, String)> = Vec::new();
    for activity in history.activities.iter().filter(|a| !a.is_internal()) {
        let id = id_of(activity);
        let known = parts.entry(id.clone()).or_default();
        if known.is_empty() {
            started.push((id, activity.uses.clone()));
        }
        known.push(activity);
    }
    let named = match &history.plan {
        Some(plan) if !is_code => {
            let steps = plan.plan.steps.iter();
            steps.map(|step| (step.id.clone(), step.uses.clone())).collect()
        }
        _ => started,
    };
    named
        .into_iter()
        .map(|(id, uses)| {
            let parts = parts.get(&id).map(Vec::as_slice).unwrap_or_default();
            summary(id, uses, parts, history, output)
        })
        .collect()
}

fn summary(
    id: String,
    uses: String,
    parts: &[&Activity],
    history: &RunHistory,
    output: Option<&RunOutput>,
) -> StepSummary {
    let last = latest(parts);
    let result = output.and_then(|output| output.steps.get(&id));
    let status = result.map_or_else(|| state_of(&last, history.end.is_some()), |step| step.status.state());
    StepSummary {
        status,
        reason: result.and_then(|step| step.status.reason()).map(str::to_owned),
        attempts: attempts(parts),
        duration_ms: millis_between(
            parts.iter().filter_map(|part| part.started).min(),
            parts.iter().filter_map(|part| part.ended).max(),
        ),
        findings: result.map_or_else(
            || {
                last.iter()
                    .map(|part| part_output(part).map_or(0, |o| o.findings))
                    .sum()
            },
            |step| step.findings,
        ),
        id,
        uses,
    }
}

/// Attempts of the item that needed most: a step whose worker went away is scheduled anew, which counts on.
fn attempts(parts: &[&Activity]) -> u32 {
    let mut by_item: BTreeMap<&str, u32> = BTreeMap::new();
    for part in parts {
        *by_item.entry(&part.step).or_default() += part.attempts;
    }
    by_item.into_values().max().unwrap_or(0)
}

fn part_output(activity: &Activity) -> Option<&StepOutput> {
    match &activity.outcome {
        Outcome::Completed(output) => output.as_deref(),
        _ => None,
    }
}

/// The last scheduling of each item.
fn latest<'a>(parts: &[&'a Activity]) -> Vec<&'a Activity> {
    let by_item: BTreeMap<&str, &Activity> = parts.iter().map(|part| (part.step.as_str(), *part)).collect();
    by_item.into_values().collect()
}

/// The state of a step in a run that left no result: the worst of its parts.
fn state_of(parts: &[&Activity], ended: bool) -> StepState {
    let state = |part: &&Activity| match &part.outcome {
        // The run ended around it.
        Outcome::Open if ended => StepState::Cancelled,
        Outcome::Open => StepState::Running,
        Outcome::Completed(output) => output
            .as_ref()
            .map_or(StepState::Completed, |output| output.status.state()),
        Outcome::Failed(_) | Outcome::TimedOut(_) => StepState::Failed,
        Outcome::Cancelled => StepState::Cancelled,
    };
    let states: Vec<StepState> = parts.iter().map(state).collect();
    [
        StepState::Running,
        StepState::Failed,
        StepState::Cancelled,
        StepState::Inconclusive,
        StepState::Completed,
    ]
    .into_iter()
    .find(|wanted| states.contains(wanted))
    .unwrap_or(if ended { StepState::Skipped } else { StepState::Pending })
}

fn gap(step: &StepSummary) -> Option<Gap> {
    (step.status == StepState::Inconclusive).then(|| Gap {
        step: step.id.clone(),
        reason: step.reason.clone().unwrap_or_else(|| "it did not say why".to_owned()),
    })
}

/// The step's id without the item's index of a fan-out.
pub(crate) fn base_id(step: &str) -> &str {
    step.split_once('[').map_or(step, |(base, _)| base)
}

/// A step's status in words.
pub(crate) fn status_text(status: &StepStatus) -> String {
    match status.reason() {
        Some(reason) => format!("{}: {reason}", status.state()),
        None => status.state().to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run with a bit of everything.
    pub(crate) fn sample() -> RunResult {
        let skipped = |path: &str| Skipped {
            path: path.into(),
            reason: "x".into(),
        };
        RunResult {
            run_id: "assessment-1".into(),
            workflow: "assessment".into(),
            workflow_version: "1.0.0".into(),
            status: "completed",
            reason: None,
            engine: "embedded".into(),
            target: Some(TargetFacts {
                id: "00".into(),
                name: "app".into(),
                files: 12,
                bytes: 3400,
                forced: vec![".env".into()],
                forced_total: 1,
                ignored: 2,
                skipped: vec![skipped("a"), skipped("b"), skipped("c"), skipped("d")],
                skipped_total: 7,
            }),
            by_severity: BTreeMap::from([(Severity::Critical, 1), (Severity::Low, 2)]),
            inconclusive: vec![Gap {
                step: "sast".into(),
                reason: "could not parse 2 files".into(),
            }],
            duration_ms: Some(1500),
            steps: vec![],
            report: Report::default(),
            has_report: true,
            output: Value::Null,
        }
    }

    #[test]
    fn json_has_every_severity_and_the_keys_that_scripts_rely_on() {
        let json = sample().to_json();
        for key in [
            "run_id",
            "workflow",
            "workflow_version",
            "status",
            "engine",
            "target",
            "summary",
            "steps",
            "findings",
            "notifications",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert_eq!(
            json["summary"]["by_severity"],
            json!({"critical": 1, "high": 0, "medium": 0, "low": 2, "note": 0})
        );
        assert_eq!(json["target"]["forced"], json!([".env"]));
    }

    #[test]
    fn a_fan_out_is_one_step() {
        assert_eq!(base_id("scan[12]"), "scan");
        assert_eq!(base_id("scan"), "scan");
    }
}
