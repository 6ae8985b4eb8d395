//! Interleavings: polls, tasks, cancellations and goodbyes in every order. The scheduler is the test: a poll makes progress
//! only when it is looked at, and it is looked at only when it was woken, as a runtime would do it.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task,
};

use futures_util::{
    FutureExt,
    task::{ArcWake, waker},
};

use super::{tests::*, *};

/// A waker that remembers whether it was called.
struct Flag(AtomicBool);

impl ArcWake for Flag {
    fn wake_by_ref(flag: &Arc<Self>) {
        flag.0.store(true, Ordering::Relaxed);
    }
}

type Pending = Pin<Box<dyn Future<Output = Option<Handed<Job>>>>>;

/// What can happen next.
#[derive(Debug, Clone, Copy)]
enum Event {
    Offer,
    Poll,
    /// The runtime looks at the polls that were woken.
    Run,
    /// The client of the first poll goes away.
    Cancel,
    /// A worker takes its task for good.
    Accept,
    /// A task could not be started for its poller.
    Return,
    /// A worker says goodbye: its polls end.
    Dismiss,
}

const EVENTS: [Event; 7] = [
    Event::Offer,
    Event::Poll,
    Event::Run,
    Event::Cancel,
    Event::Accept,
    Event::Return,
    Event::Dismiss,
];

/// One queue, and all who know it.
struct Model {
    matching: Matching<Job>,
    polls: Vec<(Pending, Arc<Flag>)>,
    held: Vec<Handed<Job>>,
    offered: u32,
    done: Vec<u32>,
}

impl Model {
    fn new() -> Model {
        Model {
            matching: timed().0,
            polls: Vec::new(),
            held: Vec::new(),
            offered: 0,
            done: Vec::new(),
        }
    }

    /// `false` if nothing of the kind can happen now: orders with it are the same as shorter ones.
    fn happens(&mut self, event: Event) -> bool {
        match event {
            Event::Offer => {
                self.matching.offer(queue("q"), job(self.offered));
                self.offered += 1;
            }
            Event::Poll => {
                let instance = if self.polls.len().is_multiple_of(2) { "a" } else { "b" };
                let poll = poll(&self.matching, instance);
                // New: to be looked at once.
                self.polls
                    .push((Box::pin(poll.task()), Arc::new(Flag(AtomicBool::new(true)))));
            }
            Event::Run => return self.run(),
            Event::Cancel if !self.polls.is_empty() => drop(self.polls.remove(0)),
            Event::Accept if !self.held.is_empty() => self.done.push(self.held.remove(0).accept().number),
            Event::Return if !self.held.is_empty() => drop(self.held.remove(0)),
            Event::Dismiss if !self.polls.is_empty() => self.matching.dismiss_worker("a"),
            Event::Cancel | Event::Accept | Event::Return | Event::Dismiss => return false,
        }
        true
    }

    fn run(&mut self) -> bool {
        let mut ran = false;
        let mut still = Vec::new();
        for (mut future, flag) in std::mem::take(&mut self.polls) {
            if !flag.0.swap(false, Ordering::Relaxed) {
                still.push((future, flag));
                continue;
            }
            ran = true;
            match future
                .as_mut()
                .poll(&mut task::Context::from_waker(&waker(flag.clone())))
            {
                task::Poll::Ready(handed) => self.held.extend(handed),
                task::Poll::Pending => still.push((future, flag)),
            }
        }
        self.polls = still;
        ran
    }

    /// Nobody waits for a task while a task waits for somebody, and everything offered comes to an end, once.
    fn check(mut self, path: &[Event]) {
        let waiting = self
            .matching
            .describe(&queue("q"))
            .stats
            .values()
            .map(|s| s.backlog)
            .sum::<usize>();
        self.run();
        assert!(
            waiting == 0 || self.polls.is_empty(),
            "{path:?}: {waiting} tasks wait beside {} polls",
            self.polls.len()
        );
        self.polls.clear();
        self.held.clear();
        while let Some(number) = at_once(poll(&self.matching, "c")) {
            self.done.push(number);
        }
        let once: BTreeSet<u32> = self.done.iter().copied().collect();
        assert_eq!(once.len(), self.done.len(), "{path:?}: twice in {:?}", self.done);
        assert_eq!(once.len(), self.offered as usize, "{path:?}: only {once:?}");
        let stats = self.matching.describe(&queue("q")).stats;
        for stats in stats.values() {
            assert_eq!((stats.backlog, stats.add_rate), (0, stats.dispatch_rate), "{path:?}");
        }
    }
}

#[test]
fn every_order_of_six_events_hands_out_each_task_once() {
    const DEPTH: u32 = 6;
    // Every order begins with a task or a poll: before that there is nothing else to happen.
    for order in 0..(EVENTS.len() as u32).pow(DEPTH) {
        let mut path = Vec::new();
        let mut rest = order;
        for _ in 0..DEPTH {
            path.push(EVENTS[rest as usize % EVENTS.len()]);
            rest /= EVENTS.len() as u32;
        }
        if !matches!(path[0], Event::Offer | Event::Poll) {
            continue;
        }
        let mut model = Model::new();
        if path.iter().all(|event| model.happens(*event)) {
            model.check(&path);
        }
    }
}

/// Polls that come, are looked at, and go, in every order a seed brings; tasks that come meanwhile. The scheduler is this
/// test: a poll makes progress only when it is looked at. If any task were lost, or a poll missed its wake-up, the end
/// would not come.
#[test]
fn no_task_and_no_wake_up_is_lost_whatever_polls_are_cancelled_when() {
    for seed in 0..300 {
        stress(seed);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn stress(seed: u64) {
    const TASKS: u32 = 60;
    let (matching, clock) = timed();
    let mut random = Random(seed);
    let limited = random.below(3) == 0;
    let mut polls: Vec<(Pending, Arc<Flag>)> = Vec::new();
    let mut held: Vec<Handed<Job>> = Vec::new();
    let (mut offered, mut done) = (0, Vec::new());
    let mut pace = Box::pin({
        let matching = matching.clone();
        async move { matching.pace().await }
    });
    for step in 0.. {
        assert!(step < 100_000, "seed {seed}: only {done:?} were done");
        match random.below(if offered < TASKS { 8 } else { 7 }) {
            0 | 1 if polls.len() < 8 => {
                let poll = poll_at_rate(&matching, limited.then_some(20.0));
                // New: to be looked at once.
                polls.push((Box::pin(poll.task()), Arc::new(Flag(AtomicBool::new(true)))));
            }
            // Only polls that were woken are looked at: a runtime would not look at others either.
            2 | 3 => {
                let woken = polls.iter().position(|(_, flag)| flag.0.swap(false, Ordering::Relaxed));
                if let Some(at) = woken {
                    let (future, flag) = &mut polls[at];
                    let waker = waker(flag.clone());
                    if let task::Poll::Ready(handed) = future.as_mut().poll(&mut task::Context::from_waker(&waker)) {
                        drop(polls.swap_remove(at));
                        held.extend(handed);
                    }
                }
            }
            4 if !polls.is_empty() && random.below(3) == 0 => {
                let at = random.below(polls.len() as u64) as usize;
                drop(polls.swap_remove(at));
            }
            5 if !held.is_empty() => {
                let at = random.below(held.len() as u64) as usize;
                let handed = held.swap_remove(at);
                if random.below(3) == 0 {
                    drop(handed);
                } else {
                    done.push(handed.accept().number);
                }
            }
            6 => {
                clock.advance(Duration::from_millis(20));
                assert!((&mut pace).now_or_never().is_none());
            }
            7 => {
                let (priority, key) = (random.below(6) as i32, ["a", "b", ""][random.below(3) as usize]);
                matching.offer(queue("q"), ranked(offered, priority, key, 1.0));
                offered += 1;
            }
            _ => {}
        }
        if done.len() == TASKS as usize {
            break;
        }
    }
    done.sort_unstable();
    assert_eq!(done, (0..TASKS).collect::<Vec<_>>(), "seed {seed}: each exactly once");
}
