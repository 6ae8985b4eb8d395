//! What a guest wants done, as activities, timers and children.

use std::time::Duration;

use helve_toolbox::run::{INTERNAL_PREFIX, REPORT_ACTIVITY, StepInput, WORKFLOW_QUEUE, vertical_queue};
use helve_toolbox::{Retry, Span};
use helve_wasm::{self as wasm, ModuleCall, TaskId};
use serde_json::json;

use super::run::{CodeRun, Owner, Phase, Verdict, failed};
use super::steps::{State, Step};
use crate::exchange::{Activity, Child, Command};
use crate::plan::limits::{
    CANCELLED_REPORT_WAIT, HEARTBEAT_TIMEOUT, MAX_INPUT_BYTES, REPORT_TIMEOUT, STEP_TIMEOUT, internal_retry,
};

/// Shortest time of a timer or a step: the server takes none that is over at once.
const MIN_TIMER: Duration = Duration::from_millis(1);
/// Longest timer, a hundred years: the server's times end somewhere.
const MAX_TIMER: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

impl CodeRun {
    pub(super) fn obey(&mut self, command: wasm::Command) {
        match command {
            wasm::Command::Module { task, call } => self.call(task, call),
            wasm::Command::Timer { task, duration } => {
                let seq = self.number(Owner::Timer(task));
                let duration = duration.clamp(MIN_TIMER, MAX_TIMER);
                self.commands.push(Command::StartTimer { seq, duration });
            }
            wasm::Command::Child {
                task,
                workflow,
                id,
                parameters,
            } => {
                let seq = self.number(Owner::Child(task));
                let id = id.unwrap_or_else(|| format!("{}-{}", self.id, seq));
                let input = json!({"target": self.input.target, "parameters": parameters});
                self.commands.push(Command::StartChild(Child {
                    seq,
                    id,
                    abandoned: false,
                    workflow,
                    input,
                }));
            }
            wasm::Command::Launch {
                task,
                workflow,
                parameters,
                same_code,
            } => self.launch(task, workflow, parameters, same_code),
            wasm::Command::Http { task, call } => self.send(task, &call),
            wasm::Command::Secret { task, name } => self.ask_for_secret(task, name),
            wasm::Command::Cancel { task } => self.stop(task),
        }
    }

    fn call(&mut self, task: TaskId, call: ModuleCall) {
        let refused = if call.module.starts_with(INTERNAL_PREFIX) {
            Some(format!("`{}` is not a module", call.module))
        } else {
            let size = call.config.to_string().len();
            let limit = MAX_INPUT_BYTES / 1024;
            (size > MAX_INPUT_BYTES).then(|| {
                let size = size.div_ceil(1024);
                format!("its configuration of {size} KiB is longer than {limit} KiB")
            })
        };
        let state = match &refused {
            Some(reason) => State::Ended(failed(reason)),
            None => State::Running { seq: 0, lost: 0 },
        };
        self.steps.push(Step { task, call, state });
        match refused {
            Some(reason) => self.refusals.push_back((task, reason)),
            None => self.schedule_step(self.steps.len() - 1, 0),
        }
    }

    pub(super) fn schedule_step(&mut self, index: usize, lost: u32) {
        let seq = self.number(Owner::Step(index));
        let step = &mut self.steps[index];
        step.state = State::Running { seq, lost };
        let call = &step.call;
        let input = StepInput {
            step: call.step.clone(),
            module: call.module.clone(),
            version: self.pinned.modules.get(&call.module).cloned(),
            target: self.input.target.clone(),
            config: call.config.clone(),
            isolation: self.pinned.isolation,
        };
        let vertical = call.options.vertical.as_deref().unwrap_or(&self.pinned.vertical);
        let activity = Activity {
            seq,
            id: call.step.clone(),
            kind: call.module.clone(),
            queue: vertical_queue(vertical),
            input: json!(input),
            start_to_close: call.options.timeout.unwrap_or(STEP_TIMEOUT).max(MIN_TIMER),
            schedule_to_start: None,
            heartbeat: Some(HEARTBEAT_TIMEOUT),
            retry: call.options.retry.map(retry).unwrap_or_default(),
        };
        self.commands.push(Command::Schedule(activity));
    }

    fn stop(&mut self, task: TaskId) {
        let owner = self.owners.iter().find_map(|(seq, owner)| match owner {
            Owner::Timer(id) if *id == task => Some((*seq, Command::CancelTimer { seq: *seq })),
            Owner::Child(id) if *id == task => Some((*seq, Command::CancelChild { seq: *seq })),
            Owner::Http(id) | Owner::Secret(id) if *id == task => Some((*seq, Command::CancelActivity { seq: *seq })),
            Owner::Step(step) if self.steps[*step].task == task => Some((*seq, Command::CancelActivity { seq: *seq })),
            _ => None,
        });
        let Some((seq, command)) = owner else { return };
        if matches!(command, Command::CancelTimer { .. }) {
            self.owners.remove(&seq);
        }
        self.commands.push(command);
    }

    pub(super) fn number(&mut self, owner: Owner) -> u32 {
        self.last_seq += 1;
        self.owners.insert(self.last_seq, owner);
        self.last_seq
    }

    /// What the guest left running is asked to end: its findings are not lost.
    pub(super) fn drain(&mut self, verdict: Verdict) {
        self.phase = Phase::Draining(verdict.clone());
        let open: Vec<(u32, Owner)> = self.owners.iter().map(|(seq, owner)| (*seq, *owner)).collect();
        for (seq, owner) in open {
            match owner {
                Owner::Step(_) | Owner::Http(_) | Owner::Secret(_) => {
                    self.commands.push(Command::CancelActivity { seq })
                }
                Owner::Child(_) => self.commands.push(Command::CancelChild { seq }),
                Owner::Timer(_) => {
                    self.owners.remove(&seq);
                    self.commands.push(Command::CancelTimer { seq });
                }
                // It is started all the same; nobody waits for it.
                Owner::Launch(_) => {
                    self.owners.remove(&seq);
                }
                Owner::Report => {}
            }
        }
        self.report(verdict);
    }

    /// Once nothing runs any more.
    pub(super) fn report(&mut self, verdict: Verdict) {
        if !self.owners.is_empty() {
            return;
        }
        let input = self.report_input();
        let nothing = input.findings.is_empty() && input.steps.iter().all(|step| step.report.is_none());
        if nothing && self.guest.is_cancelled() {
            return self.finish(verdict, None, None);
        }
        self.phase = Phase::Reporting(verdict);
        let seq = self.number(Owner::Report);
        self.commands.push(Command::Schedule(Activity {
            seq,
            id: REPORT_ACTIVITY.to_owned(),
            kind: REPORT_ACTIVITY.to_owned(),
            queue: WORKFLOW_QUEUE.to_owned(),
            input: json!(input),
            start_to_close: REPORT_TIMEOUT,
            schedule_to_start: self.guest.is_cancelled().then_some(CANCELLED_REPORT_WAIT),
            heartbeat: None,
            retry: internal_retry(),
        }));
    }
}

fn retry(retry: wasm::Retry) -> Retry {
    let span = |duration: Duration| Span::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX));
    Retry {
        max_attempts: retry.max_attempts.max(1),
        initial_interval: span(retry.initial_interval),
        backoff: if retry.backoff.is_finite() {
            retry.backoff.max(1.0)
        } else {
            1.0
        },
        max_interval: span(retry.max_interval.max(retry.initial_interval)),
    }
}
