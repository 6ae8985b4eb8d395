//! What a step leaves.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The end of a step.
#[derive(Debug, Clone, Deserialize)]
pub struct StepOutput {
    /// How it ended.
    pub status: Status,
    /// Number of findings.
    #[serde(default)]
    pub findings: u64,
    /// The same by severity.
    #[serde(default)]
    pub by_severity: BTreeMap<String, u64>,
    /// Small facts of the module.
    #[serde(default)]
    pub summary: Map<String, Value>,
}

/// How a step ended, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// In one word.
    pub state: StepState,
    /// Why, unless it looked at everything.
    #[serde(default)]
    pub reason: String,
}

/// How a step ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It looked at everything.
    Completed,
    /// It could not look at everything: no findings does not mean clean.
    Inconclusive,
    /// It did not run.
    Skipped,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}
