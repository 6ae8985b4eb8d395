//! What queries answer.

use helve_toolbox::run::{CANCEL_STEP_SIGNAL, RunProgress, RunStatus, RunView, STATUS_QUERY, StepView};
use serde_json::{Value, json};

use super::run::{CodeRun, Phase};

/// Query by which Temporal's tools ask what a workflow can do.
const METADATA_QUERY: &str = "__temporal_workflow_metadata";

impl CodeRun {
    /// Answers a query. Changes nothing, and does not ask the guest.
    pub fn query(&self, name: &str) -> Result<Value, String> {
        match name {
            STATUS_QUERY => serde_json::to_value(self.view()).map_err(|e| e.to_string()),
            METADATA_QUERY => Ok(self.metadata()),
            other => Err(format!("there is no query `{other}`; known: {STATUS_QUERY}")),
        }
    }

    /// How the run stands.
    pub fn view(&self) -> RunView {
        let status = match &self.phase {
            Phase::Ended(status) => *status,
            Phase::Running | Phase::Draining(_) | Phase::Reporting(_) => RunStatus::Running,
        };
        let progress = self.guest.progress();
        let steps = self.steps.iter().map(|step| StepView {
            id: step.call.step.clone(),
            module: step.call.module.clone(),
            state: step.step_state(),
            reason: step.output().and_then(|o| o.status.reason()).map(str::to_owned),
            findings: step.output().map_or(0, |o| o.findings),
            items: None,
            items_done: None,
        });
        RunView {
            workflow: self.pinned.workflow.clone(),
            version: self.pinned.version.clone(),
            status,
            steps: steps.collect(),
            notes: self.notes.clone(),
            progress: (progress != Default::default()).then_some(RunProgress {
                text: progress.status,
                done: progress.done,
                total: progress.total,
            }),
        }
    }

    fn metadata(&self) -> Value {
        let view = self.view();
        let mut lines: Vec<String> = view.progress.iter().map(|p| p.text.clone()).collect();
        lines.extend(view.steps.iter().map(|step| format!("{}: {}", step.id, step.state)));
        json!({
            "definition": {
                "type": self.pinned.workflow,
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
}
