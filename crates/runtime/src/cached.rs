//! A run in the worker's cache: activations in, completions out.
//!
//! It does not know what a plan or a guest means: it turns activations into jobs and commands into completions, and
//! hands a run over to its code once that is known.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use helve_toolbox::Shelf;
use temporalio_protos::coresdk::workflow_activation::workflow_activation_job::Variant;
use temporalio_protos::coresdk::workflow_activation::{InitializeWorkflow, QueryWorkflow, WorkflowActivation};
use temporalio_protos::coresdk::workflow_commands::{
    UpdateResponse, WorkflowCommand, update_response, workflow_command,
};
use temporalio_protos::coresdk::workflow_completion::{
    self, WorkflowActivationCompletion, workflow_activation_completion,
};
use temporalio_protos::temporal::api::common::v1::Payload;
use temporalio_protos::temporal::api::enums::v1::WorkflowTaskFailedCause;

use crate::code::{At, CodeRun, Codes};
use crate::exchange::{Command, Job};
use crate::plan::Machine;
use crate::wire;

/// What every run of a worker shares.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Which workflows there are.
    pub(crate) toolbox: Shelf,
    /// Their code; None if this worker runs plans only.
    pub(crate) codes: Option<Codes>,
    /// In a replay: runs this code instead of what the run pinned.
    pub(crate) instead: Option<String>,
}

/// One run. Empty until it is initialized, and after something went wrong: then core sends its history again.
#[derive(Default)]
pub(crate) struct Cached {
    run: Option<Run>,
    /// Workflow id and seed, for a run that turns out to be code.
    id: String,
    seed: u64,
    /// What the run was started with for those who work for it, such as the context of a trace.
    headers: HashMap<String, Payload>,
}

enum Run {
    Plan(Box<Machine>),
    Code(Box<CodeRun>),
}

impl Cached {
    /// Whether the activation may compute for long: it loads code or runs it. Plans never do.
    pub(crate) fn may_block(&self, activation: &WorkflowActivation) -> bool {
        match &self.run {
            Some(Run::Code(_)) => true,
            Some(Run::Plan(machine)) => machine.is_planning(),
            None => activation.jobs.iter().any(|job| match &job.variant {
                Some(Variant::InitializeWorkflow(init)) => {
                    wire::run_input(&init.arguments).is_ok_and(|input| input.plan.is_none_or(|p| p.code.is_some()))
                }
                _ => false,
            }),
        }
    }

    /// One activation, completed. Whatever goes wrong here fails the workflow task, not the run: the server tries
    /// again, and a repaired toolbox or a fixed Helve lets the run go on.
    pub(crate) fn work(
        &mut self,
        surroundings: &Surroundings,
        activation: WorkflowActivation,
    ) -> WorkflowActivationCompletion {
        let run_id = activation.run_id.clone();
        let result = catch_unwind(AssertUnwindSafe(|| self.activate(surroundings, activation)));
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
            Err(_) => "the interpreter of workflows panicked: this is a bug of Helve, please report it".to_owned(),
        };
        tracing::warn!(run_id, "workflow task failed: {failed}");
        self.run = None;
        let cause = WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure;
        WorkflowActivationCompletion::fail(run_id, wire::failure(&failed, None, None), Some(cause))
    }

    fn activate(
        &mut self,
        surroundings: &Surroundings,
        activation: WorkflowActivation,
    ) -> Result<Vec<WorkflowCommand>, String> {
        let at = wire::at(&activation);
        let mut commands: Vec<WorkflowCommand> = Vec::new();
        let mut queries: Vec<QueryWorkflow> = Vec::new();
        for variant in activation.jobs.into_iter().filter_map(|job| job.variant) {
            let decided = match variant {
                Variant::InitializeWorkflow(init) => self.initialize(surroundings, &init, at)?,
                Variant::QueryWorkflow(query) => {
                    queries.push(query);
                    Vec::new()
                }
                Variant::RemoveFromCache(_) => {
                    self.run = None;
                    return Ok(Vec::new());
                }
                Variant::DoUpdate(update) => {
                    commands.push(refuse_update(update.protocol_instance_id, &update.name));
                    Vec::new()
                }
                // There are no patches: a run keeps the version that it began with.
                Variant::NotifyHasPatch(_) => Vec::new(),
                other => match wire::job(&other)? {
                    Some(job) => self.apply(surroundings, job, at)?,
                    None => Vec::new(),
                },
            };
            commands.extend(
                decided
                    .into_iter()
                    .map(|command| self.with_headers(wire::command(command))),
            );
        }
        for query in queries {
            let answer = self.run()?.query(&query.query_type);
            commands.push(wire::answer(&query, answer));
        }
        Ok(commands)
    }

    fn initialize(
        &mut self,
        surroundings: &Surroundings,
        init: &InitializeWorkflow,
        at: At,
    ) -> Result<Vec<Command>, String> {
        let name = &init.workflow_type;
        let input = wire::run_input(&init.arguments);
        // A run that began goes on whatever became of the toolbox; one that has a plan needs none.
        let has_plan = input.as_ref().is_ok_and(|input| input.plan.is_some());
        if !at.moment.replaying
            && !has_plan
            && let Err(not_found) = surroundings.toolbox.current().workflow(name)
        {
            return Err(format!(
                "{not_found}; add it to the toolbox, and this run goes on by itself"
            ));
        }
        self.id = init.workflow_id.clone();
        self.headers = init.headers.clone();
        self.seed = init.randomness_seed;
        let (machine, commands) = Machine::start(name, input);
        self.run = Some(Run::Plan(Box::new(machine)));
        self.hand_over(surroundings, commands, at)
    }

    fn apply(&mut self, surroundings: &Surroundings, job: Job, at: At) -> Result<Vec<Command>, String> {
        if let Job::Seed(seed) = job {
            self.seed = seed;
        }
        match self.run()? {
            Run::Code(run) => run.apply(at, job),
            Run::Plan(machine) => {
                let commands = machine.apply(job);
                self.hand_over(surroundings, commands, at)
            }
        }
    }

    /// Goes on with the workflow's code, if it is code.
    fn hand_over(
        &mut self,
        surroundings: &Surroundings,
        mut commands: Vec<Command>,
        at: At,
    ) -> Result<Vec<Command>, String> {
        let Run::Plan(machine) = self.run()? else {
            return Ok(commands);
        };
        let Some(handover) = machine.handover() else {
            return Ok(commands);
        };
        let pinned = handover.pinned.code.as_ref();
        let digest = surroundings.instead.as_ref().or(pinned).cloned().unwrap_or_default();
        let codes = surroundings.codes.as_ref();
        let codes = codes.ok_or("the workflow is WebAssembly, and this worker runs none")?;
        let code = codes.get(&digest).map_err(|reason| {
            let workflow = &handover.pinned.workflow;
            format!("the code of the workflow `{workflow}` cannot be run: {reason}")
        })?;
        let (run, more) = CodeRun::start(&code, &self.id, handover, self.seed, at)?;
        commands.extend(more);
        self.run = Some(Run::Code(Box::new(run)));
        Ok(commands)
    }

    /// Steps get the headers of their run.
    fn with_headers(&self, mut command: WorkflowCommand) -> WorkflowCommand {
        if let Some(workflow_command::Variant::ScheduleActivity(activity)) = &mut command.variant {
            activity.headers.clone_from(&self.headers);
        }
        command
    }

    fn run(&mut self) -> Result<&mut Run, String> {
        self.run
            .as_mut()
            .ok_or_else(|| "the run is not in the worker's cache".to_owned())
    }
}

impl Run {
    fn query(&self, name: &str) -> Result<serde_json::Value, String> {
        match self {
            Self::Plan(machine) => machine.query(name),
            Self::Code(run) => run.query(name),
        }
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
