//! The result of a run, put together from history and blobs.

use std::collections::BTreeMap;

use helve_blobs::{BlobStore, Packed, Skipped};
use helve_findings::{Notification, NotificationLevel, Report, Severity};
use helve_toolbox::run::{BlobRef, RunInput, RunOutput, StepOutput, StepState, StepStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use temporalio_protos::temporal::api::common::v1::Memo;

use crate::client::from_payload;
use crate::error::Error;
use crate::history::{Activity, Outcome, RunHistory};
use crate::text::millis_between;

/// Memo key of [`TargetFacts`].
pub const MEMO_TARGET_FACTS: &str = "helve.target_facts";
/// Names kept in the memo: it is shown in listings, so it must stay small.
const NAMES_KEPT: usize = 20;

/// What packing said about the target: kept in the run's memo, so that whoever looks at the run later sees it too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// BLAKE3 of the packed target, in hex.
    pub id: String,
    /// What its user calls it.
    pub name: String,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Taken although ignore files name them: the first few.
    pub forced: Vec<String>,
    /// How many of them.
    pub forced_total: u64,
    /// Entries that ignore files excluded.
    pub ignored: u64,
    /// Could not be taken: the first few.
    pub skipped: Vec<Skipped>,
    /// How many of them.
    pub skipped_total: u64,
}

impl TargetFacts {
    /// Of what was just packed.
    pub fn new(packed: &Packed) -> Self {
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
    pub(crate) fn notifications(&self) -> Vec<Notification> {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its id.
    pub step: String,
    /// What it could not do.
    pub reason: String,
}

/// A step of the plan with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Id in the plan.
    pub id: String,
    /// Name of the module.
    pub uses: String,
    /// Where it stands.
    pub status: StepState,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Attempts of the item that needed most.
    pub attempts: u32,
    /// From the first start to the last end.
    pub duration_ms: Option<u64>,
    /// How many it reported.
    pub findings: u64,
}

/// A run that has ended.
#[derive(Debug)]
pub struct RunResult {
    /// Temporal's workflow id.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Its version when the run began.
    pub workflow_version: String,
    /// `completed`, `failed`, `canceled`, `terminated`, `timed_out`.
    pub status: &'static str,
    /// Why it ended so, where there is a reason.
    pub reason: Option<String>,
    /// As `--engine` names it.
    pub engine: String,
    /// What was scanned.
    pub target: Option<TargetFacts>,
    /// Findings of each severity, without suppressed ones.
    pub by_severity: BTreeMap<Severity, u64>,
    /// Steps that could not look at everything.
    pub inconclusive: Vec<Gap>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The steps of the plan.
    pub steps: Vec<StepSummary>,
    /// Everything that was found.
    pub report: Report,
    /// Whether there is a report at all: a run that was terminated has none.
    pub has_report: bool,
    /// What the plan, or the code, says itself.
    pub output: Value,
}

impl RunResult {
    /// Puts it together. A run without an end has no result.
    pub fn collect(
        run_id: &str,
        engine: String,
        history: &RunHistory,
        facts: Option<TargetFacts>,
        blobs: &BlobStore,
    ) -> Result<Self, Error> {
        let Some(end) = &history.end else {
            return Err(Error::NotEnded(run_id.to_owned()));
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
            ended: end.at,
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
    pub fn to_json(&self) -> Value {
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
                "suppressed": self.report.suppressed(),
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

fn read_report(blobs: &BlobStore, run_id: &str, blob: &BlobRef) -> Result<Report, Error> {
    let bytes = read_blob(blobs, run_id, blob)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Report {
        run_id: run_id.to_owned(),
        source,
    })
}

/// Reads a blob that a run refers to. Needs a runtime with several threads.
pub fn read_blob(blobs: &BlobStore, run_id: &str, blob: &BlobRef) -> Result<Vec<u8>, Error> {
    let id = blob.id.parse()?;
    tokio::task::block_in_place(|| blobs.get(&id)).map_err(|source| Error::Left {
        run_id: run_id.to_owned(),
        source,
    })
}

/// The plan's steps in order with what history says about each; steps of an unknown plan, and of code, in the order they
/// started.
pub fn steps(history: &RunHistory, output: Option<&RunOutput>) -> Vec<StepSummary> {
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
pub fn base_id(step: &str) -> &str {
    step.split_once('[').map_or(step, |(base, _)| base)
}

/// A step's status in words.
pub fn status_text(status: &StepStatus) -> String {
    match status.reason() {
        Some(reason) => format!("{}: {reason}", status.state()),
        None => status.state().to_string(),
    }
}

/// What packing said, as the memo of a run keeps it.
pub fn facts_in(memo: Option<&Memo>) -> Option<TargetFacts> {
    from_payload(memo?.fields.get(MEMO_TARGET_FACTS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_severity_and_the_keys_that_scripts_rely_on() {
        let result = RunResult {
            run_id: "assessment-1".into(),
            workflow: "assessment".into(),
            workflow_version: "1.0.0".into(),
            status: "completed",
            reason: None,
            engine: "embedded".into(),
            target: Some(TargetFacts {
                forced: vec![".env".into()],
                ..TargetFacts::default()
            }),
            by_severity: BTreeMap::from([(Severity::Critical, 1), (Severity::Low, 2)]),
            inconclusive: vec![],
            duration_ms: Some(1500),
            ended: None,
            steps: vec![],
            report: Report::default(),
            has_report: true,
            output: Value::Null,
        };
        let json = result.to_json();
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
