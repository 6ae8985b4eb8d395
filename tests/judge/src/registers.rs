//! Registers: each key on its own, since what is right for every key is right for all.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::{Call, Log, Outcome};
use crate::order::{self, Model, Need, Timed};
use crate::shrink::shrink;
use crate::verdict::Violation;

/// A register that may hold a number.
#[derive(Debug, Clone, Copy)]
pub struct Register;

/// A call on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Doing {
    /// This was there.
    Read(Option<u64>),
    /// This is put there.
    Write(u64),
    /// The first was there, and the second is put there.
    Swapped(Option<u64>, u64),
    /// This was not there.
    NotSwapped(Option<u64>),
    /// If the first is there, the second is put there.
    MaySwap(Option<u64>, u64),
}

impl Model for Register {
    type State = Option<u64>;
    type Call = Doing;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn step(&self, state: &Option<u64>, call: &Doing) -> Option<Option<u64>> {
        match call {
            Doing::Read(value) => (value == state).then_some(*state),
            Doing::Write(value) => Some(Some(*value)),
            Doing::Swapped(expected, value) => (expected == state).then_some(Some(*value)),
            Doing::NotSwapped(expected) => (expected != state).then_some(*state),
            Doing::MaySwap(expected, value) if expected == state => Some(Some(*value)),
            Doing::MaySwap(..) => Some(*state),
        }
    }

    fn is_look(&self, call: &Doing) -> bool {
        matches!(call, Doing::Read(_) | Doing::NotSwapped(_))
    }

    fn need(&self, call: &Doing) -> Need<Option<u64>> {
        match call {
            Doing::Read(value) => Need::This(*value),
            Doing::Write(_) => Need::Nothing,
            Doing::Swapped(expected, _) | Doing::MaySwap(expected, _) => Need::This(*expected),
            Doing::NotSwapped(expected) => Need::AnyBut(*expected),
        }
    }

    fn loosen(&self, call: &Doing) -> Option<Doing> {
        match call {
            Doing::Read(_) | Doing::NotSwapped(_) => None,
            Doing::Write(value) => Some(Doing::Write(*value)),
            Doing::Swapped(expected, value) | Doing::MaySwap(expected, value) => {
                Some(Doing::MaySwap(*expected, *value))
            }
        }
    }

    fn states(&self, calls: &[&Doing]) -> Vec<Option<u64>> {
        let mut values = BTreeSet::from([None]);
        for call in calls {
            match call {
                Doing::Read(value) | Doing::NotSwapped(value) => values.extend([*value]),
                Doing::Write(value) => values.extend([Some(*value)]),
                Doing::Swapped(expected, value) | Doing::MaySwap(expected, value) => {
                    values.extend([*expected, Some(*value)]);
                }
            }
        }
        // And one that nobody speaks of.
        let other = (0..).map(Some).find(|value| !values.contains(value));
        values.extend(other);
        values.into_iter().collect()
    }

    /// Those that put there what somebody found there, or what such a one needed.
    fn helpful(&self, loose: Vec<Timed<Doing>>, kept: &[&Doing]) -> Vec<Timed<Doing>> {
        let mut wanted = BTreeSet::new();
        for call in kept {
            match call {
                Doing::Read(value) | Doing::Swapped(value, _) => {
                    wanted.insert(*value);
                }
                // Whatever else is there will do.
                Doing::NotSwapped(_) => return loose,
                Doing::Write(_) | Doing::MaySwap(..) => {}
            }
        }
        let mut from: BTreeMap<Option<u64>, Vec<Option<u64>>> = BTreeMap::new();
        for timed in &loose {
            if let Doing::MaySwap(expected, value) = timed.call {
                from.entry(Some(value)).or_default().push(expected);
            }
        }
        let mut new: Vec<_> = wanted.iter().copied().collect();
        while let Some(value) = new.pop() {
            let needed = from.get(&value).into_iter().flatten().copied();
            new.extend(needed.filter(|needed| wanted.insert(*needed)));
        }
        let puts = |call: &Doing| match call {
            Doing::Write(value) | Doing::MaySwap(_, value) => wanted.contains(&Some(*value)),
            _ => true,
        };
        loose.into_iter().filter(|timed| puts(&timed.call)).collect()
    }
}

/// Every read gives what the last write wrote.
#[must_use]
pub fn check(log: &Log) -> Vec<Violation> {
    let mut keys: BTreeMap<&str, (Vec<usize>, Vec<Timed<Doing>>)> = BTreeMap::new();
    for (place, entry) in log.entries.iter().enumerate() {
        let known = match entry.outcome {
            Outcome::Done => true,
            Outcome::Unknown => false,
            Outcome::Failed => continue,
        };
        let (key, call) = match &entry.call {
            Call::Read { key, value } if known => (key, Doing::Read(*value)),
            Call::Write { key, value } => (key, Doing::Write(*value)),
            Call::Swap {
                key,
                expected,
                value,
                swapped,
            } => {
                let call = match (known, swapped) {
                    (false, _) => Doing::MaySwap(*expected, *value),
                    (true, true) => Doing::Swapped(*expected, *value),
                    (true, false) => Doing::NotSwapped(*expected),
                };
                (key, call)
            }
            _ => continue,
        };
        let (places, calls) = keys.entry(key).or_default();
        places.push(place);
        calls.push(Timed {
            began: entry.began,
            ended: known.then_some(entry.ended),
            call,
        });
    }
    let wrong = keys.into_iter().filter_map(|(key, (places, mut calls))| {
        forget_what_nobody_asks_for(&mut calls);
        let failed = order::check(&Register, &calls).err()?;
        let what = format!("register {key}: whatever else happened, no order of these calls explains their answers");
        let shown = shrink(&Register, &calls, failed);
        Some(Violation::new(what, shown.into_iter().map(|call| places[call])))
    });
    wrong.collect()
}

/// Gives all values that no call found, or wanted to find, the same name: nothing tells them apart. Else each call of unknown outcome
/// that puts one there would be a history of its own for every call that found anything but what it looked for.
fn forget_what_nobody_asks_for(calls: &mut [Timed<Doing>]) {
    let asked: BTreeSet<u64> = calls
        .iter()
        .filter_map(|timed| match timed.call {
            Doing::Write(_) => None,
            Doing::Read(value) | Doing::NotSwapped(value) => value,
            Doing::Swapped(expected, _) | Doing::MaySwap(expected, _) => expected,
        })
        .collect();
    let nameless = (0..).find(|value| !asked.contains(value)).unwrap_or(u64::MAX);
    for timed in calls {
        if let Doing::Write(value) | Doing::Swapped(_, value) | Doing::MaySwap(_, value) = &mut timed.call
            && !asked.contains(value)
        {
            *value = nameless;
        }
    }
}
