//! Resetting executions.

use helve_history::{Reapply, ResetRequest};
use temporalio_protos::temporal::api::{enums::v1::ResetReapplyType, workflowservice::v1::*};
use tonic::{Request, Status};

use super::Frontend;

impl Frontend {
    pub(super) async fn reset_workflow_execution(
        &self,
        request: Request<ResetWorkflowExecutionRequest>,
    ) -> Result<ResetWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        if request.request_id.is_empty() {
            return Err(Status::invalid_argument("RequestId is not set on request."));
        }
        self.check_length("RequestId", &request.request_id)?;
        if !request.post_reset_operations.is_empty() {
            return Err(Status::unimplemented(
                "post reset operations are not supported by this version of Helve",
            ));
        }
        #[allow(deprecated)] // old clients still send it
        let take = ResetReapplyType::try_from(request.reset_reapply_type)
            .map_err(|_| Status::invalid_argument("Unknown ResetReapplyType."))?;
        let leave_out: Vec<_> = request.reset_reapply_exclude_types().collect();
        let target = self.target(request.workflow_execution)?;
        let reset = ResetRequest {
            event_id: request.workflow_task_finish_event_id,
            reason: request.reason,
            request_id: request.request_id,
            reapply: Reapply::from_request(take, &leave_out),
        };
        let run_id = self.shell.reset(&namespace, &target, reset).await?;
        Ok(ResetWorkflowExecutionResponse { run_id })
    }
}
