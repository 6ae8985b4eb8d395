//! Which workers there are, and what they carry.

use std::collections::{BTreeMap, BTreeSet};

use helve_toolbox::Toolbox;
use helve_toolbox::run::{DRAIN_ACTIVITY, WORKFLOW_QUEUE, control_queue, queue_vertical};
use helve_worker::SDK_NAME;
use serde_json::{Value, json};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_protos::temporal::api::common::v1::{ActivityType, RetryPolicy};
use temporalio_protos::temporal::api::enums::v1::WorkerStatus;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::worker::v1::WorkerHeartbeat;
use temporalio_protos::temporal::api::workflowservice::v1::StartActivityExecutionRequest;

use crate::client::Client;

/// Seconds that a worker has to notice what it is asked for.
const ASKED_FOR: i64 = 60;
/// The name under which workers tell the level of their sandbox.
pub const SANDBOX_FACT: &str = "sandbox";

/// One worker: a process, with the verticals that it serves.
#[derive(Debug, Default, PartialEq)]
pub struct Worker {
    /// As histories name it.
    pub identity: String,
    /// Whether it runs the code of workflows.
    pub workflows: bool,
    /// It takes no new steps.
    pub leaving: bool,
    /// The level of its sandbox.
    pub sandbox: String,
    /// Steps that run.
    pub used: i32,
    /// Steps that may run at the same time.
    pub slots: i32,
    /// The tools of each vertical, with their versions.
    pub verticals: BTreeMap<String, Vec<(String, String)>>,
}

/// Those of a namespace, by identity.
///
/// # Errors
///
/// `Unimplemented` when the server keeps no register of workers.
pub async fn workers(client: &Client) -> Result<Vec<Worker>, Status> {
    Ok(gather(&client.workers().await?))
}

/// Asks a worker to take no new steps, to end those that it has, and to leave. It is asked when this returns, and does so if
/// it listens within the next minute.
///
/// # Errors
///
/// `Unimplemented` when the server has no standalone activities.
pub async fn drain(client: &Client, identity: &str) -> Result<(), Status> {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let request = StartActivityExecutionRequest {
        namespace: client.namespace.clone(),
        identity: client.connection.identity().to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        activity_id: format!("drain {identity} {}", uuid::Uuid::new_v4().simple()),
        activity_type: Some(ActivityType {
            name: DRAIN_ACTIVITY.to_owned(),
        }),
        task_queue: Some(TaskQueue {
            name: control_queue(identity),
            ..Default::default()
        }),
        schedule_to_close_timeout: seconds(ASKED_FOR),
        start_to_close_timeout: seconds(ASKED_FOR),
        retry_policy: Some(RetryPolicy {
            maximum_attempts: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut connection = client.connection.clone();
    connection
        .start_activity_execution(request.into_request())
        .await
        .map(drop)
}

/// Every vertical that a workflow of the toolbox names, and that of the built-in modules.
pub fn verticals(toolbox: &Toolbox) -> Vec<String> {
    let mut all = BTreeSet::from([helve_toolbox::DEFAULT_VERTICAL]);
    all.extend(toolbox.workflows().flat_map(|workflow| workflow.verticals()));
    all.into_iter().map(str::to_owned).collect()
}

/// The verticals that no worker serves.
pub fn unserved(toolbox: &Toolbox, workers: &[Worker]) -> Vec<String> {
    let served: BTreeSet<&String> = workers.iter().flat_map(|worker| worker.verticals.keys()).collect();
    verticals(toolbox)
        .into_iter()
        .filter(|vertical| !served.contains(vertical))
        .collect()
}

/// Queues of one process together. Workers of other programs are not Helve's to show.
fn gather(known: &[WorkerHeartbeat]) -> Vec<Worker> {
    let mut workers: BTreeMap<&str, Worker> = BTreeMap::new();
    for heartbeat in known.iter().filter(|heartbeat| heartbeat.sdk_name == SDK_NAME) {
        let worker = workers.entry(&heartbeat.worker_identity).or_insert_with(|| Worker {
            identity: heartbeat.worker_identity.clone(),
            ..Worker::default()
        });
        worker.leaving |= heartbeat.status() != WorkerStatus::Running;
        if heartbeat.task_queue == WORKFLOW_QUEUE {
            worker.workflows = true;
            continue;
        }
        if let Some(slots) = &heartbeat.activity_task_slots_info {
            worker.used += slots.current_used_slots;
            worker.slots += slots.current_used_slots + slots.current_available_slots;
        }
        let tools = worker
            .verticals
            .entry(queue_vertical(&heartbeat.task_queue).to_owned())
            .or_default();
        for plugin in &heartbeat.plugins {
            match plugin.name.as_str() {
                SANDBOX_FACT => worker.sandbox.clone_from(&plugin.version),
                name => tools.push((name.to_owned(), plugin.version.clone())),
            }
        }
    }
    workers.into_values().collect()
}

impl Worker {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        let tool = |(name, version): &(String, String)| json!({"program": name, "version": version});
        let verticals: BTreeMap<&String, Vec<Value>> = self
            .verticals
            .iter()
            .map(|(name, tools)| (name, tools.iter().map(tool).collect()))
            .collect();
        json!({
            "identity": self.identity,
            "state": if self.leaving { "leaving" } else { "ready" },
            "workflows": self.workflows,
            "sandbox": self.sandbox,
            "steps": self.used,
            "slots": self.slots,
            "verticals": verticals,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_toolbox::run::vertical_queue;
    use temporalio_protos::temporal::api::worker::v1::{PluginInfo, WorkerSlotsInfo};

    #[test]
    fn the_queues_of_a_process_are_one_worker() {
        let plugin = |name: &str, version: &str| PluginInfo {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let heartbeat = |queue: String, plugins| WorkerHeartbeat {
            worker_identity: "helve 1@host".to_owned(),
            sdk_name: SDK_NAME.to_owned(),
            status: WorkerStatus::Running.into(),
            task_queue: queue,
            activity_task_slots_info: Some(WorkerSlotsInfo {
                current_available_slots: 1,
                current_used_slots: 1,
                ..Default::default()
            }),
            plugins,
            ..Default::default()
        };
        let sandbox = || plugin(SANDBOX_FACT, "full");
        let known = [
            heartbeat(WORKFLOW_QUEUE.to_owned(), vec![sandbox()]),
            heartbeat(vertical_queue("python"), vec![sandbox(), plugin("bandit", "1.8.0")]),
            heartbeat(vertical_queue("web"), vec![sandbox()]),
            WorkerHeartbeat {
                worker_identity: "somebody else's".to_owned(),
                ..Default::default()
            },
        ];
        let workers = gather(&known);
        assert_eq!(workers.len(), 1);
        let worker = &workers[0];
        assert_eq!((worker.used, worker.slots, worker.workflows), (2, 4, true));
        assert_eq!(worker.sandbox, "full");
        assert_eq!(worker.verticals["python"], [("bandit".to_owned(), "1.8.0".to_owned())]);
        assert!(worker.verticals["web"].is_empty());
    }
}
