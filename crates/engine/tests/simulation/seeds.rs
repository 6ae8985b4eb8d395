//! Which worlds are tried.

use std::time::{Duration, Instant};

use crate::{Bug, simulate};

/// Worlds that are tried, unless `HELVE_SIMULATION_WORLDS` says how many: `cargo xtask test` tries more than 500.
const WORLDS: u64 = 96;
/// Tests that share them, so that they run side by side.
const PARTS: u64 = 4;

fn try_part(part: u64) {
    let worlds = number("HELVE_SIMULATION_WORLDS").unwrap_or(WORLDS);
    for seed in (part..worlds).step_by(PARTS as usize) {
        try_seed(seed, false);
    }
}

fn try_seed(seed: u64, is_printed: bool) {
    let end = simulate(seed, None, is_printed);
    if let Some(violation) = end.violation {
        panic!(
            "{}\nseed {seed}: {violation}\n(again, with all that happens: HELVE_SIMULATION_SEED={seed} cargo test -p helve-engine \
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

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..8 {
        let (first, second) = (simulate(seed, None, false), simulate(seed, None, false));
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

/// A simulator that finds nothing proves nothing.
fn is_found(bug: Bug) {
    let found = (0..300).find_map(|seed| Some((seed, simulate(seed, Some(bug), false).violation?)));
    let (seed, violation) = found.unwrap_or_else(|| panic!("{bug:?} was not found in 300 worlds"));
    println!("{bug:?} was found in world {seed}: {violation}");
}

#[test]
fn an_answer_before_its_commit_is_found() {
    is_found(Bug::AnswersBeforeCommit);
}

#[test]
fn a_message_forgotten_by_a_restart_is_found() {
    is_found(Bug::ForgetsMessages);
}

#[test]
fn buffered_events_forgotten_by_a_restart_are_found() {
    is_found(Bug::ForgetsBufferedEvents);
}

#[test]
fn attempts_forgotten_by_a_restart_are_found() {
    is_found(Bug::ForgetsAttempts);
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
