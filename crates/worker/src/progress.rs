//! The latest progress of a step: written by module threads, read by the heartbeat.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::StepProgress;

/// Keeps the newest value only, so a module may report per file and nothing piles up.
#[derive(Default)]
pub(crate) struct ProgressCell {
    latest: Mutex<Option<StepProgress>>,
    changed: AtomicBool,
}

impl ProgressCell {
    /// Replaces the value. Reports come from many threads and may overtake each other: the count never goes back.
    pub(crate) fn set(&self, progress: StepProgress) {
        let mut latest = self.latest.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if latest
            .as_ref()
            .is_some_and(|old| old.unit == progress.unit && old.done > progress.done)
        {
            return;
        }
        *latest = Some(progress);
        self.changed.store(true, Ordering::Release);
    }

    /// The value, if it changed since the last call.
    pub(crate) fn take_change(&self) -> Option<StepProgress> {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.get()
    }

    /// The value.
    pub(crate) fn get(&self) -> Option<StepProgress> {
        self.latest
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(done: u64) -> StepProgress {
        StepProgress {
            done,
            total: Some(10),
            unit: "files".into(),
            message: None,
        }
    }

    #[test]
    fn a_late_report_does_not_turn_progress_back() {
        let cell = ProgressCell::default();
        cell.set(files(5));
        cell.set(files(3));
        assert_eq!(cell.take_change(), Some(files(5)));
        assert_eq!(cell.take_change(), None);
        assert_eq!(cell.get(), Some(files(5)));
    }

    #[test]
    fn a_new_unit_starts_from_its_own_count() {
        let cell = ProgressCell::default();
        cell.set(files(5));
        cell.set(StepProgress {
            unit: "rules".into(),
            ..files(1)
        });
        assert_eq!(cell.get().unwrap().unit, "rules");
    }
}
