//! The time, as those who lead one after the other show it.

use std::time::{Duration, Instant, SystemTime};

/// The clock of one leader: its machine's, but never behind what an earlier leader's showed.
///
/// Deadlines are times, and outlive the leader that set them: under a clock that is minutes behind they would come minutes late.
/// So every write in the log says when it was proposed, and a leader whose own clock is behind the latest of them goes on from
/// there, as in a hybrid logical clock. It then shows a tenth less than what passes, until it agrees with its machine again.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    ahead: Duration,
    from: Instant,
}

/// A tenth less.
const SLOWER: u32 = 10;

impl Time {
    /// Begins to lead: no time may be shown that is earlier than `latest`, in milliseconds of Unix time.
    pub(crate) fn from(latest: u64) -> Self {
        let latest = SystemTime::UNIX_EPOCH + Duration::from_millis(latest);
        let ahead = latest.duration_since(wall()).unwrap_or_default();
        let from = Instant::now();
        Self { ahead, from }
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        wall() + self.ahead_after(self.from.elapsed())
    }

    /// The same, in milliseconds of Unix time.
    pub(crate) fn now_millis(&self) -> u64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// How far it is before the machine's clock.
    fn ahead_after(&self, passed: Duration) -> Duration {
        self.ahead.saturating_sub(passed / SLOWER)
    }
}

#[allow(clippy::disallowed_methods)] // the one place that reads the clock
fn wall() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn millis(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
    }

    #[test]
    fn a_leader_with_a_late_clock_goes_on_from_the_time_of_the_one_before() {
        let before = millis(wall() + 5 * MINUTE);
        let time = Time::from(before);
        assert!(time.now_millis() >= before);
        assert!(time.now() < wall() + 5 * MINUTE);
        // The same without waiting for it.
        assert_eq!(time.ahead_after(9 * MINUTE).as_secs(), time.ahead.as_secs() - 54);
        assert_eq!(time.ahead_after(60 * MINUTE), Duration::ZERO);
    }

    #[test]
    fn a_leader_whose_clock_is_not_behind_shows_its_own() {
        for before in [0, millis(wall() - MINUTE)] {
            let time = Time::from(before);
            assert_eq!(time.ahead, Duration::ZERO);
            assert!(time.now() <= wall());
        }
    }
}
