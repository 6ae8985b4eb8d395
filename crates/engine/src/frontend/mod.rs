//! Temporal's services: one file per family of RPCs. Each validates, calls the engine, and maps the answer.

mod activity;
mod batch;
mod convert;
mod execution;
mod health;
mod history;
mod links;
mod list;
mod multi_operation;
mod namespace;
mod operations;
mod operator;
mod options;
mod poll;
mod query;
mod reset;
mod schedule;
mod standalone;
mod start;
mod status;
mod system;
mod task_queue;
mod update;
mod workers;
mod workflow_task;

use std::{sync::Arc, time::Duration};

use helve_protocol::{WithHistory, workflowservice::workflow_service_server::WorkflowService};
use prost::Message;
use temporalio_protos::temporal::api::{common::v1::WorkflowExecution, workflowservice::v1::*};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    access::{self, Need},
    find::Target,
    shell::Shell,
};

/// The engine as gRPC sees it.
#[derive(Clone)]
pub(crate) struct Frontend {
    shell: Arc<Shell>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Frontend {
    pub(crate) fn new(shell: Arc<Shell>) -> Self {
        Frontend { shell }
    }

    /// The execution that a request names.
    fn target(&self, execution: Option<WorkflowExecution>) -> Result<Target, Status> {
        let execution = execution.ok_or_else(|| Status::invalid_argument("Execution is not set on request."))?;
        self.named(execution.workflow_id, execution.run_id)
    }

    fn named(&self, workflow_id: String, run_id: String) -> Result<Target, Status> {
        if workflow_id.is_empty() {
            return Err(Status::invalid_argument("WorkflowId is not set on request."));
        }
        if !run_id.is_empty() && uuid::Uuid::parse_str(&run_id).is_err() {
            return Err(Status::invalid_argument("Invalid RunId."));
        }
        // None was started with such an id, and it need not come back in the answer.
        if workflow_id.len() > self.shell.options.limits.id_length_max {
            return Err(status::not_found(
                "workflow not found: its ID is longer than any can be",
            ));
        }
        Ok(Target::workflow(workflow_id, run_id))
    }

    fn check_length(&self, field: &str, value: &str) -> Result<(), Status> {
        let limit = self.shell.options.limits.id_length_max;
        if value.len() > limit {
            return Err(Status::invalid_argument(format!(
                "{field} length exceeds limit: it has {} bytes, {limit} are allowed.",
                value.len()
            )));
        }
        Ok(())
    }

    /// How long a long poll may wait: as long as it is used to, but shorter than its client is willing to, so that the
    /// client gets an empty answer and not an error.
    fn patience(&self, metadata: &MetadataMap, usual: Duration) -> Duration {
        match client_timeout(metadata) {
            Some(timeout) => usual
                .min(timeout.saturating_sub((timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(5)))),
            None => usual,
        }
    }
}

/// A token is good only where it was given out. Requests that name no namespace are taken to mean the token's.
fn check_token_namespace(of_token: &str, of_request: &str) -> Result<(), Status> {
    if of_request.is_empty() || of_request == of_token {
        return Ok(());
    }
    Err(Status::invalid_argument(
        "Operation requested with a token from a different namespace.",
    ))
}

/// The header by which a client says how long it waits.
fn client_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Smaller answers are sent as they are: compressing them costs more time than it saves.
const COMPRESS_FROM: usize = 4096;

/// Whether the caller is on this machine: then nothing is worth compressing.
fn is_near<T>(request: &Request<T>) -> bool {
    request.remote_addr().is_none_or(|address| address.ip().is_loopback())
}

fn respond<T: Message>(answer: T, is_near: bool) -> Response<T> {
    let is_small = is_near || answer.encoded_len() < COMPRESS_FROM;
    let mut response = Response::new(answer);
    if is_small {
        response.disable_compression();
    }
    response
}

/// Writes the trait's methods, each calling the method of the same name that its family's file has, if its caller may do what
/// the call needs.
macro_rules! rpcs {
    ($($rpc:ident, $need:ident: $request:ty => $response:ty;)*) => {
        /// Their names.
        pub(crate) const RPCS: &[&str] = &[$(stringify!($rpc)),*];

        #[tonic::async_trait]
        impl WorkflowService for Frontend {
            $(
                async fn $rpc(&self, request: Request<$request>) -> Answer<$response> {
                    access::check(&request, stringify!($rpc), Need::$need).await?;
                    let is_near = is_near(&request);
                    Frontend::$rpc(self, request).await.map(|answer| respond(answer, is_near))
                }
            )*
        }
    };
}

rpcs! {
    get_system_info, Known: GetSystemInfoRequest => GetSystemInfoResponse;
    get_cluster_info, Known: GetClusterInfoRequest => GetClusterInfoResponse;
    register_namespace, Administer: RegisterNamespaceRequest => RegisterNamespaceResponse;
    update_namespace, Administer: UpdateNamespaceRequest => UpdateNamespaceResponse;
    deprecate_namespace, Administer: DeprecateNamespaceRequest => DeprecateNamespaceResponse;
    describe_namespace, Look: DescribeNamespaceRequest => DescribeNamespaceResponse;
    list_namespaces, Known: ListNamespacesRequest => ListNamespacesResponse;
    get_search_attributes, Known: GetSearchAttributesRequest => GetSearchAttributesResponse;

    start_workflow_execution, Start: StartWorkflowExecutionRequest => StartWorkflowExecutionResponse;
    signal_with_start_workflow_execution, Start:
        SignalWithStartWorkflowExecutionRequest => SignalWithStartWorkflowExecutionResponse;

    poll_workflow_task_queue, Work: PollWorkflowTaskQueueRequest => WithHistory<PollWorkflowTaskQueueResponse>;
    poll_activity_task_queue, Work: PollActivityTaskQueueRequest => PollActivityTaskQueueResponse;

    describe_task_queue, Look: DescribeTaskQueueRequest => DescribeTaskQueueResponse;
    update_task_queue_config, Operate: UpdateTaskQueueConfigRequest => UpdateTaskQueueConfigResponse;
    list_task_queue_partitions, Read: ListTaskQueuePartitionsRequest => ListTaskQueuePartitionsResponse;

    respond_workflow_task_completed, Work: RespondWorkflowTaskCompletedRequest => RespondWorkflowTaskCompletedResponse;
    respond_workflow_task_failed, Work: RespondWorkflowTaskFailedRequest => RespondWorkflowTaskFailedResponse;
    reset_sticky_task_queue, Work: ResetStickyTaskQueueRequest => ResetStickyTaskQueueResponse;
    shutdown_worker, Work: ShutdownWorkerRequest => ShutdownWorkerResponse;

    record_worker_heartbeat, Work: RecordWorkerHeartbeatRequest => RecordWorkerHeartbeatResponse;
    list_workers, Read: ListWorkersRequest => ListWorkersResponse;
    count_workers, Read: CountWorkersRequest => CountWorkersResponse;
    describe_worker, Read: DescribeWorkerRequest => DescribeWorkerResponse;

    record_activity_task_heartbeat, Work: RecordActivityTaskHeartbeatRequest => RecordActivityTaskHeartbeatResponse;
    record_activity_task_heartbeat_by_id, Work:
        RecordActivityTaskHeartbeatByIdRequest => RecordActivityTaskHeartbeatByIdResponse;
    respond_activity_task_completed, Work: RespondActivityTaskCompletedRequest => RespondActivityTaskCompletedResponse;
    respond_activity_task_completed_by_id, Work:
        RespondActivityTaskCompletedByIdRequest => RespondActivityTaskCompletedByIdResponse;
    respond_activity_task_failed, Work: RespondActivityTaskFailedRequest => RespondActivityTaskFailedResponse;
    respond_activity_task_failed_by_id, Work:
        RespondActivityTaskFailedByIdRequest => RespondActivityTaskFailedByIdResponse;
    respond_activity_task_canceled, Work: RespondActivityTaskCanceledRequest => RespondActivityTaskCanceledResponse;
    respond_activity_task_canceled_by_id, Work:
        RespondActivityTaskCanceledByIdRequest => RespondActivityTaskCanceledByIdResponse;

    start_activity_execution, Start: StartActivityExecutionRequest => StartActivityExecutionResponse;
    describe_activity_execution, Read: DescribeActivityExecutionRequest => DescribeActivityExecutionResponse;
    poll_activity_execution, Read: PollActivityExecutionRequest => PollActivityExecutionResponse;
    delete_activity_execution, Operate: DeleteActivityExecutionRequest => DeleteActivityExecutionResponse;
    list_activity_executions, Read: ListActivityExecutionsRequest => ListActivityExecutionsResponse;
    count_activity_executions, Read: CountActivityExecutionsRequest => CountActivityExecutionsResponse;
    request_cancel_activity_execution, Operate:
        RequestCancelActivityExecutionRequest => RequestCancelActivityExecutionResponse;
    terminate_activity_execution, Operate: TerminateActivityExecutionRequest => TerminateActivityExecutionResponse;

    pause_activity, Operate: PauseActivityRequest => PauseActivityResponse;
    unpause_activity, Operate: UnpauseActivityRequest => UnpauseActivityResponse;
    reset_activity, Operate: ResetActivityRequest => ResetActivityResponse;
    update_activity_options, Operate: UpdateActivityOptionsRequest => UpdateActivityOptionsResponse;
    pause_activity_execution, Operate: PauseActivityExecutionRequest => PauseActivityExecutionResponse;
    unpause_activity_execution, Operate: UnpauseActivityExecutionRequest => UnpauseActivityExecutionResponse;
    reset_activity_execution, Operate: ResetActivityExecutionRequest => ResetActivityExecutionResponse;
    update_activity_execution_options, Operate:
        UpdateActivityExecutionOptionsRequest => UpdateActivityExecutionOptionsResponse;

    signal_workflow_execution, Start: SignalWorkflowExecutionRequest => SignalWorkflowExecutionResponse;
    request_cancel_workflow_execution, Operate: RequestCancelWorkflowExecutionRequest => RequestCancelWorkflowExecutionResponse;
    terminate_workflow_execution, Operate: TerminateWorkflowExecutionRequest => TerminateWorkflowExecutionResponse;
    reset_workflow_execution, Operate: ResetWorkflowExecutionRequest => ResetWorkflowExecutionResponse;
    update_workflow_execution_options, Operate:
        UpdateWorkflowExecutionOptionsRequest => UpdateWorkflowExecutionOptionsResponse;
    describe_workflow_execution, Read: DescribeWorkflowExecutionRequest => DescribeWorkflowExecutionResponse;
    delete_workflow_execution, Operate: DeleteWorkflowExecutionRequest => DeleteWorkflowExecutionResponse;

    update_workflow_execution, Start: UpdateWorkflowExecutionRequest => UpdateWorkflowExecutionResponse;
    poll_workflow_execution_update, Read: PollWorkflowExecutionUpdateRequest => PollWorkflowExecutionUpdateResponse;
    execute_multi_operation, Start: ExecuteMultiOperationRequest => ExecuteMultiOperationResponse;

    query_workflow, Read: QueryWorkflowRequest => QueryWorkflowResponse;
    respond_query_task_completed, Work: RespondQueryTaskCompletedRequest => RespondQueryTaskCompletedResponse;

    get_workflow_execution_history, Look: GetWorkflowExecutionHistoryRequest => WithHistory<GetWorkflowExecutionHistoryResponse>;
    get_workflow_execution_history_reverse, Look:
        GetWorkflowExecutionHistoryReverseRequest => WithHistory<GetWorkflowExecutionHistoryReverseResponse>;

    start_batch_operation, Operate: StartBatchOperationRequest => StartBatchOperationResponse;
    stop_batch_operation, Operate: StopBatchOperationRequest => StopBatchOperationResponse;
    describe_batch_operation, Read: DescribeBatchOperationRequest => DescribeBatchOperationResponse;
    list_batch_operations, Read: ListBatchOperationsRequest => ListBatchOperationsResponse;

    list_workflow_executions, Read: ListWorkflowExecutionsRequest => ListWorkflowExecutionsResponse;
    scan_workflow_executions, Read: ScanWorkflowExecutionsRequest => ScanWorkflowExecutionsResponse;
    list_open_workflow_executions, Read: ListOpenWorkflowExecutionsRequest => ListOpenWorkflowExecutionsResponse;
    list_closed_workflow_executions, Read: ListClosedWorkflowExecutionsRequest => ListClosedWorkflowExecutionsResponse;
    count_workflow_executions, Read: CountWorkflowExecutionsRequest => CountWorkflowExecutionsResponse;

    create_schedule, Operate: CreateScheduleRequest => CreateScheduleResponse;
    describe_schedule, Read: DescribeScheduleRequest => DescribeScheduleResponse;
    update_schedule, Operate: UpdateScheduleRequest => UpdateScheduleResponse;
    patch_schedule, Operate: PatchScheduleRequest => PatchScheduleResponse;
    list_schedule_matching_times, Read: ListScheduleMatchingTimesRequest => ListScheduleMatchingTimesResponse;
    delete_schedule, Operate: DeleteScheduleRequest => DeleteScheduleResponse;
    list_schedules, Read: ListSchedulesRequest => ListSchedulesResponse;
    count_schedules, Read: CountSchedulesRequest => CountSchedulesResponse;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_timeout_is_read_in_every_unit() {
        for (text, expected) in [
            ("70S", 70_000),
            ("1M", 60_000),
            ("250m", 250),
            ("1500000u", 1500),
            ("2H", 7_200_000),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(
                client_timeout(&metadata),
                Some(Duration::from_millis(expected)),
                "{text}"
            );
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "soon".parse().unwrap());
        assert_eq!(client_timeout(&metadata), None);
    }
}
