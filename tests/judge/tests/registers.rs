//! Logs of registers: valid ones are accepted, broken ones refused, and what is shown of them is small.

mod model;

use helve_judge::order::{self, Timed};
use helve_judge::registers::{Doing, Register};
use helve_judge::{Call, Entry, Log, Outcome, judge};
use model::{Dice, registers};
use proptest::prelude::*;

fn key() -> String {
    "k0".to_owned()
}

fn read(value: u64) -> Call {
    Call::Read {
        key: key(),
        value: Some(value),
    }
}

fn write(value: u64) -> Call {
    Call::Write { key: key(), value }
}

fn swap(expected: u64, value: u64) -> Call {
    Call::Swap {
        key: key(),
        expected: Some(expected),
        value,
        swapped: true,
    }
}

/// One call after the other, when all others have ended.
fn append(log: &mut Log, calls: &[Call]) {
    let mut now = log.entries.iter().map(|entry| entry.ended).max().unwrap_or(0) + 10;
    for call in calls {
        log.entries.push(Entry {
            client: 99,
            began: now,
            ended: now + 5,
            outcome: Outcome::Done,
            call: call.clone(),
        });
        now += 10;
    }
}

/// That it is refused, and by how many calls.
fn refused(log: &Log, at_most: usize) -> Result<(), TestCaseError> {
    let verdict = judge(log);
    prop_assert_eq!(verdict.violations.len(), 1, "{}", verdict);
    let shown = &verdict.violations[0].calls;
    prop_assert!((1..=at_most).contains(&shown.len()), "{}", verdict);
    Ok(())
}

// Values that no generated log has.
const ONE: u64 = 1_000_001;
const TWO: u64 = 1_000_002;
const THREE: u64 = 1_000_003;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_log_that_a_register_could_have_left_is_accepted(seed: u64, clients in 1_u32..8, calls in 1_usize..300) {
        let verdict = judge(&registers(&mut Dice(seed), clients, calls, 3));
        prop_assert!(verdict.is_good(), "{}", verdict);
    }

    #[test]
    fn a_lost_write_is_refused(seed: u64, calls in 1_usize..300) {
        let mut log = registers(&mut Dice(seed), 5, calls, 2);
        append(&mut log, &[write(ONE), write(TWO), read(ONE)]);
        refused(&log, 3)?;
    }

    #[test]
    fn a_stale_read_is_refused(seed: u64, calls in 1_usize..300) {
        let mut log = registers(&mut Dice(seed), 5, calls, 2);
        append(&mut log, &[write(ONE), swap(ONE, TWO), read(TWO), read(ONE)]);
        refused(&log, 3)?;
    }

    #[test]
    fn a_swap_that_two_have_won_is_refused(seed: u64, calls in 1_usize..300) {
        let mut log = registers(&mut Dice(seed), 5, calls, 2);
        append(&mut log, &[write(ONE), swap(ONE, TWO), swap(ONE, THREE)]);
        refused(&log, 3)?;
    }

    #[test]
    fn a_value_that_nobody_wrote_is_refused(seed: u64, calls in 1_usize..300) {
        let mut log = registers(&mut Dice(seed), 5, calls, 2);
        append(&mut log, &[read(ONE)]);
        refused(&log, 1)?;
    }

    #[test]
    fn an_answer_that_is_moved_behind_a_later_write_is_refused(seed: u64, calls in 20_usize..300) {
        // Two writes of one key, one after the other, and a read of the first that is moved behind the second.
        let mut log = registers(&mut Dice(seed), 5, calls, 1);
        append(&mut log, &[write(ONE), read(ONE), write(TWO), read(TWO)]);
        let last = log.entries.len() - 1;
        let moved = log.entries[last].call.clone();
        log.entries[last].call = log.entries[last - 2].call.clone();
        log.entries[last - 2].call = moved;
        refused(&log, 3)?;
    }

    /// The judge of the judge: every order, tried out.
    #[test]
    fn it_agrees_with_whoever_tries_out_every_order(calls in prop::collection::vec(any_call(), 1..7)) {
        let tried = every_order(&calls, &mut vec![false; calls.len()], None);
        prop_assert_eq!(order::check(&Register, &calls).is_ok(), tried, "{:?}", calls);
    }
}

fn any_call() -> impl Strategy<Value = Timed<Doing>> {
    let value = || 0_u64..3;
    let maybe = || prop::option::of(0_u64..3);
    let known = prop_oneof![
        maybe().prop_map(Doing::Read),
        value().prop_map(Doing::Write),
        (maybe(), value()).prop_map(|(expected, value)| Doing::Swapped(expected, value)),
        maybe().prop_map(Doing::NotSwapped),
    ];
    let unknown = prop_oneof![
        value().prop_map(Doing::Write),
        (maybe(), value()).prop_map(|(expected, value)| Doing::MaySwap(expected, value)),
    ];
    let at = || (0_u64..20, 1_u64..12);
    prop_oneof![
        3 => (at(), known).prop_map(|((began, took), call)| Timed { began, ended: Some(began + took), call }),
        1 => (at(), unknown).prop_map(|((began, _), call)| Timed { began, ended: None, call }),
    ]
}

fn every_order(calls: &[Timed<Doing>], taken: &mut Vec<bool>, state: Option<u64>) -> bool {
    use helve_judge::order::Model;
    let left: Vec<_> = (0..calls.len()).filter(|place| !taken[*place]).collect();
    if left.iter().all(|place| calls[*place].ended.is_none()) {
        return true;
    }
    let first_end = left.iter().filter_map(|place| calls[*place].ended).min();
    left.into_iter().any(|place| {
        if first_end.is_some_and(|end| calls[place].began > end) {
            return false;
        }
        let Some(next) = Register.step(&state, &calls[place].call) else {
            return false;
        };
        taken[place] = true;
        let found = every_order(calls, taken, next);
        taken[place] = false;
        found
    })
}

#[test]
fn ten_thousand_calls_are_judged_before_the_test_runner_loses_its_patience() {
    let mut log = registers(&mut Dice(7), 16, 10_000, 10);
    assert!(judge(&log).is_good());
    append(&mut log, &[write(ONE), write(TWO), read(ONE)]);
    let verdict = judge(&log);
    assert!(verdict.violations[0].calls.len() <= 3, "{verdict}");
}

#[test]
fn so_are_thousands_on_one_key() {
    let mut log = registers(&mut Dice(8), 5, 5_000, 1);
    assert!(judge(&log).is_good());
    append(&mut log, &[read(ONE)]);
    assert_eq!(judge(&log).violations[0].calls.len(), 1);
}

#[test]
fn a_call_of_unknown_outcome_may_take_effect_late_or_never_but_not_before_it_began() {
    let entry = |client, began, ended, outcome, call| Entry {
        client,
        began,
        ended,
        outcome,
        call,
    };
    let done = Outcome::Done;
    let lost = |began| entry(2, began, began, Outcome::Unknown, write(2));
    let judged = |entries: &[Entry]| {
        judge(&Log {
            entries: entries.to_vec(),
        })
        .is_good()
    };
    let first = entry(1, 0, 10, done, write(1));
    let late = entry(1, 500, 510, done, read(2));
    let never = entry(1, 500, 510, done, read(1));
    assert!(judged(&[first.clone(), lost(20), late.clone()]));
    assert!(judged(&[first.clone(), lost(20), never.clone()]));
    let back = entry(1, 600, 610, done, read(1));
    assert!(
        !judged(&[first.clone(), lost(20), late.clone(), back]),
        "it came and went"
    );
    assert!(!judged(&[first.clone(), lost(550), late.clone()]), "it had not begun");
    let refused = entry(2, 20, 30, Outcome::Failed, write(2));
    assert!(!judged(&[first, refused, late]), "it was refused");
}
