//! One task queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use helve_history::Timestamp;
use temporalio_protos::temporal::api::taskqueue::v1::{RateLimitConfig, TaskQueueConfig};
use tokio::sync::oneshot;

use super::{
    Handed, Poller, Seen, Stats, Task,
    backlog::{Backlog, Rules, Weights},
    flow::Flow,
    limit::{KeyThrottle, Limit, Throttle},
    pollers::Pollers,
    rank::Weight,
};

pub(super) enum Delivery<T: Task> {
    Task(Handed<T>),
    Empty,
}

pub(super) struct Waiter<T: Task> {
    poller: Poller,
    sender: oneshot::Sender<Delivery<T>>,
}

impl<T: Task> Waiter<T> {
    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    pub(super) fn deliver(self, delivery: Delivery<T>) -> Result<(), Delivery<T>> {
        self.sender.send(delivery)
    }
}

/// What a queue that has pollers can do now.
pub(super) enum Next<T> {
    Task(T),
    /// Nothing waits, or nobody waits for it.
    Nothing,
    /// A rate limit holds everything back until then.
    At(Timestamp),
}

pub(super) struct Queue<T: Task> {
    /// By their numbers: first come, first served.
    waiters: BTreeMap<u64, Waiter<T>>,
    backlog: Backlog<T>,
    throttle: Throttle,
    keys: KeyThrottle,
    weights: Weights,
    /// The limit set for the queue, which counts more than what workers say.
    configured_rate: Option<f64>,
    worker_rate: Option<f64>,
    /// Waiters for whom a task is being made. Those that leave meanwhile are taken out.
    reserved: BTreeSet<u64>,
    pollers: Pollers,
    is_sticky: bool,
    flow: Flow,
    /// When the queue is looked at again because of a limit.
    pub(super) wakes_at: Option<Timestamp>,
}

impl<T: Task> Queue<T> {
    pub(super) fn new(config: Option<&TaskQueueConfig>, now: Timestamp) -> Self {
        let mut queue = Queue {
            waiters: BTreeMap::new(),
            backlog: Backlog::default(),
            throttle: Throttle::default(),
            keys: KeyThrottle::default(),
            weights: Weights::new(),
            configured_rate: None,
            worker_rate: None,
            reserved: BTreeSet::new(),
            pollers: Pollers::default(),
            is_sticky: false,
            flow: Flow::default(),
            wakes_at: None,
        };
        if let Some(config) = config {
            queue.configure(config, now);
        }
        queue
    }

    pub(super) fn configure(&mut self, config: &TaskQueueConfig, now: Timestamp) {
        let weights = config.fairness_weight_overrides.iter();
        self.weights = weights
            .map(|(key, weight)| (key.clone(), Weight::new(*weight)))
            .collect();
        self.configured_rate = rate(config.queue_rate_limit.as_ref());
        let per_key = rate(config.fairness_keys_rate_limit_default.as_ref());
        self.keys.set(Limit::per_second(per_key), now);
        self.throttle.set(Limit::per_second(self.rate()), now);
        // Limits and weights may both have changed.
        self.backlog.wake_all();
    }

    /// The tasks per second that may leave, if there is a limit.
    fn rate(&self) -> Option<f64> {
        self.configured_rate.or(self.worker_rate)
    }

    pub(super) fn add(&mut self, task: T, now: Timestamp, dead: &mut Vec<T>) {
        self.flow.added(task.rank().level, now);
        self.backlog.push(task, dead);
    }

    /// Takes a task back that left. It did not get to a worker, so it has used up nothing of the limit.
    pub(super) fn put_back(&mut self, task: T, now: Timestamp, dead: &mut Vec<T>) {
        self.flow.returned(task.rank().level, now);
        self.throttle.give_back();
        self.backlog.put_back(task, dead);
    }

    /// Takes out the waiter that would get a task which came now, if the task could go to it at once: nothing stands
    /// before it, and no limit holds it back.
    pub(super) fn reserve(&mut self) -> Option<(u64, Waiter<T>)> {
        self.forget_closed_waiters();
        if !self.backlog.is_empty() || self.throttle.is_limited() || self.keys.is_limited() {
            return None;
        }
        let (number, waiter) = self.waiters.pop_first()?;
        self.reserved.insert(number);
        Some((number, waiter))
    }

    /// The waiter waits again, unless it was to leave meanwhile.
    pub(super) fn release(&mut self, number: u64, waiter: Waiter<T>) {
        if self.reserved.remove(&number) {
            self.waiters.insert(number, waiter);
        } else {
            // An error means that the poll is gone already.
            let _ = waiter.deliver(Delivery::Empty);
        }
    }

    /// The waiter gets its task, which never waits in the queue.
    pub(super) fn passed(&mut self, number: u64, level: u8, now: Timestamp) {
        self.reserved.remove(&number);
        self.flow.added(level, now);
        self.flow.dispatched(level, now);
    }

    fn forget_closed_waiters(&mut self) {
        while let Some(first) = self.waiters.first_entry()
            && first.get().sender.is_closed()
        {
            first.remove();
        }
    }

    /// What can be handed out now.
    pub(super) fn next(&mut self, now: Timestamp, dead: &mut Vec<T>) -> Next<T> {
        self.forget_closed_waiters();
        if self.waiters.is_empty() || self.backlog.is_empty() {
            return Next::Nothing;
        }
        if let Some(at) = self.throttle.wait(now) {
            return Next::At(at);
        }
        let mut rules = Rules {
            now,
            weights: &self.weights,
            keys: &mut self.keys,
        };
        match self.backlog.take(&mut rules, dead) {
            Some(task) => {
                self.throttle.take(now);
                self.flow.dispatched(task.rank().level, now);
                Next::Task(task)
            }
            None => self.backlog.next_ready().map_or(Next::Nothing, Next::At),
        }
    }

    pub(super) fn pop_waiter(&mut self) -> Option<Waiter<T>> {
        self.waiters.pop_first().map(|(_, waiter)| waiter)
    }

    pub(super) fn wait(&mut self, number: u64, poller: Poller, sender: oneshot::Sender<Delivery<T>>, now: Timestamp) {
        self.pollers.note(&poller, now);
        self.is_sticky = poller.is_sticky;
        // The last poll counts, also if it says nothing.
        self.worker_rate = poller.max_tasks_per_second.filter(|rate| !rate.is_nan());
        self.throttle.set(Limit::per_second(self.rate()), now);
        self.waiters.insert(number, Waiter { poller, sender });
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.waiters.remove(&number);
        self.reserved.remove(&number);
    }

    pub(super) fn has_poller(&self, now: Timestamp, recently: Duration) -> bool {
        let waits = self.waiters.values().any(|waiter| !waiter.sender.is_closed());
        waits || !self.reserved.is_empty() || self.pollers.seen_within(now, recently)
    }

    pub(super) fn dismiss(&mut self, which: impl Fn(&Poller) -> bool) {
        for (_, waiter) in self.waiters.extract_if(.., |_, waiter| which(&waiter.poller)) {
            // An error means that the poll is gone already.
            let _ = waiter.deliver(Delivery::Empty);
        }
    }

    /// Completes all polls with nothing; from here on it is as if nobody had ever polled.
    pub(super) fn abandon(&mut self) {
        self.dismiss(|_| true);
        self.reserved.clear();
        self.pollers.forget_last();
    }

    #[cfg(test)]
    pub(super) fn backlog_len(&self) -> usize {
        self.backlog.iter().count()
    }

    pub(super) fn drain(&mut self) -> Vec<T> {
        self.backlog.drain()
    }

    pub(super) fn sweep(&mut self, dead: &mut Vec<T>) {
        self.backlog.sweep(dead);
    }

    pub(super) fn is_idle(&self, now: Timestamp, after: Duration) -> bool {
        // What a limit remembers is not forgotten before its time.
        let is_owing = self.throttle.wait(now).is_some_and(|at| at != Timestamp::MAX);
        self.backlog.is_empty()
            && self.waiters.is_empty()
            && self.reserved.is_empty()
            && !is_owing
            && !self.pollers.seen_within(now, after)
    }

    /// A look that is short, however much waits.
    pub(super) fn survey(&self, now: Timestamp) -> Surveyed {
        Surveyed {
            tasks: self.backlog.len(),
            oldest: self.backlog.oldest().map_or(Duration::ZERO, |since| now.since(since)),
            pollers: self.waiters.len() + self.reserved.len(),
            is_sticky: self.is_sticky,
        }
    }

    pub(super) fn describe(&self, now: Timestamp) -> View {
        let mut stats: BTreeMap<u8, Stats> = BTreeMap::new();
        for level in self.flow.levels() {
            let (add_rate, dispatch_rate) = self.flow.rates(level, now);
            stats.entry(level).or_default().add_rate = add_rate;
            stats.entry(level).or_default().dispatch_rate = dispatch_rate;
        }
        for task in self.backlog.iter().filter(|task| task.is_live()) {
            let level = stats.entry(task.rank().level).or_default();
            level.backlog += 1;
            level.age = level.age.max(now.since(task.waits_since()));
        }
        View {
            stats,
            pollers: self.pollers.recent(now),
            rate: self.rate(),
            is_configured: self.configured_rate.is_some(),
            is_limited: self.wakes_at.is_some_and(|at| at > now) && !self.backlog.is_empty(),
        }
    }
}

fn rate(config: Option<&RateLimitConfig>) -> Option<f64> {
    Some(f64::from(config?.rate_limit?.requests_per_second))
}

/// The least that is to be known of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Surveyed {
    /// Tasks that wait; some may be unwanted by now.
    pub(crate) tasks: usize,
    /// How long the oldest has waited.
    pub(crate) oldest: Duration,
    /// Polls that wait.
    pub(crate) pollers: usize,
    /// Whether the queue is that of one worker.
    pub(crate) is_sticky: bool,
}

/// What is known of a queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// By priority, for those that are or were lately used.
    pub(crate) stats: BTreeMap<u8, Stats>,
    pub(crate) pollers: Vec<Seen>,
    /// The tasks per second that may leave, if there is a limit.
    pub(crate) rate: Option<f64>,
    /// Whether that limit was set for the queue; else workers set it.
    pub(crate) is_configured: bool,
    /// Whether a limit holds tasks back now, though somebody waits for them.
    pub(crate) is_limited: bool,
}
