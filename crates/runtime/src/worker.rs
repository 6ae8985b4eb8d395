//! The workflow worker: polls activations and keeps one machine per cached run.
//!
//! Owns the loop between core and the machines. It does not know what a plan means: it turns activations into jobs
//! and commands into completions.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use helve_toolbox::Shelf;
use helve_toolbox::run::WORKFLOW_QUEUE;
use temporalio_client::Connection;
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_protos::coresdk::workflow_activation::workflow_activation_job::Variant;
use temporalio_protos::coresdk::workflow_activation::{InitializeWorkflow, QueryWorkflow, WorkflowActivation};
use temporalio_protos::coresdk::workflow_commands::{
    UpdateResponse, WorkflowCommand, update_response, workflow_command,
};
use temporalio_protos::coresdk::workflow_completion::{
    self, WorkflowActivationCompletion, workflow_activation_completion,
};
use temporalio_protos::temporal::api::enums::v1::WorkflowTaskFailedCause;
use temporalio_sdk_core::{
    CoreRuntime, PollError, PollerBehavior, Worker, WorkerConfig, WorkerVersioningStrategy, init_worker,
};
use tokio::task::{JoinHandle, JoinSet};

use crate::plan::{Command, Job, Machine};
use crate::wire;

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
            machines: HashMap::new(),
            toolbox: options.toolbox,
        };
        let poll = tokio::spawn(poll(Arc::clone(&core), runs));
        Ok(Self { core, poll })
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
        let completion = runs.work(activation);
        let core = Arc::clone(&core);
        // Core hands out nothing more of a run until this is done, so completions of different runs may overlap.
        completions.spawn(async move {
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
    machines: HashMap<String, Machine>,
    toolbox: Shelf,
}

impl Runs {
    /// One activation, completed. Whatever goes wrong here fails the workflow task, not the run: the server tries
    /// again, and a repaired toolbox or a fixed Helve lets the run go on.
    fn work(&mut self, activation: WorkflowActivation) -> WorkflowActivationCompletion {
        let run_id = activation.run_id.clone();
        let result = catch_unwind(AssertUnwindSafe(|| self.activate(activation)));
        let failed = match result {
            Ok(Ok(commands)) => {
                let success = workflow_completion::Success {
                    commands,
                    ..Default::default()
                };
                return WorkflowActivationCompletion {
                    run_id,
                    status: Some(workflow_activation_completion::Status::Successful(success)),
                    ..Default::default()
                };
            }
            Ok(Err(message)) => message,
            Err(_) => "the interpreter of plans panicked: this is a bug of Helve, please report it".to_owned(),
        };
        tracing::warn!(run_id, "workflow task failed: {failed}");
        self.machines.remove(&run_id);
        let cause = WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
        WorkflowActivationCompletion::fail(run_id, wire::failure(&failed, None, None), Some(cause))
    }

    fn activate(&mut self, activation: WorkflowActivation) -> Result<Vec<WorkflowCommand>, String> {
        let WorkflowActivation {
            run_id,
            is_replaying,
            jobs,
            ..
        } = activation;
        let mut commands: Vec<WorkflowCommand> = Vec::new();
        let mut queries: Vec<QueryWorkflow> = Vec::new();
        let mut evict = false;
        for variant in jobs.into_iter().filter_map(|job| job.variant) {
            let decided = match variant {
                Variant::InitializeWorkflow(init) => self.initialize(&run_id, &init, is_replaying)?,
                Variant::ResolveActivity(resolve) => {
                    let resolution = wire::resolution(resolve.result.as_ref());
                    self.apply(
                        &run_id,
                        Job::ActivityResolved {
                            seq: resolve.seq,
                            resolution,
                        },
                    )?
                }
                Variant::CancelWorkflow(_) => self.apply(&run_id, Job::Cancel)?,
                Variant::SignalWorkflow(signal) => self.apply(&run_id, wire::signal(&signal))?,
                Variant::QueryWorkflow(query) => {
                    queries.push(query);
                    Vec::new()
                }
                Variant::RemoveFromCache(_) => {
                    evict = true;
                    Vec::new()
                }
                Variant::DoUpdate(update) => {
                    commands.push(refuse_update(update.protocol_instance_id, &update.name));
                    Vec::new()
                }
                // Plans use no randomness and no patches.
                Variant::UpdateRandomSeed(_) | Variant::NotifyHasPatch(_) => Vec::new(),
                other => return Err(format!("the engine sent something that plans do not use: {other:?}")),
            };
            commands.extend(decided.into_iter().map(wire::command));
        }
        if evict {
            self.machines.remove(&run_id);
            return Ok(Vec::new());
        }
        for query in queries {
            let answer = self.machine(&run_id)?.query(&query.query_type);
            commands.push(wire::answer(&query, answer));
        }
        Ok(commands)
    }

    fn initialize(&mut self, run_id: &str, init: &InitializeWorkflow, replaying: bool) -> Result<Vec<Command>, String> {
        let name = &init.workflow_type;
        let input = wire::run_input(&init.arguments);
        // A run that began goes on whatever became of the toolbox; one that has a plan needs none.
        let has_plan = input.as_ref().is_ok_and(|input| input.plan.is_some());
        if !replaying
            && !has_plan
            && let Err(not_found) = self.toolbox.current().workflow(name)
        {
            return Err(format!(
                "{not_found}; add it to the toolbox, and this run goes on by itself"
            ));
        }
        let (machine, commands) = Machine::start(name, input);
        self.machines.insert(run_id.to_owned(), machine);
        Ok(commands)
    }

    fn apply(&mut self, run_id: &str, job: Job) -> Result<Vec<Command>, String> {
        Ok(self.machine(run_id)?.apply(job))
    }

    fn machine(&mut self, run_id: &str) -> Result<&mut Machine, String> {
        self.machines
            .get_mut(run_id)
            .ok_or_else(|| "the run is not in the worker's cache".to_owned())
    }
}

fn refuse_update(protocol_instance_id: String, name: &str) -> WorkflowCommand {
    let failure = wire::failure(
        &format!("the workflow takes no updates, so not `{name}` either"),
        None,
        None,
    );
    let response = Some(update_response::Response::Rejected(failure));
    workflow_command::Variant::UpdateResponse(UpdateResponse {
        protocol_instance_id,
        response,
    })
    .into()
}
