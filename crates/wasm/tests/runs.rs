//! What a guest can do, driven by hand: events in, commands out.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{NOON, Trial, found};
use helve_wasm::{Command, Event, Failure, FailureKind, Outcome, TaskId};
use serde_json::{Value, json};

#[test]
fn a_guest_in_direct_style_starts_waits_and_returns() {
    let mut trial = Trial::of(json!({"do": "journey"}));
    let [
        Command::Module { task, call: slow },
        Command::Module { call: quick, .. },
    ] = &trial.commands[..]
    else {
        panic!("both steps start before the first wait: {:?}", trial.commands)
    };
    assert_eq!(
        (*task, slow.step.as_str(), slow.module.as_str()),
        (TaskId(0), "slow", "scan")
    );
    let luck = quick.config["luck"].clone();
    assert_eq!(trial.run.progress().status, "sets out");

    trial.ended(1, found(2));
    assert_eq!(trial.run.progress().done, 1, "any of the two is enough to go on");
    trial.ended(0, found(5));
    assert_eq!(
        trial.commands.last(),
        Some(&Command::Timer {
            task: TaskId(2),
            duration: Duration::from_secs(60)
        })
    );
    trial.now += 60_000;
    trial.ended(2, Value::Null).signal("word", json!("now"));
    let [
        ..,
        Command::Cancel { task: TaskId(4) },
        Command::Child {
            task,
            workflow,
            parameters,
            ..
        },
    ] = &trial.commands[..]
    else {
        panic!("{:?}", trial.commands)
    };
    assert_eq!(
        (task.0, workflow.as_str(), parameters),
        (5, "other", &json!({"word": "now"}))
    );
    trial.ended(5, json!("grown up"));
    let output = trial.returned();
    assert_eq!(output["first"], 1);
    assert_eq!(output["found"], 7);
    assert_eq!(output["child"], "grown up");
    assert_eq!(output["target"], "app");
    assert_eq!(output["now"], NOON + 60_000 + 4_000);
    assert_eq!(output["luck"][0], luck);
    assert_eq!(trial.run.progress().status, "arrives");
    assert_eq!(trial.run.findings()[0].rule, "odd");
}

#[test]
fn killed_anywhere_a_run_comes_back_says_the_same_again_and_ends_the_same() {
    let journey = json!({"do": "journey"});
    let mut whole = Trial::of(journey.clone());
    whole.ended(1, found(2)).ended(0, found(5));
    whole.now += 60_000;
    whole
        .ended(2, Value::Null)
        .signal("word", json!("now"))
        .ended(5, json!("grown up"));
    for killed_after in 0..=whole.told.len() {
        let (before, after) = whole.told.split_at(killed_after);
        let mut again = Trial::replayed(journey.clone(), before);
        assert_eq!(
            again.commands[..],
            whole.commands[..again.commands.len()],
            "killed after {killed_after} events"
        );
        for happening in after {
            again.now = happening.now;
            again.tell(happening.event.clone());
        }
        assert_eq!(again.commands, whole.commands);
        assert_eq!(again.returned(), whole.returned());
        assert_eq!(again.run.findings(), whole.run.findings());
    }
}

#[test]
fn tasks_that_end_in_any_order_give_the_same_answer() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut trial = Trial::of(json!({"do": "fan-out", "count": 3}));
        for task in order {
            assert_eq!(trial.end, None);
            trial.ended(task, found(u64::from(task) + 1));
        }
        assert_eq!(trial.returned(), &json!(6));
    }
}

#[test]
fn the_loser_of_a_race_is_asked_to_end_and_its_end_is_awaited() {
    let mut trial = Trial::of(json!({"do": "first"}));
    trial.ended(1, found(0));
    assert_eq!(trial.commands.last(), Some(&Command::Cancel { task: TaskId(0) }));
    assert_eq!(trial.end, None);
    trial.tell(Event::Ended {
        task: TaskId(0),
        result: Err(Failure::new(FailureKind::Cancelled, "it was cancelled")),
    });
    assert_eq!(trial.returned(), &json!({"winner": "b", "loser": true}));
}

#[test]
fn signals_are_taken_in_their_order_early_ones_too_and_none_is_lost() {
    let mut trial = Trial::of(json!({"do": "signals", "count": 3}));
    trial.signal("other", json!("x"));
    for n in 0..3 {
        assert_eq!(trial.end, None);
        trial.signal("s", json!(n));
    }
    assert_eq!(trial.returned(), &json!([0, 1, 2]));

    let mut early = Trial::of(json!({"do": "journey"}));
    early.signal("word", json!("early")).serve();
    assert_eq!(early.returned()["word"], "early");
}

#[test]
fn a_timer_goes_on_where_nobody_signals() {
    let mut trial = Trial::of(json!({"do": "journey"}));
    trial.serve();
    assert_eq!(trial.returned()["word"], "none");
}

#[test]
fn a_cancelled_run_wakes_and_can_clean_up() {
    let mut trial = Trial::of(json!({"do": "tidy"}));
    trial.tell(Event::Cancel);
    let [_, Command::Cancel { task: TaskId(0) }, Command::Module { task, call }] = &trial.commands[..] else {
        panic!("{:?}", trial.commands)
    };
    assert_eq!(call.module, "broom");
    let broom = task.0;
    trial.ended(broom, found(0));
    let Some(Ok(Outcome::Returned(Err(failure)))) = &trial.end else {
        panic!("{:?}", trial.end)
    };
    assert_eq!(failure.kind, FailureKind::Cancelled);
}

#[test]
fn a_failure_that_a_guest_returns_is_the_end_of_the_run_and_no_fault() {
    let trial = Trial::of(json!({"do": "fail"}));
    assert_eq!(
        trial.end,
        Some(Ok(Outcome::Returned(Err(Failure::new(
            FailureKind::Failed,
            "it does not want to"
        )))))
    );
}

#[test]
fn random_numbers_are_the_same_each_time_and_differ_from_each_other() {
    let draw = || Trial::of(json!({"do": "random", "count": 4})).returned().clone();
    let numbers = draw();
    assert_eq!(numbers, draw());
    let numbers: BTreeSet<u64> = numbers.as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(numbers.len(), 4);
}

#[test]
fn a_reset_run_draws_other_numbers_from_then_on() {
    let luck = |seed: Option<u64>| {
        let mut trial = Trial::of(json!({"do": "journey"}));
        if let Some(seed) = seed {
            trial.tell(Event::Seed(seed));
        }
        trial.serve().returned()["luck"].clone()
    };
    let (kept, reset) = (luck(None), luck(Some(7)));
    assert_eq!(kept[0], reset[0], "what was drawn before stays");
    assert_ne!(kept[1], reset[1]);
}

#[test]
fn the_world_that_a_guest_sees_is_the_same_each_time() {
    let world = Trial::of(json!({"do": "world"})).returned().clone();
    assert_eq!(world, *Trial::of(json!({"do": "world"})).returned());
    assert_eq!(world["now"], NOON, "the standard library's clock is the history's");
    assert_eq!(world["elapsed"], 0, "time stands still while a guest computes");
    assert_eq!(world["environment"], 0);
    assert_eq!(world["arguments"], 0);
}

#[test]
fn standard_input_is_at_its_end_and_there_are_no_folders() {
    assert_eq!(*Trial::of(json!({"do": "stdin"})).returned(), json!(""));
    let file = Trial::of(json!({"do": "file"}));
    assert!(
        matches!(&file.end, Some(Ok(Outcome::Returned(Err(_))))),
        "{:?}",
        file.end
    );
}

#[test]
fn a_sleep_of_the_standard_library_is_a_durable_timer() {
    let mut trial = Trial::of(json!({"do": "nap", "count": 5}));
    let duration = Duration::from_secs(5);
    let task = TaskId(0);
    assert_eq!(trial.commands, [Command::Timer { task, duration }]);
    assert_eq!(trial.end, None);
    trial.serve();
    assert_eq!(trial.returned(), &json!("rested"));
}

#[test]
fn a_run_that_is_over_takes_note_of_nothing() {
    let mut trial = Trial::of(json!({"do": "sleep", "count": 5}));
    trial.ended(0, Value::Null);
    assert_eq!(trial.returned(), &json!("rested"));
    let commands = trial.commands.len();
    trial.ended(0, Value::Null).signal("s", json!(1)).tell(Event::Cancel);
    assert_eq!(trial.commands.len(), commands);
}
