//! Jobs: each key on its own. An order of all calls must explain the answers, and leases must have been kept.

use std::collections::BTreeMap;

use crate::log::{Call, Entry, Log, Outcome};
use crate::order::{self, Model, Timed};
use crate::shrink::shrink;
use crate::verdict::Violation;

/// Servers count time in milliseconds.
const LEEWAY: u64 = 2_000;

/// A job.
#[derive(Debug, Clone, Copy)]
pub struct Job;

/// How a job stands. Claims are numbers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nobody published it.
    Absent,
    /// Nobody has it.
    Waiting,
    /// It was handed out under this claim; the lease may have ended.
    Held(usize),
    /// It was completed under this claim.
    Completed(usize),
}

/// A call, and what it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// It is published.
    Publish,
    /// It is handed out under this claim.
    Claim(usize),
    /// The claim is good.
    Keep(usize),
    /// The claim was good, and the job was given back.
    Release(usize),
    /// The job is given back if the claim is good.
    MayRelease(usize),
    /// The claim was good, and the job is completed; or that was said again.
    Complete(usize),
    /// The job is completed if the claim is good.
    MayComplete(usize),
    /// The claim is void.
    Lost(usize),
    /// It is there or not, and completed or not.
    Look(bool, bool),
}

impl Model for Job {
    type State = Standing;
    type Call = Doing;

    fn initial(&self) -> Standing {
        Standing::Absent
    }

    fn step(&self, state: &Standing, call: &Doing) -> Option<Standing> {
        use Standing::{Absent, Completed, Held, Waiting};
        match (*call, *state) {
            (Doing::Publish, Absent) => Some(Waiting),
            (Doing::Publish, other) => Some(other),
            (Doing::Claim(claim), Waiting) => Some(Held(claim)),
            // The lease ended; whether it had is looked at elsewhere.
            (Doing::Claim(claim), Held(other)) => (claim != other).then_some(Held(claim)),
            (Doing::Keep(claim), Held(holder)) if claim == holder => Some(*state),
            (Doing::Release(claim) | Doing::MayRelease(claim), Held(holder)) if claim == holder => Some(Waiting),
            (Doing::Complete(claim) | Doing::MayComplete(claim), Held(holder)) if claim == holder => {
                Some(Completed(claim))
            }
            (Doing::Complete(claim), Completed(by)) => (claim == by).then_some(*state),
            (Doing::MayRelease(_) | Doing::MayComplete(_), other) => Some(other),
            (Doing::Lost(_), Absent) => None,
            (Doing::Lost(claim), Held(holder)) if claim == holder => Some(Waiting),
            (Doing::Lost(_), other) => Some(other),
            (Doing::Look(there, completed), other) => {
                let right = there == (other != Absent) && completed == matches!(other, Completed(_));
                right.then_some(other)
            }
            (Doing::Claim(_) | Doing::Keep(_) | Doing::Release(_) | Doing::Complete(_), _) => None,
        }
    }

    fn is_look(&self, call: &Doing) -> bool {
        matches!(call, Doing::Keep(_) | Doing::Look(..))
    }

    fn loosen(&self, call: &Doing) -> Option<Doing> {
        match *call {
            Doing::Publish => Some(Doing::Publish),
            Doing::Claim(claim) => Some(Doing::Claim(claim)),
            Doing::Release(claim) | Doing::MayRelease(claim) => Some(Doing::MayRelease(claim)),
            Doing::Complete(claim) | Doing::MayComplete(claim) => Some(Doing::MayComplete(claim)),
            // Whoever hears that it is void may be the first to notice: then the job waits.
            Doing::Lost(claim) => Some(Doing::MayRelease(claim)),
            Doing::Keep(_) | Doing::Look(..) => None,
        }
    }

    fn states(&self, calls: &[&Doing]) -> Vec<Standing> {
        let claims = calls.iter().filter_map(|call| match call {
            Doing::Claim(claim)
            | Doing::Keep(claim)
            | Doing::Release(claim)
            | Doing::MayRelease(claim)
            | Doing::Complete(claim)
            | Doing::MayComplete(claim)
            | Doing::Lost(claim) => Some(*claim),
            Doing::Publish | Doing::Look(..) => None,
        });
        let mut states = vec![Standing::Absent, Standing::Waiting];
        for claim in claims.chain([usize::MAX]) {
            states.extend([Standing::Held(claim), Standing::Completed(claim)]);
        }
        states
    }
}

/// Published once, held by one at a time while a lease lasts, completed once, never lost.
#[must_use]
pub fn check(log: &Log) -> Vec<Violation> {
    let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, entry) in log.entries.iter().enumerate() {
        if let (
            Call::Publish { key, .. }
            | Call::Claim { key, .. }
            | Call::Keep { key, .. }
            | Call::Release { key, .. }
            | Call::Complete { key, .. }
            | Call::Look { key, .. },
            true,
        ) = (&entry.call, entry.outcome != Outcome::Failed)
        {
            keys.entry(key).or_default().push(place);
        }
    }
    let mut violations = claims_given_twice(log);
    for (key, places) in keys {
        violations.extend(other_jobs(log, key, &places));
        violations.extend(leases(log, key, &places));
        let mut claims = BTreeMap::new();
        let mut calls = Vec::new();
        let mut of_call = Vec::new();
        for place in places {
            if let Some(call) = timed(&log.entries[place], &mut claims) {
                calls.push(call);
                of_call.push(place);
            }
        }
        if let Err(failed) = order::check(&Job, &calls) {
            let what = format!("job {key}: whatever else happened, no order of these calls explains their answers");
            let shown = shrink(&Job, &calls, failed);
            violations.push(Violation::new(what, shown.into_iter().map(|call| of_call[call])));
        }
    }
    violations
}

fn timed<'log>(entry: &'log Entry, claims: &mut BTreeMap<&'log str, usize>) -> Option<Timed<Doing>> {
    let known = entry.outcome == Outcome::Done;
    let mut number = |claim: &'log String| {
        let next = claims.len();
        *claims.entry(claim).or_insert(next)
    };
    let call = match &entry.call {
        Call::Publish { .. } => Doing::Publish,
        Call::Claim { claim, .. } => Doing::Claim(number(claim)),
        Call::Keep { claim, lost: true, .. }
        | Call::Release { claim, lost: true, .. }
        | Call::Complete { claim, lost: true, .. }
            if known =>
        {
            Doing::Lost(number(claim))
        }
        Call::Keep { claim, .. } if known => Doing::Keep(number(claim)),
        Call::Release { claim, .. } if known => Doing::Release(number(claim)),
        Call::Release { claim, .. } => Doing::MayRelease(number(claim)),
        Call::Complete { claim, .. } if known => Doing::Complete(number(claim)),
        Call::Complete { claim, .. } => Doing::MayComplete(number(claim)),
        Call::Look { there, completed, .. } if known => Doing::Look(*there, *completed),
        _ => return None,
    };
    Some(Timed {
        began: entry.began,
        ended: known.then_some(entry.ended),
        call,
    })
}

/// Two claimers with one and the same claim.
fn claims_given_twice(log: &Log) -> Vec<Violation> {
    let mut given: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, entry) in log.entries.iter().enumerate() {
        if let (Call::Claim { claim, .. }, Outcome::Done) = (&entry.call, entry.outcome) {
            given.entry(claim).or_default().push(place);
        }
    }
    let twice = given.into_values().filter(|places| places.len() > 1);
    twice
        .map(|places| Violation::new("one claim was handed out more than once", places))
        .collect()
}

/// More than one job under one key.
fn other_jobs(log: &Log, key: &str, places: &[usize]) -> Option<Violation> {
    let mut jobs: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        let entry = &log.entries[*place];
        if entry.outcome != Outcome::Done {
            continue;
        }
        if let Call::Publish { job: Some(job), .. } | Call::Claim { job, .. } = &entry.call {
            jobs.entry(job).or_insert(*place);
        }
    }
    let what = format!("job {key}: there are {} of it", jobs.len());
    (jobs.len() > 1).then(|| Violation::new(what, jobs.into_values()))
}

/// What is known of a claim.
struct Holding {
    place: usize,
    began: u64,
    ended: u64,
    /// The earliest time at which the last lease that was granted could end, and which call granted it.
    until: (u64, usize),
    /// When it could first have been given back, or the job be completed.
    freed: u64,
}

impl Holding {
    /// Whether this one can have come after that one, whose lease had ended or which was given back.
    fn may_follow(&self, other: &Self) -> bool {
        self.ended.saturating_add(LEEWAY) >= other.until.0 || self.ended >= other.freed
    }
}

/// Two that had one job at one time.
fn leases(log: &Log, key: &str, places: &[usize]) -> Vec<Violation> {
    let mut holdings: BTreeMap<&str, Holding> = BTreeMap::new();
    let entries = || places.iter().map(|place| (*place, &log.entries[*place]));
    for (place, entry) in entries() {
        if let (Call::Claim { claim, lease, .. }, Outcome::Done) = (&entry.call, entry.outcome) {
            let holding = Holding {
                place,
                began: entry.began,
                ended: entry.ended,
                until: (entry.began.saturating_add(*lease), place),
                freed: u64::MAX,
            };
            holdings.entry(claim).or_insert(holding);
        }
    }
    for (place, entry) in entries() {
        let done = entry.outcome == Outcome::Done;
        match &entry.call {
            Call::Keep {
                claim,
                lease,
                lost: false,
                ..
            } if done => {
                if let Some(holding) = holdings.get_mut(&**claim) {
                    holding.until = holding.until.max((entry.began.saturating_add(*lease), place));
                }
            }
            Call::Release { claim, lost, .. } | Call::Complete { claim, lost, .. } if !(done && *lost) => {
                if let Some(holding) = holdings.get_mut(&**claim) {
                    holding.freed = holding.freed.min(entry.began);
                }
            }
            _ => {}
        }
    }
    let mut holdings: Vec<_> = holdings.into_values().collect();
    holdings.sort_by_key(|holding| (holding.began, holding.place));
    let mut violations = Vec::new();
    for (number, one) in holdings.iter().enumerate() {
        for other in &holdings[number + 1..] {
            if !one.may_follow(other) && !other.may_follow(one) {
                let what = format!("job {key}: two had it at one time");
                let mut calls = vec![one.place, one.until.1, other.place, other.until.1];
                calls.sort_unstable();
                calls.dedup();
                violations.push(Violation::new(what, calls));
            }
        }
    }
    violations
}
