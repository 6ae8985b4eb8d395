//! One timer per run: the earliest time at which something is due in it.
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

use crate::{clock::Clock, run::Slot};

#[derive(Default)]
pub(crate) struct Timers {
    heap: Mutex<BinaryHeap<Reverse<Entry>>>,
    earlier: Notify,
}

struct Entry {
    at: Timestamp,
    slot: Weak<Slot>,
}

impl Timers {
    /// Sets a timer.
    pub(crate) fn arm(&self, at: Timestamp, slot: Weak<Slot>) {
        let mut heap = self.lock();
        let is_earliest = heap.peek().is_none_or(|Reverse(first)| at < first.at);
        heap.push(Reverse(Entry { at, slot }));
        drop(heap);
        if is_earliest {
            self.earlier.notify_one();
        }
    }

    /// Waits until something is due, and takes all of it.
    pub(crate) async fn due(&self, clock: &dyn Clock) -> Vec<Weak<Slot>> {
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

    fn take_due(&self, now: Timestamp) -> Vec<Weak<Slot>> {
        let mut heap = self.lock();
        let mut due = Vec::new();
        while heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
            due.extend(heap.pop().map(|Reverse(entry)| entry.slot));
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<Entry>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
