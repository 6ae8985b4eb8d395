//! What the events of a run say, and where they stand in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use helve_findings::{Confidence, Severity};
use helve_toolbox::run::TargetRef;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::words::{Word, word};

/// Where an event stands in a run: `17.0` is the first one that the seventeenth entry of the history gives rise to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    pub(super) event: i64,
    pub(super) part: u32,
}

impl EventId {
    /// The entry of the history that gave rise to it, from 1.
    pub fn entry(self) -> i64 {
        self.event
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event, self.part)
    }
}

/// A text that is no [`EventId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of an event")]
pub struct InvalidEventId(String);

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (event, part) = text.split_once('.')?;
            Some(Self {
                event: event.parse().ok().filter(|event| *event > 0)?,
                part: part.parse().ok()?,
            })
        };
        parsed().ok_or_else(|| InvalidEventId(text.chars().take(64).collect()))
    }
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// None for what is not repeated.
    pub id: Option<EventId>,
    /// When it happened, as far as that is known.
    pub at: Option<Timestamp>,
    /// What happened.
    pub kind: RunEventKind,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEventKind {
    /// It began.
    RunStarted {
        /// Name of the workflow.
        workflow: String,
        /// What is scanned: `id` and `name`.
        #[schema(value_type = Option<Object>)]
        target: Option<TargetRef>,
        /// The steps of its plan in order; none when they are not known yet, or the workflow is code.
        steps: Vec<PlannedStep>,
    },
    /// Somebody asked it to stop.
    CancelRequested,
    /// A step waits for a worker.
    StepScheduled {
        /// Id of the step, with the item's index for a fan-out.
        step: String,
        /// Name of the module.
        module: String,
        /// Whose workers it needs.
        vertical: String,
    },
    /// A worker has taken it. Not repeated.
    StepStarted {
        /// Id of the step.
        step: String,
        /// From 1.
        attempt: u32,
        /// The worker.
        worker: String,
        /// Why the attempt before failed.
        last_failure: Option<String>,
    },
    /// It got on. Not repeated.
    StepProgress {
        /// Id of the step.
        step: String,
        /// Units done.
        done: u64,
        /// Units in all, when known.
        total: Option<u64>,
        /// What is counted.
        unit: String,
        /// What is being done, for people.
        message: Option<String>,
    },
    /// It ended.
    StepEnded(StepEnd),
    /// It found something.
    Finding(FoundFinding),
    /// A line for people: what a step could not look at, or why it failed.
    Log {
        /// Id of the step.
        step: Option<String>,
        /// `note`, `warning` or `error`.
        #[serde(deserialize_with = "word")]
        #[schema(value_type = String)]
        level: Word,
        /// What happened.
        message: String,
        /// The file it is about, relative to the target.
        path: Option<String>,
    },
    /// The run ended: the last event of all.
    RunEnded {
        /// `completed`, `failed`, `canceled`, `terminated`, `timed_out` or `continued_as_new`.
        #[serde(deserialize_with = "word")]
        #[schema(value_type = String)]
        status: Word,
        /// Why it ended so, where there is a reason.
        reason: Option<String>,
        /// Findings after deduplication, if there is a report.
        findings: Option<u64>,
        /// The same by severity.
        by_severity: BTreeMap<String, u64>,
    },
}

impl RunEventKind {
    /// Its name in JSON, `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::CancelRequested => "cancel_requested",
            Self::StepScheduled { .. } => "step_scheduled",
            Self::StepStarted { .. } => "step_started",
            Self::StepProgress { .. } => "step_progress",
            Self::StepEnded(_) => "step_ended",
            Self::Finding(_) => "finding",
            Self::Log { .. } => "log",
            Self::RunEnded { .. } => "run_ended",
        }
    }
}

/// A step of a plan, for a picture of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedStep {
    /// Its id.
    pub id: String,
    /// Name of the module.
    pub uses: String,
    /// The steps that end before it begins.
    pub needs: Vec<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepEnd {
    /// Id of the step.
    pub step: String,
    /// Name of the module.
    pub module: String,
    /// `completed`, `inconclusive`, `failed` or `cancelled`.
    pub status: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Attempts it took.
    pub attempts: u32,
    /// The worker of the last one.
    pub worker: String,
    /// Of the last attempt.
    pub duration_ms: Option<u64>,
    /// How many it reported.
    pub findings: u64,
    /// The same by severity.
    pub by_severity: BTreeMap<String, u64>,
    /// Small facts: files looked at, the statistics of a fuzzer and the like.
    #[schema(value_type = Object)]
    pub summary: Map<String, Value>,
}

/// A finding as a step reports it, before those of other steps are merged with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundFinding {
    /// Id of the step.
    pub step: String,
    /// Name of the module.
    pub module: String,
    /// Id of the rule.
    pub rule_id: String,
    /// How bad it is.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// How sure the module is.
    #[schema(value_type = String)]
    pub confidence: Confidence,
    /// One or two sentences for people.
    pub message: String,
    /// Path relative to the target.
    pub path: String,
    /// The line where it begins.
    pub line: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_it_stands_and_nothing_else_is_one() {
        let id: EventId = "17.2".parse().unwrap();
        assert_eq!(id.to_string(), "17.2");
        assert!(id > "17.1".parse().unwrap() && id < "18.0".parse().unwrap());
        for wrong in ["", "17", "0.1", "-1.0", "1.x", "1.0.0", "١.٠"] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_named_in_json_as_its_name_says() {
        let log = RunEventKind::Log {
            step: None,
            level: "note",
            message: "m".into(),
            path: None,
        };
        for kind in [RunEventKind::CancelRequested, log] {
            assert_eq!(serde_json::to_value(&kind).unwrap()["type"], kind.name());
        }
    }
}
