//! Going on at once with what a killed process left running.
//!
//! Without this, a step whose worker died waits for its heartbeat timeout. Whoever opens the embedded engine holds the
//! data directory alone, so every worker that once ran inside such an engine is certainly dead: its steps can be given
//! back now. Workers that came over the network are left alone, they may well live.

use std::time::SystemTime;

use futures_util::{StreamExt, stream};
use helve_runs::{Client, timestamp};
use helve_toolbox::run::WORKFLOW_QUEUE;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::enums::v1::PendingActivityState;
use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::workflow::v1::PendingActivityInfo;
use temporalio_protos::temporal::api::workflowservice::v1 as service;

/// How workers inside an embedded engine begin their identity.
pub(crate) const EMBEDDED_WORKER: &str = "helve embedded";
/// Failure type that the workflow does not hold against the step.
const GIVEN_BACK: &str = "helve.GivenBack";

/// Looked after at the same time.
const AT_ONCE: usize = 8;
/// Open runs that are asked for at once.
const PAGE: i32 = 200;

/// Gives back the steps that began before `opened`, while whatever else the process does goes on: with many open runs this
/// takes its time. Failing to do so costs time and nothing else.
pub(crate) async fn give_back_steps_of_dead_workers(client: Client, opened: SystemTime) {
    match open_runs(&client).await {
        Ok(runs) => {
            let client = &client;
            let give_back = async |run: WorkflowExecution| {
                if let Err(status) = give_back(client, &run, opened).await {
                    tracing::warn!(run = run.workflow_id, %status, "the steps of a dead worker wait for their heartbeat timeout");
                }
            };
            stream::iter(runs).for_each_concurrent(AT_ONCE, give_back).await;
        }
        Err(status) => tracing::warn!(%status, "open runs could not be listed"),
    }
}

/// Those of Helve: workflows of other programs have workers of their own.
async fn open_runs(client: &Client) -> Result<Vec<WorkflowExecution>, Status> {
    let query = format!("TaskQueue = '{WORKFLOW_QUEUE}' AND CloseTime IS NULL");
    let mut runs = Vec::new();
    let mut token = Vec::new();
    loop {
        let (page, next) = client.list_matching(query.clone(), PAGE, token).await?;
        runs.extend(page.into_iter().filter_map(|info| info.execution));
        if next.is_empty() {
            return Ok(runs);
        }
        token = next;
    }
}

async fn give_back(client: &Client, run: &WorkflowExecution, opened: SystemTime) -> Result<(), Status> {
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
        .filter(|a| is_orphan(a, opened))
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

/// Process ids come again, in a container at every start: the name of a worker does not tell whether it is the one of now.
fn is_orphan(activity: &PendingActivityInfo, opened: SystemTime) -> bool {
    let started = matches!(
        activity.state(),
        PendingActivityState::Started | PendingActivityState::CancelRequested
    );
    let began = activity.last_started_time.as_ref().and_then(timestamp);
    started
        && activity.last_worker_identity.starts_with(EMBEDDED_WORKER)
        && began.is_some_and(|began| SystemTime::from(began) < opened)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn began(state: PendingActivityState, worker: &str, seconds: u64) -> PendingActivityInfo {
        PendingActivityInfo {
            state: state.into(),
            last_worker_identity: worker.to_owned(),
            last_started_time: Some((SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into()),
            ..Default::default()
        }
    }

    #[test]
    fn only_running_steps_of_embedded_workers_are_given_back() {
        use PendingActivityState::{Scheduled, Started};
        let opened = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let embedded = "helve embedded 42@host";
        assert!(is_orphan(&began(Started, embedded, 99), opened));
        let lives = began(Started, "helve 42@host", 99);
        assert!(!is_orphan(&lives, opened), "a worker over the network may live");
        assert!(!is_orphan(&began(Scheduled, embedded, 99), opened));
        let of_now = began(Started, embedded, 101);
        assert!(
            !is_orphan(&of_now, opened),
            "the worker of now, with the same process id"
        );
    }
}
