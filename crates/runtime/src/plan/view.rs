//! What queries answer.

use helve_toolbox::run::{RunStatus, RunView, StepOutput, StepView};
use serde_json::Value;

use super::machine::{Machine, Phase};
use super::step::{Item, StepRun};
use crate::queries;

impl Machine {
    /// Answers a query. Changes nothing.
    pub fn query(&self, name: &str) -> Result<Value, String> {
        queries::answer(name, &self.view())
    }

    /// How the run stands.
    pub fn view(&self) -> RunView {
        let status = match &self.phase {
            Phase::Ended(status) => *status,
            Phase::Planning | Phase::Running | Phase::Reporting | Phase::HandedOver => RunStatus::Running,
        };
        let steps = self.plan.iter().flat_map(|pinned| &pinned.plan.steps);
        let steps = steps
            .zip(&self.steps)
            .map(|(step, run)| view(&step.id, &step.uses, run))
            .collect();
        let version = self.plan.as_ref().map(|p| p.version.clone()).unwrap_or_default();
        RunView {
            workflow: self.workflow.clone(),
            version,
            status,
            steps,
            notes: self.notes.clone(),
            progress: None,
        }
    }
}

fn view(id: &str, module: &str, run: &StepRun) -> StepView {
    let (outputs, items, reason): (Vec<&StepOutput>, Option<(u64, u64)>, Option<&str>) = match run {
        StepRun::Pending => (Vec::new(), None, None),
        StepRun::Running { items, fan_out } => {
            let done: Vec<&StepOutput> = items.iter().filter_map(ended).collect();
            let counts = (items.len() as u64, done.len() as u64);
            (done, fan_out.then_some(counts), None)
        }
        StepRun::Ended(ended) => {
            let counts = ended
                .items
                .as_ref()
                .map(|items| (items.len() as u64, items.len() as u64));
            (vec![&ended.output], counts, ended.output.status.reason())
        }
    };
    StepView {
        id: id.to_owned(),
        module: module.to_owned(),
        state: run.state(),
        reason: reason.map(str::to_owned),
        findings: outputs.iter().map(|output| output.findings).sum(),
        items: items.map(|(all, _)| all),
        items_done: items.map(|(_, done)| done),
    }
}

fn ended(item: &Item) -> Option<&StepOutput> {
    match item {
        Item::Ended(output) => Some(output),
        Item::Waiting { .. } | Item::Running { .. } => None,
    }
}
