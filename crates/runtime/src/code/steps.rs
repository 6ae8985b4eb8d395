//! The steps that a guest has called so far.

use helve_toolbox::run::{StepOutput, StepReport, StepState, StepStatus};
use helve_wasm::{ModuleCall, TaskId};

/// A call of a module.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) task: TaskId,
    pub(crate) call: ModuleCall,
    pub(crate) state: State,
}

/// Where a step stands.
#[derive(Debug)]
pub(crate) enum State {
    /// Its activity was scheduled. `lost` counts workers that died over it.
    Running { seq: u32, lost: u32 },
    /// It ended.
    Ended(StepOutput),
}

impl Step {
    pub(crate) fn output(&self) -> Option<&StepOutput> {
        match &self.state {
            State::Ended(output) => Some(output),
            State::Running { .. } => None,
        }
    }

    pub(crate) fn step_state(&self) -> StepState {
        self.output().map_or(StepState::Running, |output| output.status.state())
    }

    pub(crate) fn report(&self) -> Option<StepReport> {
        let output = self.output()?;
        Some(StepReport {
            step: self.call.step.clone(),
            module: self.call.module.clone(),
            status: output.status.clone(),
            report: output.report.clone(),
        })
    }
}

/// An output that says no more than how the step ended.
pub(crate) fn bare(status: StepStatus) -> StepOutput {
    StepOutput {
        status,
        ..StepOutput::default()
    }
}
