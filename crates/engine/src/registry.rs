//! Which runs are in memory: every one that is open or owes something, and some closed ones.
//!
//! Of an open run this may be no more than its place: the states of runs that only wait for their time or for somebody are
//! dropped after a while, or sooner when all take too much memory, and read again when they are needed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use helve_history::RunKind;

use crate::{run::Slot, storage::RowId};

/// Namespace, kind, id.
type ChainKey = (i64, RunKind, String);

#[derive(Default)]
struct Maps {
    by_row: BTreeMap<RowId, Arc<Slot>>,
    by_run_id: HashMap<String, Arc<Slot>>,
    /// The current runs by kind and id. An id that is missing here has no open run.
    current: HashMap<ChainKey, Arc<Slot>>,
    /// Closed runs that owe nothing, in the order in which they may be forgotten, each with its weight.
    closed: VecDeque<(Arc<Slot>, u64)>,
    /// The weights in `closed`.
    closed_bytes: u64,
    /// The last runs that were deleted: somebody may have read them just before.
    deleted: VecDeque<RowId>,
    /// Open runs whose states are in memory, in the order in which they are looked at to drop them. Each is here once; some
    /// are closed or dropped by now.
    loaded: VecDeque<RowId>,
}

/// Deleted runs that are remembered. A read takes less time than deleting so many.
const REMEMBERED_DELETIONS: usize = 4096;

/// Runs that are looked at in one go to drop their states.
const LOOKS: usize = 64;
/// What a state takes in memory beside what its history weighs.
const STATE_BYTES: u64 = 8192;

pub(crate) struct Registry {
    maps: Mutex<Maps>,
    /// What the states of open runs weigh.
    open_bytes: AtomicU64,
    max_closed: usize,
    max_closed_bytes: u64,
    max_open_bytes: u64,
}

impl Registry {
    pub(crate) fn new(max_closed: usize, max_closed_bytes: u64, max_open_bytes: u64) -> Self {
        Registry {
            maps: Mutex::default(),
            open_bytes: AtomicU64::new(0),
            max_closed,
            max_closed_bytes,
            max_open_bytes,
        }
    }

    /// Counts the state of a run that is in memory, or is not any more. Called under the run's lock.
    pub(crate) fn weigh(&self, slot: &Slot, is_open: bool) {
        let weight = if is_open {
            STATE_BYTES + slot.weight.load(Ordering::Relaxed)
        } else {
            0
        };
        let before = slot.charged.swap(weight, Ordering::Relaxed);
        self.open_bytes
            .fetch_add(weight.wrapping_sub(before), Ordering::Relaxed);
        if before == 0 && weight > 0 {
            let mut maps = self.lock();
            if !slot.queued.swap(true, Ordering::Relaxed) {
                maps.loaded.push_back(slot.row);
            }
        }
    }

    /// How many runs are open, or owe something.
    pub(crate) fn open(&self) -> usize {
        let maps = self.lock();
        maps.by_row.len().saturating_sub(maps.closed.len())
    }

    /// What the states of open runs weigh.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.open_bytes.load(Ordering::Relaxed)
    }

    fn is_crowded(&self) -> bool {
        self.open_bytes() > self.max_open_bytes
    }

    /// Drops states of open runs that nobody needed lately, if they take too much memory.
    pub(crate) fn make_room(&self) {
        if self.is_crowded() {
            self.drop_states(LOOKS, || self.is_crowded());
        }
    }

    /// Drops the states of open runs that nobody needed since this was called last.
    pub(crate) fn drop_idle_states(&self) {
        let mut left = self.lock().loaded.len();
        while left > 0 {
            let looks = left.min(LOOKS);
            self.drop_states(looks, || true);
            left -= looks;
        }
    }

    fn drop_states(&self, looks: usize, is_needed: impl Fn() -> bool) {
        // They are dropped when the maps are not locked any more.
        let mut unloaded = Vec::new();
        let mut maps = self.lock();
        for _ in 0..looks {
            let Some(row) = maps.loaded.pop_front() else { break };
            let Some(slot) = maps.by_row.get(&row) else { continue };
            if slot.charged.load(Ordering::Relaxed) > 0 {
                let is_idle = !slot.touched.swap(false, Ordering::Relaxed);
                let Some(loaded) = is_idle.then(|| slot.unload()).flatten() else {
                    maps.loaded.push_back(row);
                    continue;
                };
                self.weigh(slot, false);
                unloaded.push(loaded);
            }
            slot.queued.store(false, Ordering::Relaxed);
            if !is_needed() {
                break;
            }
        }
        drop(maps);
    }

    pub(crate) fn by_row(&self, row: RowId) -> Option<Arc<Slot>> {
        self.lock().by_row.get(&row).cloned()
    }

    /// All runs in memory, in the order of their rows.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.lock().by_row.values().cloned().collect()
    }

    pub(crate) fn by_run_id(&self, run_id: &str) -> Option<Arc<Slot>> {
        self.lock().by_run_id.get(run_id).cloned()
    }

    pub(crate) fn current(&self, namespace: i64, kind: RunKind, id: &str) -> Option<Arc<Slot>> {
        self.lock().current.get(&(namespace, kind, id.to_owned())).cloned()
    }

    pub(crate) fn is_current(&self, slot: &Arc<Slot>) -> bool {
        let maps = self.lock();
        maps.current
            .get(&chain_key(slot))
            .is_some_and(|current| Arc::ptr_eq(current, slot))
    }

    /// Adds a run unless it is there already; answers the one that is there.
    pub(crate) fn add(&self, slot: &Arc<Slot>) -> Arc<Slot> {
        let mut maps = self.lock();
        if let Some(known) = maps.by_row.get(&slot.row) {
            return known.clone();
        }
        maps.insert(slot);
        slot.clone()
    }

    /// Adds a run as the current one of its workflow id; `false` if there is a current one.
    pub(crate) fn add_first(&self, slot: &Arc<Slot>) -> bool {
        let mut maps = self.lock();
        let key = chain_key(slot);
        if maps.current.contains_key(&key) {
            return false;
        }
        maps.insert(slot);
        maps.current.insert(key, slot.clone());
        true
    }

    /// Makes a run the current one of its workflow id, unless a later one is.
    pub(crate) fn set_current(&self, slot: &Arc<Slot>) {
        let mut maps = self.lock();
        let key = chain_key(slot);
        if maps.current.get(&key).is_none_or(|current| current.row <= slot.row) {
            maps.current.insert(key, slot.clone());
        }
    }

    /// Forgets that a run is the current one of its workflow id: the database knows a later one.
    pub(crate) fn forget_current(&self, slot: &Arc<Slot>) {
        let mut maps = self.lock();
        let key = chain_key(slot);
        if maps.current.get(&key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            maps.current.remove(&key);
        }
    }

    /// Forgets a run that was never committed.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        self.lock().remove(slot);
    }

    /// Forgets a run that was deleted, whoever reads it now.
    pub(crate) fn delete(&self, slot: &Arc<Slot>) {
        let mut maps = self.lock();
        maps.remove(slot);
        if maps.deleted.len() == REMEMBERED_DELETIONS {
            maps.deleted.pop_front();
        }
        maps.deleted.push_back(slot.row);
    }

    /// Whether the run was deleted just now: then it is forgotten, should somebody have added it meanwhile.
    pub(crate) fn forget_if_deleted(&self, slot: &Arc<Slot>) -> bool {
        let mut maps = self.lock();
        let is_deleted = maps.deleted.contains(&slot.row);
        if is_deleted {
            maps.remove(slot);
        }
        is_deleted
    }

    /// Notes that a run is closed and owes nothing, and forgets the oldest such runs.
    pub(crate) fn settle(&self, slot: &Arc<Slot>) {
        let mut maps = self.lock();
        maps.keep_closed(slot.clone());
        // Each is looked at no more than twice: once to take its second chance away, once to forget it.
        let mut looks = 2 * maps.closed.len();
        while looks > 0 && (maps.closed.len() > self.max_closed || maps.closed_bytes > self.max_closed_bytes) {
            looks -= 1;
            let Some((oldest, weight)) = maps.closed.pop_front() else {
                break;
            };
            maps.closed_bytes -= weight;
            if oldest.touched.swap(false, Ordering::Relaxed) || maps.is_used(&oldest) {
                maps.keep_closed(oldest);
            } else {
                maps.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        // Nothing in here can panic half way.
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn keep_closed(&mut self, slot: Arc<Slot>) {
        let weight = slot.weight.load(Ordering::Relaxed);
        self.closed_bytes += weight;
        self.closed.push_back((slot, weight));
    }

    fn insert(&mut self, slot: &Arc<Slot>) {
        self.by_row.insert(slot.row, slot.clone());
        self.by_run_id.insert(slot.key.run_id.clone(), slot.clone());
    }

    fn remove(&mut self, slot: &Arc<Slot>) {
        self.by_row.remove(&slot.row);
        self.by_run_id.remove(&slot.key.run_id);
        let key = chain_key(slot);
        if self.current.get(&key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            self.current.remove(&key);
        }
    }

    /// Whether somebody outside holds it. Nobody new can come while the maps are locked.
    fn is_used(&self, slot: &Arc<Slot>) -> bool {
        let is_current = self
            .current
            .get(&chain_key(slot))
            .is_some_and(|current| Arc::ptr_eq(current, slot));
        // The two maps, maybe the third, and the caller.
        Arc::strong_count(slot) > 3 + usize::from(is_current)
    }
}

fn chain_key(slot: &Slot) -> ChainKey {
    (slot.namespace.id, slot.key.kind, slot.key.workflow_id.clone())
}
