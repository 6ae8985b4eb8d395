//! Logs of a queue: valid ones are accepted, broken ones refused, and what is shown of them is small.

mod model;

use helve_judge::{Call, Entry, Log, Outcome, judge};
use model::{Dice, jobs};
use proptest::prelude::*;

/// Longer than what servers may round, in microseconds.
const LEASE: u64 = 60_000_000;

fn publish(job: &str) -> Call {
    Call::Publish {
        key: "new".to_owned(),
        job: Some(job.to_owned()),
    }
}

fn claim(claim: &str, lease: u64) -> Call {
    Call::Claim {
        key: "new".to_owned(),
        job: "id".to_owned(),
        claim: claim.to_owned(),
        lease,
    }
}

fn keep(claim: &str, lost: bool) -> Call {
    Call::Keep {
        key: "new".to_owned(),
        claim: claim.to_owned(),
        lease: LEASE,
        lost,
    }
}

fn release(claim: &str) -> Call {
    Call::Release {
        key: "new".to_owned(),
        claim: claim.to_owned(),
        lost: false,
    }
}

fn complete(claim: &str, lost: bool) -> Call {
    Call::Complete {
        key: "new".to_owned(),
        claim: claim.to_owned(),
        lost,
    }
}

fn look(there: bool, completed: bool) -> Call {
    Call::Look {
        key: "new".to_owned(),
        there,
        completed,
    }
}

const DONE: Outcome = Outcome::Done;
const UNKNOWN: Outcome = Outcome::Unknown;

/// One call after the other, when all others have ended.
fn appended(mut log: Log, calls: &[(Outcome, Call)]) -> Log {
    let mut now = log.entries.iter().map(|entry| entry.ended).max().unwrap_or(0) + 10;
    for (outcome, call) in calls {
        log.entries.push(Entry {
            client: 99,
            began: now,
            ended: now + 5,
            outcome: *outcome,
            call: call.clone(),
        });
        now += 10;
    }
    log
}

fn done(calls: &[Call]) -> Calls {
    calls.iter().map(|call| (DONE, call.clone())).collect()
}

type Calls = Vec<(Outcome, Call)>;

/// What no queue may answer, and how many calls show it at most.
fn broken() -> Vec<(&'static str, Calls, usize)> {
    vec![
        ("a job is lost", done(&[publish("id"), look(false, false)]), 2),
        (
            "a completion is lost",
            done(&[
                publish("id"),
                claim("a", LEASE),
                complete("a", false),
                look(true, false),
            ]),
            2,
        ),
        (
            "a job is given out again after its completion",
            done(&[publish("id"), claim("a", 0), complete("a", false), claim("b", LEASE)]),
            2,
        ),
        (
            "two complete one job",
            done(&[
                publish("id"),
                claim("a", 0),
                claim("b", LEASE),
                complete("b", false),
                complete("a", false),
            ]),
            2,
        ),
        (
            "two have one job at one time",
            done(&[publish("id"), claim("a", LEASE), claim("b", LEASE)]),
            2,
        ),
        (
            "a lease that was made longer ends early",
            done(&[publish("id"), claim("a", 0), keep("a", false), claim("b", LEASE)]),
            3,
        ),
        (
            "a claim is good after somebody else had the job",
            done(&[publish("id"), claim("a", 0), claim("b", LEASE), keep("a", false)]),
            3,
        ),
        (
            "one claim is given out twice",
            done(&[publish("id"), claim("a", 0), release("a"), claim("a", 0)]),
            2,
        ),
        ("a job is doubled", done(&[publish("id"), publish("another")]), 2),
        (
            "a job that nobody published is given out",
            done(&[claim("a", LEASE)]),
            1,
        ),
        (
            "a job is given out before it is published",
            done(&[claim("a", LEASE), publish("id")]),
            1,
        ),
        (
            "a job is completed by itself",
            done(&[publish("id"), look(true, true)]),
            1,
        ),
    ]
}

/// What a queue may answer.
fn valid() -> Vec<(&'static str, Calls)> {
    let unanswered = |call| vec![(UNKNOWN, call)];
    vec![
        (
            "a completion is said again",
            done(&[
                publish("id"),
                publish("id"),
                claim("a", LEASE),
                complete("a", false),
                complete("a", false),
            ]),
        ),
        (
            "a completion that was not answered took effect",
            [
                done(&[publish("id"), claim("a", LEASE)]),
                unanswered(complete("a", false)),
                done(&[look(true, true)]),
            ]
            .concat(),
        ),
        (
            "or did not",
            [
                done(&[publish("id"), claim("a", 0)]),
                unanswered(complete("a", false)),
                done(&[claim("b", LEASE), complete("b", false), complete("a", true)]),
            ]
            .concat(),
        ),
        (
            "a job that may have been given back is given out",
            [
                done(&[publish("id"), claim("a", LEASE)]),
                unanswered(release("a")),
                done(&[claim("b", LEASE), keep("a", true), keep("b", false)]),
            ]
            .concat(),
        ),
        (
            "a job whose publishing was not answered is given out",
            [
                unanswered(publish("id")),
                done(&[look(false, false), claim("a", LEASE)]),
            ]
            .concat(),
        ),
        (
            "a lease ended, and nobody else came",
            done(&[publish("id"), claim("a", 0), keep("a", true), claim("b", LEASE)]),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_log_that_a_queue_could_have_left_is_accepted(seed: u64, clients in 1_u32..8, calls in 1_usize..400) {
        let verdict = judge(&jobs(&mut Dice(seed), clients, calls, 6));
        prop_assert!(verdict.is_good(), "{}", verdict);
    }

    #[test]
    fn what_a_queue_may_answer_is_accepted(seed: u64, calls in 1_usize..200) {
        for (name, calls) in valid().into_iter().map(|(name, more)| (name, appended(jobs(&mut Dice(seed), 4, calls, 4), &more))) {
            let verdict = judge(&calls);
            prop_assert!(verdict.is_good(), "{name}: {verdict}");
        }
    }

    #[test]
    fn what_no_queue_may_answer_is_refused(seed: u64, calls in 1_usize..200) {
        for (name, more, at_most) in broken() {
            let verdict = judge(&appended(jobs(&mut Dice(seed), 4, calls, 4), &more));
            prop_assert!(!verdict.is_good(), "{name}: it was accepted");
            let shown = verdict.violations.iter().map(|violation| violation.calls.len()).max();
            prop_assert!(shown.is_some_and(|shown| shown <= at_most), "{name}: {verdict}");
        }
    }

    /// A claim that is given to a second one while the first has it, wherever in the log that is.
    #[test]
    fn a_doubled_job_is_refused(seed: u64, calls in 50_usize..400) {
        let mut log = jobs(&mut Dice(seed), 5, calls, 6);
        let given = log.entries.iter().find(|entry| matches!(entry.call, Call::Claim { .. })).cloned();
        if let Some(mut given) = given {
            let Call::Claim { key, job, .. } = given.call else { unreachable!("it was looked for") };
            given.client = 98;
            given.call = Call::Claim { key, job, claim: "another".to_owned(), lease: LEASE };
            let original = log.entries.iter_mut().find(|entry| matches!(entry.call, Call::Claim { .. }));
            if let Some(Entry { call: Call::Claim { lease, .. }, .. }) = original {
                *lease = LEASE;
            }
            // Whoever gave it back in the meantime may be why.
            let freed = |entry: &Entry| matches!(entry.call, Call::Release { .. } | Call::Complete { .. });
            log.entries.retain(|entry| !freed(entry));
            log.entries.push(given);
            prop_assert!(!judge(&log).is_good());
        }
    }
}

#[test]
fn two_who_wait_for_one_job_at_the_same_time_do_not_both_get_it() {
    let at = |client, began, ended, call| Entry {
        client,
        began,
        ended,
        outcome: DONE,
        call,
    };
    let log = Log {
        entries: vec![
            at(1, 0, 10, publish("id")),
            at(2, 5, 1_000_000, claim("a", LEASE)),
            at(3, 6, 1_000_001, claim("b", LEASE)),
        ],
    };
    assert!(!judge(&log).is_good());
}
