//! What is counted.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Only ever grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Some more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// This is how it is now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// More, or less.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// One more for as long as the guard lives.
    pub fn hold(&self) -> impl Drop + use<'_> {
        struct Held<'a>(&'a Gauge);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.add(-1);
            }
        }
        self.add(1);
        Held(self)
    }

    /// How it is now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the numbers of a histogram are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, which are written as seconds.
    Nanoseconds,
    /// Things, or bytes.
    One,
}

impl Unit {
    pub(crate) fn written(self, value: u64) -> f64 {
        match self {
            Unit::Nanoseconds => value as f64 / 1e9,
            Unit::One => value as f64,
        }
    }
}

/// Upper bounds of the buckets of a histogram, ascending, and their unit.
pub type Bounds = (&'static [u64], Unit);

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// From what memory takes to what a bad disk takes.
pub const SECONDS: Bounds = (
    &[
        100 * MICRO,
        250 * MICRO,
        500 * MICRO,
        MILLI,
        2_500 * MICRO,
        5 * MILLI,
        10 * MILLI,
        25 * MILLI,
        50 * MILLI,
        100 * MILLI,
        250 * MILLI,
        500 * MILLI,
        SECOND,
        2_500 * MILLI,
        10 * SECOND,
    ],
    Unit::Nanoseconds,
);
/// What people, tools and queues take.
pub const LONG_SECONDS: Bounds = (
    &[
        MILLI,
        5 * MILLI,
        25 * MILLI,
        100 * MILLI,
        500 * MILLI,
        SECOND,
        5 * SECOND,
        15 * SECOND,
        60 * SECOND,
        300 * SECOND,
        900 * SECOND,
        3_600 * SECOND,
        14_400 * SECOND,
    ],
    Unit::Nanoseconds,
);
/// Things that are done together.
pub const BATCHES: Bounds = (&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], Unit::One);
/// Sizes.
pub const BYTES: Bounds = (
    &[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20],
    Unit::One,
);

/// How many are how large.
#[derive(Debug)]
pub struct Histogram {
    bounds: Bounds,
    /// One for each bound, and one for what is beyond all of them. Not cumulative.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.0.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// One of this size.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.0.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// One that took this long; for histograms of nanoseconds.
    pub fn took(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Upper bounds as they are written, each with how many were not larger; then all, and their sum.
    pub(crate) fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let (bounds, unit) = self.bounds;
        let mut seen = 0;
        let below = bounds.iter().zip(&self.buckets).map(|(bound, bucket)| {
            seen += bucket.load(Ordering::Relaxed);
            (unit.written(*bound), seen)
        });
        let below: Vec<_> = below.collect();
        let beyond = self.buckets[bounds.len()].load(Ordering::Relaxed);
        let sum = unit.written(self.sum.load(Ordering::Relaxed));
        (below, seen + beyond, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exactly_a_bound_is_below_it() {
        let histogram = Histogram::new(BATCHES);
        for value in [0, 1, 2, 3, 1024, 1025] {
            histogram.observe(value);
        }
        let (below, all, sum) = histogram.read();
        assert_eq!(below[..3], [(1.0, 2), (2.0, 3), (4.0, 4)]);
        assert_eq!(below.last(), Some(&(1024.0, 5)));
        assert_eq!((all, sum, histogram.count()), (6, 2055.0, 6));
    }

    #[test]
    fn times_are_written_in_seconds() {
        let histogram = Histogram::new(SECONDS);
        histogram.took(Duration::from_millis(250));
        histogram.took(Duration::from_secs(3));
        let (below, all, sum) = histogram.read();
        assert!(below.contains(&(0.25, 1)), "{below:?}");
        assert_eq!((all, sum), (2, 3.25));
    }

    #[test]
    fn all_bounds_ascend() {
        for (bounds, _) in [SECONDS, LONG_SECONDS, BATCHES, BYTES] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }

    #[test]
    fn a_gauge_is_held_for_as_long_as_its_guard_lives() {
        let gauge = Gauge::default();
        let first = gauge.hold();
        {
            let _second = gauge.hold();
            assert_eq!(gauge.get(), 2);
        }
        drop(first);
        assert_eq!(gauge.get(), 0);
    }
}
