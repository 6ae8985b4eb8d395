//! Where one step stands.

use helve_toolbox::run::{StepOutput, StepState, StepStatus};
use serde_json::Value;

/// A step of the plan in a run.
#[derive(Debug, Clone)]
pub(crate) enum StepRun {
    /// Waits for the steps it needs.
    Pending,
    /// Its items run: one, or those of a fan-out.
    Running { items: Vec<Item>, fan_out: bool },
    /// Nothing more happens to it.
    Ended(Ended),
}

/// The end of a step.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) output: StepOutput,
    /// The outputs of a fan-out's items.
    pub(crate) items: Option<Vec<StepOutput>>,
    /// Whether steps that need this one cannot run.
    pub(crate) blocks: bool,
}

/// One activity of a step.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Its turn has not come. Holds the rendered configuration.
    Waiting { config: Value },
    /// Its activity was scheduled. `lost` counts workers that died over it.
    Running { seq: u32, config: Value, lost: u32 },
    /// It ended.
    Ended(StepOutput),
}

impl StepRun {
    /// Ends before it began.
    pub(crate) fn skipped(reason: impl Into<String>, blocks: bool) -> Self {
        Self::ended(StepStatus::Skipped { reason: reason.into() }, blocks)
    }

    pub(crate) fn failed(reason: impl Into<String>, continue_on_error: bool) -> Self {
        Self::ended(StepStatus::Failed { reason: reason.into() }, !continue_on_error)
    }

    pub(crate) fn cancelled() -> Self {
        Self::ended(StepStatus::Cancelled, true)
    }

    fn ended(status: StepStatus, blocks: bool) -> Self {
        Self::Ended(Ended {
            output: StepOutput {
                status,
                ..StepOutput::default()
            },
            items: None,
            blocks,
        })
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    pub(crate) fn state(&self) -> StepState {
        match self {
            Self::Pending => StepState::Pending,
            Self::Running { .. } => StepState::Running,
            Self::Ended(ended) => ended.output.status.state(),
        }
    }
}

impl Item {
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    pub(crate) fn cancelled() -> Self {
        Self::Ended(StepOutput {
            status: StepStatus::Cancelled,
            ..StepOutput::default()
        })
    }
}
