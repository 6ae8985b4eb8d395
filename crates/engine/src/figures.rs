//! What is counted of an engine.
//!
//! Counting is an atomic addition, and for tasks and calls a look into a table that hardly ever changes. What can be looked up
//! is not counted: queues, runs and timers are asked when somebody reads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};

use helve_metrics::{Collect, Counter, Few, Histogram, LONG_SECONDS, OTHER, SECONDS, Text};
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;

use crate::{
    frontend::RPCS,
    matching::{Kind, QueueId, Surveyed},
    shell::Shell,
};

/// Task queues with figures of their own, of each kind. Names come from clients.
const MAX_QUEUES: usize = 64;
/// What the queues of single workers are called together.
const STICKY: &str = "sticky";

/// The codes of gRPC by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Calls that have no name in the table of RPCs: of other services, and unknown ones.
const MORE_RPCS: [&str; 5] = [
    "AddSearchAttributes",
    "RemoveSearchAttributes",
    "ListSearchAttributes",
    "DeleteNamespace",
    "Check",
];

/// How runs end.
const ENDS: [(WorkflowExecutionStatus, &str); 6] = [
    (WorkflowExecutionStatus::Completed, "completed"),
    (WorkflowExecutionStatus::Failed, "failed"),
    (WorkflowExecutionStatus::Canceled, "canceled"),
    (WorkflowExecutionStatus::Terminated, "terminated"),
    (WorkflowExecutionStatus::TimedOut, "timed_out"),
    (WorkflowExecutionStatus::ContinuedAsNew, "continued_as_new"),
];

/// Counted as it happens.
pub(crate) struct Figures {
    rpcs: HashMap<Box<str>, Rpc>,
    other_rpcs: Rpc,
    workflow_tasks: Few<Histogram>,
    activities: Few<Histogram>,
    sticky: Histogram,
    started: Counter,
    ended: [Counter; ENDS.len()],
}

/// One remote procedure call.
pub(crate) struct Rpc {
    codes: [Counter; CODES.len()],
    /// None for those that wait on purpose.
    time: Option<Histogram>,
}

impl Rpc {
    fn new(name: &str) -> Self {
        let waits = name.starts_with("Poll") || name == "GetWorkflowExecutionHistory";
        Rpc {
            codes: Default::default(),
            time: (!waits).then(|| Histogram::new(SECONDS)),
        }
    }

    /// One was answered with this code.
    pub(crate) fn answered(&self, code: usize, took: Duration) {
        self.codes.get(code).unwrap_or(&self.codes[2]).inc();
        if let Some(time) = &self.time {
            time.took(took);
        }
    }
}

impl Default for Figures {
    fn default() -> Self {
        let names = RPCS.iter().map(|name| in_camel_case(name));
        let names = names.chain(MORE_RPCS.iter().map(|name| (*name).to_owned()));
        let waits = || Histogram::new(LONG_SECONDS);
        Figures {
            rpcs: names.map(|name| (name.as_str().into(), Rpc::new(&name))).collect(),
            other_rpcs: Rpc::new(OTHER),
            workflow_tasks: Few::new(MAX_QUEUES, waits),
            activities: Few::new(MAX_QUEUES, waits),
            sticky: waits(),
            started: Counter::default(),
            ended: Default::default(),
        }
    }
}

/// `poll_workflow_task_queue` as the wire names it.
fn in_camel_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    });
    words.collect()
}

impl Figures {
    /// The call of that name.
    pub(crate) fn rpc(&self, name: &str) -> &Rpc {
        self.rpcs.get(name).unwrap_or(&self.other_rpcs)
    }

    /// A task got to a worker, after this time.
    pub(crate) fn handed_out(&self, queue: &QueueId, is_sticky: bool, waited: Duration) {
        match queue.kind {
            Kind::Workflow if is_sticky => self.sticky.took(waited),
            Kind::Workflow => self.workflow_tasks.of(&queue.name).took(waited),
            Kind::Activity => self.activities.of(&queue.name).took(waited),
        }
    }

    /// Runs began.
    pub(crate) fn started(&self, runs: usize) {
        self.started.add(runs as u64);
    }

    /// A run ended.
    pub(crate) fn ended(&self, status: WorkflowExecutionStatus) {
        if let Some(end) = ENDS.iter().position(|(known, _)| *known == status) {
            self.ended[end].inc();
        }
    }

    fn of(&self, kind: Kind) -> &Few<Histogram> {
        match kind {
            Kind::Workflow => &self.workflow_tasks,
            Kind::Activity => &self.activities,
        }
    }
}

/// What is told of an engine to programs of monitoring. It keeps nothing open.
pub struct EngineFigures {
    shell: Weak<Shell>,
}

impl EngineFigures {
    pub(crate) fn new(shell: &Arc<Shell>) -> Self {
        EngineFigures {
            shell: Arc::downgrade(shell),
        }
    }
}

impl Collect for EngineFigures {
    fn collect(&self, text: &mut Text) {
        let Some(shell) = self.shell.upgrade() else { return };
        let figures = &shell.figures;
        rpcs(figures, text);
        waits(figures, text);
        queues(figures, shell.matching.survey(), text);
        text.counter(
            "helve_engine_runs_started_total",
            "Runs that began.",
            &[],
            &figures.started,
        );
        for ((_, end), count) in ENDS.iter().zip(&figures.ended) {
            text.counter(
                "helve_engine_runs_ended_total",
                "Runs that ended.",
                &[("outcome", end)],
                count,
            );
        }
        text.value(
            "helve_engine_open_runs",
            "Runs that have not ended, or owe something to others.",
            &[],
            shell.registry.open() as f64,
        );
        text.value(
            "helve_engine_state_bytes",
            "What the states of open runs take in memory, roughly.",
            &[],
            shell.registry.open_bytes() as f64,
        );
        text.value(
            "helve_engine_timers",
            "Times at which something may be due in a run.",
            &[],
            shell.timers.len() as f64,
        );
    }
}

fn rpcs(figures: &Figures, text: &mut Text) {
    let named = figures.rpcs.iter().map(|(name, rpc)| (&**name, rpc));
    // In the order of their names, and only those that were ever called: there are over a hundred.
    let named: BTreeMap<&str, &Rpc> = named.chain([(OTHER, &figures.other_rpcs)]).collect();
    for (name, rpc) in named {
        for (code, count) in CODES.iter().zip(&rpc.codes) {
            if count.get() > 0 {
                text.counter(
                    "helve_engine_rpcs_total",
                    "Calls of Temporal's protocol that were answered.",
                    &[("rpc", name), ("code", code)],
                    count,
                );
            }
        }
        if let Some(time) = rpc.time.as_ref().filter(|time| time.count() > 0) {
            text.histogram(
                "helve_engine_rpc_seconds",
                "How long calls took that do not wait on purpose.",
                &[("rpc", name)],
                time,
            );
        }
    }
}

fn waits(figures: &Figures, text: &mut Text) {
    let mut write = |kind, queue: &str, time: &Histogram| {
        if time.count() > 0 {
            text.histogram(
                "helve_engine_schedule_to_start_seconds",
                "How long tasks waited until a worker had them.",
                &[("queue", queue), ("kind", kind)],
                time,
            );
        }
    };
    for kind in [Kind::Workflow, Kind::Activity] {
        for (queue, time) in figures.of(kind).all() {
            write(word(kind), &queue, &time);
        }
    }
    write(word(Kind::Workflow), STICKY, &figures.sticky);
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Workflow => "workflow",
        Kind::Activity => "activity",
    }
}

/// What waits and who polls, in queues that have a name here; queues without either are not worth one.
fn queues(figures: &Figures, surveyed: Vec<(QueueId, Surveyed)>, text: &mut Text) {
    let mut by_name: BTreeMap<(Kind, String), Surveyed> = BTreeMap::new();
    for (id, queue) in surveyed {
        let names = figures.of(id.kind);
        let name = match () {
            () if queue.is_sticky => STICKY,
            () if names.has_own(&id.name) => &*id.name,
            () => OTHER,
        };
        let sum = by_name.entry((id.kind, name.to_owned())).or_default();
        sum.tasks += queue.tasks;
        sum.pollers += queue.pollers;
        sum.oldest = sum.oldest.max(queue.oldest);
    }
    for ((kind, name), queue) in by_name {
        let labels = [("queue", name.as_str()), ("kind", word(kind))];
        text.value(
            "helve_engine_queue_tasks",
            "Tasks that wait for a worker.",
            &labels,
            queue.tasks as f64,
        );
        text.value(
            "helve_engine_queue_oldest_task_seconds",
            "How long the oldest of them has waited.",
            &labels,
            queue.oldest.as_secs_f64(),
        );
        text.value(
            "helve_engine_queue_pollers",
            "Polls that wait for a task.",
            &labels,
            queue.pollers as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_calls_are_those_of_the_wire() {
        let figures = Figures::default();
        for name in ["PollWorkflowTaskQueue", "RecordActivityTaskHeartbeatById", "Check"] {
            assert!(figures.rpcs.contains_key(name), "{name}");
        }
        figures.rpc("MadeUp").answered(12, Duration::ZERO);
        assert_eq!(figures.other_rpcs.codes[12].get(), 1);
    }

    #[test]
    fn queues_that_clients_make_up_share_one_name() {
        let figures = Figures::default();
        for number in 0..10 * MAX_QUEUES {
            let queue = QueueId {
                namespace: "default".into(),
                name: format!("queue-{number}").into(),
                kind: Kind::Activity,
            };
            figures.handed_out(&queue, false, Duration::from_millis(1));
        }
        let mut text = Text::default();
        waits(&figures, &mut text);
        let text = text.finish();
        let series = text.lines().filter(|line| line.contains("_seconds_count"));
        assert_eq!(series.count(), MAX_QUEUES + 1);
        assert!(
            text.contains(&format!(
                "_count{{queue=\"other\",kind=\"activity\"}} {}\n",
                9 * MAX_QUEUES
            )),
            "{text}"
        );
    }
}
