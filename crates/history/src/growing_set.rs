//! A set that only grows, clones in constant time, and shares nearly everything with its clones.

use std::{borrow::Borrow, collections::BTreeSet, sync::Arc};

/// New members wait here until there are enough of them to be worth a sorted run.
const RECENT: usize = 32;

/// Decisions work on a copy of the state. A map would be copied as a whole by each insertion into such a copy; here an
/// insertion copies a few recent members, and merges runs so seldom that ten thousand insertions stay cheap.
#[derive(Clone, Debug)]
pub(crate) struct GrowingSet<T> {
    recent: Arc<BTreeSet<T>>,
    /// Sorted, without common members, each longer than the next.
    runs: Vec<Arc<[T]>>,
}

impl<T> Default for GrowingSet<T> {
    fn default() -> Self {
        Self {
            recent: Arc::default(),
            runs: Vec::new(),
        }
    }
}

impl<T: Ord + Clone> GrowingSet<T> {
    pub(crate) fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let in_run = |run: &Arc<[T]>| run.binary_search_by(|other| other.borrow().cmp(member)).is_ok();
        self.recent.contains(member) || self.runs.iter().any(in_run)
    }

    pub(crate) fn insert(&mut self, member: T) {
        if self.contains(&member) {
            return;
        }
        Arc::make_mut(&mut self.recent).insert(member);
        if self.recent.len() < RECENT {
            return;
        }
        let mut run: Vec<T> = std::mem::take(&mut self.recent).iter().cloned().collect();
        while let Some(last) = self.runs.pop_if(|last| last.len() <= run.len()) {
            // Two sorted runs in a row: what the sort is best at.
            run.extend(last.iter().cloned());
            run.sort();
        }
        self.runs.push(run.into());
    }

    fn sorted(&self) -> BTreeSet<&T> {
        self.runs
            .iter()
            .flat_map(|run| run.iter())
            .chain(self.recent.iter())
            .collect()
    }
}

/// Equal if they have the same members, however they came about.
impl<T: Ord + Clone> PartialEq for GrowingSet<T> {
    fn eq(&self, other: &Self) -> bool {
        let same_runs =
            self.runs.len() == other.runs.len() && self.runs.iter().zip(&other.runs).all(|(a, b)| Arc::ptr_eq(a, b));
        (same_runs && self.recent == other.recent) || self.sorted() == other.sorted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in_and_nothing_else() {
        let mut set = GrowingSet::default();
        // In no particular order, each twice.
        for n in (0..2_000_u32).map(|n| n.wrapping_mul(2_654_435_761) % 5_000) {
            let before = set.clone();
            set.insert(n);
            set.insert(n);
            assert!(set.contains(&n));
            assert!(before.contains(&n) || before != set, "a clone keeps what it had");
        }
        let members: BTreeSet<u32> = (0..2_000_u32).map(|n| n.wrapping_mul(2_654_435_761) % 5_000).collect();
        assert!((0..5_000).all(|n| set.contains(&n) == members.contains(&n)));
        assert_eq!(set.sorted().len(), members.len());
    }

    #[test]
    fn sets_are_equal_by_their_members() {
        let (mut up, mut down) = (GrowingSet::default(), GrowingSet::default());
        for n in 0..100 {
            up.insert(n);
            down.insert(99 - n);
        }
        assert!(up == down);
        down.insert(100);
        assert!(up != down);
    }

    #[test]
    fn an_insertion_into_a_clone_shares_nearly_all() {
        let mut set = GrowingSet::default();
        for n in 0..10_000 {
            set.insert(n);
        }
        let mut clone = set.clone();
        clone.insert(10_000);
        let shared = set.runs.iter().zip(&clone.runs).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), set.runs.len());
        assert!(set.runs.len() <= 14, "{}", set.runs.len());
    }
}
