//! Resetting executions.

use helve_history::{AfterReset, Reapply, ResetRequest, Signal};
use temporalio_protos::temporal::api::{
    enums::v1::ResetReapplyType,
    workflow::v1::{PostResetOperation, post_reset_operation::Variant},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, options};

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
        #[expect(deprecated, reason = "old clients still send it")]
        let take = ResetReapplyType::try_from(request.reset_reapply_type)
            .map_err(|_| Status::invalid_argument("Unknown ResetReapplyType."))?;
        let leave_out: Vec<_> = request.reset_reapply_exclude_types().collect();
        let target = self.target(request.workflow_execution)?;
        let reset = ResetRequest {
            event_id: request.workflow_task_finish_event_id,
            reason: request.reason,
            request_id: request.request_id,
            reapply: Reapply::from_request(take, &leave_out),
            afterwards: afterwards(request.post_reset_operations, &request.identity)?,
        };
        let run_id = self.shell.reset(&namespace, &target, reset).await?;
        Ok(ResetWorkflowExecutionResponse { run_id })
    }
}

/// Reads what is to be done to a run after it was made by a reset.
pub(super) fn afterwards(operations: Vec<PostResetOperation>, identity: &str) -> Result<Vec<AfterReset>, Status> {
    let operations = operations.into_iter().map(|operation| match operation.variant {
        Some(Variant::SignalWorkflow(signal)) => {
            if signal.signal_name.is_empty() {
                return Err(Status::invalid_argument("SignalName is not set on request."));
            }
            Ok(AfterReset::Signal(Signal {
                name: signal.signal_name,
                input: signal.input,
                header: signal.header,
                links: signal.links,
                identity: identity.to_owned(),
                ..Signal::default()
            }))
        }
        Some(Variant::UpdateWorkflowOptions(update)) => {
            let paths = update.update_mask.map(|mask| mask.paths);
            let change = options::change(update.workflow_execution_options, paths, identity.to_owned())?;
            Ok(AfterReset::ChangeOptions(change))
        }
        None => Err(Status::invalid_argument(
            "unsupported post reset operation: none is set",
        )),
    });
    operations.collect()
}
