//! A run before it starts.

use std::time::Duration;

use helve_toolbox::run::{MEMO_TARGET, MEMO_WORKFLOW_VERSION, PlanOutput, RunInput, TargetRef};
use serde_json::{Value, json};
use temporalio_client::tonic::Status;

use crate::client::{Client, StartRun};
use crate::result::{MEMO_TARGET_FACTS, TargetFacts};

/// What is to be run: plan and modules pinned, parameters resolved, the target in the store.
#[derive(Debug, Clone)]
pub struct Order {
    /// Name of the workflow.
    pub workflow: String,
    /// The argument.
    pub input: RunInput,
    /// What lists show.
    pub memo: Vec<(&'static str, Value)>,
    /// After this time the run ends, whatever it does.
    pub timeout: Option<Duration>,
}

impl Order {
    /// From a pinned plan ([`helve_toolbox::Toolbox::pin`]) and a packed target. What it pins must be stored before it starts
    /// ([`helve_worker::store_pinned`]).
    pub fn new(plan: PlanOutput, target: Option<&TargetFacts>, timeout: Option<Duration>) -> Self {
        let PlanOutput { plan, parameters } = plan;
        let mut memo = vec![(MEMO_WORKFLOW_VERSION, json!(plan.version))];
        if let Some(facts) = target {
            memo.push((MEMO_TARGET, json!(facts.name)));
            memo.push((MEMO_TARGET_FACTS, json!(facts)));
        }
        Self {
            workflow: plan.workflow.clone(),
            input: RunInput {
                target: target.map(|facts| TargetRef {
                    id: facts.id.clone(),
                    name: facts.name.clone(),
                }),
                parameters,
                plan: Some(plan),
            },
            memo,
            timeout,
        }
    }

    /// Starts it. An id that was ever used is refused.
    pub async fn start(&self, client: &Client, run_id: &str) -> Result<(), Status> {
        client
            .start(StartRun {
                run_id,
                workflow: &self.workflow,
                input: &self.input,
                memo: &self.memo,
                timeout: self.timeout,
            })
            .await
    }
}

/// `<workflow>-<8 characters>`: short enough to type, random enough not to meet another one.
pub fn new_run_id(workflow: &str) -> String {
    let random = uuid::Uuid::new_v4().into_bytes();
    run_id(workflow, &random[8..16])
}

/// `<workflow>-` and a character for each byte.
pub fn run_id(workflow: &str, bytes: &[u8]) -> String {
    // Crockford's alphabet: no letters that look like digits.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let suffix: String = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    format!("{workflow}-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_short_and_differ() {
        let (a, b) = (new_run_id("assessment"), new_run_id("assessment"));
        assert_ne!(a, b);
        assert_eq!(a.len(), "assessment-".len() + 8);
        assert!(
            a.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{a}"
        );
    }
}
