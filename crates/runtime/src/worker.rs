//! The workflow worker: polls activations and keeps one machine per cached run.
//!
//! Owns the loop between core and the runs: which run an activation is for, and which thread works on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use helve_toolbox::Shelf;
use helve_toolbox::run::WORKFLOW_QUEUE;
use temporalio_client::Connection;
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_protos::coresdk::workflow_activation::workflow_activation_job::Variant;
use temporalio_protos::coresdk::workflow_activation::{WorkflowActivation, WorkflowActivationJob};
use temporalio_protos::coresdk::workflow_completion::WorkflowActivationCompletion;
use temporalio_sdk_core::{
    CoreRuntime, PollError, PollerBehavior, Worker, WorkerConfig, WorkerVersioningStrategy, init_worker,
};
use tokio::task::{JoinHandle, JoinSet};

use crate::cached::{Cached, Surroundings};
use crate::code::Codes;

/// What a workflow worker is started with.
#[derive(Clone)]
pub struct WorkflowOptions {
    /// Namespace whose runs it works on.
    pub namespace: String,
    /// How it calls itself in histories.
    pub identity: String,
    /// Task queue that it polls.
    pub task_queue: String,
    /// Which workflows there are. A run that has its plan does not need it.
    pub toolbox: Shelf,
    /// The code of workflows that are code; None works on plans only.
    pub codes: Option<Codes>,
    /// Runs whose machine is kept between tasks; of the others the history is fetched again.
    pub max_cached_runs: usize,
    /// Workflow tasks at a time.
    pub max_tasks: usize,
    /// How long a task waits for the worker that has its run cached before any worker may take it. Short, so that
    /// runs of a worker that was killed go on soon.
    pub sticky_timeout: Duration,
}

impl WorkflowOptions {
    /// The usual options.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>, toolbox: impl Into<Shelf>) -> Self {
        Self {
            namespace: namespace.into(),
            identity: identity.into(),
            task_queue: WORKFLOW_QUEUE.to_owned(),
            toolbox: toolbox.into(),
            codes: None,
            max_cached_runs: 500,
            max_tasks: 50,
            sticky_timeout: Duration::from_secs(2),
        }
    }
}

/// Why a workflow worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The options do not go together.
    #[error("the workflow worker cannot be set up: {0}")]
    Options(String),
    /// The engine does not take it.
    #[error("the engine refused the workflow worker: {0}")]
    Refused(String),
}

/// A running workflow worker. Dropping it without [`WorkflowWorker::shutdown`] just stops polling; runs go on with
/// another worker.
pub struct WorkflowWorker {
    core: Arc<Worker>,
    poll: JoinHandle<()>,
}

impl WorkflowWorker {
    /// Starts polling. The core runtime must outlive it.
    pub async fn start(
        runtime: &CoreRuntime,
        connection: Connection,
        options: WorkflowOptions,
    ) -> Result<Self, StartError> {
        let config = WorkerConfig::builder()
            .namespace(options.namespace)
            .task_queue(options.task_queue)
            .client_identity_override(options.identity)
            .task_types(WorkerTaskTypes::workflow_only())
            .versioning_strategy(WorkerVersioningStrategy::None {
                build_id: env!("CARGO_PKG_VERSION").to_owned(),
            })
            .max_cached_workflows(options.max_cached_runs)
            .max_outstanding_workflow_tasks(options.max_tasks)
            .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(4))
            .nonsticky_to_sticky_poll_ratio(0.5)
            .sticky_queue_schedule_to_start_timeout(options.sticky_timeout)
            .ignore_evicts_on_shutdown(true)
            .build()
            .map_err(StartError::Options)?;
        let core = init_worker(runtime, config, connection).map_err(|e| StartError::Options(e.to_string()))?;
        core.validate().await.map_err(|e| StartError::Refused(e.to_string()))?;
        let core = Arc::new(core);
        let runs = Runs {
            cached: HashMap::new(),
            surroundings: Surroundings {
                toolbox: options.toolbox,
                codes: options.codes,
                instead: None,
            },
        };
        let poll = tokio::spawn(poll(Arc::clone(&core), runs));
        Ok(Self { core, poll })
    }

    /// Names this worker's instance to the engine.
    pub fn instance_key(&self) -> String {
        self.core.worker_instance_key().to_string()
    }

    /// Whether it still polls. It stops by itself only when the engine stays away for minutes.
    pub fn is_polling(&self) -> bool {
        !self.poll.is_finished()
    }

    /// Stops polling, completes what is under way and gives the cached runs back.
    pub async fn shutdown(self) {
        self.core.initiate_shutdown();
        if let Err(error) = self.poll.await {
            tracing::error!(%error, "the workflow worker's loop ended badly");
        }
        match Arc::try_unwrap(self.core) {
            Ok(core) => core.finalize_shutdown().await,
            Err(core) => core.shutdown().await,
        }
    }
}

async fn poll(core: Arc<Worker>, mut runs: Runs) {
    let mut completions = JoinSet::new();
    loop {
        let activation = match core.poll_workflow_activation().await {
            Ok(activation) => activation,
            Err(PollError::ShutDown) => break,
            Err(PollError::TonicError(status)) => {
                tracing::error!(%status, "the workflow worker stops: the engine cannot be polled");
                break;
            }
        };
        let run_id = activation.run_id.clone();
        let work = runs.work(activation);
        let core = Arc::clone(&core);
        // Core hands out nothing more of a run until this is done, so completions of different runs may overlap.
        completions.spawn(async move {
            let completion = match work {
                Work::Done(completion) => *completion,
                Work::Blocking(thread) => match thread.await {
                    Ok(completion) => completion,
                    // The runtime shuts down; another worker goes on.
                    Err(_) => return,
                },
            };
            if let Err(error) = core.complete_workflow_activation(completion).await {
                tracing::error!(%error, run_id, "a workflow task could not be completed");
            }
        });
        while completions.try_join_next().is_some() {}
    }
    while completions.join_next().await.is_some() {}
}

/// The runs in the cache.
struct Runs {
    /// Locked while its run computes. Core hands out nothing more of a run meanwhile, so nobody waits.
    cached: HashMap<String, Arc<Mutex<Cached>>>,
    surroundings: Surroundings,
}

impl Runs {
    /// One activation, completed at once, or by a thread that may block for as long as the workflow's code computes.
    fn work(&mut self, activation: WorkflowActivation) -> Work {
        let run_id = activation.run_id.clone();
        let is_removed = |job: &WorkflowActivationJob| matches!(job.variant, Some(Variant::RemoveFromCache(_)));
        let run = match activation.jobs.iter().any(is_removed) {
            true => self.cached.remove(&run_id).unwrap_or_default(),
            false => Arc::clone(self.cached.entry(run_id).or_default()),
        };
        let mut cached = run.lock().unwrap_or_else(PoisonError::into_inner);
        if !cached.may_block(&activation) {
            return Work::Done(Box::new(cached.work(&self.surroundings, activation)));
        }
        drop(cached);
        let surroundings = self.surroundings.clone();
        Work::Blocking(tokio::task::spawn_blocking(move || {
            let mut cached = run.lock().unwrap_or_else(PoisonError::into_inner);
            cached.work(&surroundings, activation)
        }))
    }
}

enum Work {
    Done(Box<WorkflowActivationCompletion>),
    Blocking(JoinHandle<WorkflowActivationCompletion>),
}
