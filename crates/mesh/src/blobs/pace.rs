//! How many may fetch one blob from the node at once: more, for as long as more is sent then.

use std::time::{Duration, Instant};

/// How long it is measured what is sent.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// How soon it is tried again whether more is sent when more fetch.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// When those who fetch are slow and the node is not, it makes no sense that others wait; when the node's line is full, it does.
/// Nobody can tell which of the two it is but by trying.
#[derive(Debug, Default)]
pub(super) struct Pace {
    more: usize,
    window: Option<Window>,
    /// More made no sense; it is not tried again before this.
    rests: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    /// What was sent until then.
    sent: u64,
    /// Bytes in a second before more were let in, and how many fetched then; none: as many as before.
    before: Option<(f64, usize)>,
}

impl Pace {
    /// How many more than usual.
    pub(super) fn more(&self) -> usize {
        self.more
    }

    /// Looks what is sent now that somebody has to wait. `sent` is all so far, and `direct` how many fetch. Whether there are more
    /// now.
    pub(super) fn look(&mut self, now: Instant, sent: u64, direct: usize) -> bool {
        if self.rests.is_some_and(|until| now < until) {
            return false;
        }
        let fresh = |before| {
            Some(Window {
                began: now,
                sent,
                before,
            })
        };
        let lasts = |window: &Window| now.saturating_duration_since(window.began);
        // Nobody waited for long: what was measured is of another time.
        let Some(window) = self.window.filter(|window| lasts(window) < WINDOW * 3) else {
            self.window = fresh(None);
            return false;
        };
        if lasts(&window) < WINDOW {
            return false;
        }
        let rate = sent.saturating_sub(window.sent) as f64 / lasts(&window).as_secs_f64();
        let is_better = window.before.is_none_or(|(before, then)| {
            let expected = direct.saturating_sub(then) as f64 / then.max(1) as f64;
            rate > before * (1.0 + expected / 2.0)
        });
        if !is_better {
            (self.window, self.rests) = (None, Some(now + TRY_AGAIN));
            return false;
        }
        self.more += (direct / 4).max(1);
        self.window = fresh(Some((rate, direct)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many fetch after so many seconds, when `rate` says what is sent in a second to so many.
    fn after(seconds: u32, rate: impl Fn(usize) -> u64) -> usize {
        let (mut pace, mut sent, began) = (Pace::default(), 0, Instant::now());
        for second in 0..seconds {
            let direct = 3 + pace.more();
            sent += rate(direct);
            pace.look(began + Duration::from_secs(second.into()), sent, direct);
        }
        3 + pace.more()
    }

    #[test]
    fn slow_ones_are_all_served_at_once_and_a_full_line_is_not_shared_by_more() {
        assert!(
            after(240, |direct| direct as u64 * 1_000_000) > 100,
            "nobody waits for the slow"
        );
        assert!(after(240, |_| 10_000_000) < 8, "the line was full");
    }

    #[test]
    fn what_was_measured_is_forgotten_when_nobody_waits() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        pace.look(began, 0, 3);
        assert!(!pace.look(began + WINDOW * 4, 1000, 3), "that was another time");
        assert!(pace.look(began + WINDOW * 5, 2000, 3));
    }
}
