//! Whether a worker's polls reach the engine, by asking the engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use temporalio_client::Connection;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::IntoRequest;
use temporalio_protos::temporal::api::enums::v1::TaskQueueType;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1::DescribeTaskQueueRequest;

/// An engine that takes longer is as good as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How far the clocks of worker and engine may be apart.
const SKEW: Duration = Duration::from_secs(5);

/// Says whether a worker is of use. Cheap to clone.
#[derive(Clone)]
pub struct Pulse(Arc<Inner>);

struct Inner {
    connection: Connection,
    namespace: String,
    identity: String,
    started: SystemTime,
    queues: Mutex<Vec<(String, TaskQueueType)>>,
    leaving: AtomicBool,
}

impl Pulse {
    pub(crate) fn new(connection: Connection, namespace: String, identity: String) -> Self {
        Self(Arc::new(Inner {
            connection,
            namespace,
            identity,
            started: SystemTime::now(),
            queues: Mutex::default(),
            leaving: AtomicBool::new(false),
        }))
    }

    pub(crate) fn polls(&self, queue: String, kind: TaskQueueType) {
        self.lock().push((queue, kind));
    }

    pub(crate) fn leaves(&self) {
        self.0.leaving.store(true, Ordering::Relaxed);
    }

    /// Asks the engine whether it knows this worker as a poller of each of its queues; if not, says why.
    pub async fn is_ready(&self) -> Result<(), String> {
        if self.0.leaving.load(Ordering::Relaxed) {
            return Err("the worker is leaving".to_owned());
        }
        let queues = self.lock().clone();
        for (queue, kind) in queues {
            match tokio::time::timeout(PATIENCE, self.is_polling(&queue, kind)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return Err(format!("no poll of `{queue}` has reached the engine")),
                Ok(Err(reason)) => return Err(format!("the engine does not answer: {reason}")),
                Err(_) => return Err("the engine does not answer".to_owned()),
            }
        }
        Ok(())
    }

    async fn is_polling(&self, queue: &str, kind: TaskQueueType) -> Result<bool, String> {
        let request = DescribeTaskQueueRequest {
            namespace: self.0.namespace.clone(),
            task_queue: Some(TaskQueue {
                name: queue.to_owned(),
                ..Default::default()
            }),
            task_queue_type: kind.into(),
            ..Default::default()
        };
        let described = self
            .0
            .connection
            .clone()
            .describe_task_queue(request.into_request())
            .await;
        let pollers = described
            .map_err(|status| status.message().to_owned())?
            .into_inner()
            .pollers;
        // A worker of the same name may have run here before.
        let since = self.0.started.checked_sub(SKEW).unwrap_or(self.0.started);
        Ok(pollers.into_iter().any(|poller| {
            let seen = poller.last_access_time.and_then(|time| SystemTime::try_from(time).ok());
            poller.identity == self.0.identity && seen.is_some_and(|seen| seen >= since)
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, TaskQueueType)>> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
