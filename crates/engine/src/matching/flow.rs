//! How many tasks come to a queue and leave it, lately.

use std::{collections::BTreeMap, time::Duration};

use helve_history::Timestamp;

/// Rates are over this many seconds.
const WINDOW: usize = 30;

/// Counts of events per second.
#[derive(Debug, Clone)]
struct Window {
    counts: [u32; WINDOW],
    /// The second of the latest count.
    second: i64,
    since: i64,
}

impl Window {
    fn new(second: i64) -> Self {
        Window {
            counts: [0; WINDOW],
            second,
            since: second,
        }
    }

    fn slot(second: i64) -> usize {
        second.rem_euclid(WINDOW as i64) as usize
    }

    fn advance(&mut self, second: i64) {
        let passed = second.saturating_sub(self.second).clamp(0, WINDOW as i64);
        for step in 1..=passed {
            self.counts[Self::slot(second - passed + step)] = 0;
        }
        self.second = self.second.max(second);
    }

    fn count(&mut self, second: i64) {
        self.advance(second);
        let slot = &mut self.counts[Self::slot(self.second)];
        *slot = slot.saturating_add(1);
    }

    /// Takes the latest event back.
    fn uncount(&mut self, second: i64) {
        self.advance(second);
        let latest = (0..WINDOW as i64).map(|back| Self::slot(self.second - back));
        if let Some(slot) = latest.into_iter().find(|slot| self.counts[*slot] > 0) {
            self.counts[slot] -= 1;
        }
    }

    /// Per second, over the window or the time since the first event if that is shorter.
    fn rate(&self, second: i64) -> f32 {
        let mut at = self.clone();
        at.advance(second);
        let total: u64 = at.counts.iter().map(|count| u64::from(*count)).sum();
        let seconds = (second.saturating_sub(self.since) + 1).clamp(1, WINDOW as i64);
        total as f32 / seconds as f32
    }
}

/// What comes and goes, by priority.
#[derive(Debug, Default)]
pub(super) struct Flow {
    added: BTreeMap<u8, Window>,
    dispatched: BTreeMap<u8, Window>,
}

impl Flow {
    pub(super) fn added(&mut self, level: u8, now: Timestamp) {
        count(&mut self.added, level, now);
    }

    pub(super) fn dispatched(&mut self, level: u8, now: Timestamp) {
        count(&mut self.dispatched, level, now);
    }

    /// A task that left is there again.
    pub(super) fn returned(&mut self, level: u8, now: Timestamp) {
        if let Some(window) = self.dispatched.get_mut(&level) {
            window.uncount(now.as_seconds());
        }
    }

    /// Levels on which anything happened since the queue is known.
    pub(super) fn levels(&self) -> impl Iterator<Item = u8> {
        self.added.keys().copied()
    }

    /// Tasks per second that came to a level, and that left it.
    pub(super) fn rates(&self, level: u8, now: Timestamp) -> (f32, f32) {
        let rate = |windows: &BTreeMap<u8, Window>| windows.get(&level).map_or(0.0, |w| w.rate(now.as_seconds()));
        (rate(&self.added), rate(&self.dispatched))
    }
}

fn count(windows: &mut BTreeMap<u8, Window>, level: u8, now: Timestamp) {
    let second = now.as_seconds();
    windows
        .entry(level)
        .or_insert_with(|| Window::new(second))
        .count(second);
}

/// What waits on one level, and how it moves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Stats {
    pub(crate) backlog: usize,
    /// How long the oldest of them has waited.
    pub(crate) age: Duration,
    pub(crate) add_rate: f32,
    pub(crate) dispatch_rate: f32,
}

impl Stats {
    pub(crate) fn plus(self, other: Stats) -> Stats {
        Stats {
            backlog: self.backlog + other.backlog,
            age: self.age.max(other.age),
            add_rate: self.add_rate + other.add_rate,
            dispatch_rate: self.dispatch_rate + other.dispatch_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_what_is_older_than_its_window() {
        let start = Timestamp::from_seconds(1_000);
        let mut flow = Flow::default();
        for second in 0..60 {
            for _ in 0..4 {
                flow.added(3, start + Duration::from_secs(second));
            }
        }
        assert_eq!(flow.rates(3, start + Duration::from_secs(59)), (4.0, 0.0));
        assert_eq!(flow.rates(3, start + Duration::from_secs(74)), (2.0, 0.0));
        assert_eq!(flow.rates(3, start + Duration::from_secs(1_000)), (0.0, 0.0));
    }

    #[test]
    fn a_young_queue_s_rate_is_over_its_life() {
        let start = Timestamp::from_seconds(1_000);
        let mut flow = Flow::default();
        for _ in 0..6 {
            flow.dispatched(1, start);
        }
        assert_eq!(flow.rates(1, start + Duration::from_secs(1)), (0.0, 3.0));
    }
}
