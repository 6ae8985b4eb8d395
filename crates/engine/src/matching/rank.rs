//! Where a task stands among those that wait with it.

use std::sync::Arc;

use temporalio_protos::temporal::api::common::v1::Priority;

/// Priorities go from 1, the first to be served, to this.
const LOWEST_PRIORITY: u8 = 5;
/// The priority of tasks that name none.
const USUAL_PRIORITY: u8 = 3;

/// What a task's priority says: which level it is on, and which share of that level it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rank {
    /// From 1; lower is sooner.
    pub(super) level: u8,
    /// Tasks of one level share its queue by this key.
    pub(super) key: Arc<str>,
    pub(super) weight: Weight,
}

impl Default for Rank {
    fn default() -> Self {
        Rank::of(&Priority::default())
    }
}

impl Rank {
    /// Reads a priority as the protocol has it: absent values are the usual ones, priorities beyond the lowest are it.
    pub(crate) fn of(priority: &Priority) -> Self {
        let level = match priority.priority_key {
            ..=0 => USUAL_PRIORITY,
            key => u8::try_from(key).unwrap_or(LOWEST_PRIORITY).min(LOWEST_PRIORITY),
        };
        Rank {
            level,
            key: priority.fairness_key.as_str().into(),
            weight: Weight::new(priority.fairness_weight),
        }
    }
}

/// The share of a fairness key, compared with others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weight(f32);

impl Weight {
    pub(super) const ONE: Weight = Weight(1.0);

    /// Clamped to 0.001..1000; zero, and what makes no sense, is the usual weight of 1.
    pub(crate) fn new(weight: f32) -> Self {
        if weight > 0.0 {
            Weight(weight.clamp(0.001, 1000.0))
        } else {
            Weight::ONE
        }
    }

    pub(super) fn get(self) -> f32 {
        self.0
    }

    /// How far one task moves its key on in virtual time.
    pub(super) fn stride(self) -> u64 {
        (1e6 / f64::from(self.0)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(priority_key: i32) -> u8 {
        Rank::of(&Priority {
            priority_key,
            ..Priority::default()
        })
        .level
    }

    #[test]
    fn every_priority_key_has_a_level() {
        let levels: Vec<u8> = [i32::MIN, -1, 0, 1, 2, 3, 4, 5, 6, 300, i32::MAX].map(level).into();
        assert_eq!(levels, [3, 3, 3, 1, 2, 3, 4, 5, 5, 5, 5]);
    }

    #[test]
    fn every_weight_makes_sense() {
        for (given, used) in [
            (0.0, 1.0),
            (-2.0, 1.0),
            (f32::NAN, 1.0),
            (1e-9, 0.001),
            (f32::INFINITY, 1000.0),
            (7.0, 7.0),
        ] {
            assert_eq!(Weight::new(given), Weight(used), "{given}");
        }
    }
}
