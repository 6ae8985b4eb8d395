//! What is asked of one worker alone, through a task queue of its own: so it works from wherever the engine can be reached.

use std::sync::Arc;

use helve_toolbox::run::DRAIN_ACTIVITY;
use temporalio_protos::coresdk::ActivityTaskCompletion;
use temporalio_protos::coresdk::activity_result::{
    ActivityExecutionResult, Failure, Success, activity_execution_result,
};
use temporalio_protos::coresdk::activity_task::{ActivityTask, activity_task::Variant};
use temporalio_protos::temporal::api::common::v1::Payload;
use temporalio_protos::temporal::api::failure::v1::{self as failure, failure::FailureInfo};
use temporalio_sdk_core::{PollError, Worker as CoreWorker};
use tokio_util::sync::CancellationToken;

/// Listens until the worker shuts down. `leave` is cancelled when somebody asks the worker to leave.
pub(crate) async fn listen(core: Arc<CoreWorker>, leave: CancellationToken) {
    loop {
        let ActivityTask { task_token, variant } = match core.poll_activity_task().await {
            Ok(task) => task,
            Err(PollError::ShutDown) => return,
            Err(PollError::TonicError(status)) => {
                tracing::error!(code = ?status.code(), message = status.message(), "the engine cannot be polled for what is asked of this worker");
                return;
            }
        };
        let Some(Variant::Start(start)) = variant else { continue };
        let status = match start.activity_type.as_str() {
            DRAIN_ACTIVITY => {
                leave.cancel();
                activity_execution_result::Status::Completed(Success {
                    result: Some(Payload::default()),
                })
            }
            other => activity_execution_result::Status::Failed(unknown(other)),
        };
        let completion = ActivityTaskCompletion {
            task_token,
            result: Some(ActivityExecutionResult { status: Some(status) }),
        };
        if let Err(error) = core.complete_activity_task(completion).await {
            tracing::warn!(%error, "the engine could not be told that this worker does what it was asked for");
        }
    }
}

fn unknown(activity: &str) -> Failure {
    let info = failure::ApplicationFailureInfo {
        non_retryable: true,
        ..Default::default()
    };
    Failure {
        failure: Some(failure::Failure {
            message: format!("a worker of this version cannot do `{activity}`"),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
            ..Default::default()
        }),
        ..Default::default()
    }
}
