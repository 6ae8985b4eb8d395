//! How often somebody may ask: a bucket of tokens for each, that fills at a steady rate.
//!
//! Whoever is known has a bucket of their own, wherever they ask from and in however many sessions: behind a proxy all come from
//! one address. Who is not known shares that of the address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::access::{Holder, Principal};

/// Buckets that are remembered. A full one need not be.
const BUCKETS: usize = 20_000;
/// After a time without requests, so many seconds' worth of them may come at once.
const BURST_SECONDS: u32 = 10;
/// A job of the queue is many small requests, and so is a run over gRPC: they have a bucket of their own, which is so much larger.
const CALLS: u32 = 50;

/// What is asked: each has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// What people and their programs ask.
    Request,
    /// One of the many that workers make: about jobs of the queue, over gRPC.
    Call,
}

/// Somebody asked more often than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more requests than the {per_second} in a second that one token may make: ask less often")]
pub struct TooOften {
    /// How often they may, in the long run.
    pub per_second: u32,
    /// When they may ask again.
    pub wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Known(Holder, Asked),
    Stranger(IpAddr),
}

/// Who asked how often.
#[derive(Debug)]
pub struct Rates {
    /// 0: any number.
    per_second: u32,
    buckets: Mutex<Buckets<Who>>,
}

impl Rates {
    /// So many requests in a second may each make in the long run, and ten times as many at once; of calls, fifty times as many.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            buckets: Mutex::new(Buckets::new(BUCKETS)),
        }
    }

    /// Counts a request of somebody who is known.
    pub fn known(&self, who: &Principal, asked: Asked) -> Result<(), TooOften> {
        let times = match asked {
            Asked::Request => 1,
            Asked::Call => CALLS,
        };
        self.count(Who::Known(who.holder.clone(), asked), times)
    }

    /// Counts a request of somebody who is not.
    pub fn stranger(&self, address: IpAddr) -> Result<(), TooOften> {
        // Who has one address of version 6 has as many as they like of its network.
        let address = match address.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip => ip,
        };
        self.count(Who::Stranger(address), 1)
    }

    fn count(&self, who: Who, times: u32) -> Result<(), TooOften> {
        let per_second = self.per_second.saturating_mul(times);
        if per_second == 0 {
            return Ok(());
        }
        let bucket = Bucket {
            every: Duration::from_secs(1) / per_second,
            burst: per_second.saturating_mul(BURST_SECONDS),
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = buckets.take(who, bucket, Instant::now());
        taken.map_err(|wait| TooOften { per_second, wait })
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
        let too_often = rates.stranger(at("2001:db8::2")).unwrap_err();
        assert!(!too_often.wait.is_zero(), "{too_often}");
        rates.stranger(at("2001:db8:0:1::1")).unwrap();
        assert!(rates.stranger(at("::ffff:192.0.2.1")).is_err(), "the same address");
        let free = Rates::new(0);
        let who = Principal::system("test");
        for _ in 0..1000 {
            free.stranger(at("192.0.2.1")).unwrap();
            free.known(&who, Asked::Request).unwrap();
        }
    }
    #[test]
    fn calls_are_counted_apart_and_may_be_many_more() {
        let rates = Rates::new(1);
        let who = Principal::system("test");
        let most = |asked| (0..).find(|_| rates.known(&who, asked).is_err()).unwrap();
        let (requests, calls) = (most(Asked::Request), most(Asked::Call));
        assert_eq!(requests, BURST_SECONDS);
        // While they were made the bucket went on to fill.
        assert!(calls >= CALLS * BURST_SECONDS, "{calls}");
    }
}
