//! The tools: their names, what they say of themselves, what they take.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::Allowed;

/// What an assistant needs to be allowed for a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing more than to look.
    Look,
    /// To start and cancel runs.
    Runs,
    /// To decide about findings.
    Triage,
}

impl Needs {
    pub(crate) fn is_met(self, allowed: &Allowed) -> bool {
        match self {
            Self::Look => true,
            Self::Runs => allowed.runs,
            Self::Triage => allowed.triage,
        }
    }
}

/// A tool before it is offered.
struct Offer {
    name: &'static str,
    needs: Needs,
    about: &'static str,
    properties: Value,
    required: &'static [&'static str],
}

/// What a tool needs; none if there is no such tool.
pub(crate) fn needs(name: &str) -> Option<Needs> {
    offers()
        .into_iter()
        .find(|offer| offer.name == name)
        .map(|offer| offer.needs)
}

/// Those that an assistant gets.
pub(crate) fn tools(allowed: &Allowed) -> Vec<Tool> {
    let offered = offers().into_iter().filter(|offer| offer.needs.is_met(allowed));
    offered.map(|offer| tool(offer, allowed)).collect()
}

fn tool(offer: Offer, allowed: &Allowed) -> Tool {
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), offer.properties),
        ("additionalProperties".to_owned(), json!(false)),
    ]);
    if !offer.required.is_empty() {
        schema.insert("required".to_owned(), json!(offer.required));
    }
    if offer.name == "start_run" && allowed.scan.is_empty() {
        // What is not allowed is not offered.
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("path");
        }
    }
    let looks = offer.needs == Needs::Look;
    let annotations = ToolAnnotations::new()
        .read_only(looks)
        .destructive(offer.name == "cancel_run")
        .open_world(false);
    Tool::new(offer.name, offer.about, Arc::new(schema)).with_annotations(annotations)
}

fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

fn number(about: &str, least: u64, most: u64) -> Value {
    json!({"type": "integer", "description": about, "minimum": least, "maximum": most})
}

fn run_id() -> Value {
    text("The run, such as `assessment-7k2m9qxa`")
}

fn limit() -> Value {
    number("Items at most; 20 when nothing is said", 1, 100)
}

fn cursor() -> Value {
    text("`next_cursor` of the page before")
}

fn offers() -> Vec<Offer> {
    let offer = |name, needs, about, properties, required| Offer {
        name,
        needs,
        about,
        properties,
        required,
    };
    vec![
        offer(
            "list_workflows",
            Needs::Look,
            "List the workflows: the kinds of security tests that can be run on a target.",
            json!({}),
            &[],
        ),
        offer(
            "show_workflow",
            Needs::Look,
            "Show a workflow: what it does, its steps, and the JSON Schema of its parameters.",
            json!({"name": text("Name of the workflow")}),
            &["name"],
        ),
        offer(
            "list_targets",
            Needs::Look,
            "List the targets that can be scanned, newest first.",
            json!({"limit": limit()}),
            &[],
        ),
        offer(
            "start_run",
            Needs::Runs,
            "Start a workflow on a target. Returns at once with the run's id; wait_for_run waits for its end.",
            json!({
                "workflow": text("Name of the workflow (list_workflows)"),
                "target": text("Id of a target (list_targets)"),
                "path": text("Instead of `target`: a file or folder of this machine to upload and scan; only below the folders \
                    that the user has allowed"),
                "parameters": {"type": "object", "description": "As the schema of show_workflow describes them"},
                "timeout": text("After this time the run ends, such as `30m`"),
            }),
            &["workflow"],
        ),
        offer(
            "list_runs",
            Needs::Look,
            "List runs, newest first.",
            json!({
                "workflow": text("Only of this workflow"),
                "status": text("Only `running`, `completed`, `failed`, `canceled`, `terminated` or `timed_out` ones"),
                "target": text("Only of the target with this name"),
                "limit": limit(),
                "cursor": cursor(),
            }),
            &[],
        ),
        offer(
            "show_run",
            Needs::Look,
            "Show a run: how it stands, its steps and why they failed, its counts of findings.",
            json!({"run_id": run_id()}),
            &["run_id"],
        ),
        offer(
            "wait_for_run",
            Needs::Look,
            "Wait until a run has ended, for a while, then show it. Call it again while its status is `running`.",
            json!({"run_id": run_id(), "seconds": number("How long; 30 when nothing is said", 1, 120)}),
            &["run_id"],
        ),
        offer(
            "cancel_run",
            Needs::Runs,
            "Ask a run to stop. Its steps end cleanly, and what they found is kept.",
            json!({"run_id": run_id(), "reason": text("Why, for the run's history")}),
            &["run_id"],
        ),
        offer(
            "list_run_findings",
            Needs::Look,
            "List the findings of one run that has ended, worst first. A run whose steps were inconclusive has not looked \
             everywhere: show_run says so.",
            json!({
                "run_id": run_id(),
                "severity": text("Only those that are at least this severe: `critical`, `high`, `medium`, `low` or `note`"),
                "limit": limit(),
                "cursor": cursor(),
            }),
            &["run_id"],
        ),
        offer(
            "list_findings",
            Needs::Look,
            "List findings over all runs: what there is now, with what people decided. Filters that take several words take \
             them with commas.",
            json!({
                "query": text("Full text: words that all occur, a \"quoted phrase\", word* for a beginning"),
                "severity": text("`critical`, `high`, `medium`, `low`, `note`"),
                "status": text("What runs say: `new`, `still_there`, `fixed`, `reopened`"),
                "triage": text("What people say: `open`, `confirmed`, `false_positive`, `accepted_risk`, `fixed`"),
                "rule": text("Id of the rule"),
                "module": text("The module that reported it"),
                "target": text("Name of the target"),
                "workflow": text("The workflow that saw it last"),
                "owner": text("Who is to look after it"),
                "path": text("How the path begins"),
                "order": text("`severity` (worst first), `newest`, `last_seen` or `path`"),
                "limit": limit(),
                "cursor": cursor(),
            }),
            &[],
        ),
        offer(
            "show_finding",
            Needs::Look,
            "Show a finding: the code, the rule, what to do about it, and what happened to it.",
            json!({"id": text("The finding's id (list_findings)")}),
            &["id"],
        ),
        offer(
            "findings_overview",
            Needs::Look,
            "Count the findings by severity, status and decision, now and on each day.",
            json!({"target": text("Only of the target with this name")}),
            &[],
        ),
        offer(
            "triage_finding",
            Needs::Triage,
            "Decide about a finding, or comment on it. It is written down under the name of the token.",
            json!({
                "id": text("The finding's id (list_findings)"),
                "state": {"type": "string", "enum": ["open", "confirmed", "false_positive", "accepted_risk", "fixed"],
                    "description": "The decision; leave it out to comment only"},
                "until": text("When an accepted risk ends, such as `2027-01-31T00:00:00Z`"),
                "comment": text("Why"),
            }),
            &["id"],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(allowed: &Allowed) -> Vec<String> {
        tools(allowed).into_iter().map(|tool| tool.name.into_owned()).collect()
    }

    #[test]
    fn what_is_not_allowed_is_not_offered() {
        let looks = names(&Allowed::default());
        assert!(looks.iter().all(|name| needs(name) == Some(Needs::Look)), "{looks:?}");
        let all = Allowed {
            runs: true,
            triage: true,
            scan: vec!["/x".into()],
        };
        assert_eq!(names(&all).len(), looks.len() + 3);
        let schema = |allowed: &Allowed| {
            let tools = tools(allowed);
            let start = tools.iter().find(|tool| tool.name == "start_run").unwrap();
            start.input_schema["properties"].get("path").is_some()
        };
        assert!(schema(&all));
        assert!(!schema(&Allowed { scan: vec![], ..all }));
    }
}
