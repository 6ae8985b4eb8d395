//! What tools are given.

use std::path::PathBuf;

use helve_client::{FindingsAsked, RunsAsked};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::answer::Failure;

/// Items when nothing is said, and at most.
const USUAL: usize = 20;
const MOST: usize = 100;

/// Reads them.
pub(crate) fn read<T: DeserializeOwned>(arguments: Option<Map<String, Value>>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(arguments.unwrap_or_default()))
        .map_err(|error| Failure::new(format!("the arguments do not fit: {error}")))
}

pub(crate) fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(USUAL).clamp(1, MOST)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Name {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunId {
    pub(crate) run_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingId {
    pub(crate) id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfTarget {
    pub(crate) target: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    pub(crate) workflow: String,
    pub(crate) target: Option<String>,
    pub(crate) path: Option<PathBuf>,
    #[serde(default)]
    pub(crate) parameters: Map<String, Value>,
    pub(crate) timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    pub(crate) run_id: String,
    pub(crate) seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    pub(crate) run_id: String,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runs {
    workflow: Option<String>,
    status: Option<String>,
    target: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
}

impl Runs {
    pub(crate) fn asked(&self) -> RunsAsked {
        RunsAsked {
            workflow: self.workflow.clone(),
            status: self.status.clone(),
            target: self.target.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRun {
    pub(crate) run_id: String,
    pub(crate) severity: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Findings {
    query: Option<String>,
    severity: Option<String>,
    status: Option<String>,
    triage: Option<String>,
    rule: Option<String>,
    module: Option<String>,
    target: Option<String>,
    workflow: Option<String>,
    owner: Option<String>,
    path: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
}

impl Findings {
    pub(crate) fn asked(&self) -> FindingsAsked {
        FindingsAsked {
            q: self.query.clone(),
            severity: self.severity.clone(),
            status: self.status.clone(),
            triage: self.triage.clone(),
            suppressed: None,
            rule: self.rule.clone(),
            module: self.module.clone(),
            target: self.target.clone(),
            workflow: self.workflow.clone(),
            owner: self.owner.clone(),
            path: self.path.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decide {
    pub(crate) id: String,
    pub(crate) state: Option<String>,
    pub(crate) until: Option<String>,
    #[serde(default)]
    pub(crate) comment: String,
}
