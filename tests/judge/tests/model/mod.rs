//! Logs as a server without faults would leave them: each call takes effect at one moment.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;

use helve_judge::{Call, Entry, Log, Outcome};

/// Numbers that are the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

/// A call that somebody makes, and the moment at which it takes effect; none: never.
struct Planned {
    client: u32,
    began: u64,
    ended: u64,
    effect: Option<u64>,
    outcome: Outcome,
}

/// When so many clients make so many calls. One in twenty is not answered, and one in twenty refused.
fn plan(dice: &mut Dice, clients: u32, calls: usize) -> Vec<Planned> {
    let mut free: Vec<u64> = (0..clients).map(|client| u64::from(client) * 3).collect();
    let mut planned = Vec::new();
    for _ in 0..calls {
        let client = dice.below(u64::from(clients)) as usize;
        let began = free[client] + dice.below(20);
        let at = began + dice.below(50);
        let ended = at + dice.below(50);
        free[client] = ended + 1;
        let (outcome, effect) = match dice.below(40) {
            0 => (Outcome::Unknown, None),
            1 => (Outcome::Unknown, Some(at + dice.below(5_000))),
            2 | 3 => (Outcome::Failed, None),
            _ => (Outcome::Done, Some(at)),
        };
        planned.push(Planned {
            client: client as u32,
            began,
            ended,
            effect,
            outcome,
        });
    }
    planned
}

/// Calls on so many registers.
pub(crate) fn registers(dice: &mut Dice, clients: u32, calls: usize, keys: u64) -> Log {
    let mut planned = plan(dice, clients, calls);
    planned.sort_by_key(|call| (call.effect.unwrap_or(call.began), call.client));
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let mut entries = Vec::new();
    for (number, planned) in planned.into_iter().enumerate() {
        let key = format!("k{}", dice.below(keys));
        // Many values are written once, some over and over.
        let value = match dice.below(4) {
            0 => dice.below(3),
            _ => 100 + number as u64,
        };
        let there = held.get(&key).copied();
        let call = match dice.below(4) {
            0 => Call::Write {
                key: key.clone(),
                value,
            },
            1 => {
                let expected = match dice.below(3) {
                    0 => Some(dice.below(3)),
                    _ => there,
                };
                Call::Swap {
                    key: key.clone(),
                    expected,
                    value,
                    swapped: expected == there,
                }
            }
            _ => Call::Read {
                key: key.clone(),
                value: there,
            },
        };
        let writes = match &call {
            Call::Write { .. } => true,
            Call::Swap { swapped, .. } => *swapped,
            _ => false,
        };
        if writes && planned.effect.is_some() {
            held.insert(key, value);
        }
        entries.push(Entry {
            client: planned.client,
            began: planned.began,
            ended: planned.ended,
            outcome: planned.outcome,
            call,
        });
    }
    shuffle(dice, &mut entries);
    Log { entries }
}

#[derive(Clone, Default)]
struct Held {
    claim: Option<(String, u64)>,
    completed: Option<String>,
}

/// Calls on so many jobs, whose leases last for 100.
pub(crate) fn jobs(dice: &mut Dice, clients: u32, calls: usize, keys: u64) -> Log {
    const LEASE: u64 = 100;
    let mut planned = plan(dice, clients, calls);
    planned.sort_by_key(|call| (call.effect.unwrap_or(call.began), call.client));
    let mut known: BTreeMap<String, Held> = BTreeMap::new();
    let mut claims: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut number = 0;
    for planned in planned {
        number += 1;
        let key = format!("j{}", dice.below(keys));
        let now = planned.effect.unwrap_or(0);
        let happens = planned.effect.is_some();
        let mine = claims.entry(planned.client).or_default();
        let had = mine.get(dice.below(mine.len().max(1) as u64) as usize).cloned();
        let call = match (dice.below(8), had) {
            (0, _) => {
                if happens {
                    known.entry(key.clone()).or_default();
                }
                let job = Some(format!("id-{key}"));
                Call::Publish { key, job }
            }
            (1 | 2, _) => {
                let free = known.get_mut(&key).filter(|held| {
                    held.completed.is_none() && held.claim.as_ref().is_none_or(|(_, until)| *until <= now)
                });
                let Some(held) = free.filter(|_| happens) else { continue };
                let claim = format!("c{number}");
                held.claim = Some((claim.clone(), now + LEASE));
                // A claim that was not answered is no claim that anybody knows of.
                if planned.outcome != Outcome::Done {
                    continue;
                }
                mine.push((key.clone(), claim.clone()));
                let job = format!("id-{key}");
                Call::Claim {
                    key,
                    job,
                    claim,
                    lease: LEASE,
                }
            }
            (what @ 3..=6, Some((key, claim))) => {
                let held = known.get_mut(&key).expect("it was claimed");
                let repeated = held.completed.as_ref() == Some(&claim);
                let good = held.completed.is_none()
                    && held
                        .claim
                        .as_ref()
                        .is_some_and(|(holder, until)| *holder == claim && *until > now);
                match what {
                    3 => {
                        if happens && good {
                            held.claim = Some((claim.clone(), now + LEASE));
                        }
                        Call::Keep {
                            key,
                            claim,
                            lease: LEASE,
                            lost: !good,
                        }
                    }
                    4 => {
                        if happens && good {
                            held.claim = None;
                        }
                        Call::Release {
                            key,
                            claim,
                            lost: !good,
                        }
                    }
                    _ => {
                        if happens && good {
                            held.completed = Some(claim.clone());
                        }
                        let lost = !good && !repeated;
                        Call::Complete { key, claim, lost }
                    }
                }
            }
            _ => {
                let held = known.get(&key);
                let completed = held.is_some_and(|held| held.completed.is_some());
                let there = held.is_some();
                Call::Look { key, there, completed }
            }
        };
        entries.push(Entry {
            client: planned.client,
            began: planned.began,
            ended: planned.ended,
            outcome: planned.outcome,
            call,
        });
    }
    shuffle(dice, &mut entries);
    Log { entries }
}

/// The order of a log means nothing.
fn shuffle(dice: &mut Dice, entries: &mut [Entry]) {
    for place in (1..entries.len()).rev() {
        entries.swap(place, dice.below(place as u64 + 1) as usize);
    }
}
