//! Figures by a name that comes from outside, of which there may be any number.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What all names beyond the first few are called.
pub const OTHER: &str = "other";

/// Figures by name. The first names get their own, all later ones share those of [`OTHER`]: a program of monitoring keeps every
/// value of a label for weeks.
#[derive(Debug)]
pub struct Few<T> {
    named: RwLock<HashMap<Box<str>, Arc<T>>>,
    other: Arc<T>,
    most: usize,
    make: fn() -> T,
}

impl<T> Few<T> {
    /// For this many names.
    pub fn new(most: usize, make: fn() -> T) -> Self {
        Self {
            named: RwLock::default(),
            other: Arc::new(make()),
            most,
            make,
        }
    }

    /// The figures of a name.
    pub fn of(&self, name: &str) -> Arc<T> {
        if let Some(known) = self.known(name) {
            return known;
        }
        let mut named = self.named.write().unwrap_or_else(PoisonError::into_inner);
        if !named.contains_key(name) && (named.len() >= self.most || name.is_empty() || name == OTHER) {
            return Arc::clone(&self.other);
        }
        Arc::clone(named.entry(name.into()).or_insert_with(|| Arc::new((self.make)())))
    }

    /// The figures of a name that has its own.
    pub fn known(&self, name: &str) -> Option<Arc<T>> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.get(name).cloned()
    }

    /// Whether the name has figures of its own, and gives it some if there is room for them.
    pub fn has_own(&self, name: &str) -> bool {
        !Arc::ptr_eq(&self.of(name), &self.other)
    }

    /// The figures that all other names share.
    pub fn other(&self) -> Arc<T> {
        Arc::clone(&self.other)
    }

    /// All figures with their names, in the order of these; last those of all others.
    pub fn all(&self) -> Vec<(String, Arc<T>)> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = named
            .iter()
            .map(|(name, figures)| (name.to_string(), Arc::clone(figures)))
            .collect();
        drop(named);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.push((OTHER.to_owned(), Arc::clone(&self.other)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;

    #[test]
    fn names_beyond_the_first_few_share_one() {
        let few = Few::new(2, Counter::default);
        for name in ["a", "b", "c", "d", "a", OTHER, ""] {
            few.of(name).inc();
        }
        let all: Vec<_> = few.all().into_iter().map(|(name, count)| (name, count.get())).collect();
        let all: Vec<_> = all.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(all, [("a", 2), ("b", 1), (OTHER, 4)]);
        assert!(few.known("c").is_none());
    }
}
