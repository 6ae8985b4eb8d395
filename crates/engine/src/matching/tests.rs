use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;

#[derive(Debug, Clone)]
struct Job(u32, Arc<AtomicBool>);

impl Task for Job {
    fn is_live(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

fn job(number: u32) -> Job {
    Job(number, Arc::new(AtomicBool::new(true)))
}

fn queue(name: &str) -> QueueId {
    QueueId {
        namespace: "default".into(),
        name: name.into(),
        kind: Kind::Workflow,
    }
}

fn poller(instance: &str) -> Poller {
    Poller {
        identity: format!("{instance}@host"),
        instance: instance.to_owned(),
    }
}

const NOW: Timestamp = Timestamp::from_seconds(1_000);

fn poll(matching: &Matching<Job>, instance: &str) -> Poll<Job> {
    matching.poll(queue("q"), poller(instance), NOW)
}

async fn number(poll: Poll<Job>) -> Option<u32> {
    Some(poll.task().await?.accept().0)
}

#[tokio::test]
async fn tasks_are_handed_out_in_the_order_they_came() {
    let matching = Matching::new();
    for n in 1..=3 {
        matching.offer(queue("q"), job(n));
    }
    for n in 1..=3 {
        assert_eq!(number(poll(&matching, "a")).await, Some(n));
    }
}

#[tokio::test]
async fn a_waiting_poller_gets_the_task_at_once() {
    let matching = Matching::new();
    let waiting = tokio::spawn(number(poll(&matching, "a")));
    matching.offer(queue("q"), job(1));
    assert_eq!(waiting.await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_task_sent_to_a_poll_that_was_dropped_goes_to_the_next_one() {
    let matching = Matching::new();
    let (first, second) = (poll(&matching, "a"), poll(&matching, "b"));
    matching.offer(queue("q"), job(1));
    // The task sits in the first poll, which never looks.
    drop(first);
    assert_eq!(number(second).await, Some(1));
}

#[tokio::test]
async fn a_task_that_is_not_accepted_goes_back_to_the_head_of_the_queue() {
    let matching = Matching::new();
    matching.offer(queue("q"), job(1));
    matching.offer(queue("q"), job(2));
    drop(poll(&matching, "a").task().await.unwrap());
    assert_eq!(number(poll(&matching, "a")).await, Some(1));
    assert_eq!(number(poll(&matching, "a")).await, Some(2));
}

#[tokio::test]
async fn a_task_that_is_no_longer_wanted_is_skipped() {
    let matching = Matching::new();
    let stale = job(1);
    matching.offer(queue("q"), stale.clone());
    matching.offer(queue("q"), job(2));
    stale.1.store(false, Ordering::Relaxed);
    assert_eq!(number(poll(&matching, "a")).await, Some(2));
}

#[tokio::test]
async fn a_long_backlog_forgets_tasks_that_are_no_longer_wanted() {
    let matching = Matching::new();
    for n in 0..5000 {
        let stale = job(n);
        stale.1.store(false, Ordering::Relaxed);
        matching.offer(queue("q"), stale);
    }
    assert!(matching.describe(&queue("q")).0 <= 1024);
}

#[tokio::test]
async fn a_dismissed_worker_gets_empty_polls_and_others_stay() {
    let matching = Matching::new();
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
    let matching = Matching::new();
    let waiting = poll(&matching, "a");
    matching.close();
    assert_eq!(number(waiting).await, None);
    assert_eq!(number(poll(&matching, "b")).await, None);
}

#[tokio::test]
async fn a_queue_knows_whether_somebody_polled_it_recently() {
    let matching = Matching::new();
    let recently = Duration::from_secs(10);
    assert!(!matching.has_poller(&queue("q"), NOW, recently));
    let waiting = poll(&matching, "a");
    assert!(
        matching.has_poller(&queue("q"), NOW + Duration::from_secs(60), recently),
        "it still waits"
    );
    drop(waiting);
    assert!(matching.has_poller(&queue("q"), NOW + Duration::from_secs(9), recently));
    assert!(!matching.has_poller(&queue("q"), NOW + Duration::from_secs(10), recently));
    matching.tidy(NOW + Duration::from_secs(1000));
    assert_eq!(matching.lock().queues.len(), 0);
}

#[tokio::test]
async fn tasks_that_nobody_wants_any_more_do_not_keep_a_queue_alive() {
    let matching = Matching::new();
    let (dead, live) = (job(1), job(2));
    matching.offer(queue("q"), dead.clone());
    matching.offer(queue("other"), live);
    dead.1.store(false, Ordering::Relaxed);
    matching.tidy(NOW);
    let left: Vec<String> = matching.lock().queues.keys().map(|id| id.name.to_string()).collect();
    assert_eq!(left, ["other"]);
    assert_eq!(Arc::strong_count(&dead.1), 1, "the task is gone");
}
