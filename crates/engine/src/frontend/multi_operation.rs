//! Several operations as one: an update that starts its workflow if need be.

use helve_history::{Env, StartRun};
use prost::Name;
use temporalio_protos::temporal::api::{
    errordetails::v1::{MultiOperationExecutionFailure, multi_operation_execution_failure::OperationStatus},
    failure::v1::MultiOperationExecutionAborted,
    workflowservice::v1::{
        execute_multi_operation_request::{Operation, operation},
        execute_multi_operation_response::{Response, response},
        *,
    },
};
use tonic::{Code, Request, Status};

use super::{
    Frontend, links,
    start::check_on_conflict,
    status,
    update::{ShownUpdate, UpdateCall, too_late},
};
use crate::{start::Policies, start_with_update::UpdateWithStartFailed};

/// What became of one operation of a failed request.
type OperationResult = Result<(), Status>;

impl Frontend {
    pub(super) async fn execute_multi_operation(
        &self,
        request: Request<ExecuteMultiOperationRequest>,
    ) -> Result<ExecuteMultiOperationResponse, Status> {
        let (metadata, _, request) = request.into_parts();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        let (start, update) = start_and_update(request.operations)?;
        let checked = (
            self.check_start(&request.namespace, &start),
            self.check_update(&request.namespace, update, &start.workflow_id),
        );
        let call = match checked {
            (Ok(()), Ok(call)) => call,
            (start, update) => {
                let or_aborted = |result: OperationResult| result.and(Err(aborted()));
                return Err(failed([or_aborted(start), or_aborted(update.map(|_| ()))]));
            }
        };
        let start = StartWorkflowExecutionRequest {
            namespace: request.namespace.clone(),
            request_id: match start.request_id.is_empty() {
                true => self.shell.fresh_id(),
                false => start.request_id,
            },
            ..start
        };
        let patience = self.update_patience(&metadata, call.wait_for);
        let shown = ShownUpdate::new(request.namespace, &call.target, &call.update);
        let policies = Policies {
            reuse: start.workflow_id_reuse_policy(),
            conflict: start.workflow_id_conflict_policy(),
        };
        let make = |run_id: &str, env: &Env<'_>| StartRun::from_request(start.clone(), run_id, env);
        let done = self
            .shell
            .update_with_start(&namespace, &call.target, policies, make, call.update, patience)
            .await;
        let (started, updated) = done.map_err(|error| match error {
            UpdateWithStartFailed::Start(error) => failed([Err(error.into()), Err(aborted())]),
            UpdateWithStartFailed::Update { error, started: true } => failed([Ok(()), Err(error.into())]),
            UpdateWithStartFailed::Update { error, started: false } => failed([Err(aborted()), Err(error.into())]),
            UpdateWithStartFailed::Closing(message) => failed([Err(aborted()), Err(Status::aborted(message))]),
        })?;
        let updated = updated.ok_or_else(too_late)?;
        let answers = [
            response::Response::StartWorkflow(StartWorkflowExecutionResponse {
                link: Some(links::to_start(
                    &namespace.name,
                    &start.workflow_id,
                    start.request_id.clone(),
                    &started,
                )),
                run_id: started.run_id,
                first_execution_run_id: started.first_run_id,
                started: started.by_this_request,
                status: started.status as i32,
                eager_workflow_task: None,
            }),
            response::Response::UpdateWorkflow(shown.response(updated)),
        ];
        Ok(ExecuteMultiOperationResponse {
            responses: answers
                .into_iter()
                .map(|answer| Response { response: Some(answer) })
                .collect(),
        })
    }

    fn check_start(&self, namespace: &str, start: &StartWorkflowExecutionRequest) -> OperationResult {
        check_namespace(namespace, &start.namespace)?;
        if start.workflow_id.is_empty() {
            return Err(Status::invalid_argument("WorkflowId is not set on request."));
        }
        self.check_length("WorkflowId", &start.workflow_id)?;
        check_on_conflict(start)?;
        Policies::new(start.workflow_id_reuse_policy(), start.workflow_id_conflict_policy())?;
        let refused = |what| Err(Status::invalid_argument(what));
        if !start.cron_schedule.is_empty() {
            refused("CronSchedule is not allowed.")
        } else if start.request_eager_execution {
            refused("RequestEagerExecution is not supported.")
        } else if start
            .workflow_start_delay
            .is_some_and(|delay| delay.seconds > 0 || delay.nanos > 0)
        {
            refused("WorkflowStartDelay is not supported.")
        } else if !start.completion_callbacks.is_empty() {
            refused("completion callbacks are not supported by this version of Helve")
        } else {
            Ok(())
        }
    }

    fn check_update(
        &self,
        namespace: &str,
        update: UpdateWorkflowExecutionRequest,
        workflow_id: &str,
    ) -> Result<UpdateCall, Status> {
        check_namespace(namespace, &update.namespace)?;
        if !update.first_execution_run_id.is_empty() {
            return Err(Status::invalid_argument("FirstExecutionRunId is not allowed."));
        }
        let call = self.update_call(update)?;
        if !call.target.run_id.is_empty() {
            return Err(Status::invalid_argument("RunId is not allowed."));
        }
        if call.target.workflow_id != workflow_id {
            return Err(Status::invalid_argument(
                "WorkflowId is not consistent with previous operation(s).",
            ));
        }
        Ok(call)
    }
}

fn check_namespace(namespace: &str, own: &str) -> OperationResult {
    if own.is_empty() || own == namespace {
        Ok(())
    } else {
        Err(Status::invalid_argument(
            "Operation namespace did not match request's namespace.",
        ))
    }
}

/// The only operations that go together.
fn start_and_update(
    operations: Vec<Operation>,
) -> Result<(StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest), Status> {
    let mut operations = operations.into_iter().map(|operation| operation.operation);
    match (
        operations.next().flatten(),
        operations.next().flatten(),
        operations.next(),
    ) {
        (
            Some(operation::Operation::StartWorkflow(start)),
            Some(operation::Operation::UpdateWorkflow(update)),
            None,
        ) => Ok((start, update)),
        _ => Err(Status::invalid_argument(
            "Operations have to be exactly [Start, Update].",
        )),
    }
}

/// For an operation that was fine, but not done since another one was not.
fn aborted() -> Status {
    status::detailed(
        Code::Aborted,
        "Operation was aborted.",
        &MultiOperationExecutionAborted::default(),
    )
}

/// The whole request has the code of the operation that is to blame, and says of each what became of it.
fn failed(results: [OperationResult; 2]) -> Status {
    let statuses = results.map(|result| match result {
        Ok(()) => OperationStatus::default(),
        Err(error) => OperationStatus {
            code: error.code().into(),
            message: error.message().to_owned(),
            details: status::details_of(&error),
        },
    });
    let is_aborted = |operation: &&OperationStatus| {
        let name = MultiOperationExecutionAborted::full_name();
        operation.details.iter().any(|detail| detail.type_url.ends_with(&name))
    };
    let blamed = statuses
        .iter()
        .find(|operation| operation.code != 0 && !is_aborted(operation));
    let code = blamed.map_or(Code::Aborted, |operation| Code::from(operation.code));
    let details = MultiOperationExecutionFailure {
        statuses: statuses.to_vec(),
    };
    status::detailed(code, "Update-with-Start could not be executed.", &details)
}
