//! Task queues: who waits for a task, and which tasks wait for somebody. In memory only.
//!
//! Knows nothing of runs: a task is whatever the engine offers. The engine derives its tasks from the runs' states, so
//! what is lost here with the process is offered again at the next start.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `poll` | the two ends of a hand-over |
//! | `queue` | one queue: waiters, backlog, limits, what is known of it |
//! | `backlog`, `rank` | priorities and fairness |
//! | `limit` | tasks per second |
//! | `flow`, `pollers` | what is told about a queue |

mod backlog;
mod flow;
mod limit;
mod poll;
mod pollers;
mod queue;
mod rank;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(crate) use flow::Stats;
use helve_history::Timestamp;
pub(crate) use poll::{Handed, Poll, Reserved};
pub(crate) use pollers::{Poller, Seen, instance_of};
use queue::{Delivery, Next, Queue, Waiter};
pub(crate) use queue::{Surveyed, View};
pub(crate) use rank::Rank;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueueConfig;
use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;

/// A queue without pollers, tasks and recent polls is forgotten after this.
const FORGET_IDLE_QUEUE: Duration = Duration::from_secs(300);
/// With this many queues known, those that are idle are forgotten sooner; then again whenever they have doubled.
const MANY_QUEUES: usize = 10_000;
/// How soon then: no sooner than a sticky queue is given up.
const FORGET_ONE_OF_MANY: Duration = Duration::from_secs(15);
/// Workers that said goodbye and are remembered, since a poll of theirs may still be under way. More: the one that left
/// first is forgotten, and such a poll waits until it times out.
const MAX_GONE_WORKERS: usize = 10_000;

/// What a task must be able to say about itself.
pub(crate) trait Task: Send + 'static {
    /// Whether it still makes sense to hand it to a worker.
    fn is_live(&self) -> bool;
    /// Its place among others.
    fn rank(&self) -> &Rank;
    /// Since when it waits for a worker.
    fn waits_since(&self) -> Timestamp;
    /// What it is when it comes back from a poller that did not take it.
    fn came_back(self) -> Self;
}

/// What kind of tasks a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Workflow,
    /// Workflow tasks for the one worker that has their runs in its cache. No such queue is an ordinary one of the same name, so
    /// who may poll the one has not got the other.
    Sticky,
    Activity,
}

/// Names a queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueId {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
}

impl QueueId {
    /// The queue of one worker for the runs that it has in its cache, which are of one normal queue: who may poll that one gets
    /// no runs of another one, whatever the name that they ask for.
    pub(crate) fn sticky(namespace: Arc<str>, name: &str, normal: &str) -> Self {
        QueueId {
            namespace,
            name: (sticky_prefix(name) + normal).into(),
            kind: Kind::Sticky,
        }
    }
}

/// How the names of all queues begin that a worker calls so.
fn sticky_prefix(name: &str) -> String {
    format!("{}:{name}:", name.len())
}

pub(crate) struct Matching<T: Task> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Task> {
    inner: Mutex<Inner<T>>,
    clock: Arc<dyn Clock>,
    /// A rate limit lets something go earlier than all that was known of.
    earlier: Notify,
}

struct Inner<T: Task> {
    queues: BTreeMap<QueueId, Queue<T>>,
    sweep_queues_at: usize,
    configs: BTreeMap<QueueId, Arc<TaskQueueConfig>>,
    /// Queues whose tasks a rate limit holds back, by when it will not.
    wakes: BTreeSet<(Timestamp, QueueId)>,
    gone: Gone,
    next_waiter: u64,
    closed: bool,
}

impl<T: Task> Clone for Matching<T> {
    fn clone(&self) -> Self {
        Matching {
            shared: self.shared.clone(),
        }
    }
}

impl<T: Task> Matching<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            queues: BTreeMap::new(),
            sweep_queues_at: MANY_QUEUES,
            configs: BTreeMap::new(),
            wakes: BTreeSet::new(),
            gone: Gone::default(),
            next_waiter: 0,
            closed: false,
        };
        Matching {
            shared: Arc::new(Shared {
                inner: Mutex::new(inner),
                clock,
                earlier: Notify::new(),
            }),
        }
    }

    /// Hands the task to a waiting poller, or keeps it for the next one.
    pub(crate) fn offer(&self, queue: QueueId, task: T) {
        self.change(queue, |queue, now, dead| queue.add(task, now, dead));
    }

    /// Takes a task back that was handed out: it goes before all others of its priority.
    pub(crate) fn give_back(&self, queue: QueueId, task: T) {
        let task = task.came_back();
        self.change(queue, |queue, now, dead| queue.put_back(task, now, dead));
    }

    /// Takes the poller that would get a task at once if one came now; `None` if it would have to wait. Dropped without a
    /// task, the poller waits on in its place.
    pub(crate) fn reserve(&self, id: &QueueId) -> Option<Reserved<T>> {
        let (number, waiter) = self.lock().queues.get_mut(id)?.reserve()?;
        Some(Reserved::new(self.clone(), id.clone(), number, waiter))
    }

    fn release(&self, id: &QueueId, number: u64, waiter: Waiter<T>) {
        let mut inner = self.lock();
        if inner.gone.contains(&waiter.poller().instance) {
            // Its worker said goodbye meanwhile: what is not known to be reserved ends.
            if let Some(queue) = inner.queues.get_mut(id) {
                queue.leave(number);
            }
        }
        if inner.closed {
            return;
        }
        self.change_locked(inner, id.clone(), |queue, _, _| queue.release(number, waiter));
    }

    fn passed(&self, id: &QueueId, number: u64, level: u8) {
        let now = self.shared.clock.now();
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.passed(number, level, now);
        }
    }

    /// Sets the limits and weights of a queue.
    pub(crate) fn configure(&self, id: QueueId, config: Arc<TaskQueueConfig>) {
        let mut inner = self.lock();
        inner.configs.insert(id.clone(), config.clone());
        self.change_locked(inner, id, |queue, now, _| queue.configure(&config, now));
    }

    /// The limits and weights of a queue.
    pub(crate) fn config(&self, id: &QueueId) -> Option<Arc<TaskQueueConfig>> {
        self.lock().configs.get(id).cloned()
    }

    /// Starts a poll, which waits until it is dropped.
    pub(crate) fn poll(&self, id: QueueId, poller: Poller) -> Poll<T> {
        let mut inner = self.lock();
        if inner.closed || inner.gone.contains(poller.instance.as_str()) {
            return Poll::empty();
        }
        inner.next_waiter += 1;
        let number = inner.next_waiter;
        let (sender, receiver) = oneshot::channel();
        self.change_locked(inner, id.clone(), |queue, now, _| {
            queue.wait(number, poller, sender, now)
        });
        Poll::waiting(self.clone(), id, number, receiver)
    }

    /// Changes a queue, then hands out what can be handed out.
    fn change(&self, id: QueueId, change: impl FnOnce(&mut Queue<T>, Timestamp, &mut Vec<T>)) {
        self.change_locked(self.lock(), id, change);
    }

    fn change_locked(
        &self,
        mut inner: MutexGuard<'_, Inner<T>>,
        id: QueueId,
        change: impl FnOnce(&mut Queue<T>, Timestamp, &mut Vec<T>),
    ) {
        // Tasks hold runs, whose drop must not happen under the lock.
        let mut dead = Vec::new();
        if !inner.closed {
            let now = self.shared.clock.now();
            change(inner.queue(&id, now), now, &mut dead);
            self.serve(&mut inner, &id, now, &mut dead);
        }
        drop(inner);
    }

    fn serve(&self, inner: &mut Inner<T>, id: &QueueId, now: Timestamp, dead: &mut Vec<T>) {
        let Some(queue) = inner.queues.get_mut(id) else { return };
        let wakes_at = loop {
            match queue.next(now, dead) {
                Next::Task(task) => {
                    let mut handed = Handed::new(self.clone(), id.clone(), task);
                    loop {
                        let Some(waiter) = queue.pop_waiter() else {
                            queue.put_back(handed.accept(), now, dead);
                            break;
                        };
                        match waiter.deliver(Delivery::Task(handed)) {
                            // The waiter went away in this moment.
                            Err(Delivery::Task(back)) => handed = back,
                            Ok(()) | Err(Delivery::Empty) => break,
                        }
                    }
                }
                Next::Nothing => break None,
                Next::At(at) => break Some(at),
            }
        };
        let before = std::mem::replace(&mut queue.wakes_at, wakes_at);
        if before != wakes_at {
            if let Some(at) = before {
                inner.wakes.remove(&(at, id.clone()));
            }
            if let Some(at) = wakes_at {
                inner.wakes.insert((at, id.clone()));
                if inner.wakes.first().is_some_and(|(first, _)| *first == at) {
                    self.shared.earlier.notify_one();
                }
            }
        }
    }

    /// Hands out what rate limits hold back, when they do not any more. Never returns.
    pub(crate) async fn pace(&self) {
        loop {
            let next = self.serve_due();
            tokio::select! {
                biased;
                () = self.shared.clock.sleep_until(next) => {}
                () = self.shared.earlier.notified() => {}
            }
        }
    }

    /// Serves the queues whose time has come; answers when the next one's will.
    fn serve_due(&self) -> Timestamp {
        loop {
            let now = self.shared.clock.now();
            let mut dead = Vec::new();
            let mut inner = self.lock();
            match inner.wakes.first() {
                Some((at, _)) if *at <= now && *at != Timestamp::MAX => {}
                later => return later.map_or(Timestamp::MAX, |(at, _)| *at),
            }
            let Some((_, id)) = inner.wakes.pop_first() else {
                continue;
            };
            if let Some(queue) = inner.queues.get_mut(&id) {
                queue.wakes_at = None;
            }
            self.serve(&mut inner, &id, now, &mut dead);
            drop(inner);
            drop(dead);
        }
    }

    /// Whether a poller waits at the queue now or was there within `recently`.
    pub(crate) fn has_poller(&self, id: &QueueId, recently: Duration) -> bool {
        let now = self.shared.clock.now();
        let inner = self.lock();
        inner
            .queues
            .get(id)
            .is_some_and(|queue| queue.has_poller(now, recently))
    }

    /// The tasks that wait at the queue, which is left empty.
    pub(crate) fn drain(&self, id: &QueueId) -> Vec<T> {
        self.lock().queues.get_mut(id).map(Queue::drain).unwrap_or_default()
    }

    /// Completes the open polls of a worker that shuts down, and all it still sends, with nothing.
    pub(crate) fn dismiss_worker(&self, instance: &str) {
        if instance.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.gone.insert(instance);
        inner
            .queues
            .values_mut()
            .for_each(|queue| queue.dismiss(|poller| poller.instance == instance));
    }

    /// The sticky queues that workers call so.
    pub(crate) fn sticky_queues(&self, namespace: &Arc<str>, name: &str) -> Vec<QueueId> {
        let prefix = sticky_prefix(name);
        let first = QueueId {
            namespace: namespace.clone(),
            name: prefix.as_str().into(),
            kind: Kind::Sticky,
        };
        let inner = self.lock();
        // Ordered by namespace and name.
        let ids = inner.queues.range(first..).map(|(id, _)| id);
        ids.take_while(|id| id.namespace == *namespace && id.name.starts_with(&prefix))
            .filter(|id| id.kind == Kind::Sticky)
            .cloned()
            .collect()
    }

    /// Completes the open polls of one queue with nothing, and says that nobody polls it any more.
    pub(crate) fn abandon(&self, id: &QueueId) {
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.abandon();
        }
    }

    /// Completes every poll with nothing and takes no more tasks.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.queues.values_mut().for_each(|queue| queue.dismiss(|_| true));
        let queues = std::mem::take(&mut inner.queues);
        inner.wakes.clear();
        drop(inner);
        // Tasks hold runs, whose drop must not happen under the lock.
        drop(queues);
    }

    /// Forgets tasks that nobody wants any more, and queues that nobody uses.
    pub(crate) fn tidy(&self) {
        let now = self.shared.clock.now();
        let mut dead = Vec::new();
        let mut inner = self.lock();
        inner.queues.values_mut().for_each(|queue| queue.sweep(&mut dead));
        inner.forget_idle(now, FORGET_IDLE_QUEUE);
        drop(inner);
        // Tasks hold runs, whose drop must not happen under the lock.
        drop(dead);
    }

    /// What is known of a queue.
    pub(crate) fn describe(&self, id: &QueueId) -> View {
        let now = self.shared.clock.now();
        let inner = self.lock();
        inner
            .queues
            .get(id)
            .map(|queue| queue.describe(now))
            .unwrap_or_default()
    }

    /// A short look at every queue.
    pub(crate) fn survey(&self) -> Vec<(QueueId, Surveyed)> {
        let now = self.shared.clock.now();
        let inner = self.lock();
        let all = inner.queues.iter().map(|(id, queue)| (id.clone(), queue.survey(now)));
        all.filter(|(_, queue)| queue.tasks > 0 || queue.pollers > 0).collect()
    }

    fn leave(&self, id: &QueueId, number: u64) {
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.leave(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // A panic under the lock cannot leave a queue half changed in a way that matters.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Workers that said goodbye, the latest of them.
#[derive(Default)]
struct Gone {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Gone {
    fn contains(&self, instance: &str) -> bool {
        self.known.contains(instance)
    }

    fn insert(&mut self, instance: &str) {
        let instance: Arc<str> = instance.into();
        if !self.known.insert(instance.clone()) {
            return;
        }
        self.order.push_back(instance);
        if self.order.len() > MAX_GONE_WORKERS
            && let Some(first) = self.order.pop_front()
        {
            self.known.remove(&first);
        }
    }
}

impl<T: Task> Inner<T> {
    fn queue(&mut self, id: &QueueId, now: Timestamp) -> &mut Queue<T> {
        if self.queues.len() >= self.sweep_queues_at && !self.queues.contains_key(id) {
            self.forget_idle(now, FORGET_ONE_OF_MANY);
            self.sweep_queues_at = MANY_QUEUES.max(self.queues.len() * 2);
        }
        let configs = &self.configs;
        self.queues
            .entry(id.clone())
            .or_insert_with(|| Queue::new(configs.get(id).map(|config| &**config), now))
    }

    fn forget_idle(&mut self, now: Timestamp, after: Duration) {
        self.queues.retain(|_, queue| !queue.is_idle(now, after));
        let queues = &self.queues;
        self.wakes
            .retain(|(at, id)| queues.get(id).is_some_and(|queue| queue.wakes_at == Some(*at)));
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
