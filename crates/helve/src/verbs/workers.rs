//! `helve workers`: which workers there are, and what they carry.

use std::collections::{BTreeMap, BTreeSet};

use helve_toolbox::run::{WORKFLOW_QUEUE, queue_vertical};
use helve_worker::SDK_NAME;
use serde_json::{Value, json};
use temporalio_protos::temporal::api::enums::v1::WorkerStatus;
use temporalio_protos::temporal::api::worker::v1::WorkerHeartbeat;
use tonic::Code;

use crate::app::{App, SANDBOX_FACT, verticals};
use crate::embedded::Sharing;
use crate::errors::{Problem, Result, refused};
use crate::render::workers as render;
use crate::terminal::{Style, print, print_json};

/// One worker: a process, with the verticals that it serves.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Worker {
    pub(crate) identity: String,
    /// Whether it runs the code of workflows.
    pub(crate) workflows: bool,
    pub(crate) leaving: bool,
    pub(crate) sandbox: String,
    /// Steps that run, and that may run at the same time.
    pub(crate) used: i32,
    pub(crate) slots: i32,
    /// The tools of each vertical, with their versions.
    pub(crate) verticals: BTreeMap<String, Vec<(String, String)>>,
}

pub(crate) async fn workers(app: &App, json: bool) -> Result<u8> {
    let data = app.data_dir()?;
    let session = app.session(&data, "helve workers", Sharing::Brief).await?;
    let known = session.client.workers().await;
    session.close().await;
    let known = known.map_err(|status| match status.code() {
        Code::Unimplemented => Problem::new("this server keeps no register of workers"),
        _ => refused("the workers cannot be listed", &status),
    })?;
    let workers = gather(&known);
    let served: BTreeSet<&String> = workers.iter().flat_map(|worker| worker.verticals.keys()).collect();
    let missing: Vec<String> = verticals(&app.toolbox)
        .into_iter()
        .filter(|vertical| !served.contains(vertical))
        .collect();
    match json {
        true => print_json(&json!({
            "workers": workers.iter().map(to_json).collect::<Vec<_>>(),
            "verticals_without_worker": missing,
        })),
        false => print(&render::workers(&workers, &missing, Style::stdout())),
    }
    Ok(0)
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

fn to_json(worker: &Worker) -> Value {
    let tool = |(name, version): &(String, String)| json!({"program": name, "version": version});
    let verticals: BTreeMap<&String, Vec<Value>> = worker
        .verticals
        .iter()
        .map(|(name, tools)| (name, tools.iter().map(tool).collect()))
        .collect();
    json!({
        "identity": worker.identity,
        "state": if worker.leaving { "leaving" } else { "ready" },
        "workflows": worker.workflows,
        "sandbox": worker.sandbox,
        "steps": worker.used,
        "slots": worker.slots,
        "verticals": verticals,
    })
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
