//! One timer per run (or schedule): the earliest time at which something is due in it.
//!
//! An entry is never removed or moved. When it fires the run is asked what is due; if that is later, a new entry is
//! made. So heartbeats and cancelled timers cost nothing here.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Mutex, MutexGuard, PoisonError, Weak},
};

use helve_history::Timestamp;
use tokio::sync::Notify;

use crate::clock::Clock;

pub(crate) struct Timers<T> {
    heap: Mutex<BinaryHeap<Reverse<Entry<T>>>>,
    earlier: Notify,
}

struct Entry<T> {
    at: Timestamp,
    slot: Weak<T>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            heap: Mutex::default(),
            earlier: Notify::new(),
        }
    }
}

impl<T> Timers<T> {
    /// Sets a timer.
    pub(crate) fn arm(&self, at: Timestamp, slot: Weak<T>) {
        let mut heap = self.lock();
        let is_earliest = heap.peek().is_none_or(|Reverse(first)| at < first.at);
        heap.push(Reverse(Entry { at, slot }));
        drop(heap);
        if is_earliest {
            self.earlier.notify_one();
        }
    }

    /// How many are set. Some may be stale.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until something is due, and takes all of it.
    pub(crate) async fn due(&self, clock: &dyn Clock) -> Vec<Weak<T>> {
        loop {
            let due = self.take_due(clock.now());
            if !due.is_empty() {
                return due;
            }
            let next = self.lock().peek().map_or(Timestamp::MAX, |Reverse(first)| first.at);
            tokio::select! {
            biased;
                () = clock.sleep_until(next) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<Weak<T>> {
        let mut heap = self.lock();
        let mut due = Vec::new();
        while heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
            due.extend(heap.pop().map(|Reverse(entry)| entry.slot));
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Entry<T>>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
