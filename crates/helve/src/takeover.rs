//! Going on at once with what a killed process left running.
//!
//! Without this, a step whose worker died waits for its heartbeat timeout. Whoever opens the embedded engine holds the
//! data directory alone, so every worker that once ran inside such an engine is certainly dead: its steps can be given
//! back now. Workers that came over the network are left alone, they may well live.

use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::enums::v1::{PendingActivityState, WorkflowExecutionStatus};
use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo};
use temporalio_protos::temporal::api::workflowservice::v1 as service;

use crate::client::Client;

/// How workers inside an embedded engine begin their identity.
pub(crate) const EMBEDDED_WORKER: &str = "helve embedded";
/// Failure type that the workflow does not hold against the step.
const GIVEN_BACK: &str = "helve.GivenBack";

/// Gives back the steps of dead workers. Failing to do so costs time and nothing else.
pub(crate) async fn give_back_steps_of_dead_workers(client: &Client) {
    match open_runs(client).await {
        Ok(runs) => {
            for run in runs {
                if let Err(status) = give_back(client, &run).await {
                    tracing::warn!(run = run.workflow_id, %status, "the steps of a dead worker wait for their heartbeat timeout");
                }
            }
        }
        Err(status) => tracing::warn!(%status, "open runs could not be listed"),
    }
}

async fn open_runs(client: &Client) -> Result<Vec<WorkflowExecution>, Status> {
    let mut runs = Vec::new();
    let mut token = Vec::new();
    loop {
        let (page, next) = client.list(token).await?;
        let open = |info: &WorkflowExecutionInfo| info.status() == WorkflowExecutionStatus::Running;
        runs.extend(page.into_iter().filter(open).filter_map(|info| info.execution));
        if next.is_empty() {
            return Ok(runs);
        }
        token = next;
    }
}

async fn give_back(client: &Client, run: &WorkflowExecution) -> Result<(), Status> {
    let mut connection = client.connection.clone();
    // The worker that had the run cached is gone too.
    let reset = service::ResetStickyTaskQueueRequest {
        namespace: client.namespace.clone(),
        execution: Some(run.clone()),
    };
    connection.reset_sticky_task_queue(reset.into_request()).await?;
    for activity in client
        .describe(&run.workflow_id)
        .await?
        .pending_activities
        .iter()
        .filter(|a| is_orphan(a))
    {
        let failure = Failure {
            message: "the process that ran the step was killed".to_owned(),
            source: "helve".to_owned(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: GIVEN_BACK.to_owned(),
                next_retry_delay: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 1_000_000,
                }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let request = service::RespondActivityTaskFailedByIdRequest {
            namespace: client.namespace.clone(),
            workflow_id: run.workflow_id.clone(),
            run_id: run.run_id.clone(),
            activity_id: activity.activity_id.clone(),
            failure: Some(failure),
            identity: client.connection.identity().to_owned(),
            ..Default::default()
        };
        connection
            .respond_activity_task_failed_by_id(request.into_request())
            .await?;
    }
    Ok(())
}

fn is_orphan(activity: &PendingActivityInfo) -> bool {
    let started = matches!(
        activity.state(),
        PendingActivityState::Started | PendingActivityState::CancelRequested
    );
    started && activity.last_worker_identity.starts_with(EMBEDDED_WORKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(state: PendingActivityState, worker: &str) -> PendingActivityInfo {
        PendingActivityInfo {
            state: state.into(),
            last_worker_identity: worker.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn only_running_steps_of_embedded_workers_are_given_back() {
        assert!(is_orphan(&activity(
            PendingActivityState::Started,
            "helve embedded 42@host"
        )));
        assert!(
            !is_orphan(&activity(PendingActivityState::Started, "helve 42@host")),
            "a worker over the network may live"
        );
        assert!(!is_orphan(&activity(
            PendingActivityState::Scheduled,
            "helve embedded 42@host"
        )));
    }
}
