//! The internal activity that pins a plan.

use helve_toolbox::run::{PlanInput, PlanOutput};
use helve_toolbox::{PinError, Toolbox};

use crate::StepError;

/// Looks a workflow up, checks the parameters, and pins the plan.
pub(crate) fn plan(toolbox: &Toolbox, input: &PlanInput) -> Result<PlanOutput, StepError> {
    toolbox.pin(input).map_err(|error| match error {
        PinError::NotFound(_) => StepError::UnknownWorkflow(error.to_string()),
        PinError::Parameters { .. } => StepError::Parameters(error.to_string()),
    })
}
