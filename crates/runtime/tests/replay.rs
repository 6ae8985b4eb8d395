//! Properties of every run, whatever the plan and whatever happens.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{found, merged};
use helve_runtime::plan::{Activity, Cause, Command, Job, Machine, Resolution};
use helve_toolbox::run::RunInput;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A step that needs some of the steps before it.
#[derive(Debug, Clone)]
struct Shape {
    needs: Vec<usize>,
    condition: u8,
    fan_out: Option<(usize, u32)>,
    may_fail: bool,
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let shape = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        0..4_u8,
        prop::option::of((0..5_usize, 1..4_u32)),
        any::<bool>(),
    );
    prop::collection::vec(shape, 1..8).prop_map(|raw| {
        let shapes = raw.into_iter().enumerate();
        shapes
            .map(|(n, (needs, condition, fan_out, may_fail))| {
                let needs: BTreeSet<usize> = needs.iter().filter(|_| n > 0).map(|i| i.index(n.max(1))).collect();
                Shape {
                    needs: needs.into_iter().collect(),
                    condition,
                    fan_out,
                    may_fail,
                }
            })
            .collect()
    })
}

/// Steps in reverse order of their needs, so that plan order and readiness differ.
fn workflow(shapes: &[Shape]) -> String {
    let steps: Vec<Value> = shapes
        .iter()
        .enumerate()
        .rev()
        .map(|(n, shape)| {
            let needs: Vec<String> = shape.needs.iter().map(|i| format!("s{i}")).collect();
            let mut step =
                json!({"id": format!("s{n}"), "uses": "m", "needs": needs, "continue_on_error": shape.may_fail});
            match (shape.condition, shape.needs.first()) {
                (1, Some(first)) => step["if"] = json!(format!("steps.s{first}.findings > 1")),
                (2, _) => step["if"] = json!("params.deep"),
                _ => {}
            }
            if let Some(first) = shape.needs.last() {
                step["with"] = json!({"before": format!("{{{{ steps.s{first}.findings }}}}")});
            }
            if let Some((items, parallel)) = shape.fan_out {
                step["for_each"] = json!({"items": (0..items).collect::<Vec<_>>(), "max_parallel": parallel});
            }
            step
        })
        .collect();
    // JSON is YAML.
    json!({"steps": steps, "output": {"last": "{{ steps.s0.status }}"}}).to_string()
}

#[derive(Debug, Clone)]
enum Event {
    Resolve(prop::sample::Index, u8, u64),
    Cancel,
    CancelStep(prop::sample::Index),
    Noise,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let resolve = (any::<prop::sample::Index>(), 0..10_u8, 0..4_u64).prop_map(|(i, how, n)| Event::Resolve(i, how, n));
    let event = prop_oneof![
        20 => resolve,
        1 => Just(Event::Cancel),
        2 => any::<prop::sample::Index>().prop_map(Event::CancelStep),
        1 => Just(Event::Noise),
    ];
    prop::collection::vec(event, 0..60)
}

fn resolution(activity: &Activity, how: u8, findings: u64) -> Resolution {
    match (activity.kind.as_str(), how) {
        (_, 0) => Resolution::Failed {
            reason: "no".to_owned(),
            cause: Cause::Error,
        },
        (_, 1) => Resolution::Failed {
            reason: "gone".to_owned(),
            cause: Cause::WorkerLost,
        },
        (_, 2) => Resolution::Cancelled,
        ("helve.report", _) => Resolution::Completed(merged()),
        (_, 3) => {
            Resolution::Completed(json!({"status": {"state": "inconclusive", "reason": "r"}, "findings": findings}))
        }
        _ => Resolution::Completed(found(&activity.id, findings)),
    }
}

/// Plays events until they are used up, then resolves what is left. Checks what must always hold on the way.
fn play(input: &RunInput, shapes: &[Shape], events: &[Event]) -> (Vec<Job>, Vec<Command>) {
    let (mut machine, mut commands) = Machine::start("flow", Ok(input.clone()));
    let mut all = commands.clone();
    let mut running: BTreeMap<u32, Activity> = BTreeMap::new();
    let mut jobs = Vec::new();
    let mut script = events.iter();
    let mut started: BTreeSet<String> = BTreeSet::new();
    loop {
        for command in commands.drain(..) {
            if let Command::Schedule(activity) = command {
                check_start(&machine, shapes, &activity, &running);
                started.insert(activity.id.clone());
                assert!(
                    running.insert(activity.seq, activity).is_none(),
                    "numbers are used once"
                );
            }
        }
        if machine.is_ended() {
            break;
        }
        let job = match script.next() {
            Some(Event::Cancel) => Job::Cancel,
            Some(Event::Noise) => Job::Signal {
                name: "noise".to_owned(),
                arguments: Vec::new(),
            },
            Some(Event::CancelStep(index)) => {
                let id = format!("s{}", index.index(shapes.len()));
                Job::Signal {
                    name: "cancel-step".to_owned(),
                    arguments: vec![json!(id)],
                }
            }
            Some(Event::Resolve(index, how, findings)) => {
                let index = index.index(running.len());
                resolve(&mut running, index, *how, *findings)
            }
            None => resolve(&mut running, 0, 9, 1),
        };
        commands = machine.apply(job.clone());
        all.extend(commands.iter().cloned());
        jobs.push(job);
        assert!(jobs.len() < 10_000, "a run whose activities end, ends");
    }
    assert!(
        machine.view().steps.iter().all(|step| step.state.is_final()),
        "every step has its end"
    );
    (jobs, all)
}

fn resolve(running: &mut BTreeMap<u32, Activity>, index: usize, how: u8, findings: u64) -> Job {
    let seq = *running
        .keys()
        .nth(index)
        .expect("a run that goes on has something running");
    let activity = running.remove(&seq).expect("it was just there");
    Job::ActivityResolved {
        seq,
        resolution: resolution(&activity, how, findings),
    }
}

fn check_start(machine: &Machine, shapes: &[Shape], activity: &Activity, running: &BTreeMap<u32, Activity>) {
    let Some((step, shape)) = shapes
        .iter()
        .enumerate()
        .find(|(n, _)| activity.id == format!("s{n}") || activity.id.starts_with(&format!("s{n}[")))
    else {
        return;
    };
    let view = machine.view();
    for need in &shape.needs {
        let need = view.steps.iter().find(|s| s.id == format!("s{need}")).unwrap();
        assert!(
            need.state.is_final(),
            "{} started before {} ended",
            activity.id,
            need.id
        );
    }
    let siblings = running
        .values()
        .filter(|a| a.id == format!("s{step}") || a.id.starts_with(&format!("s{step}[")))
        .count();
    let width = shape.fan_out.map_or(1, |(_, parallel)| parallel as usize);
    assert!(
        siblings < width,
        "{} runs beside {siblings} others of its step",
        activity.id
    );
}

proptest! {
    #[test]
    fn a_replayed_run_gives_the_same_commands_and_ends_once(shapes in shapes(), events in events(), deep in any::<bool>()) {
        let input = common::input(&workflow(&shapes), json!({"deep": deep}));
        let (jobs, live) = play(&input, &shapes, &events);
        let ends = live.iter().filter(|c| !matches!(c, Command::Schedule(_) | Command::CancelActivity { .. })).count();
        prop_assert_eq!(ends, 1);
        let last_is_end = !matches!(live.last(), Some(Command::Schedule(_) | Command::CancelActivity { .. }));
        prop_assert!(last_is_end);

        // A replay starts from what history holds: the input as JSON.
        let text = serde_json::to_string(&input).unwrap();
        let (mut machine, mut replayed) = Machine::start("flow", Ok(serde_json::from_str(&text).unwrap()));
        for job in jobs {
            replayed.extend(machine.apply(job));
        }
        prop_assert_eq!(replayed, live);
    }
}
