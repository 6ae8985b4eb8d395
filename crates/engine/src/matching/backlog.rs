//! Tasks that wait for a poller, in the order in which they leave: by priority, and within a priority shared fairly
//! among fairness keys.
//!
//! Each key of a level is a lane, first in first out. A lane has a place in virtual time; the one that is furthest behind
//! goes next, and every task moves its lane on by the inverse of its weight. A lane that falls empty keeps its place for as
//! long as it is ahead of the level, so that nobody gains by coming back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use helve_history::Timestamp;

use super::{Task, limit::KeyThrottle, rank::Weight};

/// A backlog that reaches this is searched for tasks that are no longer wanted; then again whenever it has doubled.
const SWEEP_FROM: usize = 1024;
/// Empty lanes whose place is remembered; beyond, those that are least ahead are forgotten.
const MAX_IDLE_LANES: usize = 1000;

/// Weights set for the queue, which count more than those that tasks bring.
pub(super) type Weights = BTreeMap<String, Weight>;

/// What decides about the next task beside the backlog itself.
pub(super) struct Rules<'a> {
    pub(super) now: Timestamp,
    pub(super) weights: &'a Weights,
    pub(super) keys: &'a mut KeyThrottle,
}

pub(super) struct Backlog<T> {
    levels: BTreeMap<u8, Level<T>>,
    len: usize,
    sweep_at: usize,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Backlog {
            levels: BTreeMap::new(),
            len: 0,
            sweep_at: SWEEP_FROM,
        }
    }
}

impl<T: Task> Backlog<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Since when the oldest task waits: in each lane that is the first one.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let firsts = self.levels.values().flat_map(|level| {
            let lanes = level.lanes.values().filter_map(|lane| lane.tasks.front());
            level.returned.back().into_iter().chain(lanes)
        });
        firsts.map(T::waits_since).min()
    }

    /// Adds a task behind the others of its key. Tasks that turn out to be dead are put into `dead`.
    pub(super) fn push(&mut self, task: T, dead: &mut Vec<T>) {
        self.make_room(dead);
        let level = self.levels.entry(task.rank().level).or_default();
        level.push(task);
        self.len += 1;
    }

    /// Puts a task that was taken before all others of its level.
    pub(super) fn put_back(&mut self, task: T, dead: &mut Vec<T>) {
        self.make_room(dead);
        let level = self.levels.entry(task.rank().level).or_default();
        level.returned.push_front(task);
        self.len += 1;
    }

    fn make_room(&mut self, dead: &mut Vec<T>) {
        if self.len >= self.sweep_at {
            self.sweep(dead);
            self.sweep_at = SWEEP_FROM.max(self.len * 2);
        }
    }

    /// The next task that is still wanted and may leave now.
    pub(super) fn take(&mut self, rules: &mut Rules<'_>, dead: &mut Vec<T>) -> Option<T> {
        let before = dead.len();
        let task = self.levels.values_mut().find_map(|level| level.take(rules, dead));
        self.len -= dead.len() - before + usize::from(task.is_some());
        if self.len == 0 {
            self.levels.clear();
        }
        task
    }

    /// When a lane that was at its limit may go on.
    pub(super) fn next_ready(&self) -> Option<Timestamp> {
        let first = |level: &Level<T>| level.resting.first().map(|(at, _)| *at);
        self.levels.values().filter_map(first).min()
    }

    /// Lets all lanes go that rest because of a limit that has changed.
    pub(super) fn wake_all(&mut self) {
        self.levels.values_mut().for_each(|level| level.wake(Timestamp::MAX));
    }

    /// Moves the tasks that nobody wants any more to `dead`.
    pub(super) fn sweep(&mut self, dead: &mut Vec<T>) {
        let before = dead.len();
        for level in self.levels.values_mut() {
            sweep(&mut level.returned, dead);
            level.lanes.values_mut().for_each(|lane| sweep(&mut lane.tasks, dead));
        }
        self.len -= dead.len() - before;
    }

    /// Takes out all tasks: level by level, those of one key in their order.
    pub(super) fn drain(&mut self) -> Vec<T> {
        self.len = 0;
        let levels = std::mem::take(&mut self.levels).into_values();
        levels
            .flat_map(|level| {
                let lanes = level.lanes.into_values().flat_map(|lane| lane.tasks);
                level.returned.into_iter().chain(lanes)
            })
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.levels.values().flat_map(|level| {
            let lanes = level.lanes.values().flat_map(|lane| &lane.tasks);
            level.returned.iter().chain(lanes)
        })
    }
}

struct Level<T> {
    /// Tasks that were taken and came back: their turn has been already.
    returned: VecDeque<T>,
    lanes: BTreeMap<Arc<str>, Lane<T>>,
    /// Lanes with tasks, by their place in virtual time, then by who came first.
    turns: BTreeSet<(u64, u64, Arc<str>)>,
    /// Lanes with tasks that are at their rate limit, by when they may go on.
    resting: BTreeSet<(Timestamp, Arc<str>)>,
    /// Lanes without tasks, by their place.
    idle: BTreeSet<(u64, Arc<str>)>,
    /// The place of the lane that went last.
    now: u64,
    next_turn: u64,
}

struct Lane<T> {
    tasks: VecDeque<T>,
    place: u64,
    /// Has a turn, or rests until it gets one.
    is_queued: bool,
}

fn sweep<T: Task>(tasks: &mut VecDeque<T>, dead: &mut Vec<T>) {
    if !tasks.iter().all(T::is_live) {
        let (live, gone): (VecDeque<T>, VecDeque<T>) = std::mem::take(tasks).into_iter().partition(T::is_live);
        *tasks = live;
        dead.extend(gone);
    }
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Level {
            returned: VecDeque::new(),
            lanes: BTreeMap::new(),
            turns: BTreeSet::new(),
            resting: BTreeSet::new(),
            idle: BTreeSet::new(),
            now: 0,
            next_turn: 0,
        }
    }
}

impl<T: Task> Level<T> {
    fn push(&mut self, task: T) {
        let key = task.rank().key.clone();
        let now = self.now;
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| Lane {
            tasks: VecDeque::new(),
            place: now,
            is_queued: false,
        });
        lane.tasks.push_back(task);
        if !lane.is_queued {
            self.idle.remove(&(lane.place, key.clone()));
            self.queue_up(key);
        }
    }

    /// Gives a lane with tasks its turn: not before the others that are there now.
    fn queue_up(&mut self, key: Arc<str>) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.place = lane.place.max(self.now);
            lane.is_queued = true;
            self.turns.insert((lane.place, self.next_turn, key));
            self.next_turn += 1;
        }
    }

    fn wake(&mut self, now: Timestamp) {
        while self.resting.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.resting.pop_first() {
                self.queue_up(key);
            }
        }
    }

    fn take(&mut self, rules: &mut Rules<'_>, dead: &mut Vec<T>) -> Option<T> {
        while let Some(task) = self.returned.pop_front() {
            if task.is_live() {
                return Some(task);
            }
            dead.push(task);
        }
        self.wake(rules.now);
        while let Some((place, _, key)) = self.turns.pop_first() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            while let Some(task) = lane.tasks.pop_front_if(|task| !task.is_live()) {
                dead.push(task);
            }
            let Some(head) = lane.tasks.front() else {
                self.retire(key);
                continue;
            };
            let weight = rules.weights.get(&*key).copied().unwrap_or(head.rank().weight);
            if let Some(at) = rules.keys.wait(&key, weight, rules.now) {
                self.resting.insert((at, key));
                continue;
            }
            rules.keys.take(&key, weight, rules.now);
            let task = lane.tasks.pop_front();
            lane.place = place.saturating_add(weight.stride());
            self.now = self.now.max(place);
            if lane.tasks.is_empty() {
                self.retire(key);
            } else {
                self.queue_up(key);
            }
            return task;
        }
        None
    }

    /// Keeps the place of a lane that fell empty, and forgets those that the level has caught up with.
    fn retire(&mut self, key: Arc<str>) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.is_queued = false;
            self.idle.insert((lane.place, key));
        }
        while let Some((place, _)) = self.idle.first() {
            if *place > self.now && self.idle.len() <= MAX_IDLE_LANES {
                break;
            }
            if let Some((_, key)) = self.idle.pop_first() {
                self.lanes.remove(&key);
            }
        }
    }
}
