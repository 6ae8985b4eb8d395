//! A run with everything that is known of it: its history, what only the engine knows, and what packing said.

use std::collections::BTreeMap;
use std::time::Duration;

use helve_toolbox::run::{RunOutput, RunProgress, StepOutput, TargetRef, queue_vertical};
use helve_worker::StepProgress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use temporalio_client::tonic::Code;

use crate::client::Client;
use crate::history::{Activity, Outcome, RunHistory};
use crate::list::Listed;
use crate::pending::Pending;
use crate::result::{TargetFacts, status_text};
use crate::text::{count, grouped, millis_between};
use crate::words::{Word, word};

/// How long a run's code is waited for when it is asked how it stands: longer than it takes to bring it back from its
/// history, shorter than people wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// What an open run that is code says of itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It is no such run, or has not said anything.
    Nothing,
    /// How far it is.
    Progress(RunProgress),
    /// Nobody could be asked, for this reason.
    Unknown(String),
}

/// What a run that is code says of itself: only its worker knows, the history does not.
pub async fn says(client: &Client, run_id: &str, history: &RunHistory) -> Said {
    let is_code = history.plan.as_ref().is_some_and(|plan| plan.code.is_some());
    if !is_code || history.end.is_some() {
        return Said::Nothing;
    }
    match client.status(run_id, PATIENCE).await {
        Ok(view) => view.progress.map_or(Said::Nothing, Said::Progress),
        Err(status) => Said::Unknown(match status.code() {
            Code::FailedPrecondition => "there is no worker to ask".to_owned(),
            Code::DeadlineExceeded | Code::Cancelled => {
                format!("no worker answered within {} s", PATIENCE.as_secs())
            }
            _ => status.message().to_owned(),
        }),
    }
}

/// Everything that `helve runs show` knows.
pub struct Shown<'a> {
    /// Temporal's workflow id.
    pub run_id: &'a str,
    /// As [`crate::status_name`] writes it.
    pub status: &'static str,
    /// What it says of itself.
    pub said: &'a Said,
    /// What packing said.
    pub facts: Option<&'a TargetFacts>,
    /// What the events say.
    pub history: &'a RunHistory,
    /// What only the engine knows.
    pub pending: &'a [Pending],
    /// For how long what is open has taken.
    pub now: Timestamp,
}

/// What is known of an activity, from its history or, while it is open, from the engine.
pub struct StepLine {
    /// The attempt that runs, or was the last.
    pub attempt: u32,
    /// `waiting`, `running`, `completed`, `inconclusive`, `failed`, `timed_out`, `cancelled`.
    pub state: &'static str,
    /// When that attempt began.
    pub started: Option<Timestamp>,
    /// Whose it is, or was.
    pub worker: String,
    /// In a few words, for people.
    pub outcome: String,
}

impl StepLine {
    /// Of an activity of that run.
    pub fn new(activity: &Activity, shown: &Shown<'_>) -> Self {
        let closed = |state, outcome: String| Self {
            attempt: activity.attempts,
            state,
            started: activity.started,
            worker: activity.worker.clone(),
            outcome: match &activity.last_failure {
                Some(failure) => format!("{outcome} (an earlier attempt failed: {failure})"),
                None => outcome,
            },
        };
        match &activity.outcome {
            Outcome::Completed(Some(output)) => {
                let findings = count(output.findings, "finding");
                match output.status.reason() {
                    Some(_) => {
                        let outcome = format!("{findings}; {}", status_text(&output.status));
                        closed("inconclusive", with_sandbox(outcome, output))
                    }
                    None if activity.is_internal() => closed("completed", String::new()),
                    None => closed("completed", with_sandbox(findings, output)),
                }
            }
            Outcome::Completed(None) => closed("completed", String::new()),
            Outcome::Failed(reason) => closed("failed", reason.clone()),
            Outcome::TimedOut(reason) => closed("timed_out", reason.clone()),
            Outcome::Cancelled => closed("cancelled", String::new()),
            Outcome::Open if shown.history.end.is_some() => closed("cancelled", "the run ended before it".to_owned()),
            Outcome::Open => Self::open(activity, shown.pending.iter().find(|p| p.activity_id == activity.step)),
        }
    }

    fn open(activity: &Activity, pending: Option<&Pending>) -> Self {
        let pending = pending.cloned().unwrap_or_default();
        let mut outcome = match (&pending.progress, pending.running) {
            (Some(progress), true) => progress_text(progress),
            (None, true) => String::new(),
            (_, false) => format!("waiting for a worker with {}", queue_vertical(&activity.queue)),
        };
        if let Some(failure) = &pending.last_failure {
            outcome = format!("{outcome} (the attempt before failed: {failure})")
                .trim_start()
                .to_owned();
        }
        Self {
            attempt: pending.attempt,
            state: if pending.running { "running" } else { "waiting" },
            started: pending.started.filter(|_| pending.running),
            worker: if pending.running { pending.worker } else { String::new() },
            outcome,
        }
    }
}

/// The level of the sandbox that a program of the step ran in.
fn sandbox(output: &StepOutput) -> Option<&str> {
    output.summary.get("sandbox").and_then(Value::as_str)
}

fn with_sandbox(outcome: String, output: &StepOutput) -> String {
    match sandbox(output) {
        Some(level) => format!("{outcome}; sandbox {level}"),
        None => outcome,
    }
}

/// `1,200 of 10,000 files`.
pub fn progress_text(progress: &StepProgress) -> String {
    match progress.total {
        Some(total) => format!("{} of {} {}", grouped(progress.done), grouped(total), progress.unit),
        None => format!("{} {}", grouped(progress.done), progress.unit),
    }
}

/// A run in a list, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// The run.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// What its user calls the target.
    pub target: Option<String>,
    /// How it stands or ended.
    #[serde(deserialize_with = "word")]
    #[schema(value_type = RunStatusName)]
    pub status: Word,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// From start to end.
    pub duration_ms: Option<u64>,
}

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatusName {
    /// It goes on.
    Running,
    /// It came to its end.
    Completed,
    /// It failed.
    Failed,
    /// It was asked to stop, and did.
    Canceled,
    /// It was ended at once.
    Terminated,
    /// It took longer than it may.
    TimedOut,
    /// It goes on as another execution.
    ContinuedAsNew,
    /// It is paused.
    Paused,
    /// The engine says something that this version does not know.
    Unknown,
}

impl From<&Listed> for RunSummary {
    fn from(run: &Listed) -> Self {
        Self {
            run_id: run.run_id.clone(),
            workflow: run.workflow.clone(),
            target: run.target.clone(),
            status: run.status,
            started_at: run.started,
            ended_at: run.ended,
            duration_ms: millis_between(run.started, run.ended),
        }
    }
}

/// Everything that is known of a run, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunDetail {
    /// The run.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Its version when the run began.
    pub workflow_version: Option<String>,
    /// BLAKE3 of the plan, or of the code.
    pub plan_digest: Option<String>,
    /// How it stands or ended.
    #[serde(deserialize_with = "word")]
    #[schema(value_type = RunStatusName)]
    pub status: Word,
    /// Somebody asked it to stop.
    pub cancel_requested: bool,
    /// What an open run that is code says of itself: `text`, `done` and `total`.
    #[schema(value_type = Option<Object>)]
    pub progress: Option<RunProgress>,
    /// Why it could not be asked.
    pub progress_unknown: Option<String>,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// From start to end.
    pub duration_ms: Option<u64>,
    /// Why it ended so, where there is a reason.
    pub reason: Option<String>,
    /// What is scanned: `id` and `name`.
    #[schema(value_type = Option<Object>)]
    pub target: Option<TargetRef>,
    /// What packing said of it.
    #[schema(value_type = Option<Object>)]
    pub target_facts: Option<TargetFacts>,
    /// Parameters, with defaults.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Map<String, Value>>,
    /// What the run left: its steps, its report by reference, its counts and its own output.
    #[schema(value_type = Option<Object>)]
    pub result: Option<RunOutput>,
    /// Each step, each part of a fan-out, and Helve's own activities.
    pub steps: Vec<StepDetail>,
}

/// An activity of a run, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepDetail {
    /// Id of the step, with the item's index for a fan-out.
    pub id: String,
    /// Name of the module.
    pub uses: String,
    /// Task queue that it waits in.
    pub queue: String,
    /// `waiting`, `running`, `completed`, `inconclusive`, `failed`, `timed_out` or `cancelled`.
    #[serde(deserialize_with = "word")]
    #[schema(value_type = String)]
    pub status: Word,
    /// The attempt that runs, or was the last.
    pub attempts: u32,
    /// Whose it is, or was.
    pub worker: Option<String>,
    /// When it began to wait.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_at: Option<Timestamp>,
    /// When the last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Of the last attempt.
    pub duration_ms: Option<u64>,
    /// How many it reported.
    pub findings: Option<u64>,
    /// Findings by severity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_severity: BTreeMap<String, u64>,
    /// The level of the sandbox that its program ran in.
    pub sandbox: Option<String>,
    /// In a few words, for people.
    pub outcome: String,
    /// Whether it is Helve's own and no step of the plan.
    pub internal: bool,
}

impl From<&Shown<'_>> for RunDetail {
    fn from(shown: &Shown<'_>) -> Self {
        let history = shown.history;
        let end = history.end.as_ref();
        let input = history.input.as_ref();
        let (progress, progress_unknown) = match shown.said {
            Said::Nothing => (None, None),
            Said::Progress(progress) => (Some(progress.clone()), None),
            Said::Unknown(reason) => (None, Some(reason.clone())),
        };
        Self {
            run_id: shown.run_id.to_owned(),
            workflow: history.workflow.clone(),
            workflow_version: history.plan.as_ref().map(|plan| plan.version.clone()),
            plan_digest: history.plan.as_ref().map(|plan| plan.digest.clone()),
            status: shown.status,
            cancel_requested: history.cancel_requested,
            progress,
            progress_unknown,
            started_at: history.started,
            ended_at: end.and_then(|end| end.at),
            duration_ms: end.and_then(|end| millis_between(history.started, end.at)),
            reason: end.and_then(|end| end.reason.clone()),
            target: input.and_then(|input| input.target.clone()),
            target_facts: shown.facts.cloned(),
            parameters: input.map(|input| input.parameters.clone()),
            result: end.and_then(|end| end.output.clone()),
            steps: history
                .activities
                .iter()
                .map(|activity| StepDetail::new(activity, shown))
                .collect(),
        }
    }
}

impl StepDetail {
    fn new(activity: &Activity, shown: &Shown<'_>) -> Self {
        let line = StepLine::new(activity, shown);
        let output = match &activity.outcome {
            Outcome::Completed(Some(output)) if !activity.is_internal() => Some(&**output),
            _ => None,
        };
        Self {
            id: activity.step.clone(),
            uses: activity.uses.clone(),
            queue: activity.queue.clone(),
            status: line.state,
            attempts: line.attempt,
            worker: (!line.worker.is_empty()).then_some(line.worker),
            scheduled_at: activity.scheduled,
            started_at: line.started,
            ended_at: activity.ended,
            duration_ms: millis_between(line.started, activity.ended),
            findings: output.map(|output| output.findings),
            by_severity: output.map(|output| output.by_severity.clone()).unwrap_or_default(),
            sandbox: output.and_then(sandbox).map(str::to_owned),
            outcome: line.outcome,
            internal: activity.is_internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_as_a_sentence_would() {
        let progress = StepProgress {
            done: 1200,
            total: Some(10_000),
            unit: "files".into(),
            message: None,
        };
        assert_eq!(progress_text(&progress), "1,200 of 10,000 files");
        assert_eq!(
            progress_text(&StepProgress {
                total: None,
                ..progress
            }),
            "1,200 files"
        );
    }
}
