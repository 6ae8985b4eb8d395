//! The state machine of a run whose workflow is code.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use helve_toolbox::run::{CANCEL_STEP_SIGNAL, PinnedPlan, RunInput, RunStatus, StepOutput, StepStatus};
use helve_wasm::{self as wasm, Event, Failure, FailureKind, Fault, Moment, Outcome, TaskId};
use serde_json::Value;

use super::steps::{State, Step, bare};
use super::web;
use crate::exchange::{Cause, Command, Job, Resolution};
use crate::plan::Handover;
use crate::plan::fold::shorten;
use crate::plan::limits::{MAX_LOST, MAX_NOTES};

/// Where in its history a run is.
#[derive(Debug, Clone, Copy, Default)]
pub struct At {
    /// Time and whether it was here before.
    pub moment: Moment,
    /// Id of the last event of the history.
    pub event: u32,
}

/// One run.
#[derive(Debug)]
pub struct CodeRun {
    pub(super) id: String,
    pub(super) input: RunInput,
    pub(super) pinned: PinnedPlan,
    pub(super) guest: wasm::Run,
    pub(super) phase: Phase,
    /// In the order of their calls.
    pub(super) steps: Vec<Step>,
    /// What runs, by number.
    pub(super) owners: BTreeMap<u32, Owner>,
    pub(super) last_seq: u32,
    /// Runs that go on by themselves, by number.
    pub(super) launched: BTreeSet<u32>,
    at: At,
    /// Calls that the guest is yet to be told about.
    pub(super) refusals: VecDeque<(TaskId, String)>,
    pub(super) notes: Vec<String>,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The guest runs.
    Running,
    /// The guest is over; steps that it left running come to their end.
    Draining(Verdict),
    /// Waits for the merged report.
    Reporting(Verdict),
    /// Nothing more happens.
    Ended(RunStatus),
}

/// How the guest ended.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// It returned.
    Returned(Result<Value, Failure>),
    /// It did something that it may not do; the message names the event.
    Faulted(String),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// By its place in the steps.
    Step(usize),
    Timer(TaskId),
    Child(TaskId),
    Launch(TaskId),
    Http(TaskId),
    Secret(TaskId),
    Report,
}

impl CodeRun {
    /// Begins a run with its workflow's code. `id` is the workflow id. An error is of this process and this moment, not of
    /// the run: the same can be tried again.
    pub fn start(
        code: &wasm::Code,
        id: &str,
        handover: Handover,
        seed: u64,
        at: At,
    ) -> Result<(Self, Vec<Command>), String> {
        let Handover {
            input,
            pinned,
            last_seq,
            signals,
        } = handover;
        let start = wasm::Start {
            name: id.to_owned(),
            workflow: pinned.workflow.clone(),
            parameters: Value::Object(input.parameters.clone()),
            target: input.target.as_ref().map(|target| wasm::Target {
                id: target.id.clone(),
                name: target.name.clone(),
            }),
            seed,
            moment: at.moment,
        };
        let mut run = Self {
            id: id.to_owned(),
            input,
            pinned,
            guest: wasm::Run::new(code, start),
            phase: Phase::Running,
            steps: Vec::new(),
            owners: BTreeMap::new(),
            last_seq,
            launched: BTreeSet::new(),
            at,
            refusals: VecDeque::new(),
            notes: Vec::new(),
            commands: Vec::new(),
        };
        let outcome = run.guest.begin();
        run.follow(outcome)?;
        for (name, arguments) in signals {
            run.signal(name, arguments)?;
        }
        let commands = std::mem::take(&mut run.commands);
        Ok((run, commands))
    }

    /// Takes note of what happened and lets the guest go on. Blocking for as long as it computes. An error is of this
    /// process and this moment; the run must be started again before it is used.
    pub fn apply(&mut self, at: At, job: Job) -> Result<Vec<Command>, String> {
        self.at = at;
        match (&self.phase, job) {
            // A run that ended may still be told of things that were under way.
            (Phase::Ended(_), _) => {}
            (_, Job::ActivityResolved { seq, resolution } | Job::ChildResolved { seq, resolution }) => {
                self.resolved(seq, resolution)?;
            }
            (_, Job::ChildStarted { seq }) => self.launched(seq)?,
            (_, Job::TimerFired { seq }) => {
                if let Some(Owner::Timer(task)) = self.owners.remove(&seq) {
                    self.tell(task, Ok(Value::Null))?;
                }
            }
            (_, Job::Cancel) => self.event(Event::Cancel)?,
            (_, Job::Seed(seed)) => self.event(Event::Seed(seed))?,
            (_, Job::Signal { name, arguments }) => self.signal(name, arguments)?,
        }
        Ok(std::mem::take(&mut self.commands))
    }

    // ---- what happened

    fn resolved(&mut self, seq: u32, resolution: Resolution) -> Result<(), String> {
        match self.owners.remove(&seq) {
            Some(Owner::Step(step)) => self.step_resolved(step, resolution),
            Some(Owner::Child(task) | Owner::Launch(task) | Owner::Secret(task)) => self.tell(task, ended(resolution)),
            Some(Owner::Http(task)) => self.tell(task, web::answer(resolution)),
            Some(Owner::Report) => {
                self.reported(resolution);
                Ok(())
            }
            None if self.launched.remove(&seq) => Ok(()),
            Some(Owner::Timer(_)) | None => {
                self.note(format!("something that the run does not know ended: number {seq}"));
                Ok(())
            }
        }
    }

    fn step_resolved(&mut self, index: usize, resolution: Resolution) -> Result<(), String> {
        let State::Running { lost, .. } = self.steps[index].state else {
            return Ok(());
        };
        let goes_on = matches!(self.phase, Phase::Running) && !self.guest.is_cancelled();
        let result = match resolution {
            // A worker's death is not the step's fault and does not count against its attempts.
            Resolution::Failed {
                cause: Cause::WorkerLost,
                ..
            } if lost < MAX_LOST && goes_on => {
                self.schedule_step(index, lost + 1);
                return Ok(());
            }
            other => ended(other),
        };
        let (output, result) = match result {
            Ok(value) => match serde_json::from_value::<StepOutput>(value.clone()) {
                Ok(output) => (output, Ok(value)),
                Err(error) => {
                    let reason = format!("the module's answer is not a step's output: {error}");
                    (failed(&reason), Err(Failure::new(FailureKind::Failed, reason)))
                }
            },
            Err(failure) if failure.kind == FailureKind::Cancelled => (bare(StepStatus::Cancelled), Err(failure)),
            Err(failure) => (failed(&failure.message), Err(failure)),
        };
        let task = self.steps[index].task;
        self.steps[index].state = State::Ended(output);
        self.tell(task, result)
    }

    fn signal(&mut self, name: String, mut arguments: Vec<Value>) -> Result<(), String> {
        if name == CANCEL_STEP_SIGNAL {
            self.cancel_step(arguments.first().and_then(Value::as_str));
            return Ok(());
        }
        let argument = match arguments.len() {
            0 => Value::Null,
            1 => arguments.remove(0),
            _ => Value::Array(arguments),
        };
        self.event(Event::Signal { name, argument })
    }

    fn cancel_step(&mut self, id: Option<&str>) {
        let running = self.steps.iter().find(|step| Some(step.call.step.as_str()) == id);
        match running.map(|step| &step.state) {
            Some(State::Running { seq, .. }) => {
                let seq = *seq;
                self.commands.push(Command::CancelActivity { seq });
            }
            Some(State::Ended(_)) => self.note("a step that had ended was not cancelled".to_owned()),
            None => self.note(format!("there is no step {} to cancel", id.unwrap_or("without an id"))),
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(shorten(&note));
        }
    }

    // ---- the guest

    pub(super) fn tell(&mut self, task: TaskId, result: Result<Value, Failure>) -> Result<(), String> {
        self.event(Event::Ended { task, result })
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        // Steps that were cancelled with the run, or left behind by a guest that is over, come to their end all the same.
        let outcome = self.guest.apply(self.at.moment, event);
        self.follow(outcome)
    }

    /// Does what the guest said, and looks whether it is over.
    fn follow(&mut self, outcome: Result<Outcome, Fault>) -> Result<(), String> {
        for command in self.guest.take_commands() {
            self.obey(command);
        }
        let verdict = match outcome {
            Ok(Outcome::Waiting) => None,
            Ok(Outcome::Returned(result)) => Some(Verdict::Returned(result)),
            Err(fault) => {
                let message = format!("{fault} (at event {} of the history)", self.at.event);
                match fault.is_certain() {
                    true => Some(Verdict::Faulted(message)),
                    false => return Err(message),
                }
            }
        };
        match (verdict, &self.phase) {
            (Some(verdict), Phase::Running) => self.drain(verdict),
            (_, Phase::Draining(verdict)) => {
                let verdict = verdict.clone();
                self.report(verdict);
            }
            _ => {}
        }
        match self.refusals.pop_front() {
            Some((task, reason)) => self.tell(task, Err(Failure::new(FailureKind::Failed, reason))),
            None => Ok(()),
        }
    }
}

pub(super) fn failed(reason: &str) -> StepOutput {
    bare(StepStatus::Failed {
        reason: shorten(reason),
    })
}

pub(super) fn ended(resolution: Resolution) -> Result<Value, Failure> {
    match resolution {
        Resolution::Completed(value) => Ok(value),
        Resolution::Failed { reason, cause } => {
            let kind = match cause {
                Cause::TimedOut => FailureKind::TimedOut,
                Cause::Error | Cause::WorkerLost => FailureKind::Failed,
            };
            Err(Failure::new(kind, reason))
        }
        Resolution::Cancelled => Err(Failure::new(FailureKind::Cancelled, "it was cancelled")),
    }
}
