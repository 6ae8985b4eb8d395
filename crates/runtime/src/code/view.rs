//! What queries answer.

use helve_toolbox::run::{RunProgress, RunStatus, RunView, StepView};
use serde_json::Value;

use super::run::{CodeRun, Phase};
use crate::queries;

impl CodeRun {
    /// Answers a query. Changes nothing, and does not ask the guest.
    pub fn query(&self, name: &str) -> Result<Value, String> {
        queries::answer(name, &self.view())
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
}
