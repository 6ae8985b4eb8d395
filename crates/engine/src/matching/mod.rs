//! Task queues: who waits for a task, and which tasks wait for somebody. In memory only.
//!
//! Knows nothing of runs: a task is whatever the engine offers. The engine derives its tasks from the runs' states, so
//! what is lost here with the process is offered again at the next start.

mod poll;
mod queue;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use helve_history::Timestamp;
pub(crate) use poll::{Handed, Poll};
use queue::{Delivery, Queue};

/// A queue without pollers, tasks and recent polls is forgotten after this.
const FORGET_IDLE_QUEUE: Duration = Duration::from_secs(300);
/// Workers that said goodbye and are remembered, since a poll of theirs may still be under way. More: the oldest half
/// is forgotten, and such a poll waits until it times out.
const MAX_GONE_WORKERS: usize = 10_000;

/// What a task must be able to say about itself.
pub(crate) trait Task: Send + 'static {
    /// Whether it still makes sense to hand it to a worker.
    fn is_live(&self) -> bool;
}

/// What kind of tasks a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Workflow,
    Activity,
}

/// Names a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QueueId {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
}

/// What a poll says about its worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Poller {
    pub(crate) identity: String,
    /// Names the worker process' instance; empty for SDKs that do not send it.
    pub(crate) instance: String,
}

pub(crate) struct Matching<T: Task> {
    inner: Arc<Mutex<Inner<T>>>,
}

struct Inner<T: Task> {
    queues: HashMap<QueueId, Queue<T>>,
    gone: HashSet<String>,
    next_waiter: u64,
    closed: bool,
}

impl<T: Task> Clone for Matching<T> {
    fn clone(&self) -> Self {
        Matching {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Task> Matching<T> {
    pub(crate) fn new() -> Self {
        let inner = Inner {
            queues: HashMap::new(),
            gone: HashSet::new(),
            next_waiter: 0,
            closed: false,
        };
        Matching {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Hands the task to a waiting poller, or keeps it for the next one.
    pub(crate) fn offer(&self, queue: QueueId, task: T) {
        self.place(queue, task, false);
    }

    /// Like [`Matching::offer`], before all other tasks of the queue.
    pub(crate) fn give_back(&self, queue: QueueId, task: T) {
        self.place(queue, task, true);
    }

    fn place(&self, id: QueueId, task: T, at_front: bool) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        let mut handed = Handed::new(self.clone(), id.clone(), task);
        let queue = inner.queues.entry(id).or_default();
        while let Some(waiter) = queue.waiters.pop_front() {
            match waiter.deliver(Delivery::Task(handed)) {
                Ok(()) => return,
                Err(Delivery::Task(back)) => handed = back,
                Err(Delivery::Empty) => return,
            }
        }
        queue.keep(handed.accept(), at_front);
    }

    /// Takes a waiting task or becomes a waiter. The returned poll waits until it is dropped.
    pub(crate) fn poll(&self, id: QueueId, poller: Poller, now: Timestamp) -> Poll<T> {
        let mut inner = self.lock();
        if inner.closed || inner.gone.contains(&poller.instance) {
            return Poll::empty();
        }
        inner.next_waiter += 1;
        let number = inner.next_waiter;
        let queue = inner.queues.entry(id.clone()).or_default();
        queue.seen(&poller, now);
        match queue.take_live() {
            Some(task) => Poll::ready(Handed::new(self.clone(), id, task)),
            None => {
                let waiting = queue.wait(number, poller);
                Poll::waiting(self.clone(), id, number, waiting)
            }
        }
    }

    /// Whether a poller waits at the queue now or was there within `recently`.
    pub(crate) fn has_poller(&self, id: &QueueId, now: Timestamp, recently: Duration) -> bool {
        self.lock()
            .queues
            .get(id)
            .is_some_and(|queue| queue.has_poller(now, recently))
    }

    /// The tasks that wait at the queue, which is left empty.
    pub(crate) fn drain(&self, id: &QueueId) -> Vec<T> {
        self.lock()
            .queues
            .get_mut(id)
            .map(|queue| queue.backlog.drain(..).collect())
            .unwrap_or_default()
    }

    /// Completes the open polls of a worker that shuts down, and all it still sends, with nothing.
    pub(crate) fn dismiss_worker(&self, instance: &str) {
        if instance.is_empty() {
            return;
        }
        let mut inner = self.lock();
        if inner.gone.len() >= MAX_GONE_WORKERS {
            let mut keep = false;
            inner.gone.retain(|_| {
                keep = !keep;
                keep
            });
        }
        inner.gone.insert(instance.to_owned());
        inner
            .queues
            .values_mut()
            .for_each(|queue| queue.dismiss(|poller| poller.instance == instance));
    }

    /// Completes the open polls of one queue with nothing, and says that nobody polls it any more.
    pub(crate) fn abandon(&self, id: &QueueId) {
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.dismiss(|_| true);
            queue.last_poll = None;
        }
    }

    /// Completes every poll with nothing and takes no more tasks.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.queues.values_mut().for_each(|queue| queue.dismiss(|_| true));
        let queues = std::mem::take(&mut inner.queues);
        drop(inner);
        // Tasks hold runs, whose drop must not happen under the lock.
        drop(queues);
    }

    /// Forgets tasks that nobody wants any more, and queues that nobody uses.
    pub(crate) fn tidy(&self, now: Timestamp) {
        let mut inner = self.lock();
        let dead: Vec<T> = inner.queues.values_mut().flat_map(Queue::take_dead).collect();
        inner.queues.retain(|_, queue| !queue.is_idle(now, FORGET_IDLE_QUEUE));
        drop(inner);
        // Tasks hold runs, whose drop must not happen under the lock.
        drop(dead);
    }

    /// What is known of a queue: its backlog and its recent pollers with the time they were last seen.
    pub(crate) fn describe(&self, id: &QueueId) -> (usize, Vec<(String, Timestamp)>) {
        self.lock().queues.get(id).map(Queue::describe).unwrap_or_default()
    }

    fn leave(&self, id: &QueueId, number: u64) {
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.waiters.retain(|waiter| waiter.number() != number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic under the lock cannot leave a queue half changed in a way that matters.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
