//! Which worlds are tried.

use std::time::{Duration, Instant};

use crate::{End, bugs::Bug, plan::Plan, simulate, world::Fate};

/// Worlds that are tried, unless `HELVE_SIMULATION_WORLDS` says how many: `cargo xtask test` tries more than 500.
const WORLDS: u64 = 96;
/// Worlds in which much is done in a short time.
const SMALL_WORLDS: [u64; 1] = [5];
/// Tests that share them, so that they run side by side.
const PARTS: u64 = 4;

fn try_part(part: u64) {
    let worlds = number("HELVE_SIMULATION_WORLDS").unwrap_or(WORLDS);
    for seed in (part..worlds).step_by(PARTS as usize) {
        try_seed(seed, false);
    }
}

fn try_seed(seed: u64, is_printed: bool) {
    let end = simulate(seed, Fate::default(), is_printed);
    must_hold(seed, Fate::default(), end);
}

fn must_hold(seed: u64, fate: Fate, end: End) {
    if let Some(violation) = end.violation {
        panic!(
            "{}\nseed {seed}, {fate:?}: {violation}\n(again, with all that happens: HELVE_SIMULATION_SEED={seed} cargo test -p helve-engine \
             --test simulation one_seed -- --ignored --nocapture)",
            end.trace
        );
    }
}

#[test]
fn every_promise_holds_in_a_quarter_of_the_worlds() {
    try_part(0);
}

#[test]
fn every_promise_holds_in_the_second_quarter_of_the_worlds() {
    try_part(1);
}

#[test]
fn every_promise_holds_in_the_third_quarter_of_the_worlds() {
    try_part(2);
}

#[test]
fn every_promise_holds_in_the_last_quarter_of_the_worlds() {
    try_part(3);
}

/// The same world again and again; each time the power fails at another commit, before it or after it.
fn crash_at_every_commit(is_on_disk: bool) {
    for seed in SMALL_WORLDS {
        let (mut number, mut commits) = (0, 1);
        while number < commits {
            let fate = Fate {
                crash_at: Some((number, is_on_disk)),
                ..Fate::default()
            };
            let end = simulate(seed, fate, false);
            commits = end.commits;
            must_hold(seed, fate, end);
            number += 1;
        }
        assert!(number > 10, "only {number} commits in world {seed}");
    }
}

#[test]
fn every_promise_holds_if_the_power_fails_before_any_commit() {
    crash_at_every_commit(false);
}

#[test]
fn every_promise_holds_if_the_power_fails_after_any_commit() {
    crash_at_every_commit(true);
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..8 {
        let (first, second) = (
            simulate(seed, Fate::default(), false),
            simulate(seed, Fate::default(), false),
        );
        if first != second {
            let differ = first
                .trace
                .lines()
                .zip(second.trace.lines())
                .find(|(one, other)| one != other);
            panic!("seed {seed} was two worlds; among the last lines these differ first: {differ:#?}");
        }
    }
}

/// A simulator that finds nothing proves nothing: a mistake made on purpose must be found, by the oracle that says `what`.
fn is_found(bug: Bug, what: &str) {
    let mut others = Vec::new();
    for seed in 0..400 {
        // A world in which the mistake cannot be made shows nothing.
        if !bug.can_be_made(&Plan::of(seed).features) {
            continue;
        }
        let fate = Fate {
            bug: Some(bug),
            ..Fate::default()
        };
        match simulate(seed, fate, false).violation {
            Some(violation) if violation.contains(what) => {
                return println!("{bug:?} was found in world {seed}: {violation}");
            }
            Some(other) => others.push(other),
            None => {}
        }
    }
    panic!("{bug:?} was not found by {what:?}, but {others:#?}");
}

#[test]
fn an_answer_before_its_commit_is_found() {
    is_found(Bug::AnswersBeforeCommit, "");
}

#[test]
fn a_message_forgotten_by_a_restart_is_found() {
    is_found(Bug::ForgetsMessages, "");
}

#[test]
fn buffered_events_forgotten_by_a_restart_are_found() {
    is_found(Bug::ForgetsBufferedEvents, "");
}

#[test]
fn attempts_forgotten_by_a_restart_are_found() {
    is_found(Bug::ForgetsAttempts, "");
}

#[test]
fn updates_answered_in_another_way_after_a_restart_are_found() {
    is_found(Bug::ChangesOutcomes, "is now answered");
}

#[test]
fn signals_lost_by_a_reset_are_found() {
    is_found(Bug::ResetsWithoutSignals, "lost the signals");
}

#[test]
fn actions_of_a_schedule_that_a_restart_loses_are_found() {
    is_found(Bug::ForgetsActions, "actions, and there are");
}

#[test]
fn a_schedule_that_acts_twice_is_found() {
    is_found(Bug::TriggersTwice, "triggers");
}

#[test]
fn a_batch_that_does_not_reach_everybody_is_found() {
    is_found(Bug::SkipsRestOfBatches, "batch");
}

#[test]
fn a_run_without_its_successor_is_found() {
    is_found(Bug::LosesSuccessors, "which does not exist");
}

#[test]
fn paused_activities_that_are_handed_out_are_found() {
    is_found(Bug::Ignores("PauseActivity"), "although it was paused");
}

#[test]
fn a_standalone_activity_that_is_not_terminated_is_found() {
    is_found(
        Bug::Ignores("TerminateActivityExecution"),
        "the termination of activity",
    );
}

#[test]
fn a_deletion_that_does_not_happen_is_found() {
    is_found(Bug::Ignores("DeleteWorkflowExecution"), "the deletion of");
}

#[test]
fn a_retention_that_deletes_nothing_is_found() {
    is_found(Bug::Ignores("UpdateNamespace"), "after the retention");
}

/// As long as `HELVE_SIMULATION_SECONDS` says, from a seed that nobody tried before.
#[test]
#[ignore = "runs for as long as it is told"]
#[allow(clippy::disallowed_methods)] // real time, since a person waits for it
fn for_a_long_time() {
    let seconds = number("HELVE_SIMULATION_SECONDS").unwrap_or(60);
    let from = number("HELVE_SIMULATION_SEED")
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs() << 20);
    let (begun, mut seed) = (Instant::now(), from);
    while begun.elapsed() < Duration::from_secs(seconds) {
        try_seed(seed, false);
        seed += 1;
    }
    println!("{} worlds from seed {from} on: every promise held", seed - from);
}

/// One world with all that happens in it.
#[test]
#[ignore = "prints the world of HELVE_SIMULATION_SEED"]
fn one_seed() {
    try_seed(number("HELVE_SIMULATION_SEED").unwrap_or(0), true);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
