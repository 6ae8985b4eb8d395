//! The internal activity that pins a plan.

use helve_blobs::BlobStore;
use helve_toolbox::run::{PlanInput, PlanOutput};
use helve_toolbox::{PinError, Toolbox};

use crate::StepError;
use crate::code::store_pinned;

/// Looks a workflow up, checks the parameters, and pins the plan with its modules. Blocking.
pub(crate) fn plan(toolbox: &Toolbox, blobs: &BlobStore, input: &PlanInput) -> Result<PlanOutput, StepError> {
    let output = toolbox.pin(input).map_err(|error| match error {
        PinError::NotFound(_) => StepError::UnknownWorkflow(error.to_string()),
        PinError::Parameters { .. } => StepError::Parameters(error.to_string()),
    })?;
    store_pinned(toolbox, &output.plan, blobs)?;
    Ok(output)
}
