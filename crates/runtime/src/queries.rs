//! What queries answer, of every kind of run.

use helve_toolbox::run::{CANCEL_STEP_SIGNAL, RunView, STATUS_QUERY};
use serde_json::{Value, json};

/// Query by which Temporal's tools ask what a workflow can do.
const METADATA_QUERY: &str = "__temporal_workflow_metadata";

/// Answers a query about a run that stands like that.
pub(crate) fn answer(name: &str, view: &RunView) -> Result<Value, String> {
    match name {
        STATUS_QUERY => serde_json::to_value(view).map_err(|e| e.to_string()),
        METADATA_QUERY => Ok(metadata(view)),
        other => Err(format!("there is no query `{other}`; known: {STATUS_QUERY}")),
    }
}

fn metadata(view: &RunView) -> Value {
    let mut lines: Vec<String> = view.progress.iter().map(|progress| progress.text.clone()).collect();
    lines.extend(view.steps.iter().map(|step| format!("{}: {}", step.id, step.state)));
    json!({
        "definition": {
            "type": view.workflow,
            "queryDefinitions": [
                {"name": STATUS_QUERY, "description": "Where the run and each of its steps stand."},
            ],
            "signalDefinitions": [
                {"name": CANCEL_STEP_SIGNAL, "description": "Cancels the step whose id is the argument."},
            ],
        },
        "currentDetails": lines.join("\n"),
    })
}
