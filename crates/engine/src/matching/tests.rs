use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use temporalio_protos::temporal::api::{
    common::v1::Priority,
    taskqueue::v1::{RateLimit, RateLimitConfig},
};

use super::*;
use crate::clock::ManualClock;

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) number: u32,
    live: Arc<AtomicBool>,
    rank: Rank,
    since: Timestamp,
}

impl Task for Job {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    fn rank(&self) -> &Rank {
        &self.rank
    }

    fn waits_since(&self) -> Timestamp {
        self.since
    }

    fn came_back(self) -> Self {
        self
    }
}

impl Job {
    fn withdraw(&self) {
        self.live.store(false, Ordering::Relaxed);
    }
}

pub(super) fn job(number: u32) -> Job {
    ranked(number, 0, "", 0.0)
}

pub(super) fn ranked(number: u32, priority_key: i32, fairness_key: &str, fairness_weight: f32) -> Job {
    let priority = Priority {
        priority_key,
        fairness_key: fairness_key.to_owned(),
        fairness_weight,
    };
    Job {
        number,
        live: Arc::new(AtomicBool::new(true)),
        rank: Rank::of(&priority),
        since: NOW,
    }
}

pub(super) fn queue(name: &str) -> QueueId {
    QueueId {
        namespace: "default".into(),
        name: name.into(),
        kind: Kind::Workflow,
    }
}

pub(super) fn poller(instance: &str) -> Poller {
    Poller {
        identity: format!("{instance}@host"),
        instance: instance.to_owned(),
        is_sticky: false,
        max_tasks_per_second: None,
        sdk: None,
    }
}

const NOW: Timestamp = Timestamp::from_seconds(1_000);

pub(super) fn timed() -> (Matching<Job>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW));
    (Matching::new(clock.clone()), clock)
}

fn matching() -> Matching<Job> {
    timed().0
}

pub(super) fn poll(matching: &Matching<Job>, instance: &str) -> Poll<Job> {
    matching.poll(queue("q"), poller(instance))
}

pub(super) fn poll_at_rate(matching: &Matching<Job>, rate: Option<f64>) -> Poll<Job> {
    let poller = Poller {
        max_tasks_per_second: rate,
        ..poller("a")
    };
    matching.poll(queue("q"), poller)
}

async fn number(poll: Poll<Job>) -> Option<u32> {
    Some(poll.task().await?.accept().number)
}

/// What a poll gets without waiting.
pub(super) fn at_once(poll: Poll<Job>) -> Option<u32> {
    // A runtime would make a test that does much of this at a time wait in between.
    tokio::task::unconstrained(number(poll)).now_or_never().flatten()
}

fn backlog(matching: &Matching<Job>, name: &str) -> usize {
    matching
        .describe(&queue(name))
        .stats
        .values()
        .map(|stats| stats.backlog)
        .sum()
}

fn rate(per_second: f32) -> Option<RateLimitConfig> {
    Some(RateLimitConfig {
        rate_limit: Some(RateLimit {
            requests_per_second: per_second,
        }),
        ..Default::default()
    })
}

#[tokio::test]
async fn tasks_are_handed_out_in_the_order_they_came() {
    let matching = matching();
    for n in 1..=3 {
        matching.offer(queue("q"), job(n));
    }
    for n in 1..=3 {
        assert_eq!(number(poll(&matching, "a")).await, Some(n));
    }
}

#[tokio::test]
async fn a_waiting_poller_gets_the_task_at_once() {
    let matching = matching();
    let waiting = tokio::spawn(number(poll(&matching, "a")));
    matching.offer(queue("q"), job(1));
    assert_eq!(waiting.await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_task_sent_to_a_poll_that_was_dropped_goes_to_the_next_one() {
    let matching = matching();
    let (first, second) = (poll(&matching, "a"), poll(&matching, "b"));
    matching.offer(queue("q"), job(1));
    // The task sits in the first poll, which never looks.
    drop(first);
    assert_eq!(number(second).await, Some(1));
}

#[tokio::test]
async fn a_task_that_is_not_accepted_goes_back_to_the_head_of_the_queue() {
    let matching = matching();
    matching.offer(queue("q"), job(1));
    matching.offer(queue("q"), job(2));
    drop(poll(&matching, "a").task().await.unwrap());
    assert_eq!(number(poll(&matching, "a")).await, Some(1));
    assert_eq!(number(poll(&matching, "a")).await, Some(2));
}

#[tokio::test]
async fn a_reserved_poller_gets_the_task_that_is_made_for_it_before_any_other() {
    let matching = matching();
    let (first, second) = (poll(&matching, "a"), poll(&matching, "b"));
    let reserved = matching.reserve(&queue("q")).unwrap();
    assert_eq!(reserved.poller().unwrap().instance, "a");
    matching.offer(queue("q"), job(1));
    assert_eq!(at_once(second), Some(1));
    reserved.hand(job(2));
    assert_eq!(at_once(first), Some(2));
}

#[tokio::test]
async fn a_reserved_poller_that_is_let_go_waits_on_in_its_place() {
    let matching = matching();
    let (first, second) = (poll(&matching, "a"), poll(&matching, "b"));
    drop(matching.reserve(&queue("q")).unwrap());
    matching.offer(queue("q"), job(1));
    matching.offer(queue("q"), job(2));
    assert_eq!(at_once(first), Some(1));
    assert_eq!(at_once(second), Some(2));
}

#[tokio::test]
async fn a_reserved_poller_that_is_let_go_gets_what_came_meanwhile() {
    let matching = matching();
    let waiting = poll(&matching, "a");
    let reserved = matching.reserve(&queue("q")).unwrap();
    matching.offer(queue("q"), job(1));
    assert_eq!(backlog(&matching, "q"), 1);
    drop(reserved);
    assert_eq!(at_once(waiting), Some(1));
}

#[tokio::test]
async fn a_task_made_for_a_poller_that_left_goes_to_the_next_one() {
    let matching = matching();
    let waiting = poll(&matching, "a");
    let reserved = matching.reserve(&queue("q")).unwrap();
    drop(waiting);
    reserved.hand(job(1));
    assert_eq!(at_once(poll(&matching, "b")), Some(1));
    // And nobody is left behind of the one that left.
    assert!(matching.reserve(&queue("q")).is_none());
}

#[tokio::test]
async fn no_poller_is_reserved_past_a_limit_or_one_that_is_gone() {
    let matching = matching();
    assert!(matching.reserve(&queue("q")).is_none());
    drop(poll(&matching, "a"));
    assert!(matching.reserve(&queue("q")).is_none());
    let _limited = poll_at_rate(&matching, Some(1000.0));
    assert!(matching.reserve(&queue("q")).is_none());
}

#[tokio::test]
async fn a_reserved_poller_whose_worker_says_goodbye_is_not_kept_waiting() {
    let matching = matching();
    let (waiting, sticky) = (poll(&matching, "a"), poll(&matching, "b"));
    let (of_a, of_b) = (
        matching.reserve(&queue("q")).unwrap(),
        matching.reserve(&queue("q")).unwrap(),
    );
    matching.dismiss_worker("a");
    drop(of_a);
    assert!(waiting.task().now_or_never().expect("it is answered").is_none());
    matching.abandon(&queue("q"));
    drop(of_b);
    assert!(sticky.task().now_or_never().expect("it is answered").is_none());
}

#[tokio::test]
async fn a_reserved_poller_gets_its_task_although_matching_is_closed() {
    let matching = matching();
    let (first, second) = (poll(&matching, "a"), poll(&matching, "b"));
    let (of_a, of_b) = (
        matching.reserve(&queue("q")).unwrap(),
        matching.reserve(&queue("q")).unwrap(),
    );
    matching.close();
    of_a.hand(job(1));
    drop(of_b);
    assert_eq!(at_once(first), Some(1));
    assert!(second.task().now_or_never().expect("it is answered").is_none());
}

#[tokio::test]
async fn a_task_that_is_no_longer_wanted_is_skipped() {
    let matching = matching();
    let stale = job(1);
    matching.offer(queue("q"), stale.clone());
    matching.offer(queue("q"), job(2));
    stale.withdraw();
    assert_eq!(number(poll(&matching, "a")).await, Some(2));
}

#[tokio::test]
async fn a_long_backlog_forgets_tasks_that_are_no_longer_wanted() {
    let matching = matching();
    for n in 0..5000 {
        let stale = job(n);
        stale.withdraw();
        matching.offer(queue("q"), stale);
    }
    assert!(matching.lock().queues[&queue("q")].backlog_len() <= 1024);
}

#[tokio::test]
async fn a_dismissed_worker_gets_empty_polls_and_others_stay() {
    let matching = matching();
    let (leaving, staying) = (poll(&matching, "a"), poll(&matching, "b"));
    matching.dismiss_worker("a");
    assert_eq!(number(leaving).await, None);
    assert_eq!(
        number(poll(&matching, "a")).await,
        None,
        "a poll that was still on its way"
    );
    matching.offer(queue("q"), job(1));
    assert_eq!(number(staying).await, Some(1));
}

#[tokio::test]
async fn closing_completes_every_poll_with_nothing() {
    let matching = matching();
    let waiting = poll(&matching, "a");
    matching.close();
    assert_eq!(number(waiting).await, None);
    assert_eq!(number(poll(&matching, "b")).await, None);
}

#[tokio::test]
async fn a_queue_knows_whether_somebody_polled_it_recently() {
    let (matching, clock) = timed();
    let recently = Duration::from_secs(10);
    assert!(!matching.has_poller(&queue("q"), recently));
    let waiting = poll(&matching, "a");
    clock.advance(Duration::from_secs(60));
    assert!(matching.has_poller(&queue("q"), recently), "it still waits");
    drop(waiting);
    assert!(!matching.has_poller(&queue("q"), recently));
    drop(poll(&matching, "a"));
    clock.advance(Duration::from_secs(9));
    assert!(matching.has_poller(&queue("q"), recently));
    clock.advance(Duration::from_secs(1));
    assert!(!matching.has_poller(&queue("q"), recently));
    clock.advance(Duration::from_secs(1000));
    matching.tidy();
    assert_eq!(matching.lock().queues.len(), 0);
}

#[tokio::test]
async fn tasks_that_nobody_wants_any_more_do_not_keep_a_queue_alive() {
    let matching = matching();
    let (dead, live) = (job(1), job(2));
    matching.offer(queue("q"), dead.clone());
    matching.offer(queue("other"), live);
    dead.withdraw();
    matching.tidy();
    let left: Vec<String> = matching.lock().queues.keys().map(|id| id.name.to_string()).collect();
    assert_eq!(left, ["other"]);
    assert_eq!(Arc::strong_count(&dead.live), 1, "the task is gone");
}

#[tokio::test]
async fn a_lower_priority_key_is_served_first_however_late_it_comes() {
    let matching = matching();
    for (n, priority) in [(1, 5), (2, 0), (3, 1), (4, 3), (5, 2), (6, 99), (7, 1)] {
        matching.offer(queue("q"), ranked(n, priority, "", 0.0));
    }
    let order: Vec<u32> = (0..7).filter_map(|_| at_once(poll(&matching, "a"))).collect();
    // 0 is the usual priority, 3; 99 is beyond the lowest, 5.
    assert_eq!(order, [3, 7, 5, 2, 4, 1, 6]);
}

#[tokio::test]
async fn a_task_that_comes_back_keeps_its_priority() {
    let matching = matching();
    matching.offer(queue("q"), ranked(1, 4, "", 0.0));
    let handed = poll(&matching, "a").task().await.unwrap();
    matching.offer(queue("q"), ranked(2, 4, "", 0.0));
    matching.offer(queue("q"), ranked(3, 1, "", 0.0));
    drop(handed);
    let order: Vec<u32> = (0..3).filter_map(|_| at_once(poll(&matching, "a"))).collect();
    assert_eq!(order, [3, 1, 2]);
}

/// How many tasks of each key are among the first `taken`.
fn shares(matching: &Matching<Job>, taken: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for _ in 0..taken {
        let task = tokio::task::unconstrained(poll(matching, "a").task());
        let task = task.now_or_never().flatten().unwrap().accept();
        *shares.entry(task.rank.key.to_string()).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn keys_share_a_queue_by_their_weights_whoever_came_first() {
    let matching = matching();
    // One key after the other, the heavy user first.
    for (key, weight) in [("bulk", 1.0), ("small", 1.0), ("gold", 4.0)] {
        for n in 0..200 {
            matching.offer(queue("q"), ranked(n, 0, key, weight));
        }
    }
    let shares = shares(&matching, 120);
    for (key, expected) in [("bulk", 20), ("small", 20), ("gold", 80)] {
        assert!(shares[key].abs_diff(expected) <= 1, "{shares:?}");
    }
}

#[tokio::test]
async fn fairness_does_not_cross_priorities() {
    let matching = matching();
    for n in 0..10 {
        matching.offer(queue("q"), ranked(n, 3, "light", 1000.0));
        matching.offer(queue("q"), ranked(n, 2, "heavy", 0.001));
    }
    assert_eq!(shares(&matching, 10), BTreeMap::from([("heavy".to_owned(), 10)]));
}

#[tokio::test]
async fn nobody_gains_by_coming_back_again_and_again() {
    let matching = matching();
    for n in 0..100 {
        matching.offer(queue("q"), ranked(n, 0, "steady", 1.0));
    }
    let mut hopper = 0;
    for n in 0..60 {
        // One task at a time: its lane falls empty whenever it is served.
        if hopper == n {
            matching.offer(queue("q"), ranked(1000 + n, 0, "hopper", 1.0));
        }
        let task = poll(&matching, "a").task().await.unwrap().accept();
        if task.number >= 1000 {
            hopper = n + 1;
        }
    }
    let left = backlog(&matching, "q");
    assert!(
        (60..=75).contains(&left),
        "the steady key had about half of 60: {left} of 100 are left"
    );
}

#[tokio::test]
async fn a_weight_set_for_the_queue_counts_more_than_those_of_tasks() {
    let matching = matching();
    let config = TaskQueueConfig {
        fairness_weight_overrides: [("a".to_owned(), 3.0)].into(),
        ..Default::default()
    };
    matching.configure(queue("q"), Arc::new(config));
    for n in 0..100 {
        matching.offer(queue("q"), ranked(n, 0, "a", 0.01));
        matching.offer(queue("q"), ranked(n, 0, "b", 1.0));
    }
    let shares = shares(&matching, 40);
    assert!(shares["a"].abs_diff(30) <= 1, "{shares:?}");
}

#[tokio::test]
async fn a_thousand_keys_are_all_served_in_one_round() {
    let matching = matching();
    for n in 0..5000 {
        matching.offer(queue("q"), ranked(n, 0, &format!("tenant-{}", n % 1000), 0.0));
    }
    let shares = shares(&matching, 1000);
    assert_eq!(shares.len(), 1000);
}

/// Polls without end for `seconds` of virtual time; how many tasks came.
async fn dispatched(matching: &Matching<Job>, clock: &ManualClock, rate: Option<f64>, seconds: u64) -> usize {
    let pace = matching.pace();
    tokio::pin!(pace);
    let mut count = 0;
    for _ in 0..seconds * 100 {
        assert!((&mut pace).now_or_never().is_none());
        while at_once(poll_at_rate(matching, rate)).is_some() {
            count += 1;
        }
        clock.advance(Duration::from_millis(10));
    }
    count
}

#[tokio::test]
async fn a_worker_s_rate_is_kept() {
    let (matching, clock) = timed();
    for n in 0..1000 {
        matching.offer(queue("q"), job(n));
    }
    let first = dispatched(&matching, &clock, Some(5.0), 20).await;
    assert!(
        (100..=106).contains(&first),
        "20 s at 5 per second and one burst, not {first}"
    );
    assert_eq!(backlog(&matching, "q"), 1000 - first, "and none is lost");
    assert_eq!(matching.describe(&queue("q")).rate, Some(5.0));
    assert!(
        dispatched(&matching, &clock, None, 1).await > 800,
        "the last poll counts"
    );
}

#[tokio::test]
async fn a_rate_of_zero_holds_everything_back_until_it_is_lifted() {
    let (matching, clock) = timed();
    matching.offer(queue("q"), job(1));
    assert_eq!(dispatched(&matching, &clock, Some(0.0), 30).await, 0);
    let view = matching.describe(&queue("q"));
    assert_eq!((view.rate, backlog(&matching, "q")), (Some(0.0), 1));
    assert_eq!(at_once(poll_at_rate(&matching, None)), Some(1));
}

#[tokio::test]
async fn a_rate_set_for_the_queue_counts_more_than_the_workers() {
    let (matching, clock) = timed();
    let config = TaskQueueConfig {
        queue_rate_limit: rate(2.0),
        ..Default::default()
    };
    matching.configure(queue("q"), Arc::new(config));
    for n in 0..1000 {
        matching.offer(queue("q"), job(n));
    }
    let count = dispatched(&matching, &clock, Some(100.0), 10).await;
    assert!((20..=23).contains(&count), "{count}");
    assert!(matching.describe(&queue("q")).is_configured);
    matching.configure(queue("q"), Arc::default());
    let count = dispatched(&matching, &clock, Some(100.0), 1).await;
    assert!((100..=202).contains(&count), "{count}");
}

#[tokio::test]
async fn a_waiting_poller_gets_a_task_as_soon_as_its_limit_allows() {
    let (matching, clock) = timed();
    let paced = {
        let matching = matching.clone();
        tokio::spawn(async move { matching.pace().await })
    };
    for n in 1..=2 {
        matching.offer(queue("q"), job(n));
    }
    assert_eq!(at_once(poll_at_rate(&matching, Some(0.1))), Some(1));
    let waiting = tokio::spawn(number(poll_at_rate(&matching, Some(0.1))));
    assert!(matching.describe(&queue("q")).is_limited);
    while !waiting.is_finished() {
        assert!(
            clock.now() <= NOW + Duration::from_secs(10),
            "it would have been its turn"
        );
        clock.advance(Duration::from_secs(1));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(waiting.await.unwrap(), Some(2));
    assert_eq!(clock.now(), NOW + Duration::from_secs(10), "and not before");
    paced.abort();
}

#[tokio::test]
async fn each_fairness_key_has_its_limit_and_holds_up_no_other() {
    let (matching, clock) = timed();
    let config = TaskQueueConfig {
        fairness_keys_rate_limit_default: rate(1.0),
        ..Default::default()
    };
    matching.configure(queue("q"), Arc::new(config));
    for n in 0..100 {
        matching.offer(queue("q"), ranked(n, 1, "first", 0.0));
        matching.offer(queue("q"), ranked(n, 1, "double", 2.0));
        matching.offer(queue("q"), ranked(n, 5, "last", 0.0));
    }
    let count = dispatched(&matching, &clock, None, 10).await;
    // 10 s at 1, 2 and 1 per second, each with a burst of a second.
    assert!((40..=48).contains(&count), "{count}");
    let stats = matching.describe(&queue("q")).stats;
    assert!(
        (88..=90).contains(&stats[&5].backlog),
        "a lower priority goes on meanwhile: {stats:?}"
    );
    matching.configure(queue("q"), Arc::default());
    let rest = 300 - count;
    assert_eq!(dispatched(&matching, &clock, None, 1).await, rest, "none is lost");
}

#[tokio::test]
async fn a_description_tells_backlog_age_rates_and_pollers() {
    let (matching, clock) = timed();
    for n in 0..6 {
        matching.offer(queue("q"), ranked(n, if n < 2 { 1 } else { 0 }, "", 0.0));
    }
    let stale = job(9);
    matching.offer(queue("q"), stale.clone());
    stale.withdraw();
    clock.advance(Duration::from_secs(4));
    assert_eq!(at_once(poll(&matching, "a")), Some(0));
    let view = matching.describe(&queue("q"));
    let of = |level: u8| view.stats[&level];
    assert_eq!((of(1).backlog, of(3).backlog), (1, 4));
    assert_eq!((of(1).age, of(3).age), (Duration::from_secs(4), Duration::from_secs(4)));
    assert_eq!((of(1).add_rate, of(1).dispatch_rate), (0.4, 1.0));
    let seen = Seen {
        identity: "a@host".to_owned(),
        at: clock.now(),
        max_tasks_per_second: None,
    };
    assert_eq!(view.pollers, [seen]);
    clock.advance(Duration::from_secs(300));
    assert_eq!(matching.describe(&queue("q")).pollers, [], "seen too long ago");
}

#[tokio::test]
async fn queues_that_were_polled_once_do_not_pile_up() {
    let (matching, clock) = timed();
    for n in 0..50_000 {
        drop(matching.poll(queue(&format!("q{n}")), poller("a")));
        clock.advance(Duration::from_millis(10));
    }
    assert!(matching.lock().queues.len() <= MANY_QUEUES);
}

#[tokio::test]
async fn a_task_that_comes_back_is_counted_once_and_uses_up_no_limit() {
    let (matching, _clock) = timed();
    matching.offer(queue("q"), ranked(1, 1, "", 0.0));
    for _ in 0..20 {
        // Each gets the task and goes away with it.
        drop(poll_at_rate(&matching, Some(1.0)).task().await.unwrap());
    }
    let view = matching.describe(&queue("q"));
    assert_eq!((view.stats[&1].add_rate, view.stats[&1].dispatch_rate), (1.0, 0.0));
    assert_eq!(at_once(poll_at_rate(&matching, Some(1.0))), Some(1));
    assert_eq!(matching.describe(&queue("q")).stats[&1].dispatch_rate, 1.0);
    matching.offer(queue("q"), job(2));
    assert_eq!(
        at_once(poll_at_rate(&matching, Some(1.0))),
        None,
        "the limit holds for what is used"
    );
}

#[tokio::test]
async fn the_worker_that_left_last_is_remembered_longest() {
    let matching = matching();
    for n in 0..=MAX_GONE_WORKERS {
        matching.dismiss_worker(&format!("w{n}"));
    }
    let polls_in_vain = |instance: &str| poll(&matching, instance).task().now_or_never().is_some();
    assert!(polls_in_vain(&format!("w{MAX_GONE_WORKERS}")) && polls_in_vain("w1"));
    assert!(!polls_in_vain("w0"), "only the first one is forgotten");
}
