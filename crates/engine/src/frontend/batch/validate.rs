//! What a batch operation must say, and what can be read from its request.

use temporalio_protos::temporal::api::{
    batch::v1::*,
    common::v1::{Execution, reset_options::Target},
    enums::v1::{BatchOperationType, ExecutionType, ResetType},
    workflowservice::v1::{StartBatchOperationRequest, start_batch_operation_request::Operation},
};
use tonic::Status;

use crate::frontend::{options, reset};

pub(super) fn required(field: &str, value: &str) -> Result<(), Status> {
    if value.is_empty() {
        return Err(Status::invalid_argument(format!("{field} is not set on request.")));
    }
    Ok(())
}

/// Checks a request; answers what it asks for.
pub(super) fn request(request: &StartBatchOperationRequest) -> Result<&Operation, Status> {
    #[expect(deprecated, reason = "clients still list their executions there")]
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
    let expected = targets(operation);
    if let Some((at, other)) = request
        .target_executions
        .iter()
        .enumerate()
        .find(|(_, target)| target.r#type() != expected)
    {
        return Err(Status::invalid_argument(format!(
            "target_executions[{at}] has type {}, but operation {} requires {}",
            other.r#type().as_str_name(),
            kind(operation).as_str_name(),
            expected.as_str_name()
        )));
    }
    check(operation)?;
    Ok(operation)
}

fn check(operation: &Operation) -> Result<(), Status> {
    let invalid = |message: &str| Err(Status::invalid_argument(message));
    match operation {
        Operation::TerminationOperation(_)
        | Operation::CancellationOperation(_)
        | Operation::DeletionOperation(_)
        | Operation::CancelActivitiesOperation(_)
        | Operation::TerminateActivitiesOperation(_)
        | Operation::DeleteActivitiesOperation(_) => Ok(()),
        Operation::SignalOperation(signal) if signal.signal.is_empty() => invalid("must provide signal name"),
        Operation::SignalOperation(_) => Ok(()),
        Operation::ResetOperation(reset) => check_reset(reset),
        Operation::UpdateWorkflowOptionsOperation(update) => {
            if update.workflow_execution_options.is_none() {
                return invalid("must provide UpdateOptions");
            }
            let Some(mask) = &update.update_mask else {
                return invalid("must provide UpdateMask");
            };
            let (wanted, paths) = (update.workflow_execution_options.clone(), mask.paths.clone());
            options::change(wanted, Some(paths), String::new()).map(drop)
        }
        Operation::UnpauseActivitiesOperation(unpause) => {
            use batch_operation_unpause_activities::Activity;
            check_selection(match &unpause.activity {
                None => return invalid("activity filter must be set"),
                Some(Activity::Type(name)) => !name.is_empty(),
                Some(Activity::MatchAll(all)) => *all,
            })
        }
        Operation::ResetActivitiesOperation(reset) => {
            use batch_operation_reset_activities::Activity;
            check_selection(match &reset.activity {
                None => return invalid("must provide ActivityType or MatchAll"),
                Some(Activity::Type(name)) => !name.is_empty(),
                Some(Activity::MatchAll(all)) => *all,
            })
        }
        Operation::UpdateActivityOptionsOperation(update) => {
            use batch_operation_update_activity_options::Activity;
            match (&update.activity_options, update.restore_original) {
                (Some(_), true) => return invalid("cannot set both activity options and restore original"),
                (None, false) => {
                    return invalid("activity options must be set, or restore original should be set to true");
                }
                _ => {}
            }
            check_selection(match &update.activity {
                None => return invalid("must provide ActivityType or MatchAll"),
                Some(Activity::Type(name)) => !name.is_empty(),
                Some(Activity::MatchAll(all)) => *all,
            })
        }
    }
}

fn check_selection(says_something: bool) -> Result<(), Status> {
    if says_something {
        return Ok(());
    }
    Err(Status::invalid_argument(
        "Either activity type must be set, or match all should be set to true",
    ))
}

#[expect(deprecated, reason = "old clients name the point by a type")]
fn check_reset(reset: &BatchOperationReset) -> Result<(), Status> {
    reset::afterwards(reset.post_reset_operations.clone(), "")?;
    match &reset.options {
        Some(options) if options.target.is_none() => Err(Status::invalid_argument("batch reset missing target")),
        Some(options) if matches!(options.target, Some(Target::BuildId(_))) => Err(Status::unimplemented(
            "this server does not support worker versioning: a build id cannot be the point of a reset",
        )),
        None if ResetType::try_from(reset.reset_type).unwrap_or_default() == ResetType::Unspecified => Err(
            Status::invalid_argument(format!("unknown batch reset type {}", reset.reset_type)),
        ),
        Some(_) | None => Ok(()),
    }
}

/// What kind of executions an operation is for.
pub(super) fn targets(operation: &Operation) -> ExecutionType {
    match operation {
        Operation::CancelActivitiesOperation(_)
        | Operation::TerminateActivitiesOperation(_)
        | Operation::DeleteActivitiesOperation(_) => ExecutionType::Activity,
        _ => ExecutionType::Workflow,
    }
}

/// The executions that a request lists, if it does.
pub(super) fn executions(request: &StartBatchOperationRequest) -> Vec<Execution> {
    let kind = request.operation.as_ref().map(targets).unwrap_or_default();
    #[expect(deprecated, reason = "clients still list their executions there")]
    let listed = request.executions.iter().map(|execution| Execution {
        r#type: kind as i32,
        business_id: execution.workflow_id.clone(),
        run_id: execution.run_id.clone(),
    });
    listed.chain(request.target_executions.iter().cloned()).collect()
}

/// The query for the executions that an operation is for. Most are for open ones only.
pub(super) fn query(query: &str, operation: &Operation) -> String {
    match operation {
        Operation::DeletionOperation(_) | Operation::DeleteActivitiesOperation(_) | Operation::ResetOperation(_) => {
            query.to_owned()
        }
        _ => format!("({query}) AND (ExecutionStatus = 'Running')"),
    }
}

/// The same query for going through those executions page by page: in an order that does not change with what is done to
/// them, and in which the runs that a reset makes come before all that are there.
pub(super) fn paged_query(text: &str, operation: &Operation) -> String {
    let query = query(text, operation);
    match operation {
        Operation::DeletionOperation(_) | Operation::DeleteActivitiesOperation(_) | Operation::ResetOperation(_) => {
            format!("{query} ORDER BY StartTime DESC")
        }
        // Open ones come by their start anyway.
        _ => query,
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
