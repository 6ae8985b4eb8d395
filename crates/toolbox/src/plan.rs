//! A workflow's plan: what `workflow.yaml` says once it has been validated.
//!
//! Serialises to JSON. A run carries its plan in its history, so fields are only ever added, with defaults that are
//! left out of the JSON: the digest of an old plan must not change.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::duration::Span;

/// Steps and what to make of their outputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps in the order of the file, which is also the order in which ready steps are started.
    pub steps: Vec<Step>,
    /// Template of the run's `output`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
}

/// One use of a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the plan; a template names the step by it.
    pub id: String,
    /// Name of the module.
    pub uses: String,
    /// Configuration of the module: a template over `params`, `steps`, `target` and the item of a fan-out.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// Steps that must have ended well before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Expression; the step is skipped when it is false.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// How failures are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Longest time of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Runs the step once for each item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Whether the run goes on, and dependents start, although the step failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// Vertical whose workers run the step, if not the workflow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertical: Option<String>,
}

/// How failures of a step are retried; the server does it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, 1 or more.
    pub max_attempts: u32,
    /// Pause before the second attempt.
    pub initial_interval: Span,
    /// Factor by which each pause is longer than the one before, 1 or more.
    pub backoff: f64,
    /// Longest pause.
    pub max_interval: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_interval: Span::from_secs(1),
            backoff: 2.0,
            max_interval: Span::from_secs(60),
        }
    }
}

/// A fan-out over a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForEach {
    /// The list: literal, or a template that yields one.
    pub items: Value,
    /// Name of the item in templates.
    #[serde(rename = "as")]
    pub variable: String,
    /// A longer list fails the step.
    pub max_items: u32,
    /// Items that run at the same time.
    pub max_parallel: u32,
}

impl ForEach {
    /// Default and upper bound of `max_items`: each item is an activity in the run's history.
    pub const DEFAULT_MAX_ITEMS: u32 = 64;
    /// Bound of `max_items`.
    pub const LIMIT_ITEMS: u32 = 256;
    /// Default of `max_parallel`.
    pub const DEFAULT_MAX_PARALLEL: u32 = 8;
    /// Name of the item when `as` is not given.
    pub const DEFAULT_VARIABLE: &str = "item";
}

impl Plan {
    /// Most steps: each is at least three events in the run's history.
    pub const MAX_STEPS: usize = 200;

    /// JSON with sorted keys and no spaces: equal plans have equal text.
    pub fn canonical_json(&self) -> String {
        let value = serde_json::to_value(self).expect("a plan holds only JSON types");
        let mut text = String::new();
        write_canonical(&value, &mut text);
        text
    }

    /// BLAKE3 of the canonical JSON, in hex.
    pub fn digest(&self) -> String {
        blake3::hash(self.canonical_json().as_bytes()).to_hex().to_string()
    }

    /// Whether the plan can be run at all. Plans from a toolbox have been checked far more closely; a run's input may
    /// hold one from elsewhere.
    pub fn check(&self) -> Result<(), String> {
        if self.steps.len() > Self::MAX_STEPS {
            return Err(format!(
                "{} steps are too many: {} at most",
                self.steps.len(),
                Self::MAX_STEPS
            ));
        }
        let mut open: Vec<&Step> = Vec::new();
        for step in &self.steps {
            if self.steps.iter().filter(|other| other.id == step.id).count() > 1 {
                return Err(format!("two steps have the id `{}`", step.id));
            }
            if let Some(need) = step.needs.iter().find(|need| self.step(need).is_none()) {
                return Err(format!("the step `{}` needs `{need}`, which is not there", step.id));
            }
            if step.uses.starts_with(crate::run::INTERNAL_PREFIX) {
                return Err(format!(
                    "the step `{}` uses `{}`, which is not a module",
                    step.id, step.uses
                ));
            }
            if step
                .for_each
                .as_ref()
                .is_some_and(|f| f.max_items > ForEach::LIMIT_ITEMS)
            {
                return Err(format!(
                    "the step `{}` fans out to more than {} items",
                    step.id,
                    ForEach::LIMIT_ITEMS
                ));
            }
            if step
                .retry
                .as_ref()
                .is_some_and(|r| r.max_attempts == 0 || !(1.0..=100.0).contains(&r.backoff))
            {
                return Err(format!("the step `{}` has a retry that makes no sense", step.id));
            }
            if step.timeout.is_some_and(|t| t.millis() == 0) {
                return Err(format!("the step `{}` has no time to run", step.id));
            }
            open.push(step);
        }
        // What is left when no more steps can be taken away waits for itself.
        while let Some(at) = open
            .iter()
            .position(|s| s.needs.iter().all(|n| !open.iter().any(|o| o.id == *n)))
        {
            open.swap_remove(at);
        }
        match open.first() {
            Some(step) => Err(format!("the step `{}` waits for itself", step.id)),
            None => Ok(()),
        }
    }

    /// The step of that id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }
}

// serde_json keeps keys sorted only while nobody in the build turns on `preserve_order`, hence by hand.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (n, key) in keys.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
