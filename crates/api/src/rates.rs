//! How often somebody may ask: a bucket of tokens for each, that fills at a steady rate.
//!
//! Whoever is known has a bucket of their own, wherever they ask from: behind a proxy all come from one address. Who is not known
//! shares that of the address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use helve_ledger::{Principal, Via};

use crate::problem::{Problem, Result};

/// Buckets that are remembered. A full one need not be.
const BUCKETS: usize = 20_000;
/// After a time without requests, so many seconds' worth of them may come at once.
const BURST_SECONDS: u32 = 10;
/// A job of the queue is many small requests: they have a bucket of their own, which is so much larger.
const JOBS: u32 = 50;

/// Who asks, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Known { by: String, jobs: bool },
    Stranger(IpAddr),
}

/// Who asked how often.
#[derive(Debug)]
pub(crate) struct Rates {
    /// 0: any number.
    per_second: u32,
    buckets: Mutex<Buckets<Who>>,
}

impl Rates {
    /// The stream of a run's events is one request, and so is each part of an upload.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            buckets: Mutex::new(Buckets::new(BUCKETS)),
        }
    }

    /// Counts a request of somebody who is known.
    pub(crate) fn known(&self, who: &Principal, path: &str) -> Result<()> {
        let jobs = path.starts_with("/api/v1/queue/") || path.starts_with("/api/v1/jobs/");
        let by = match &who.actor.via {
            Via::System => String::new(),
            Via::Token(id) => format!("token {id}"),
            Via::Session(id) => format!("session {id}"),
        };
        let times = if jobs { JOBS } else { 1 };
        self.count(Who::Known { by, jobs }, times)
    }

    /// Counts a request of somebody who is not.
    pub(crate) fn stranger(&self, address: IpAddr) -> Result<()> {
        // Who has one address of version 6 has as many as they like of its network.
        let address = match address.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip => ip,
        };
        self.count(Who::Stranger(address), 1)
    }

    fn count(&self, who: Who, times: u32) -> Result<()> {
        let per_second = self.per_second.saturating_mul(times);
        if per_second == 0 {
            return Ok(());
        }
        let bucket = Bucket {
            every: Duration::from_secs(1) / per_second,
            burst: per_second.saturating_mul(BURST_SECONDS),
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(who, bucket, Instant::now()).map_err(|wait| {
            Problem::too_many(
                format!("more requests than the {per_second} in a second that one token may make: ask less often"),
                wait.as_secs().saturating_add(1),
            )
        })
    }
}

/// How a bucket fills.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    every: Duration,
    burst: u32,
}

/// When each bucket will be full again: that is all there is to know of one.
#[derive(Debug)]
struct Buckets<K> {
    most: usize,
    full_at: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(most: usize) -> Self {
        Self {
            most,
            full_at: HashMap::new(),
        }
    }

    /// Takes one out; or says how long until there is one.
    fn take(&mut self, key: K, bucket: Bucket, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now) + bucket.every;
        let whole = bucket.every * bucket.burst;
        if let Some(wait) = full_at
            .checked_duration_since(now + whole)
            .filter(|wait| !wait.is_zero())
        {
            return Err(wait);
        }
        if self.full_at.len() >= self.most && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            // Forgetting all of them lets each ask once more; refusing whoever is new would let one shut out the others.
            if self.full_at.len() >= self.most {
                self.full_at.clear();
            }
        }
        self.full_at.insert(key, full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Bucket = Bucket {
        every: Duration::from_millis(100),
        burst: 3,
    };

    #[test]
    fn a_burst_passes_and_what_comes_after_it_waits_for_its_turn() {
        let mut buckets = Buckets::new(10);
        let start = Instant::now();
        for _ in 0..3 {
            buckets.take("a", TEN, start).unwrap();
        }
        assert_eq!(buckets.take("a", TEN, start), Err(Duration::from_millis(100)));
        buckets.take("b", TEN, start).unwrap();
        let later = start + Duration::from_millis(100);
        buckets.take("a", TEN, later).unwrap();
        assert!(
            buckets.take("a", TEN, later).is_err(),
            "what was refused costs nothing, and gains nothing"
        );
        let much_later = start + Duration::from_secs(60);
        for _ in 0..3 {
            buckets.take("a", TEN, much_later).unwrap();
        }
        assert!(
            buckets.take("a", TEN, much_later).is_err(),
            "a bucket holds no more than a burst"
        );
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let mut buckets = Buckets::new(100);
        let start = Instant::now();
        for key in 0..1000 {
            buckets.take(key, TEN, start).unwrap();
            assert!(buckets.full_at.len() <= 100);
        }
    }

    #[test]
    fn a_network_of_version_6_is_one_stranger_and_none_at_all_is_no_limit() {
        let rates = Rates::new(1);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..BURST_SECONDS {
            rates.stranger(at("2001:db8::1")).unwrap();
            rates.stranger(at("192.0.2.1")).unwrap();
        }
        let problem = rates.stranger(at("2001:db8::2")).unwrap_err();
        assert_eq!(problem.status, 429);
        assert!(problem.retry_after.is_some_and(|seconds| seconds >= 1));
        rates.stranger(at("2001:db8:0:1::1")).unwrap();
        assert!(rates.stranger(at("::ffff:192.0.2.1")).is_err(), "the same address");
        let free = Rates::new(0);
        for _ in 0..1000 {
            free.stranger(at("192.0.2.1")).unwrap();
        }
    }
}
