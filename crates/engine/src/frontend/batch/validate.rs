//! What a batch operation must say, and what can be read from its request.

use temporalio_protos::temporal::api::{
    batch::v1::*,
    common::v1::WorkflowExecution,
    enums::v1::{BatchOperationType, ExecutionType, ResetType},
    workflowservice::v1::{StartBatchOperationRequest, start_batch_operation_request::Operation},
};
use tonic::Status;

pub(super) fn required(field: &str, value: &str) -> Result<(), Status> {
    if value.is_empty() {
        return Err(Status::invalid_argument(format!("{field} is not set on request.")));
    }
    Ok(())
}

/// Checks a request; answers what it asks for.
pub(super) fn request(request: &StartBatchOperationRequest) -> Result<&Operation, Status> {
    #[allow(deprecated)] // clients still list their executions there
    let selectors = [
        !request.visibility_query.is_empty(),
        !request.executions.is_empty(),
        !request.target_executions.is_empty(),
    ];
    let selectors = selectors.into_iter().filter(|is_set| *is_set).count();
    let operation = match &request.operation {
        Some(operation) if !request.reason.is_empty() && selectors > 0 => operation,
        _ => {
            return Err(Status::invalid_argument(
                "must provide required parameters: BatchType,Reason,Namespace, AND one of (Query OR Executions OR \
                 TargetExecutions)",
            ));
        }
    };
    required("JobId", &request.job_id)?;
    if selectors > 1 {
        return Err(Status::invalid_argument(
            "visibility query, executions, and target executions are mutually exclusive",
        ));
    }
    if let Some(other) = request
        .target_executions
        .iter()
        .position(|target| target.r#type() != ExecutionType::Workflow)
    {
        return Err(Status::invalid_argument(format!(
            "target_executions[{other}] is no workflow, but the operation is for workflows"
        )));
    }
    supported(operation)?;
    Ok(operation)
}

fn supported(operation: &Operation) -> Result<(), Status> {
    let unsupported = |what: &str| {
        Err(Status::unimplemented(format!(
            "batch operations of the kind {what} are not supported by this version of Helve"
        )))
    };
    match operation {
        Operation::TerminationOperation(_) | Operation::CancellationOperation(_) | Operation::DeletionOperation(_) => {
            Ok(())
        }
        Operation::SignalOperation(signal) if signal.signal.is_empty() => {
            Err(Status::invalid_argument("must provide signal name"))
        }
        Operation::SignalOperation(_) => Ok(()),
        Operation::ResetOperation(reset) => check_reset(reset),
        Operation::UnpauseActivitiesOperation(_)
        | Operation::ResetActivitiesOperation(_)
        | Operation::UpdateActivityOptionsOperation(_)
        | Operation::UpdateWorkflowOptionsOperation(_)
        | Operation::CancelActivitiesOperation(_)
        | Operation::TerminateActivitiesOperation(_)
        | Operation::DeleteActivitiesOperation(_) => unsupported(kind(operation).as_str_name()),
    }
}

#[allow(deprecated)] // old clients name the point by a type
fn check_reset(reset: &BatchOperationReset) -> Result<(), Status> {
    if !reset.post_reset_operations.is_empty() {
        return Err(Status::unimplemented(
            "post reset operations are not supported by this version of Helve",
        ));
    }
    match &reset.options {
        Some(options) if options.target.is_none() => Err(Status::invalid_argument("batch reset missing target")),
        None if ResetType::try_from(reset.reset_type).unwrap_or_default() == ResetType::Unspecified => Err(
            Status::invalid_argument(format!("unknown batch reset type {}", reset.reset_type)),
        ),
        Some(_) | None => Ok(()),
    }
}

/// The executions that a request lists, if it does.
pub(super) fn executions(request: &StartBatchOperationRequest) -> Vec<WorkflowExecution> {
    #[allow(deprecated)] // clients still list their executions there
    let listed = request.executions.iter().cloned();
    let targets = request.target_executions.iter().map(|target| WorkflowExecution {
        workflow_id: target.business_id.clone(),
        run_id: target.run_id.clone(),
    });
    listed.chain(targets).collect()
}

/// The query for the executions that an operation is for. Most are for open ones only.
pub(super) fn query(query: &str, operation: &Operation) -> String {
    match operation {
        Operation::DeletionOperation(_) | Operation::ResetOperation(_) => query.to_owned(),
        _ => format!("({query}) AND (ExecutionStatus = 'Running')"),
    }
}

/// The kind as clients know it.
pub(super) fn kind(operation: &Operation) -> BatchOperationType {
    match operation {
        Operation::TerminationOperation(_) => BatchOperationType::TerminateWorkflow,
        Operation::SignalOperation(_) => BatchOperationType::SignalWorkflow,
        Operation::CancellationOperation(_) => BatchOperationType::CancelWorkflow,
        Operation::DeletionOperation(_) => BatchOperationType::DeleteWorkflow,
        Operation::ResetOperation(_) => BatchOperationType::ResetWorkflow,
        Operation::UpdateWorkflowOptionsOperation(_) => BatchOperationType::UpdateWorkflowExecutionOptions,
        Operation::UnpauseActivitiesOperation(_) => BatchOperationType::UnpauseActivity,
        Operation::ResetActivitiesOperation(_) => BatchOperationType::ResetActivity,
        Operation::UpdateActivityOptionsOperation(_) => BatchOperationType::UpdateActivityOptions,
        Operation::CancelActivitiesOperation(_) => BatchOperationType::CancelActivity,
        Operation::TerminateActivitiesOperation(_) => BatchOperationType::TerminateActivity,
        Operation::DeleteActivitiesOperation(_) => BatchOperationType::DeleteActivity,
    }
}

/// Who asks.
pub(super) fn identity(operation: &Operation) -> String {
    match operation {
        Operation::TerminationOperation(BatchOperationTermination { identity, .. })
        | Operation::SignalOperation(BatchOperationSignal { identity, .. })
        | Operation::CancellationOperation(BatchOperationCancellation { identity, .. })
        | Operation::DeletionOperation(BatchOperationDeletion { identity, .. })
        | Operation::ResetOperation(BatchOperationReset { identity, .. })
        | Operation::UpdateWorkflowOptionsOperation(BatchOperationUpdateWorkflowExecutionOptions {
            identity, ..
        })
        | Operation::UnpauseActivitiesOperation(BatchOperationUnpauseActivities { identity, .. })
        | Operation::ResetActivitiesOperation(BatchOperationResetActivities { identity, .. })
        | Operation::UpdateActivityOptionsOperation(BatchOperationUpdateActivityOptions { identity, .. })
        | Operation::CancelActivitiesOperation(BatchOperationCancelActivities { identity, .. })
        | Operation::TerminateActivitiesOperation(BatchOperationTerminateActivities { identity, .. }) => {
            identity.clone()
        }
        Operation::DeleteActivitiesOperation(_) => String::new(),
    }
}
