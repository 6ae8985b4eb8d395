//! Batch operations: one request that concerns many executions. What is done to each of them is what its own RPC does.

mod run;
mod validate;

use helve_db::{Batch, CommitError};
use helve_history::{Rejection, RunKind, Timestamp};
use prost::Message;
use temporalio_protos::temporal::api::{
    batch::v1::BatchOperationInfo,
    common::v1::Execution,
    enums::v1::{BatchOperationState, ResourceExhaustedCause},
    workflowservice::v1::{start_batch_operation_request::Operation, *},
};
use tonic::{Request, Status};

use self::run::Job;
use super::{Frontend, status};
use crate::{
    error::{Failed, Fault},
    storage::{
        BatchProgress, StoredBatch, close_batch, count_running_batches, insert_batch, list_batches, read_batch,
        running_batches,
    },
};

/// Batch operations of one namespace that may run at the same time; more are refused with RESOURCE_EXHAUSTED.
const MAX_RUNNING: i64 = 10;
/// Batch operations on a page, unless the client wants fewer.
const PAGE: usize = 1000;

/// The last batch operation of the page before. Opaque to clients.
#[derive(Clone, PartialEq, Eq, Message)]
struct PageToken {
    #[prost(int64, tag = "1")]
    start_time: i64,
    #[prost(string, tag = "2")]
    job_id: String,
}

impl Frontend {
    /// Goes on with the batch operations that were under way.
    pub(crate) async fn resume_batches(&self) -> Result<(), Fault> {
        for batch in self.shell.store.read(running_batches).await? {
            self.work_off(batch);
        }
        Ok(())
    }

    fn work_off(&self, batch: StoredBatch) {
        let job = Job::new(self.clone(), batch);
        self.shell.background.spawn(job.run());
    }

    pub(super) async fn start_batch_operation(
        &self,
        request: Request<StartBatchOperationRequest>,
    ) -> Result<StartBatchOperationResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?.id;
        let operation = validate::request(&request)?;
        self.check_length("JobId", &request.job_id)?;
        let total = match validate::executions(&request) {
            executions if !executions.is_empty() => executions.len() as i64,
            // Also finds out whether the query makes sense.
            _ => self.count_targets(&request, operation).await?,
        };
        let running = self
            .shell
            .store
            .read(move |db| count_running_batches(db, namespace))
            .await;
        if running.map_err(|error| Failed::from(Fault::from(error)))? >= MAX_RUNNING {
            let rejection = Rejection::Busy {
                cause: ResourceExhaustedCause::ConcurrentLimit,
                message: "Max concurrent batch operations is reached".to_owned(),
            };
            return Err(status::from_rejection(rejection));
        }
        let batch = StoredBatch {
            namespace,
            job_id: request.job_id.clone(),
            state: BatchOperationState::Running,
            start_time: self.shell.now(),
            close_time: None,
            progress: BatchProgress {
                total,
                ..BatchProgress::default()
            },
            request,
        };
        let mut write = Batch::new();
        insert_batch(&mut write, &batch);
        match self.shell.store.commit(write).await {
            Ok(()) => self.work_off(batch),
            Err(CommitError::Conflict { .. }) => {
                return Err(status::from_rejection(Rejection::AlreadyStarted {
                    kind: RunKind::Workflow,
                    message: format!("a batch operation with the job id {} exists already", batch.job_id),
                    start_request_id: String::new(),
                    run_id: String::new(),
                    first_run_id: String::new(),
                }));
            }
            Err(error) => return Err(Failed::from(Fault::from(error)).into()),
        }
        Ok(StartBatchOperationResponse {})
    }

    async fn count_targets(&self, request: &StartBatchOperationRequest, operation: &Operation) -> Result<i64, Status> {
        let count = CountWorkflowExecutionsRequest {
            namespace: request.namespace.clone(),
            query: validate::query(&request.visibility_query, operation),
        };
        Ok(self.count_workflow_executions(Request::new(count)).await?.count)
    }

    pub(super) async fn stop_batch_operation(
        &self,
        request: Request<StopBatchOperationRequest>,
    ) -> Result<StopBatchOperationResponse, Status> {
        let request = request.into_inner();
        validate::required("JobId", &request.job_id)?;
        let namespace = self.namespace(&request.namespace)?.id;
        validate::required("Reason", &request.reason)?;
        self.find_batch(namespace, &request.job_id).await?;
        let mut write = Batch::new();
        let now = self.shell.now();
        close_batch(&mut write, namespace, &request.job_id, BatchOperationState::Failed, now);
        match self.shell.store.commit(write).await {
            Ok(()) => Ok(StopBatchOperationResponse {}),
            Err(CommitError::Conflict { .. }) => Err(status::not_found("workflow execution already completed")),
            Err(error) => Err(Failed::from(Fault::from(error)).into()),
        }
    }

    pub(super) async fn describe_batch_operation(
        &self,
        request: Request<DescribeBatchOperationRequest>,
    ) -> Result<DescribeBatchOperationResponse, Status> {
        let request = request.into_inner();
        validate::required("JobId", &request.job_id)?;
        let namespace = self.namespace(&request.namespace)?.id;
        let batch = self.find_batch(namespace, &request.job_id).await?;
        let operation = batch.request.operation.as_ref();
        Ok(DescribeBatchOperationResponse {
            operation_type: operation.map_or(0, |operation| validate::kind(operation) as i32),
            state: batch.state as i32,
            start_time: Some(batch.start_time.into()),
            close_time: batch.close_time.map(Into::into),
            total_operation_count: match batch.state {
                BatchOperationState::Completed => batch.progress.done,
                _ => batch.progress.total,
            },
            complete_operation_count: batch.progress.done - batch.progress.failed,
            failure_operation_count: batch.progress.failed,
            identity: operation.map(validate::identity).unwrap_or_default(),
            executions: listed(&batch.request),
            reason: batch.request.reason,
            query: batch.request.visibility_query,
            job_id: batch.job_id,
        })
    }

    pub(super) async fn list_batch_operations(
        &self,
        request: Request<ListBatchOperationsRequest>,
    ) -> Result<ListBatchOperationsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?.id;
        let after = if request.next_page_token.is_empty() {
            None
        } else {
            let token = PageToken::decode(request.next_page_token.as_slice())
                .map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?;
            Some((Timestamp::from_nanos(token.start_time), token.job_id))
        };
        let size = usize::try_from(request.page_size).unwrap_or(0);
        let size = if size == 0 { PAGE } else { size.min(PAGE) };
        // One more than asked for tells whether there is another page.
        let batches = self
            .shell
            .store
            .read(move |db| list_batches(db, namespace, after, size + 1))
            .await;
        let mut batches = batches.map_err(|error| Failed::from(Fault::from(error)))?;
        let is_cut = batches.len() > size;
        batches.truncate(size);
        let next = batches.last().filter(|_| is_cut).map(|last| PageToken {
            start_time: last.start_time.as_nanos(),
            job_id: last.job_id.clone(),
        });
        Ok(ListBatchOperationsResponse {
            operation_info: batches.into_iter().map(info).collect(),
            next_page_token: next.map(|token| token.encode_to_vec()).unwrap_or_default(),
        })
    }

    async fn find_batch(&self, namespace: i64, job_id: &str) -> Result<StoredBatch, Status> {
        let id = job_id.to_owned();
        let found = self.shell.store.read(move |db| read_batch(db, namespace, &id)).await;
        found
            .map_err(|error| Failed::from(Fault::from(error)))?
            .ok_or_else(|| status::not_found(format!("workflow not found for ID: {job_id}")))
    }
}

fn info(batch: StoredBatch) -> BatchOperationInfo {
    let operation = batch.request.operation.as_ref();
    BatchOperationInfo {
        state: batch.state as i32,
        start_time: Some(batch.start_time.into()),
        close_time: batch.close_time.map(Into::into),
        operation_type: operation.map_or(0, |operation| validate::kind(operation) as i32),
        job_id: batch.job_id,
    }
}

/// The executions that a request lists, if it does.
fn listed(request: &StartBatchOperationRequest) -> Vec<Execution> {
    validate::executions(request)
        .into_iter()
        .map(|target| Execution {
            r#type: temporalio_protos::temporal::api::enums::v1::ExecutionType::Workflow as i32,
            business_id: target.workflow_id,
            run_id: target.run_id,
        })
        .collect()
}
