//! Starting and draining a worker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use helve_modules::command::{Host, Runner, Search, look_for};
use helve_runtime::{WorkflowOptions, WorkflowWorker};
use helve_toolbox::run::{WORKFLOW_QUEUE, control_queue, vertical_queue};
use temporalio_client::Connection;
use temporalio_common::telemetry::TelemetryOptions;
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_protos::temporal::api::enums::v1::{TaskQueueType, WorkerStatus};
use temporalio_sdk_core::{
    CoreRuntime, PollerBehavior, RuntimeOptions, Worker as CoreWorker, WorkerConfig, WorkerValidationError,
    WorkerVersioningStrategy, init_worker,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::activities::{Activities, Shared};
use crate::code::Code;
use crate::components::Components;
use crate::control;
use crate::figures::{Counted, WorkerFigures};
use crate::http::Http;
use crate::modules::Modules;
use crate::register::Register;
use crate::step::StepRunner;
use crate::work::{Slots, Work};
use crate::workspace::Workspaces;
use crate::{Limits, Pulse, StartError, WorkerOptions};

/// Internal activities at a time: they are short, and merging reports holds them in memory.
const INTERNAL_CONCURRENCY: usize = 2;
/// HTTP requests at a time.
const HTTP_CONCURRENCY: usize = 16;
/// Open polls per queue. Two hide the latency of one; more only keep connections busy.
const POLLERS: usize = 2;
/// How long telling the engine that the worker leaves may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The worker of one process.
pub struct Worker;

/// A running worker. Dropping it without [`WorkerHandle::drain`] leaves its steps to their heartbeat timeouts.
pub struct WorkerHandle {
    cores: Vec<Arc<CoreWorker>>,
    loops: JoinSet<()>,
    workflows: Option<WorkflowWorker>,
    shared: Arc<Shared>,
    setup: Setup,
    verticals: BTreeSet<String>,
    pulse: Pulse,
    register: Option<Arc<Register>>,
    leave: CancellationToken,
    /// Ends with the handle.
    telling: JoinSet<()>,
    // Core's tasks need it as long as the worker runs.
    core_runtime: CoreRuntime,
}

/// What every queue of a worker is polled with.
struct Setup {
    connection: Connection,
    namespace: String,
    identity: String,
    concurrency: usize,
    limits: Limits,
    search: Search,
}

impl Worker {
    /// Starts polling. Must be called within a tokio runtime.
    pub async fn start(options: WorkerOptions) -> Result<WorkerHandle, StartError> {
        let core_runtime = core_runtime()?;
        let setup = Setup {
            connection: options.connection.clone(),
            namespace: options.namespace.clone(),
            identity: options.identity.clone(),
            concurrency: options.concurrency,
            limits: options.limits.clone(),
            search: options.search.clone(),
        };
        let (connection, namespace) = (setup.connection.clone(), setup.namespace.clone());
        let pulse = Pulse::new(connection.clone(), namespace.clone(), setup.identity.clone());
        let register = options
            .advertise
            .clone()
            .map(|facts| Arc::new(Register::new(connection, namespace, setup.identity.clone(), facts)));
        let mut workflows = WorkflowOptions::new(
            options.namespace.as_str(),
            options.identity.as_str(),
            options.toolbox.clone(),
        );
        let code = Code {
            toolbox: options.toolbox.clone(),
            blobs: options.blobs.clone(),
            compiled: options.compiled.clone(),
            instead: None,
        };
        workflows.codes = Some(code.codes().0);
        let (roles, verticals, modules) = (options.roles, options.verticals.clone(), options.preload.clone());
        let shared = shared(options).await?;
        preload(&shared, &modules);
        let mut handle = WorkerHandle {
            cores: Vec::new(),
            loops: JoinSet::new(),
            workflows: None,
            shared,
            setup,
            verticals: BTreeSet::new(),
            pulse,
            register,
            leave: CancellationToken::new(),
            telling: JoinSet::new(),
            core_runtime,
        };
        if roles.workflows {
            let concurrency = INTERNAL_CONCURRENCY + HTTP_CONCURRENCY;
            handle.poll(WORKFLOW_QUEUE.to_owned(), concurrency).await?;
        }
        if roles.activities {
            for vertical in verticals {
                handle.serve_vertical(&vertical).await?;
            }
        }
        if roles.workflows {
            let connection = handle.setup.connection.clone();
            let started = start_workflows(&handle.core_runtime, connection, workflows).await?;
            handle.announce(WORKFLOW_QUEUE, TaskQueueType::Workflow, started.instance_key(), None);
            handle.workflows = Some(started);
        }
        if let Some(register) = &handle.register {
            handle.telling.spawn(Arc::clone(register).keep_telling());
            handle.listen().await?;
        }
        Ok(handle)
    }
}

impl WorkerHandle {
    /// Polls the queue of one more vertical; does nothing if that is polled already.
    pub async fn serve_vertical(&mut self, vertical: &str) -> Result<(), StartError> {
        if !self.verticals.contains(vertical) {
            self.poll(vertical_queue(vertical), self.setup.concurrency).await?;
            self.verticals.insert(vertical.to_owned());
            self.look_for_tools(vertical);
        }
        Ok(())
    }

    /// Cancelled when somebody asked this worker to leave, through the engine. Whoever holds the worker then ends it.
    pub fn asked_to_leave(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// Polls the queue of what is asked of this worker alone.
    async fn listen(&mut self) -> Result<(), StartError> {
        let queue = control_queue(&self.setup.identity);
        let core = Arc::new(core_worker(&self.core_runtime, &self.setup, queue, 1)?);
        core.validate().await.map_err(refused)?;
        self.loops.spawn(control::listen(Arc::clone(&core), self.leave.clone()));
        self.cores.push(core);
        Ok(())
    }

    /// What it is doing.
    pub fn work(&self) -> Arc<Work> {
        Arc::clone(&self.shared.work)
    }

    /// What is told of it to programs of monitoring.
    pub fn figures(&self) -> Arc<WorkerFigures> {
        Arc::clone(&self.shared.figures)
    }

    /// Whether its polls reach the engine.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    fn announce(&self, queue: &str, kind: TaskQueueType, key: String, slots: Option<Arc<Slots>>) {
        self.pulse.polls(queue.to_owned(), kind);
        if let Some(register) = &self.register {
            register.add(key, queue.to_owned(), slots);
        }
    }

    /// In the background: some tools load a virtual machine to say their version.
    fn look_for_tools(&self, vertical: &str) {
        let Some(register) = self.register.clone() else { return };
        let (toolbox, search) = (self.shared.shelf.current(), self.setup.search.clone());
        let vertical = vertical.to_owned();
        tokio::task::spawn_blocking(move || {
            let Ok(manifest) = toolbox.vertical(&vertical) else {
                return;
            };
            let found = manifest.tools.iter().filter_map(|tool| {
                let found = look_for(&search, &tool.requirement()).ok()?;
                let version = found.version.map(|version| version.to_string());
                Some((tool.requirement().name().to_owned(), version.unwrap_or_default()))
            });
            register.carries(&vertical_queue(&vertical), found.collect());
        });
    }

    async fn poll(&mut self, queue: String, concurrency: usize) -> Result<(), StartError> {
        let core = Arc::new(core_worker(
            &self.core_runtime,
            &self.setup,
            queue.clone(),
            concurrency,
        )?);
        core.validate().await.map_err(refused)?;
        let slots = Arc::new(Slots::new(concurrency));
        let key = core.worker_instance_key().to_string();
        self.shared.figures.polls(queue.clone(), Arc::clone(&slots));
        self.announce(&queue, TaskQueueType::Activity, key, Some(Arc::clone(&slots)));
        let activities = Activities {
            core: Arc::clone(&core),
            shared: Arc::clone(&self.shared),
            slots,
        };
        self.loops.spawn(Arc::new(activities).serve());
        self.cores.push(core);
        Ok(())
    }

    /// Ready when a queue cannot be polled any more, because the engine has been away for long.
    pub async fn lost(&mut self) {
        if self.loops.join_next().await.is_none() {
            std::future::pending().await
        }
    }

    /// Stops polling, lets running steps finish within the grace period, gives the others back, and returns.
    ///
    /// A module that does not listen to its cancellation is abandoned: its thread ends with the process, and the engine
    /// hands the step out again when its heartbeats stay away.
    pub async fn drain(mut self) {
        self.stop_polling().await;
        let patience = self.setup.limits.drain_grace + self.setup.limits.abandon_after;
        if tokio::time::timeout(patience, self.stopped()).await.is_err() {
            tracing::warn!("a step did not stop in time and was abandoned; it will be tried again");
        }
        self.say_farewell().await;
    }

    /// Stops polling, and returns when the running steps have ended, however long they take. When `hurry` is ready before
    /// that, it goes on as [`WorkerHandle::drain`] does.
    pub async fn finish(mut self, hurry: impl Future<Output = ()>) {
        self.shared.work.be_patient();
        self.stop_polling().await;
        let hurried = tokio::select! {
            () = self.stopped() => false,
            () = hurry => true,
        };
        if hurried {
            let Limits {
                drain_grace,
                abandon_after,
                ..
            } = self.setup.limits;
            if tokio::time::timeout(drain_grace, self.stopped()).await.is_err() {
                self.shared.work.give_back();
                if tokio::time::timeout(abandon_after, self.stopped()).await.is_err() {
                    tracing::warn!("a step did not stop in time and was abandoned; it will be tried again");
                }
            }
        }
        self.say_farewell().await;
    }

    async fn stop_polling(&mut self) {
        self.pulse.leaves();
        self.cores.iter().for_each(|core| core.initiate_shutdown());
        self.telling.abort_all();
        if let Some(register) = &self.register {
            // Nobody waits for an engine that may be away.
            let _ = tokio::time::timeout(FAREWELL, register.say(WorkerStatus::ShuttingDown)).await;
        }
    }

    async fn say_farewell(&self) {
        if let Some(register) = &self.register {
            let _ = tokio::time::timeout(FAREWELL, register.say(WorkerStatus::Shutdown)).await;
        }
    }

    /// Ready when nothing runs any more. May be dropped and called again.
    async fn stopped(&mut self) {
        let workflows = async {
            if let Some(workflows) = self.workflows.take() {
                workflows.shutdown().await;
            }
        };
        let steps = async {
            while self.loops.join_next().await.is_some() {}
            while let Some(core) = self.cores.pop() {
                match Arc::try_unwrap(core) {
                    Ok(core) => core.finalize_shutdown().await,
                    Err(core) => core.shutdown().await,
                }
            }
        };
        tokio::join!(workflows, steps);
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
        tokio::task::spawn_blocking(move || drop(shared.runner.modules.get(&module, None)));
    }
}

fn core_runtime() -> Result<CoreRuntime, StartError> {
    // No worker heartbeats of core's: preparing them means looking for cloud metadata. `register` sends ours.
    let options = RuntimeOptions::builder()
        .telemetry_options(TelemetryOptions::builder().build())
        .heartbeat_interval(None)
        .build()
        .map_err(StartError::Options)?;
    CoreRuntime::new_assume_tokio(options).map_err(|error| StartError::Options(error.to_string()))
}

async fn shared(options: WorkerOptions) -> Result<Arc<Shared>, StartError> {
    let (work_dir, blobs) = (options.work_dir, options.blobs.clone());
    let (unpack, idle) = (options.limits.unpack.clone(), options.limits.idle_targets);
    // Removing leftovers may take a while on a slow disk.
    let workspaces = tokio::task::spawn_blocking(move || Workspaces::open(&work_dir, blobs, unpack, idle))
        .await
        .map_err(|error| StartError::Options(error.to_string()))??;
    let figures = Arc::new(WorkerFigures::default());
    let counted = |runner: Box<dyn Runner>| Counted {
        runner,
        figures: Arc::clone(&figures),
    };
    let components = counted(Box::new(Components::new(options.compiled)));
    let runner = counted(options.runner);
    let host = Host::new(options.search, workspaces.root(), Box::new(runner)).with_components(Box::new(components));
    Ok(Arc::new(Shared {
        shelf: options.toolbox.clone(),
        runner: StepRunner {
            modules: Modules::new(options.toolbox, options.blobs.clone(), Arc::new(host)),
            workspaces,
            blobs: options.blobs,
            limits: options.limits,
            reads: options.reads,
        },
        events: options.events,
        http: Http::new(options.http),
        internal: Semaphore::new(INTERNAL_CONCURRENCY),
        work: Arc::default(),
        figures,
    }))
}

fn core_worker(
    runtime: &CoreRuntime,
    setup: &Setup,
    queue: String,
    concurrency: usize,
) -> Result<CoreWorker, StartError> {
    let config = WorkerConfig::builder()
        .namespace(setup.namespace.clone())
        .task_queue(queue)
        .client_identity_override(setup.identity.clone())
        .task_types(WorkerTaskTypes::activity_only())
        .versioning_strategy(WorkerVersioningStrategy::None {
            build_id: env!("CARGO_PKG_VERSION").to_owned(),
        })
        .max_outstanding_activities(concurrency)
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(concurrency.clamp(1, POLLERS)))
        .max_heartbeat_throttle_interval(setup.limits.heartbeat_interval)
        .default_heartbeat_throttle_interval(setup.limits.heartbeat_interval)
        .graceful_shutdown_period(setup.limits.drain_grace)
        .build()
        .map_err(StartError::Options)?;
    init_worker(runtime, config, setup.connection.clone()).map_err(|error| StartError::Options(error.to_string()))
}

async fn start_workflows(
    runtime: &CoreRuntime,
    connection: Connection,
    workflows: WorkflowOptions,
) -> Result<WorkflowWorker, StartError> {
    WorkflowWorker::start(runtime, connection, workflows)
        .await
        .map_err(|error| match error {
            helve_runtime::StartError::Options(_) => StartError::Options(error.to_string()),
            helve_runtime::StartError::Refused(_) => StartError::Refused(error.to_string()),
        })
}
