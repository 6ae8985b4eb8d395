//! Rate limits: how many tasks may leave a queue, or one fairness key of it, per second.
//!
//! A bucket is one point in time, before which nothing may leave. It is driven by the time it is told, so a limit costs
//! no timer of its own.

use std::{collections::BTreeMap, sync::Arc};

use helve_history::Timestamp;

use super::rank::Weight;

/// A bucket that was left alone holds this much: one second's worth, as on Temporal.
const BURST_NANOS: i64 = 1_000_000_000;
/// Fairness keys whose buckets are remembered. With more, those that are full again soonest are forgotten.
const MAX_KEYS: usize = 10_000;

/// How fast tasks may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Limit {
    #[default]
    None,
    /// One task per so many nanoseconds.
    Spacing(i64),
    /// Not at all.
    Paused,
}

impl Limit {
    /// From tasks per second; zero or less pauses, not a number is no limit.
    pub(super) fn per_second(rate: Option<f64>) -> Self {
        match rate {
            None => Limit::None,
            Some(rate) if rate.is_nan() => Limit::None,
            Some(rate) if rate <= 1e-9 => Limit::Paused,
            Some(rate) => match (1e9 / rate) as i64 {
                0 => Limit::None,
                nanos => Limit::Spacing(nanos),
            },
        }
    }

    /// The same limit for a key that is worth `weight` of the usual ones.
    fn scaled(self, weight: Weight) -> Self {
        match self {
            Limit::Spacing(nanos) => match (nanos as f64 / f64::from(weight.get())) as i64 {
                0 => Limit::None,
                nanos => Limit::Spacing(nanos),
            },
            other => other,
        }
    }
}

/// What was taken lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bucket {
    /// Nothing may leave before.
    ready: i64,
}

impl Bucket {
    /// When the next task may leave, if not `now`.
    pub(super) fn wait(self, limit: Limit, now: Timestamp) -> Option<Timestamp> {
        match limit {
            Limit::None => None,
            Limit::Paused => Some(Timestamp::MAX),
            Limit::Spacing(_) => (self.ready > now.as_nanos()).then(|| Timestamp::from_nanos(self.ready)),
        }
    }

    pub(super) fn take(&mut self, limit: Limit, now: Timestamp) {
        if let Limit::Spacing(nanos) = limit {
            let saved = (BURST_NANOS - nanos).max(0);
            self.ready = self.ready.max(now.as_nanos() - saved).saturating_add(nanos);
        }
    }

    /// What was taken was not used.
    fn give_back(&mut self, limit: Limit) {
        if let Limit::Spacing(nanos) = limit {
            self.ready = self.ready.saturating_sub(nanos);
        }
    }

    /// After the limit changed: what a slower one made wait need not wait for longer than the new one wants.
    fn clip(&mut self, limit: Limit, now: Timestamp) {
        if let Limit::Spacing(nanos) = limit {
            self.ready = self.ready.min(now.as_nanos().saturating_add(nanos));
        }
    }
}

/// The limit of a whole queue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Throttle {
    limit: Limit,
    bucket: Bucket,
}

impl Throttle {
    pub(super) fn set(&mut self, limit: Limit, now: Timestamp) {
        if self.limit != limit {
            self.limit = limit;
            self.bucket.clip(limit, now);
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limit != Limit::None
    }

    pub(super) fn wait(&self, now: Timestamp) -> Option<Timestamp> {
        self.bucket.wait(self.limit, now)
    }

    pub(super) fn take(&mut self, now: Timestamp) {
        self.bucket.take(self.limit, now);
    }

    /// What was taken was not used.
    pub(super) fn give_back(&mut self) {
        self.bucket.give_back(self.limit);
    }
}

/// The limit of each fairness key of a queue.
#[derive(Debug, Default)]
pub(super) struct KeyThrottle {
    limit: Limit,
    buckets: BTreeMap<Arc<str>, Bucket>,
}

impl KeyThrottle {
    /// `true` if the limit is another one now.
    pub(super) fn set(&mut self, limit: Limit, now: Timestamp) -> bool {
        if self.limit == limit {
            return false;
        }
        self.limit = limit;
        match limit {
            Limit::None => self.buckets.clear(),
            _ => self.buckets.values_mut().for_each(|bucket| bucket.clip(limit, now)),
        }
        true
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limit != Limit::None
    }

    pub(super) fn wait(&self, key: &str, weight: Weight, now: Timestamp) -> Option<Timestamp> {
        let bucket = self.buckets.get(key).copied().unwrap_or_default();
        bucket.wait(self.limit.scaled(weight), now)
    }

    pub(super) fn take(&mut self, key: &Arc<str>, weight: Weight, now: Timestamp) {
        let limit = self.limit.scaled(weight);
        if limit == Limit::None {
            return;
        }
        if self.buckets.len() >= MAX_KEYS && !self.buckets.contains_key(key) {
            self.forget(now);
        }
        self.buckets.entry(key.clone()).or_default().take(limit, now);
    }

    /// Makes room: full buckets are as good as new ones; if there are few of them, those that are full soonest go.
    fn forget(&mut self, now: Timestamp) {
        let full = now.as_nanos() - BURST_NANOS;
        self.buckets.retain(|_, bucket| bucket.ready > full);
        if self.buckets.len() > MAX_KEYS / 2 {
            let mut ready: Vec<i64> = self.buckets.values().map(|bucket| bucket.ready).collect();
            let middle = ready.len() / 2;
            let (_, median, _) = ready.select_nth_unstable(middle);
            let median = *median;
            self.buckets.retain(|_, bucket| bucket.ready > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    /// How many tasks leave within `seconds` if one is always there.
    fn count(limit: Limit, seconds: u64) -> usize {
        let (mut bucket, end, mut now, mut taken) = (Bucket::default(), NOW + Duration::from_secs(seconds), NOW, 0);
        while now < end {
            match bucket.wait(limit, now) {
                Some(at) => now = at,
                None => {
                    bucket.take(limit, now);
                    taken += 1;
                }
            }
        }
        taken
    }

    #[test]
    fn a_rate_is_kept_after_a_burst_of_one_second() {
        // 10 in the first instant, then one every tenth of a second.
        assert_eq!(count(Limit::per_second(Some(10.0)), 10), 10 + 99);
        // Slower than one per second: no burst.
        assert_eq!(count(Limit::per_second(Some(0.5)), 10), 5);
    }

    #[test]
    fn zero_pauses_and_nonsense_does_not_limit() {
        assert_eq!(Limit::per_second(Some(0.0)), Limit::Paused);
        assert_eq!(Limit::per_second(Some(-3.0)), Limit::Paused);
        assert_eq!(Limit::per_second(Some(f64::NEG_INFINITY)), Limit::Paused);
        assert_eq!(Limit::per_second(Some(f64::INFINITY)), Limit::None);
        assert_eq!(Limit::per_second(Some(f64::NAN)), Limit::None);
        assert_eq!(Limit::per_second(None), Limit::None);
    }

    #[test]
    fn a_faster_limit_takes_effect_at_once() {
        let mut throttle = Throttle::default();
        throttle.set(Limit::per_second(Some(0.001)), NOW);
        throttle.take(NOW);
        throttle.take(NOW);
        assert!(throttle.wait(NOW).is_some_and(|at| at > NOW + Duration::from_secs(900)));
        throttle.set(Limit::per_second(Some(10.0)), NOW);
        assert!(
            throttle
                .wait(NOW)
                .is_some_and(|at| at <= NOW + Duration::from_millis(100))
        );
    }

    #[test]
    fn buckets_of_keys_are_bounded() {
        let mut keys = KeyThrottle::default();
        keys.set(Limit::per_second(Some(0.001)), NOW);
        for n in 0..3 * MAX_KEYS {
            keys.take(
                &format!("k{n}").into(),
                Weight::ONE,
                NOW + Duration::from_nanos(n as u64),
            );
        }
        assert!(keys.buckets.len() <= MAX_KEYS);
    }
}
