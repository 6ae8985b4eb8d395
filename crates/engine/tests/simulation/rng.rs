//! All chance of a world comes from here.

use std::{sync::Mutex, time::Duration};

use helve_engine::Ids;
use uuid::Uuid;

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// A generator of its own, so that one part's use of chance does not change another's.
    pub(crate) fn fork(&mut self) -> Self {
        Rng(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// One of `from..=to`.
    pub(crate) fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < u64::from(chance)
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.within(from, to))
    }
}

/// Ids of the engine: each greater than the one before, and the same in every run of a seed.
pub(crate) struct SeededIds(Mutex<(u64, Rng)>);

impl SeededIds {
    pub(crate) fn new(rng: Rng) -> Self {
        SeededIds(Mutex::new((0, rng)))
    }
}

impl Ids for SeededIds {
    fn fresh(&self) -> Uuid {
        let (count, rng) = &mut *self.0.lock().unwrap();
        *count += 1;
        Uuid::from_u64_pair(*count, rng.next())
    }
}
