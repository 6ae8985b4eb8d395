//! One task queue.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use helve_history::Timestamp;
use tokio::sync::oneshot;

use super::{Handed, Poller, Task};

/// A backlog that reaches this is searched for tasks that are no longer wanted; then again whenever it has doubled.
const SWEEP_BACKLOG_FROM: usize = 1024;
/// Pollers that are remembered to describe a queue.
const MAX_KNOWN_POLLERS: usize = 256;

pub(super) enum Delivery<T: Task> {
    Task(Handed<T>),
    Empty,
}

pub(super) struct Waiter<T: Task> {
    number: u64,
    poller: Poller,
    sender: oneshot::Sender<Delivery<T>>,
}

impl<T: Task> Waiter<T> {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn deliver(self, delivery: Delivery<T>) -> Result<(), Delivery<T>> {
        self.sender.send(delivery)
    }
}

pub(super) struct Queue<T: Task> {
    pub(super) waiters: VecDeque<Waiter<T>>,
    pub(super) backlog: VecDeque<T>,
    pub(super) last_poll: Option<Timestamp>,
    sweep_at: usize,
    known: HashMap<String, Timestamp>,
}

impl<T: Task> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            waiters: VecDeque::new(),
            backlog: VecDeque::new(),
            last_poll: None,
            sweep_at: SWEEP_BACKLOG_FROM,
            known: HashMap::new(),
        }
    }
}

impl<T: Task> Queue<T> {
    pub(super) fn keep(&mut self, task: T, at_front: bool) {
        if self.backlog.len() >= self.sweep_at {
            self.backlog.retain(T::is_live);
            self.sweep_at = SWEEP_BACKLOG_FROM.max(self.backlog.len() * 2);
        }
        if at_front {
            self.backlog.push_front(task)
        } else {
            self.backlog.push_back(task)
        }
    }

    /// Takes out the tasks that nobody wants any more.
    pub(super) fn take_dead(&mut self) -> Vec<T> {
        if self.backlog.iter().all(T::is_live) {
            return Vec::new();
        }
        let (live, dead): (VecDeque<T>, VecDeque<T>) =
            std::mem::take(&mut self.backlog).into_iter().partition(T::is_live);
        self.backlog = live;
        Vec::from(dead)
    }

    pub(super) fn take_live(&mut self) -> Option<T> {
        loop {
            let task = self.backlog.pop_front()?;
            if task.is_live() {
                return Some(task);
            }
        }
    }

    pub(super) fn wait(&mut self, number: u64, poller: Poller) -> oneshot::Receiver<Delivery<T>> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.push_back(Waiter { number, poller, sender });
        receiver
    }

    pub(super) fn seen(&mut self, poller: &Poller, now: Timestamp) {
        self.last_poll = Some(now);
        if self.known.len() < MAX_KNOWN_POLLERS || self.known.contains_key(&poller.identity) {
            match self.known.get_mut(&poller.identity) {
                Some(seen) => *seen = now,
                None => drop(self.known.insert(poller.identity.clone(), now)),
            }
        }
    }

    pub(super) fn has_poller(&self, now: Timestamp, recently: Duration) -> bool {
        let waits = self.waiters.iter().any(|waiter| !waiter.sender.is_closed());
        waits || self.last_poll.is_some_and(|last| now.since(last) < recently)
    }

    pub(super) fn dismiss(&mut self, which: impl Fn(&Poller) -> bool) {
        let (dismissed, stay): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiters)
            .into_iter()
            .partition(|waiter| which(&waiter.poller));
        self.waiters = stay;
        for waiter in dismissed {
            // An error means that the poll is gone already.
            let _ = waiter.deliver(Delivery::Empty);
        }
    }

    pub(super) fn is_idle(&self, now: Timestamp, after: Duration) -> bool {
        self.backlog.is_empty() && self.waiters.is_empty() && self.last_poll.is_none_or(|last| now.since(last) >= after)
    }

    pub(super) fn describe(&self) -> (usize, Vec<(String, Timestamp)>) {
        (
            self.backlog.len(),
            self.known
                .iter()
                .map(|(identity, seen)| (identity.clone(), *seen))
                .collect(),
        )
    }
}
