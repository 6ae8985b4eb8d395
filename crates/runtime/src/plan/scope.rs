//! What the templates of a plan see.

use helve_toolbox::Plan;
use helve_toolbox::run::{StepOutput, TargetRef};
use helve_toolbox::template::Scope;
use serde_json::{Map, Value, json};

use super::step::StepRun;

/// Severities that `by_severity` always has, so that a condition can name one that did not occur.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "note"];

/// Parameters, the target, and the steps that have ended.
pub(crate) fn scope(plan: &Plan, steps: &[StepRun], params: &Map<String, Value>, target: Option<&TargetRef>) -> Scope {
    let ended: Map<String, Value> = plan
        .steps
        .iter()
        .zip(steps)
        .filter_map(|(step, run)| match run {
            StepRun::Ended(ended) => {
                let mut facts = facts(&ended.output);
                let items = ended.items.as_deref().unwrap_or_default();
                facts.insert(
                    "items".to_owned(),
                    items.iter().map(|item| Value::Object(self::facts(item))).collect(),
                );
                Some((step.id.clone(), Value::Object(facts)))
            }
            StepRun::Pending | StepRun::Running { .. } => None,
        })
        .collect();
    let target = match target {
        Some(target) => json!({"id": target.id, "name": target.name}),
        None => json!({"id": null, "name": null}),
    };
    let mut scope = Scope::default();
    scope
        .set("params", Value::Object(params.clone()))
        .set("steps", Value::Object(ended))
        .set("target", target);
    scope
}

fn facts(output: &StepOutput) -> Map<String, Value> {
    let by_severity: Map<String, Value> = SEVERITIES
        .into_iter()
        .map(|severity| {
            (
                severity.to_owned(),
                output.by_severity.get(severity).copied().unwrap_or_default().into(),
            )
        })
        .collect();
    let mut facts = Map::new();
    facts.insert("status".to_owned(), output.status.state().to_string().into());
    facts.insert("reason".to_owned(), output.status.reason().map(str::to_owned).into());
    facts.insert("findings".to_owned(), output.findings.into());
    facts.insert("by_severity".to_owned(), Value::Object(by_severity));
    facts.insert("summary".to_owned(), Value::Object(output.summary.clone()));
    facts.insert("notifications".to_owned(), output.notifications.into());
    let artifacts: Vec<Value> = output
        .artifacts
        .iter()
        .map(|artifact| artifact.name.clone().into())
        .collect();
    facts.insert("artifacts".to_owned(), artifacts.into());
    facts
}
