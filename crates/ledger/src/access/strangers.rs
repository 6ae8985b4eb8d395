//! Who presents wrong tokens: an address that does so too often is not listened to for a while.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong tokens that an address may present within [`Strangers::WITHIN`].
const MOST: u32 = 30;
/// Addresses that are remembered; beyond that those whose time is over are forgotten.
const ADDRESSES: usize = 10_000;

/// Wrong tokens by address, lately. In memory only: a restart forgives.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<HashMap<IpAddr, Strikes>>);

#[derive(Debug)]
struct Strikes {
    since: Instant,
    count: u32,
}

impl Strangers {
    /// For how long wrong tokens are counted, and how long an address that had too many waits at most.
    pub const WITHIN: Duration = Duration::from_secs(60);

    /// Whether the address has to wait.
    pub fn has_to_wait(&self, address: IpAddr) -> bool {
        let strangers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        strangers
            .get(&address)
            .is_some_and(|strikes| strikes.count >= MOST && strikes.since.elapsed() < Self::WITHIN)
    }

    /// The address presented a wrong token.
    pub fn strike(&self, address: IpAddr) {
        let mut strangers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if strangers.len() >= ADDRESSES {
            strangers.retain(|_, strikes| strikes.since.elapsed() < Self::WITHIN);
        }
        let strikes = strangers.entry(address).or_insert_with(|| Strikes {
            since: Instant::now(),
            count: 0,
        });
        if strikes.since.elapsed() >= Self::WITHIN {
            *strikes = Strikes {
                since: Instant::now(),
                count: 0,
            };
        }
        strikes.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_wrong_too_often_waits_and_others_do_not() {
        let strangers = Strangers::default();
        let (wrong, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        for _ in 0..MOST {
            assert!(!strangers.has_to_wait(wrong));
            strangers.strike(wrong);
        }
        assert!(strangers.has_to_wait(wrong));
        assert!(!strangers.has_to_wait(other));
    }
}
