//! Telling the engine what this worker is: its queues, how busy they are, and the tools that it carries. In the messages
//! that Temporal's workers send for this, so Temporal's own programs show it too.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use temporalio_client::Connection;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_protos::temporal::api::enums::v1::WorkerStatus;
use temporalio_protos::temporal::api::worker::v1::{PluginInfo, WorkerHeartbeat, WorkerHostInfo, WorkerSlotsInfo};
use temporalio_protos::temporal::api::workflowservice::v1::RecordWorkerHeartbeatRequest;
use tokio::sync::Notify;

use crate::work::Slots;

/// How often it says so. Engines forget a worker after some minutes.
const EVERY: Duration = Duration::from_secs(30);
/// How Helve's workers are told from others.
pub const SDK_NAME: &str = "helve";

/// What the engine is told of one worker.
pub(crate) struct Register {
    connection: Connection,
    namespace: String,
    identity: String,
    started: SystemTime,
    /// Carried by every queue: the sandbox's level, for instance.
    facts: Vec<PluginInfo>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    queues: Vec<Queue>,
    status: WorkerStatus,
}

struct Queue {
    key: String,
    name: String,
    /// None for the queue of workflow tasks.
    slots: Option<Arc<Slots>>,
    tools: Vec<PluginInfo>,
}

impl Register {
    pub(crate) fn new(
        connection: Connection,
        namespace: String,
        identity: String,
        facts: Vec<(String, String)>,
    ) -> Self {
        Self {
            connection,
            namespace,
            identity,
            started: SystemTime::now(),
            facts: facts.into_iter().map(plugin).collect(),
            state: Mutex::new(State {
                queues: Vec::new(),
                status: WorkerStatus::Running,
            }),
            changed: Notify::new(),
        }
    }

    /// One more queue is polled. `key` names the poller's instance.
    pub(crate) fn add(&self, key: String, name: String, slots: Option<Arc<Slots>>) {
        self.lock().queues.push(Queue {
            key,
            name,
            slots,
            tools: Vec::new(),
        });
        self.changed.notify_one();
    }

    /// The tools that were found for a queue, with their versions.
    pub(crate) fn carries(&self, queue: &str, tools: Vec<(String, String)>) {
        for entry in self.lock().queues.iter_mut().filter(|entry| entry.name == queue) {
            entry.tools = tools.iter().cloned().map(plugin).collect();
        }
        self.changed.notify_one();
    }

    /// Says it again and again, sooner when something changes. Ends when the engine does not want to know.
    pub(crate) async fn keep_telling(self: Arc<Self>) {
        let mut before = SystemTime::now();
        loop {
            if !self.tell(&mut before).await {
                tracing::debug!("the engine has no register of workers");
                return;
            }
            let _ = tokio::time::timeout(EVERY, self.changed.notified()).await;
        }
    }

    /// Says once that the worker leaves, or has left.
    pub(crate) async fn say(&self, status: WorkerStatus) {
        self.lock().status = status;
        self.tell(&mut SystemTime::now()).await;
    }

    async fn tell(&self, before: &mut SystemTime) -> bool {
        let now = SystemTime::now();
        let request = RecordWorkerHeartbeatRequest {
            namespace: self.namespace.clone(),
            identity: self.identity.clone(),
            worker_heartbeat: self.heartbeats(now, now.duration_since(*before).unwrap_or_default()),
            ..Default::default()
        };
        *before = now;
        // Whoever is away hears it the next time.
        match self
            .connection
            .clone()
            .record_worker_heartbeat(request.into_request())
            .await
        {
            Ok(_) => true,
            Err(status) => status.code() != Code::Unimplemented,
        }
    }

    fn heartbeats(&self, now: SystemTime, elapsed: Duration) -> Vec<WorkerHeartbeat> {
        let state = self.lock();
        let heartbeat = |queue: &Queue| WorkerHeartbeat {
            worker_instance_key: queue.key.clone(),
            worker_identity: self.identity.clone(),
            host_info: Some(WorkerHostInfo {
                host_name: self.identity.rsplit('@').next().unwrap_or_default().to_owned(),
                process_id: std::process::id().to_string(),
                ..Default::default()
            }),
            task_queue: queue.name.clone(),
            sdk_name: SDK_NAME.to_owned(),
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
            status: state.status.into(),
            start_time: Some(self.started.into()),
            heartbeat_time: Some(now.into()),
            elapsed_since_last_heartbeat: elapsed.try_into().ok(),
            activity_task_slots_info: queue.slots.as_ref().map(|slots| slots_info(slots)),
            plugins: self.facts.iter().chain(&queue.tools).cloned().collect(),
            ..Default::default()
        };
        state.queues.iter().map(heartbeat).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plugin((name, version): (String, String)) -> PluginInfo {
    PluginInfo { name, version }
}

fn slots_info(slots: &Slots) -> WorkerSlotsInfo {
    let used = slots.used.load(Ordering::Relaxed);
    WorkerSlotsInfo {
        current_available_slots: i32::try_from(slots.total).unwrap_or(i32::MAX).saturating_sub(used),
        current_used_slots: used,
        slot_supplier_kind: "Fixed".to_owned(),
        total_processed_tasks: slots.processed.load(Ordering::Relaxed),
        total_failed_tasks: slots.failed.load(Ordering::Relaxed),
        ..Default::default()
    }
}
