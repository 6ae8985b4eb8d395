//! Changing the options of a running workflow. Of those that Temporal has, its priority is the one that exists here.

use helve_history::{Input, OptionsChange, PriorityField, Reply};
use temporalio_protos::temporal::api::{
    common::v1::Priority, workflow::v1::WorkflowExecutionOptions, workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::Frontend;

impl Frontend {
    pub(super) async fn update_workflow_execution_options(
        &self,
        request: Request<UpdateWorkflowExecutionOptionsRequest>,
    ) -> Result<UpdateWorkflowExecutionOptionsResponse, Status> {
        let request = request.into_inner();
        let target = self.target(request.workflow_execution)?;
        self.check_length("Identity", &request.identity)?;
        let paths = request.update_mask.map(|mask| mask.paths);
        let change = change(request.workflow_execution_options, paths, request.identity)?;
        let namespace = self.namespace(&request.namespace)?;
        let reply = self
            .shell
            .apply_to(&namespace, &target, Input::ChangeOptions(change), |_, reply| reply)
            .await?;
        let priority: Option<Priority> = match reply {
            Reply::Priority(priority) => priority.map(|priority| *priority),
            _ => None,
        };
        Ok(UpdateWorkflowExecutionOptionsResponse {
            workflow_execution_options: Some(WorkflowExecutionOptions {
                priority,
                ..WorkflowExecutionOptions::default()
            }),
            update_time: None,
        })
    }
}

/// Reads which options are to be changed how. What belongs to features that are left out is refused, unless it is only to
/// be unset.
pub(super) fn change(
    options: Option<WorkflowExecutionOptions>,
    paths: Option<Vec<String>>,
    identity: String,
) -> Result<OptionsChange, Status> {
    let paths = paths.ok_or_else(|| Status::invalid_argument("UpdateMask is required"))?;
    let options = options.ok_or_else(|| Status::invalid_argument("WorkflowExecutionOptions is required"))?;
    let mut fields = Vec::new();
    for path in &paths {
        match path.as_str() {
            "priority" => fields.push(PriorityField::All),
            "priority.priority_key" => fields.push(PriorityField::Key),
            "priority.fairness_key" => fields.push(PriorityField::FairnessKey),
            "priority.fairness_weight" => fields.push(PriorityField::FairnessWeight),
            "versioning_override" if options.versioning_override.is_none() => {}
            "time_skipping_config" if options.time_skipping_config.is_none() => {}
            path if path == "versioning_override" || path.starts_with("versioning_override.") => {
                return Err(Status::unimplemented(
                    "this server does not support worker versioning: versioning_override cannot be set",
                ));
            }
            path if path == "time_skipping_config" || path.starts_with("time_skipping_config.") => {
                return Err(Status::unimplemented(
                    "this server does not support time skipping: time_skipping_config cannot be set",
                ));
            }
            other => {
                return Err(Status::invalid_argument(format!(
                    "error parsing UpdateMask: invalid path {other:?} for message \
                     \"temporal.api.workflow.v1.WorkflowExecutionOptions\""
                )));
            }
        }
    }
    helve_history::check_priority(options.priority.as_ref()).map_err(Status::invalid_argument)?;
    Ok(OptionsChange {
        priority: options.priority,
        fields,
        identity,
    })
}
