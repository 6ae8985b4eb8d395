//! What is counted of a worker.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use helve_metrics::{Collect, Counter, Few, Gauge, Histogram, LONG_SECONDS, Text};
use helve_modules::command::{End, Job, Ran, RunError, Runner};
use helve_toolbox::run::{StepOutput, StepStatus};
use tracing::field::Empty;

use crate::StepError;
use crate::work::Slots;

/// Modules, and tools, with figures of their own. Their names come from toolboxes, also of others.
const MAX_NAMES: usize = 128;

/// How steps end.
const OUTCOMES: [&str; 5] = ["completed", "inconclusive", "failed", "cancelled", "given_back"];

/// How programs end.
const EXITS: [&str; 7] = ["zero", "nonzero", "signal", "trap", "limit", "cancelled", "not_started"];

/// What is told of a worker to programs of monitoring.
pub struct WorkerFigures {
    slots: Mutex<Vec<(String, Arc<Slots>)>>,
    modules: Few<OfModule>,
    tools: Few<OfTool>,
}

struct OfModule {
    started: Counter,
    running: Gauge,
    ended: [Counter; OUTCOMES.len()],
    time: Histogram,
}

struct OfTool {
    exits: [Counter; EXITS.len()],
    time: Histogram,
}

impl Default for WorkerFigures {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
            modules: Few::new(MAX_NAMES, || OfModule {
                started: Counter::default(),
                running: Gauge::default(),
                ended: Default::default(),
                time: Histogram::new(LONG_SECONDS),
            }),
            tools: Few::new(MAX_NAMES, || OfTool {
                exits: Default::default(),
                time: Histogram::new(LONG_SECONDS),
            }),
        }
    }
}

impl WorkerFigures {
    /// The slots of a queue that is polled.
    pub(crate) fn polls(&self, queue: String, slots: Arc<Slots>) {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((queue, slots));
    }

    /// Counts a step from here to its end.
    pub(crate) async fn step<F>(&self, module: &str, step: F) -> Result<StepOutput, StepError>
    where
        F: Future<Output = Result<StepOutput, StepError>>,
    {
        let module = self.modules.of(module);
        let began = Instant::now();
        module.started.inc();
        let running = module.running.hold();
        let ended = step.await;
        drop(running);
        module.time.took(began.elapsed());
        let outcome = match &ended {
            Ok(StepOutput {
                status: StepStatus::Inconclusive { .. },
                ..
            }) => 1,
            Ok(_) => 0,
            Err(StepError::GivenBack) => 4,
            Err(error) if error.is_cancellation() => 3,
            Err(_) => 2,
        };
        module.ended[outcome].inc();
        let seconds = began.elapsed().as_secs_f64();
        tracing::debug!(outcome = OUTCOMES[outcome], seconds, "the step ended");
        ended
    }

    /// Answers what it is called and how it ended.
    fn program<'a>(&self, job: &'a Job, began: Instant, ended: &Result<Ran, RunError>) -> (Cow<'a, str>, &'static str) {
        let name = job.program.file_name().unwrap_or_default().to_string_lossy();
        let tool = self.tools.of(&name);
        let exit = match ended {
            Ok(ran) => match ran.end {
                End::Exited(0) => 0,
                End::Exited(_) => 1,
                End::Signaled(_) => 2,
                End::Trapped(_) => 3,
                End::Limited(_) => 4,
                End::Cancelled => 5,
            },
            Err(_) => 6,
        };
        tool.exits[exit].inc();
        tool.time.took(began.elapsed());
        (name, EXITS[exit])
    }
}

/// Runs programs, counts how they end, and shows them in traces.
pub(crate) struct Counted {
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) figures: Arc<WorkerFigures>,
}

impl Runner for Counted {
    fn run(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, RunError> {
        let began = Instant::now();
        let span = tracing::debug_span!(target: "trace", "tool", traced_within = Empty, exit = Empty);
        let ended = span.in_scope(|| match helve_trace::current() {
            None => self.runner.run(job, cancelled, tick),
            Some(context) => {
                let mut job = job.clone();
                job.env.insert(helve_trace::VARIABLE.to_owned(), context.to_string());
                self.runner.run(&job, cancelled, tick)
            }
        });
        let (name, exit) = self.figures.program(job, began, &ended);
        helve_trace::rename(&span, || format!("tool {name}"));
        span.record("exit", exit);
        ended
    }
}

impl Collect for WorkerFigures {
    fn collect(&self, text: &mut Text) {
        for (queue, slots) in &*self.slots.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels = [("queue", queue.as_str())];
            let used = f64::from(slots.used.load(Ordering::Relaxed));
            text.value(
                "helve_worker_slots",
                "Steps that the worker may run at the same time.",
                &labels,
                slots.total as f64,
            );
            text.value("helve_worker_slots_used", "Steps that it runs now.", &labels, used);
        }
        for (name, module) in self.modules.all() {
            if module.started.get() > 0 {
                steps(&name, &module, text);
            }
        }
        for (name, tool) in self.tools.all() {
            if tool.time.count() > 0 {
                programs(&name, &tool, text);
            }
        }
    }
}

fn steps(name: &str, module: &OfModule, text: &mut Text) {
    let labels = [("module", name)];
    text.counter(
        "helve_worker_steps_started_total",
        "Attempts at steps that began.",
        &labels,
        &module.started,
    );
    text.gauge(
        "helve_worker_steps_running",
        "Steps that run now.",
        &labels,
        &module.running,
    );
    for (outcome, count) in OUTCOMES.iter().zip(&module.ended) {
        text.counter(
            "helve_worker_steps_ended_total",
            "Attempts at steps that ended.",
            &[("module", name), ("outcome", outcome)],
            count,
        );
    }
    text.histogram(
        "helve_worker_step_seconds",
        "How long attempts at steps took.",
        &labels,
        &module.time,
    );
}

fn programs(name: &str, tool: &OfTool, text: &mut Text) {
    for (exit, count) in EXITS.iter().zip(&tool.exits) {
        text.counter(
            "helve_worker_tool_exits_total",
            "Programs of modules that ended.",
            &[("tool", name), ("exit", exit)],
            count,
        );
    }
    text.histogram(
        "helve_worker_tool_seconds",
        "How long programs of modules took.",
        &[("tool", name)],
        &tool.time,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_are_counted_by_how_they_end_and_run_until_then() {
        let figures = WorkerFigures::default();
        let seen = figures.step("sast", async {
            assert_eq!(figures.modules.of("sast").running.get(), 1);
            Err(StepError::GivenBack)
        });
        seen.await.unwrap_err();
        figures.polls("python".to_owned(), Arc::new(Slots::new(3)));
        let mut text = Text::default();
        figures.collect(&mut text);
        let text = text.finish();
        for line in [
            "helve_worker_steps_started_total{module=\"sast\"} 1",
            "helve_worker_steps_running{module=\"sast\"} 0",
            "helve_worker_steps_ended_total{module=\"sast\",outcome=\"given_back\"} 1",
            "helve_worker_steps_ended_total{module=\"sast\",outcome=\"completed\"} 0",
            "helve_worker_slots{queue=\"python\"} 3",
            "helve_worker_slots_used{queue=\"python\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
