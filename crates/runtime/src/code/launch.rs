//! Runs that a guest starts and that go on by themselves.

use helve_toolbox::run::{PinnedPlan, RunInput};
use helve_wasm::TaskId;
use serde_json::{Value, json};

use super::run::{CodeRun, Owner};
use crate::exchange::{Child, Command};

impl CodeRun {
    /// Another workflow of the same code runs as this version of it: it needs no folder of its own.
    pub(super) fn launch(&mut self, task: TaskId, workflow: String, parameters: Value, same_code: bool) {
        let seq = self.number(Owner::Launch(task));
        let plan = same_code.then(|| PinnedPlan {
            workflow: workflow.clone(),
            ..self.pinned.clone()
        });
        let input = RunInput {
            target: self.input.target.clone(),
            parameters: parameters.as_object().cloned().unwrap_or_default(),
            plan,
        };
        self.commands.push(Command::StartChild(Child {
            seq,
            id: self.launched_id(seq),
            abandoned: true,
            workflow,
            input: json!(input),
        }));
    }

    /// A child has started. Only who launched one waits for that.
    pub(super) fn launched(&mut self, seq: u32) -> Result<(), String> {
        let Some(Owner::Launch(task)) = self.owners.get(&seq).copied() else {
            return Ok(());
        };
        self.owners.remove(&seq);
        self.launched.insert(seq);
        self.tell(task, Ok(Value::String(self.launched_id(seq))))
    }

    fn launched_id(&self, seq: u32) -> String {
        format!("{}-{seq}", self.id)
    }
}
