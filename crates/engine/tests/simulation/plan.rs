//! What a seed makes of its world: how many of everybody, and which faults how often.
//!
//! Every seed draws its own mixture, and leaves some faults out: a world in which everything fails all the time gets
//! nowhere interesting.

use std::time::Duration;

use crate::rng::Rng;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workers: u64,
    pub(crate) sticky: bool,
    pub(crate) workflows: u64,
    pub(crate) largest_program: u64,
    /// How long things go wrong.
    pub(crate) chaos: Duration,
    /// The longest time between two crashes or restarts that have nothing to do with a commit. 0 for none.
    pub(crate) crashes: u64,
    pub(crate) network: Network,
    pub(crate) disk: Disk,
    pub(crate) worker: Worker,
    pub(crate) features: Features,
    pub(crate) closed_runs_in_memory: usize,
    pub(crate) open_bytes_in_memory: u64,
    pub(crate) page_events: usize,
}

/// Chances of a hundred, except for the longest delay in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) request_lost: u32,
    pub(crate) answer_lost: u32,
    pub(crate) duplicated: u32,
    pub(crate) delay: u64,
}

/// Chances of a hundred, except for the longest latency in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) io: u32,
    pub(crate) io_unknown: u32,
    pub(crate) full: u32,
    pub(crate) crash_before: u32,
    pub(crate) crash_after: u32,
    pub(crate) slowness: u64,
}

/// Chances of a hundred that a task ends like this.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    pub(crate) vanishes: u32,
    pub(crate) late: u32,
    pub(crate) twice: u32,
    pub(crate) fails: u32,
    pub(crate) talks_nonsense: u32,
}

/// What is used besides workflows, signals and queries.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) updates: bool,
    pub(crate) resets: bool,
    pub(crate) deletions: bool,
    /// What operators do to activities.
    pub(crate) operations: bool,
    pub(crate) cron: bool,
    /// Clients of standalone activities, owners of schedules, and those who ask for batch operations.
    pub(crate) activities: u64,
    pub(crate) schedules: u64,
    pub(crate) batches: u64,
    /// Whether the world ends with growing old.
    pub(crate) retention: bool,
}

impl Plan {
    /// The plan of a seed's world.
    pub(crate) fn of(seed: u64) -> Plan {
        Plan::draw(&mut Rng::new(seed))
    }

    /// The same without anything that goes wrong.
    pub(crate) fn without_faults(self) -> Plan {
        Plan {
            crashes: 0,
            network: Network {
                delay: self.network.delay,
                ..Network::default()
            },
            disk: Disk {
                slowness: self.disk.slowness,
                ..Disk::default()
            },
            worker: Worker::default(),
            ..self
        }
    }

    pub(crate) fn draw(rng: &mut Rng) -> Plan {
        let rng = &mut rng.fork();
        Plan {
            workers: rng.within(1, 3),
            sticky: rng.percent(60),
            workflows: rng.within(1, 4),
            largest_program: rng.within(2, 5),
            chaos: Duration::from_secs(rng.within(5, 45)),
            crashes: sometimes(rng, 40) as u64,
            network: Network {
                request_lost: sometimes(rng, 10),
                answer_lost: sometimes(rng, 10),
                duplicated: sometimes(rng, 10),
                delay: one_of(rng, &[0, 5, 50, 500, 3000]),
            },
            disk: Disk {
                io: sometimes(rng, 5),
                io_unknown: sometimes(rng, 5),
                full: sometimes(rng, 3),
                crash_before: sometimes(rng, 5),
                crash_after: sometimes(rng, 15),
                slowness: one_of(rng, &[0, 2, 20, 200, 4000]),
            },
            worker: Worker {
                vanishes: sometimes(rng, 10),
                late: sometimes(rng, 10),
                twice: sometimes(rng, 15),
                fails: sometimes(rng, 10),
                talks_nonsense: sometimes(rng, 8),
            },
            features: Features {
                updates: rng.percent(50),
                resets: rng.percent(40),
                deletions: rng.percent(25),
                operations: rng.percent(40),
                cron: rng.percent(25),
                activities: one_of(rng, &[0, 0, 1, 2]),
                schedules: one_of(rng, &[0, 0, 1, 2]),
                batches: one_of(rng, &[0, 0, 1]),
                retention: rng.percent(20),
            },
            closed_runs_in_memory: one_of(rng, &[1, 3, 1000]),
            open_bytes_in_memory: one_of(rng, &[0, 8 << 10, 64 << 20]),
            page_events: one_of(rng, &[3, 10, 256]),
        }
    }
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize]
}

/// Never in half of the worlds.
fn sometimes(rng: &mut Rng, most: u32) -> u32 {
    if rng.percent(50) {
        0
    } else {
        rng.within(1, u64::from(most)) as u32
    }
}
