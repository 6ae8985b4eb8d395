//! The state machine of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use helve_toolbox::run::{
    CANCEL_STEP_SIGNAL, FAILURE_INPUT, FAILURE_STEPS, PLAN_ACTIVITY, PinnedPlan, PlanInput, PlanOutput,
    REPORT_ACTIVITY, ReportInput, ReportOutput, RunInput, RunOutput, RunStatus, StepInput, StepOutput, StepReport,
    StepStatus, WORKFLOW_QUEUE, vertical_queue,
};
use helve_toolbox::template;
use helve_toolbox::{Plan, Step};
use serde::Serialize;
use serde_json::{Map, Value};

use super::limits::{
    CANCELLED_REPORT_WAIT, HEARTBEAT_TIMEOUT, MAX_EARLY, MAX_INPUT_BYTES, MAX_LOST, MAX_NOTES, PLAN_TIMEOUT,
    REPORT_TIMEOUT, STEP_TIMEOUT, internal_retry,
};
use super::prepare::prepare;
use super::step::{Ended, Item, StepRun};
use super::{Activity, Cause, Command, Job, Resolution, RunFailure, fold, scope};

/// One run.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) workflow: String,
    input: RunInput,
    pub(super) phase: Phase,
    pub(super) plan: Option<Arc<PinnedPlan>>,
    /// In the order of the plan.
    pub(super) steps: Vec<StepRun>,
    /// What runs, by number.
    owners: BTreeMap<u32, Owner>,
    last_seq: u32,
    cancelled: bool,
    pub(super) notes: Vec<String>,
    /// Signals that came before the plan.
    early: Vec<(String, Vec<Value>)>,
    commands: Vec<Command>,
}

/// A run whose workflow turned out to be code, not a plan.
#[derive(Debug)]
pub struct Handover {
    /// What the run was started with, parameters resolved.
    pub input: RunInput,
    /// The workflow; its plan has no steps.
    pub pinned: PinnedPlan,
    /// The last number that an activity of the run has.
    pub last_seq: u32,
    /// Signals that came already.
    pub signals: Vec<(String, Vec<Value>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Waits for the plan.
    Planning,
    /// Runs steps.
    Running,
    /// All steps ended; waits for the merged report.
    Reporting,
    /// The workflow is code, and somebody else goes on with it.
    HandedOver,
    /// Nothing more happens.
    Ended(RunStatus),
}

/// Who waits for an activity.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Plan,
    Report,
    Step { step: usize, item: usize },
}

impl Machine {
    /// Begins a run. `input` is an error when the run's argument cannot be read.
    pub fn start(workflow: &str, input: Result<RunInput, String>) -> (Self, Vec<Command>) {
        let mut machine = Self {
            workflow: workflow.to_owned(),
            input: RunInput::default(),
            phase: Phase::Planning,
            plan: None,
            steps: Vec::new(),
            owners: BTreeMap::new(),
            last_seq: 0,
            cancelled: false,
            notes: Vec::new(),
            early: Vec::new(),
            commands: Vec::new(),
        };
        match input {
            Err(reason) => machine.refuse(reason),
            Ok(mut input) => {
                let plan = input.plan.take();
                machine.input = input;
                match plan {
                    Some(plan) => machine.begin(plan),
                    None => machine.ask_for_plan(),
                }
            }
        }
        let commands = std::mem::take(&mut machine.commands);
        (machine, commands)
    }

    /// Takes note of what happened and decides what to do.
    pub fn apply(&mut self, job: Job) -> Vec<Command> {
        match (&self.phase, job) {
            // A run that ended may still be told of things that were under way.
            (Phase::Ended(_), _) => {}
            (_, Job::ActivityResolved { seq, resolution }) => self.resolved(seq, resolution),
            (_, Job::Cancel) => self.cancel(),
            (_, Job::Signal { name, arguments }) => {
                self.signal(&name, &arguments);
                // Code may wait for it, and whether the workflow is code is not known yet.
                if self.phase == Phase::Planning && self.early.len() < MAX_EARLY {
                    self.early.push((name, arguments));
                }
            }
            // A plan has no timers, no children and no random numbers.
            (_, Job::TimerFired { .. } | Job::ChildStarted { .. } | Job::ChildResolved { .. } | Job::Seed(_)) => {}
        }
        std::mem::take(&mut self.commands)
    }

    /// What is needed to run the workflow as code. None while it is not known, and for plans.
    pub fn handover(&mut self) -> Option<Handover> {
        let pinned = self.plan.as_ref().filter(|_| self.phase == Phase::HandedOver)?;
        Some(Handover {
            input: std::mem::take(&mut self.input),
            pinned: PinnedPlan::clone(pinned),
            last_seq: self.last_seq,
            signals: std::mem::take(&mut self.early),
        })
    }

    /// Whether it still has to find out what the workflow is.
    pub fn is_planning(&self) -> bool {
        self.phase == Phase::Planning
    }

    /// Whether the run ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    fn ask_for_plan(&mut self) {
        let input = PlanInput {
            workflow: self.workflow.clone(),
            parameters: self.input.parameters.clone(),
        };
        let activity = self.internal_activity(PLAN_ACTIVITY, &input, PLAN_TIMEOUT);
        self.schedule(activity, Owner::Plan);
    }

    fn begin(&mut self, plan: PinnedPlan) {
        if plan.workflow != self.workflow {
            return self.refuse(format!(
                "its plan is of the workflow `{}`, not `{}`",
                plan.workflow, self.workflow
            ));
        }
        if plan.code.is_some() {
            self.plan = Some(Arc::new(plan));
            self.phase = Phase::HandedOver;
            return;
        }
        if let Err(reason) = plan.plan.check() {
            return self.refuse(format!("its plan cannot be run: {reason}"));
        }
        self.steps = vec![StepRun::Pending; plan.plan.steps.len()];
        self.plan = Some(Arc::new(plan));
        self.phase = Phase::Running;
        self.advance();
    }

    fn refuse(&mut self, reason: String) {
        let message = format!("the run of `{}` cannot start: {reason}", self.workflow);
        self.fail(FAILURE_INPUT, message, None);
    }

    fn fail(&mut self, kind: &'static str, message: String, output: Option<RunOutput>) {
        self.phase = Phase::Ended(RunStatus::Failed);
        self.commands
            .push(Command::Fail(Box::new(RunFailure { kind, message, output })));
    }

    // ---- what happened

    fn resolved(&mut self, seq: u32, resolution: Resolution) {
        match self.owners.remove(&seq) {
            Some(Owner::Plan) => self.planned(resolution),
            Some(Owner::Report) => self.reported(resolution),
            Some(Owner::Step { step, item }) => self.item_resolved(step, item, resolution),
            None => self.note(format!("an activity that the run does not know ended: number {seq}")),
        }
    }

    fn planned(&mut self, resolution: Resolution) {
        match resolution {
            _ if self.cancelled => self.end_cancelled(None),
            Resolution::Completed(value) => match serde_json::from_value::<PlanOutput>(value) {
                Ok(output) => {
                    self.input.parameters = output.parameters;
                    self.begin(output.plan);
                }
                Err(error) => self.refuse(format!("the answer of `{PLAN_ACTIVITY}` is not a plan: {error}")),
            },
            Resolution::Failed { reason, .. } => self.refuse(fold::shorten(&reason)),
            Resolution::Cancelled => self.end_cancelled(None),
        }
    }

    fn item_resolved(&mut self, step: usize, item: usize, resolution: Resolution) {
        let StepRun::Running { items, .. } = &mut self.steps[step] else {
            return;
        };
        let Item::Running { config, lost, .. } = &items[item] else {
            return;
        };
        let (config, lost) = (config.clone(), *lost);
        let output = match resolution {
            // A worker's death is not the step's fault and does not count against its attempts.
            Resolution::Failed {
                cause: Cause::WorkerLost,
                ..
            } if lost < MAX_LOST && !self.cancelled => {
                return self.start_item(step, item, config, lost + 1);
            }
            Resolution::Completed(value) => match serde_json::from_value::<StepOutput>(value) {
                Ok(output) => output,
                Err(error) => failed(format!("the module's answer is not a step's output: {error}")),
            },
            Resolution::Failed { reason, .. } => failed(reason),
            Resolution::Cancelled => StepOutput {
                status: StepStatus::Cancelled,
                ..StepOutput::default()
            },
        };
        items[item] = Item::Ended(output);
        self.advance();
    }

    fn reported(&mut self, resolution: Resolution) {
        let (report, problem) = match resolution {
            Resolution::Completed(value) => match serde_json::from_value::<ReportOutput>(value) {
                Ok(report) => (Some(report), None),
                Err(error) => (
                    None,
                    Some(format!("the answer of `{REPORT_ACTIVITY}` is not a report: {error}")),
                ),
            },
            Resolution::Failed { reason, .. } => (None, Some(fold::shorten(&reason))),
            Resolution::Cancelled => (None, None),
        };
        self.finish(report, problem);
    }

    fn cancel(&mut self) {
        if self.cancelled {
            return;
        }
        self.cancelled = true;
        for run in &mut self.steps {
            match run {
                StepRun::Pending => *run = StepRun::cancelled(),
                StepRun::Running { items, .. } => cancel_waiting(items),
                StepRun::Ended(_) => {}
            }
        }
        let running: Vec<u32> = self.owners.keys().copied().collect();
        self.commands
            .extend(running.into_iter().map(|seq| Command::CancelActivity { seq }));
        self.advance();
    }

    fn signal(&mut self, name: &str, arguments: &[Value]) {
        if name != CANCEL_STEP_SIGNAL {
            return self.note(format!("the signal `{name}` is not known and was ignored"));
        }
        let Some(id) = arguments.first().and_then(Value::as_str) else {
            return self.note(format!("the signal `{name}` needs the id of a step and was ignored"));
        };
        let known = self
            .plan
            .as_ref()
            .and_then(|plan| plan.plan.steps.iter().position(|step| step.id == id));
        let Some(step) = known else {
            return self.note(format!("there is no step `{id}` to cancel"));
        };
        match &mut self.steps[step] {
            StepRun::Ended(_) => return self.note(format!("the step `{id}` had ended and was not cancelled")),
            StepRun::Pending => self.steps[step] = StepRun::cancelled(),
            StepRun::Running { items, .. } => {
                cancel_waiting(items);
                let seqs = items.iter().filter_map(|item| match item {
                    Item::Running { seq, .. } => Some(Command::CancelActivity { seq: *seq }),
                    Item::Waiting { .. } | Item::Ended(_) => None,
                });
                self.commands.extend(seqs);
            }
        }
        self.advance();
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(fold::shorten(&note));
        }
    }

    // ---- what to do next

    /// Ends what can end and starts what can start, until nothing changes.
    fn advance(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        let Some(pinned) = self.plan.clone() else { return };
        loop {
            let mut changed = false;
            for (index, step) in pinned.plan.steps.iter().enumerate() {
                changed |= match self.steps[index] {
                    StepRun::Pending => self.begin_step(&pinned.plan, index, step),
                    StepRun::Running { .. } => self.continue_step(index, step),
                    StepRun::Ended(_) => false,
                };
            }
            if !changed {
                break;
            }
        }
        if self.steps.iter().all(StepRun::is_ended) {
            self.ask_for_report(&pinned);
        }
    }

    /// Starts or skips a step whose needs have ended. Says whether anything changed.
    fn begin_step(&mut self, plan: &Plan, index: usize, step: &Step) -> bool {
        let mut blocker = None;
        for need in &step.needs {
            let Some(position) = plan.steps.iter().position(|other| other.id == *need) else {
                continue;
            };
            match &self.steps[position] {
                StepRun::Ended(ended) if ended.blocks => {
                    blocker = blocker.or(Some((need, ended.output.status.clone())))
                }
                StepRun::Ended(_) => {}
                StepRun::Pending | StepRun::Running { .. } => return false,
            }
        }
        self.steps[index] = match blocker {
            Some((need, status)) => StepRun::skipped(format!("it needs `{need}`, which {}", verb(&status)), true),
            None => {
                let scope = scope::scope(plan, &self.steps, &self.input.parameters, self.input.target.as_ref());
                match prepare(step, &scope) {
                    Ok(Some(items)) => StepRun::Running {
                        items,
                        fan_out: step.for_each.is_some(),
                    },
                    Ok(None) => StepRun::skipped("its condition is false", false),
                    Err(reason) => StepRun::failed(fold::shorten(&reason), step.continue_on_error),
                }
            }
        };
        true
    }

    /// Schedules items whose turn has come; ends the step with its last item. Says whether the step ended.
    fn continue_step(&mut self, index: usize, step: &Step) -> bool {
        let width = step.for_each.as_ref().map_or(1, |f| f.max_parallel.max(1) as usize);
        while let StepRun::Running { items, .. } = &mut self.steps[index] {
            let busy = items.iter().filter(|item| item.is_running()).count();
            let next = items.iter().enumerate().find_map(|(n, item)| match item {
                Item::Waiting { config } => Some((n, config.clone())),
                Item::Running { .. } | Item::Ended(_) => None,
            });
            match next {
                Some((item, config)) if busy < width => self.start_item(index, item, config, 0),
                _ => break,
            }
        }
        let StepRun::Running { items, fan_out } = &mut self.steps[index] else {
            return false;
        };
        if !items.iter().all(Item::is_ended) {
            return false;
        }
        let ended: Ended = fold::ended(std::mem::take(items), *fan_out, step.continue_on_error);
        self.steps[index] = StepRun::Ended(ended);
        true
    }

    fn start_item(&mut self, index: usize, item: usize, config: Value, lost: u32) {
        let Some(pinned) = &self.plan else { return };
        let step = &pinned.plan.steps[index];
        let id = if step.for_each.is_some() {
            format!("{}[{item}]", step.id)
        } else {
            step.id.clone()
        };
        let input = StepInput {
            step: id.clone(),
            module: step.uses.clone(),
            version: pinned.modules.get(&step.uses).cloned(),
            target: self.input.target.clone(),
            config: config.clone(),
            isolation: pinned.isolation,
        };
        let activity = Activity {
            seq: 0,
            id,
            kind: step.uses.clone(),
            queue: vertical_queue(step.vertical.as_deref().unwrap_or(&pinned.vertical)),
            input: json(&input),
            start_to_close: step.timeout.map_or(STEP_TIMEOUT, |t| t.duration()),
            schedule_to_start: None,
            heartbeat: Some(HEARTBEAT_TIMEOUT),
            retry: step.retry.clone().unwrap_or_default(),
        };
        let size = activity.input.to_string().len();
        let state = if size > MAX_INPUT_BYTES {
            let limit = MAX_INPUT_BYTES / 1024;
            Item::Ended(failed(format!(
                "its input of {} KiB is longer than {limit} KiB",
                size.div_ceil(1024)
            )))
        } else {
            let seq = self.schedule(activity, Owner::Step { step: index, item });
            Item::Running { seq, config, lost }
        };
        if let StepRun::Running { items, .. } = &mut self.steps[index] {
            items[item] = state;
        }
    }

    fn schedule(&mut self, mut activity: Activity, owner: Owner) -> u32 {
        self.last_seq += 1;
        activity.seq = self.last_seq;
        self.owners.insert(self.last_seq, owner);
        self.commands.push(Command::Schedule(activity));
        self.last_seq
    }

    fn internal_activity(&self, kind: &str, input: &impl Serialize, timeout: std::time::Duration) -> Activity {
        Activity {
            seq: 0,
            id: kind.to_owned(),
            kind: kind.to_owned(),
            queue: WORKFLOW_QUEUE.to_owned(),
            input: json(input),
            start_to_close: timeout,
            schedule_to_start: self.cancelled.then_some(CANCELLED_REPORT_WAIT),
            heartbeat: None,
            retry: internal_retry(),
        }
    }

    // ---- the end

    /// A cancelled run merges what it has too: findings that were made are not lost.
    fn ask_for_report(&mut self, pinned: &PinnedPlan) {
        let steps = reports(&pinned.plan, &self.steps);
        self.phase = Phase::Reporting;
        if self.cancelled && steps.iter().all(|step| step.report.is_none()) {
            return self.finish(None, None);
        }
        let input = ReportInput {
            workflow: pinned.workflow.clone(),
            version: pinned.version.clone(),
            digest: pinned.digest.clone(),
            target: self.input.target.clone(),
            steps,
            findings: Vec::new(),
        };
        let activity = self.internal_activity(REPORT_ACTIVITY, &input, REPORT_TIMEOUT);
        self.schedule(activity, Owner::Report);
    }

    fn finish(&mut self, report: Option<ReportOutput>, problem: Option<String>) {
        let Some(pinned) = self.plan.clone() else { return };
        let merged = report.is_some();
        // A cancellation that came too late to stop anything changes nothing.
        let cancelled = self.cancelled && interrupted(&self.steps);
        let mut output = fold::run_output(&pinned.plan, &self.steps, cancelled, report);
        if output.status == RunStatus::Cancelled {
            return self.end_cancelled(Some(output));
        }
        if !merged {
            let Some(problem) = problem else {
                return self.end_cancelled(Some(output));
            };
            output.status = RunStatus::Failed;
            return self.fail(
                FAILURE_STEPS,
                format!("the report could not be made: {problem}"),
                Some(output),
            );
        }
        if output.status == RunStatus::Failed {
            let message = fold::failure_message(&pinned.plan, &self.steps);
            return self.fail(FAILURE_STEPS, message, Some(output));
        }
        let scope = scope::scope(
            &pinned.plan,
            &self.steps,
            &self.input.parameters,
            self.input.target.as_ref(),
        );
        match template::render(&pinned.plan.output, &scope) {
            Ok(rendered) => {
                output.output = rendered;
                self.phase = Phase::Ended(output.status);
                self.commands.push(Command::Complete(Box::new(output)));
            }
            Err(error) => {
                output.status = RunStatus::Failed;
                self.fail(
                    FAILURE_STEPS,
                    format!("the workflow's `output` cannot be made: {error}"),
                    Some(output),
                );
            }
        }
    }

    fn end_cancelled(&mut self, output: Option<RunOutput>) {
        self.phase = Phase::Ended(RunStatus::Cancelled);
        let output = output.map(|mut output| {
            output.status = RunStatus::Cancelled;
            Box::new(output)
        });
        self.commands.push(Command::Cancelled(output));
    }

    /// Parameters, resolved once the plan is known.
    pub fn parameters(&self) -> &Map<String, Value> {
        &self.input.parameters
    }
}

/// Whether some step did not come to its own end.
fn interrupted(steps: &[StepRun]) -> bool {
    steps.iter().any(|run| match run {
        StepRun::Ended(ended) => matches!(ended.output.status, StepStatus::Cancelled | StepStatus::Failed { .. }),
        StepRun::Pending | StepRun::Running { .. } => true,
    })
}

fn cancel_waiting(items: &mut [Item]) {
    for item in items {
        if matches!(item, Item::Waiting { .. }) {
            *item = Item::cancelled();
        }
    }
}

fn failed(reason: String) -> StepOutput {
    StepOutput {
        status: StepStatus::Failed {
            reason: fold::shorten(&reason),
        },
        ..StepOutput::default()
    }
}

fn verb(status: &StepStatus) -> &'static str {
    match status {
        StepStatus::Failed { .. } => "failed",
        StepStatus::Cancelled => "was cancelled",
        StepStatus::Skipped { .. } => "was skipped",
        StepStatus::Completed | StepStatus::Inconclusive { .. } => "ended",
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("the run protocol holds only JSON types")
}

/// What the report is made of, in plan order.
fn reports(plan: &Plan, steps: &[StepRun]) -> Vec<StepReport> {
    let mut reports = Vec::new();
    for (step, run) in plan.steps.iter().zip(steps) {
        let StepRun::Ended(ended) = run else { continue };
        let report = |id: String, output: &StepOutput| StepReport {
            step: id,
            module: step.uses.clone(),
            status: output.status.clone(),
            report: output.report.clone(),
        };
        match &ended.items {
            _ if matches!(ended.output.status, StepStatus::Skipped { .. }) => {}
            Some(items) => {
                reports.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(n, output)| report(format!("{}[{n}]", step.id), output)),
                );
            }
            None => reports.push(report(step.id.clone(), &ended.output)),
        }
    }
    reports
}
