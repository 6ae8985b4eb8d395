//! Histories of workflows, as they are at the end.

use std::collections::BTreeMap;

use crate::log::{Call, HistoryEvent, Log, Outcome};
use crate::verdict::Violation;

const CLOSING: [&str; 6] = [
    "WorkflowExecutionCompleted",
    "WorkflowExecutionFailed",
    "WorkflowExecutionTimedOut",
    "WorkflowExecutionCanceled",
    "WorkflowExecutionTerminated",
    "WorkflowExecutionContinuedAsNew",
];

/// What events begin, and what may follow each of them once: a step of the row, whichever of its events it is.
const STEPS: [(&str, &[&[&str]]); 4] = [
    (
        "ActivityTaskScheduled",
        &[
            &["ActivityTaskStarted"],
            &[
                "ActivityTaskCompleted",
                "ActivityTaskFailed",
                "ActivityTaskTimedOut",
                "ActivityTaskCanceled",
            ],
        ],
    ),
    (
        "WorkflowTaskScheduled",
        &[
            &["WorkflowTaskStarted"],
            &["WorkflowTaskCompleted", "WorkflowTaskFailed", "WorkflowTaskTimedOut"],
        ],
    ),
    ("TimerStarted", &[&["TimerFired", "TimerCanceled"]]),
    (
        "WorkflowExecutionUpdateAccepted",
        &[&["WorkflowExecutionUpdateCompleted"]],
    ),
];

/// What somebody asked for under an id that is good for once.
const ASKED: [&str; 2] = ["WorkflowExecutionSignaled", "WorkflowExecutionUpdateAccepted"];

/// Contiguous from 1, closed by one event which is the last, each task ended once.
#[must_use]
pub fn check(log: &Log) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (place, entry) in log.entries.iter().enumerate() {
        if let (
            Call::History {
                workflow,
                events,
                closed,
            },
            Outcome::Done,
        ) = (&entry.call, entry.outcome)
        {
            let wrong = wrong(events, *closed).into_iter();
            violations.extend(wrong.map(|what| Violation::new(format!("history of {workflow}: {what}"), [place])));
        }
    }
    violations
}

fn wrong(events: &[HistoryEvent], closed: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (event, number) in events.iter().zip(1..) {
        if event.id != number {
            // What follows a gap is all shifted.
            return vec![format!("event {} is where {number} should be", event.id)];
        }
    }
    match events.first() {
        Some(first) if first.kind == "WorkflowExecutionStarted" => {}
        Some(first) => wrong.push(format!("it begins with {}", first.kind)),
        None => return vec!["it is empty".to_owned()],
    }
    let ends: Vec<_> = events
        .iter()
        .filter(|event| CLOSING.contains(&&*event.kind))
        .map(|event| event.id)
        .collect();
    match ends[..] {
        [] if closed => wrong.push("it is not closed".to_owned()),
        [] => {}
        [end] if usize::try_from(end).is_ok_and(|end| end == events.len()) => {}
        [end] => wrong.push(format!("events follow its end, which is event {end}")),
        _ => wrong.push(format!("it ends more than once: events {ends:?}")),
    }
    wrong.extend(steps(events));
    let mut asked: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for event in events.iter().filter(|event| ASKED.contains(&&*event.kind)) {
        if let Some(id) = &event.asked
            && let Some(first) = asked.insert((&event.kind, id), event.id)
        {
            wrong.push(format!(
                "{} of `{id}` is there twice: events {first} and {}",
                event.kind, event.id
            ));
        }
    }
    wrong
}

fn steps(events: &[HistoryEvent]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut taken: BTreeMap<(i64, usize), i64> = BTreeMap::new();
    for event in events {
        let step = STEPS.iter().find_map(|(begins, steps)| {
            let step = steps.iter().position(|step| step.contains(&&*event.kind))?;
            Some((begins, step))
        });
        let Some((begins, step)) = step else { continue };
        let (id, kind) = (event.id, &event.kind);
        let of = event.of.filter(|of| (1..id).contains(of));
        let Some(of) = of else {
            wrong.push(format!("event {id}, {kind}, ends nothing"));
            continue;
        };
        let before = events.iter().find(|before| before.id == of);
        if before.is_none_or(|before| before.kind != **begins) {
            wrong.push(format!("event {id}, {kind}, is of event {of}, which is no {begins}"));
        }
        if let Some(first) = taken.insert((of, step), id) {
            wrong.push(format!("event {of} ends twice: events {first} and {id}"));
        }
    }
    wrong
}
