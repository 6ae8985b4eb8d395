//! Starting and draining a worker.

use std::sync::Arc;
use std::time::Duration;

use helve_runtime::{WorkflowOptions, WorkflowWorker};
use helve_toolbox::run::{WORKFLOW_QUEUE, vertical_queue};
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_sdk_core::{
    CoreRuntime, PollerBehavior, RuntimeOptions, Worker as CoreWorker, WorkerConfig, WorkerValidationError,
    WorkerVersioningStrategy, init_worker,
};
use tokio::task::JoinSet;

use crate::activities::{Activities, Shared};
use crate::modules::Modules;
use crate::step::StepRunner;
use crate::workspace::Workspaces;
use crate::{StartError, WorkerOptions};

/// Internal activities at a time: they are short, and merging reports holds them in memory.
const INTERNAL_CONCURRENCY: usize = 2;
/// Open polls per queue. Two hide the latency of one; more only keep connections busy.
const POLLERS: usize = 2;

/// The worker of one process.
pub struct Worker;

/// A running worker. Dropping it without [`WorkerHandle::drain`] leaves its steps to their heartbeat timeouts.
pub struct WorkerHandle {
    cores: Vec<Arc<CoreWorker>>,
    loops: JoinSet<()>,
    workflows: Option<WorkflowWorker>,
    patience: Duration,
    // Core's tasks need it as long as the worker runs.
    _core_runtime: CoreRuntime,
}

impl Worker {
    /// Starts polling. Must be called within a tokio runtime.
    pub async fn start(options: WorkerOptions) -> Result<WorkerHandle, StartError> {
        let core_runtime = core_runtime()?;
        let shared = shared(&options).await?;
        preload(&shared, &options.preload);
        let mut queues: Vec<(String, usize)> = Vec::new();
        if options.roles.workflows {
            queues.push((WORKFLOW_QUEUE.to_owned(), INTERNAL_CONCURRENCY));
        }
        if options.roles.activities {
            queues.extend(
                options
                    .verticals
                    .iter()
                    .map(|vertical| (vertical_queue(vertical), options.concurrency)),
            );
        }
        let mut cores = Vec::with_capacity(queues.len());
        let mut loops = JoinSet::new();
        for (queue, concurrency) in queues {
            let core = Arc::new(core_worker(&core_runtime, &options, queue, concurrency)?);
            core.validate().await.map_err(refused)?;
            loops.spawn(
                Arc::new(Activities {
                    core: Arc::clone(&core),
                    shared: Arc::clone(&shared),
                })
                .serve(),
            );
            cores.push(core);
        }
        let workflows = if options.roles.workflows {
            Some(start_workflows(&core_runtime, &options).await?)
        } else {
            None
        };
        let patience = options.limits.drain_grace + options.limits.abandon_after;
        Ok(WorkerHandle {
            cores,
            loops,
            workflows,
            patience,
            _core_runtime: core_runtime,
        })
    }
}

impl WorkerHandle {
    /// Stops polling, lets running steps finish within the grace period, gives the others back, and returns.
    ///
    /// A module that does not listen to its cancellation is abandoned: its thread ends with the process, and the engine
    /// hands the step out again when its heartbeats stay away.
    pub async fn drain(mut self) {
        self.cores.iter().for_each(|core| core.initiate_shutdown());
        let patience = self.patience;
        let stopped = async {
            let workflows = async {
                if let Some(workflows) = self.workflows.take() {
                    workflows.shutdown().await;
                }
            };
            let steps = async {
                while self.loops.join_next().await.is_some() {}
                for core in self.cores.drain(..) {
                    match Arc::try_unwrap(core) {
                        Ok(core) => core.finalize_shutdown().await,
                        Err(core) => core.shutdown().await,
                    }
                }
            };
            tokio::join!(workflows, steps);
        };
        if tokio::time::timeout(patience, stopped).await.is_err() {
            tracing::warn!("a step did not stop in time and was abandoned; it will be tried again");
        }
    }
}

/// Without the wire format's details, which a status shows when it is printed whole.
fn refused(error: WorkerValidationError) -> StartError {
    let WorkerValidationError::NamespaceDescribeError { source, namespace } = error;
    StartError::Refused(format!("namespace `{namespace}`: {}", source.message()))
}

/// In the background; a module that cannot be loaded is reported by the step that needs it.
fn preload(shared: &Arc<Shared>, modules: &[String]) {
    for module in modules {
        let (shared, module) = (Arc::clone(shared), module.clone());
        tokio::task::spawn_blocking(move || drop(shared.runner.modules.get(&module)));
    }
}

fn core_runtime() -> Result<CoreRuntime, StartError> {
    // No worker heartbeats: preparing them means looking for cloud metadata, and nothing here reads them yet.
    let options = RuntimeOptions::builder()
        .telemetry_options(TelemetryOptions::builder().build())
        .heartbeat_interval(None)
        .build()
        .map_err(StartError::Options)?;
    CoreRuntime::new_assume_tokio(options).map_err(|error| StartError::Options(error.to_string()))
}

async fn shared(options: &WorkerOptions) -> Result<Arc<Shared>, StartError> {
    let (work_dir, blobs) = (options.work_dir.clone(), options.blobs.clone());
    let (unpack, idle) = (options.limits.unpack.clone(), options.limits.idle_targets);
    // Removing leftovers may take a while on a slow disk.
    let workspaces = tokio::task::spawn_blocking(move || Workspaces::open(&work_dir, blobs, unpack, idle))
        .await
        .map_err(|error| StartError::Options(error.to_string()))??;
    Ok(Arc::new(Shared {
        toolbox: Arc::clone(&options.toolbox),
        runner: StepRunner {
            modules: Modules::new(Arc::clone(&options.toolbox)),
            workspaces,
            blobs: options.blobs.clone(),
            limits: options.limits.clone(),
        },
        events: options.events.clone(),
    }))
}

fn core_worker(
    runtime: &CoreRuntime,
    options: &WorkerOptions,
    queue: String,
    concurrency: usize,
) -> Result<CoreWorker, StartError> {
    let config = WorkerConfig::builder()
        .namespace(options.namespace.clone())
        .task_queue(queue)
        .client_identity_override(options.identity.clone())
        .task_types(WorkerTaskTypes::activity_only())
        .versioning_strategy(WorkerVersioningStrategy::None {
            build_id: env!("CARGO_PKG_VERSION").to_owned(),
        })
        .max_outstanding_activities(concurrency)
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(concurrency.clamp(1, POLLERS)))
        .max_heartbeat_throttle_interval(options.limits.heartbeat_interval)
        .default_heartbeat_throttle_interval(options.limits.heartbeat_interval)
        .graceful_shutdown_period(options.limits.drain_grace)
        .build()
        .map_err(StartError::Options)?;
    init_worker(runtime, config, options.connection.clone()).map_err(|error| StartError::Options(error.to_string()))
}

async fn start_workflows(runtime: &CoreRuntime, options: &WorkerOptions) -> Result<WorkflowWorker, StartError> {
    let workflows = WorkflowOptions::new(
        options.namespace.as_str(),
        options.identity.as_str(),
        Arc::clone(&options.toolbox),
    );
    WorkflowWorker::start(runtime, options.connection.clone(), workflows)
        .await
        .map_err(|error| match error {
            helve_runtime::StartError::Options(_) => StartError::Options(error.to_string()),
            helve_runtime::StartError::Refused(_) => StartError::Refused(error.to_string()),
        })
}
