//! Jobs on the embedded engine, through Temporal's protocol.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use helve_engine::{Engine, EngineOptions, ManualClock, Timestamp};
use helve_queue::{
    Claim, ClaimKey, ClaimedJob, Claiming, Content, Error, Failing, Has, JobStatus, Jobs, Needs, NewJob,
    PublishOptions, Published, QueueName, Reach, Retry, Which,
};
use serde_json::json;
use temporalio_client::callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse};
use temporalio_client::{Connection, ConnectionOptions, Url};

/// An engine in a temporary directory.
struct World {
    dir: Arc<tempfile::TempDir>,
    clock: Option<Arc<ManualClock>>,
    engine: Arc<Engine>,
    jobs: Jobs,
}

impl World {
    /// Its clock stands still: nothing happens by time but what a test lets happen.
    async fn new() -> Self {
        let now = jiff::Timestamp::now().as_second();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(now)));
        Self::open(Arc::new(tempfile::tempdir().unwrap()), Some(clock)).await
    }

    /// With the clock of the machine.
    async fn live() -> Self {
        Self::open(Arc::new(tempfile::tempdir().unwrap()), None).await
    }

    async fn open(dir: Arc<tempfile::TempDir>, clock: Option<Arc<ManualClock>>) -> Self {
        let mut options = EngineOptions {
            role: "a test".to_owned(),
            ..EngineOptions::new(dir.path())
        };
        if let Some(clock) = &clock {
            options.clock = clock.clone();
        }
        let engine = Arc::new(Engine::open(options).await.unwrap());
        let in_process = engine.in_process();
        let callback = move |request: GrpcRequest| -> futures_util::future::BoxFuture<'static, _> {
            let engine = in_process.clone();
            Box::pin(async move {
                let GrpcRequest {
                    service,
                    rpc,
                    headers,
                    proto,
                } = request;
                let (headers, proto) = engine.call(&service, &rpc, headers, proto).await?;
                Ok(GrpcSuccessResponse { headers, proto })
            })
        };
        let options = ConnectionOptions::new(Url::parse("http://in-process").unwrap())
            .identity("a test".to_owned())
            .client_name("helve")
            .client_version("0")
            .dns_load_balancing(None)
            .service_override(CallbackBasedGrpcService {
                callback: Arc::new(callback),
            })
            .build();
        let connection = Connection::connect(options).await.unwrap();
        let jobs = Jobs::new(connection, "default", Reach::InProcess, ClaimKey::new([1; 32]));
        Self {
            dir,
            clock,
            engine,
            jobs,
        }
    }

    /// What a crash at this moment would leave: the files as they are.
    async fn crash(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["engine.db", "engine.db-wal"] {
            if self.dir.path().join(name).exists() {
                std::fs::copy(self.dir.path().join(name), dir.path().join(name)).unwrap();
            }
        }
        Self::open(Arc::new(dir), self.clock.clone()).await
    }

    fn advance(&self, seconds: u64) {
        let clock = self.clock.as_ref().expect("its clock can be moved");
        clock.advance(Duration::from_secs(seconds));
    }

    async fn publish(&self, name: &str, jobs: Vec<NewJob>) -> Vec<Published> {
        let published = self.jobs.publish(&queue(name), jobs, &by("ci")).await.unwrap();
        published.into_iter().map(Result::unwrap).collect()
    }

    async fn one(&self, name: &str, job: NewJob) -> String {
        self.publish(name, vec![job]).await.remove(0).id
    }

    /// What is there now.
    async fn take(&self, name: &str, max: usize) -> Vec<ClaimedJob> {
        self.take_with(name, max, &[]).await
    }

    async fn take_with(&self, name: &str, max: usize, has: &[&str]) -> Vec<ClaimedJob> {
        let claiming = Claiming {
            max: Some(max),
            wait: Some(span("0s")),
            has: Has::new(has.iter().copied()).unwrap(),
            ..Claiming::default()
        };
        self.jobs.claim(&queue(name), &claiming).await.unwrap().jobs
    }

    /// Waits for it.
    async fn next(&self, name: &str) -> ClaimedJob {
        let mut claimed = self.jobs.claim(&queue(name), &Claiming::default()).await.unwrap();
        claimed.jobs.pop().expect("one comes")
    }

    fn claim_of(&self, job: &ClaimedJob) -> Claim {
        self.jobs.open(&job.claim).unwrap()
    }

    async fn complete(&self, job: &ClaimedJob) -> Result<bool, Error> {
        let answered = self
            .jobs
            .complete(&self.claim_of(job), &Content::Json(json!({"done": job.id})))
            .await?;
        Ok(answered.repeated)
    }

    async fn fail(&self, job: &ClaimedJob, error: &str) {
        let failing = failing(job, error);
        self.jobs.fail(&self.claim_of(job), &failing).await.unwrap();
    }

    async fn status(&self, id: &str) -> JobStatus {
        self.jobs.show(id).await.unwrap().status
    }
}

fn failing(job: &ClaimedJob, error: &str) -> Failing {
    Failing {
        claim: job.claim.clone(),
        error: error.to_owned(),
        kind: "Broken".to_owned(),
        fatal: false,
        retry_in: None,
        details: None,
        canceled: false,
    }
}

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

fn by(name: &str) -> PublishOptions {
    PublishOptions {
        by: name.to_owned(),
        idempotency_key: None,
    }
}

fn span<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn numbered(count: usize) -> Vec<NewJob> {
    (0..count)
        .map(|n| NewJob {
            input: Content::Json(json!(n)),
            ..NewJob::default()
        })
        .collect()
}

fn ids<'a>(jobs: impl IntoIterator<Item = &'a ClaimedJob>) -> BTreeSet<String> {
    jobs.into_iter().map(|job| job.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_many_takes_all_that_wait_and_no_more() {
    let world = World::new().await;
    let published = world.publish("a", numbered(120)).await;
    let taken = world.take("a", 100).await;
    assert_eq!(taken.len(), 100, "nothing is left lying while there is room");
    assert!(taken.is_sorted_by_key(|job| job.published_at));
    let rest = world.take("a", 100).await;
    assert_eq!(rest.len(), 20);
    let all: BTreeSet<String> = published.into_iter().map(|job| job.id).collect();
    assert_eq!(ids(taken.iter().chain(&rest)), all);
    assert!(world.take("a", 100).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_claimers_get_each_job_once() {
    let world = Arc::new(World::live().await);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let claimers: Vec<_> = (0..8)
        .map(|_| {
            let (world, mut stopped) = (world.clone(), stopped.clone());
            tokio::spawn(async move {
                let claiming = Claiming {
                    max: Some(7),
                    wait: Some(span("60s")),
                    ..Claiming::default()
                };
                let (mut mine, name) = (Vec::new(), queue("a"));
                loop {
                    let claimed = tokio::select! {
                        _ = stopped.changed() => return mine,
                        claimed = world.jobs.claim(&name, &claiming) => claimed.unwrap(),
                    };
                    for job in &claimed.jobs {
                        world.complete(job).await.unwrap();
                        mine.push(job.id.clone());
                    }
                }
            })
        })
        .collect();
    let mut published = BTreeSet::new();
    for _ in 0..10 {
        published.extend(world.publish("a", numbered(40)).await.into_iter().map(|job| job.id));
    }
    for id in &published {
        while world.status(id).await != JobStatus::Completed {
            tokio::task::yield_now().await;
        }
    }
    stop.send(true).unwrap();
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), published.len(), "none twice");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_returns_the_job_and_the_late_claimer_is_told() {
    let world = World::new().await;
    let id = world.one("a", NewJob::default()).await;
    let first = world.next("a").await;
    assert_eq!((first.attempt, first.lease_ms), (1, 60_000));
    assert!(world.take("a", 1).await.is_empty(), "it is the claimer's alone");
    world.advance(40);
    let said = Content::Json(json!({"at": 7}));
    world
        .jobs
        .heartbeat(&world.claim_of(&first), Some(&said))
        .await
        .unwrap();
    world.advance(40);
    assert_eq!(world.status(&id).await, JobStatus::Claimed, "a heartbeat keeps it");
    world.advance(30);
    while world.status(&id).await == JobStatus::Claimed {
        tokio::task::yield_now().await;
    }
    world.advance(10);
    let second = world.next("a").await;
    assert_eq!((second.id.as_str(), second.attempt), (id.as_str(), 2));
    assert_eq!(second.heartbeat, Some(said), "the next attempt knows how far it was");
    let late = world.complete(&first).await.unwrap_err();
    assert!(matches!(late, Error::LeaseLost(_)), "{late}");
    assert!(matches!(
        world.jobs.heartbeat(&world.claim_of(&first), None).await,
        Err(Error::LeaseLost(_))
    ));
    assert!(!world.complete(&second).await.unwrap());
    assert!(world.complete(&second).await.unwrap(), "saying it again is no error");
    assert!(matches!(world.complete(&first).await, Err(Error::LeaseLost(_))));
    let shown = world.jobs.show(&id).await.unwrap();
    assert_eq!(shown.status, JobStatus::Completed);
    assert_eq!(shown.output, Some(Content::Json(json!({"done": id}))));
    assert_eq!(shown.published_by, "ci");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_neither_jobs_nor_claims() {
    let before = World::new().await;
    before.publish("a", numbered(20)).await;
    let claimed = before.take("a", 5).await;
    before.complete(&claimed[0]).await.unwrap();
    let after = before.crash().await;
    // A claim is still good, and what was done is done.
    assert!(!after.complete(&claimed[1]).await.unwrap());
    assert!(after.complete(&claimed[0]).await.unwrap());
    let rest = after.take("a", 100).await;
    assert_eq!(rest.len(), 15, "what nobody has is there");
    assert!(ids(&rest).is_disjoint(&ids(&claimed)));
    drop(before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_publishes_once_whatever_became_of_the_job() {
    let world = World::new().await;
    let keyed = || NewJob {
        key: Some("nightly".to_owned()),
        ..NewJob::default()
    };
    let both = world.publish("a", vec![keyed(), keyed()]).await;
    assert_eq!(both[0].id, both[1].id);
    assert_eq!(both.iter().filter(|job| job.duplicate).count(), 1);
    let elsewhere = world.publish("b", vec![keyed()]).await;
    assert!(!elsewhere[0].duplicate && elsewhere[0].id != both[0].id);
    let job = world.next("a").await;
    assert_eq!(job.key.as_deref(), Some("nightly"));
    world.complete(&job).await.unwrap();
    assert!(world.publish("a", vec![keyed()]).await[0].duplicate);
    assert!(world.take("a", 1).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_publishes_once_and_another_one_is_refused() {
    let world = World::new().await;
    let options = PublishOptions {
        idempotency_key: Some("k".to_owned()),
        ..by("ci")
    };
    let publish = async |jobs| {
        let published = world.jobs.publish(&queue("a"), jobs, &options).await.unwrap();
        published.into_iter().collect::<Result<Vec<_>, _>>()
    };
    let first = publish(numbered(3)).await.unwrap();
    let again = publish(numbered(3)).await.unwrap();
    assert!(again.iter().all(|job| job.duplicate));
    let same = |jobs: &[Published]| jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
    assert_eq!(same(&first), same(&again));
    let other = vec![NewJob {
        priority: Some(1),
        ..NewJob::default()
    }];
    assert!(matches!(publish(other).await, Err(Error::OtherRequest)));
    assert_eq!(world.take("a", 10).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_jobs_go_first() {
    let world = World::new().await;
    for priority in [5, 3, 1, 4, 2] {
        let job = NewJob {
            priority: Some(priority),
            ..NewJob::default()
        };
        world.one("a", job).await;
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(world.next("a").await.priority);
    }
    assert_eq!(order, [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_is_nobody_s_before_its_time() {
    let world = World::new().await;
    let job = NewJob {
        delay: Some(span("1h")),
        ..NewJob::default()
    };
    let id = world.one("a", job).await;
    assert!(world.take("a", 1).await.is_empty());
    assert_eq!(world.status(&id).await, JobStatus::Delayed);
    let stats = world.jobs.stats(&queue("a")).await.unwrap();
    assert_eq!((stats.open, stats.delayed, stats.waiting, stats.at_work), (1, 1, 0, 0));
    world.advance(3600);
    assert_eq!(world.next("a").await.id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_used_up_its_attempts_is_dead_until_it_is_requeued() {
    let world = World::new().await;
    let job = NewJob {
        input: Content::Json(json!({"path": "/x"})),
        priority: Some(2),
        retry: Some(Retry {
            attempts: Some(2),
            wait: Some(span("5s")),
            ..Retry::default()
        }),
        ..NewJob::default()
    };
    let id = world.one("a", job).await;
    let first = world.next("a").await;
    assert_eq!(first.attempts, Some(2));
    world.fail(&first, "no room").await;
    assert_eq!(world.status(&id).await, JobStatus::Retrying);
    assert!(world.take("a", 1).await.is_empty(), "not before its time");
    world.advance(5);
    let second = world.next("a").await;
    assert_eq!(second.attempt, 2);
    world.fail(&second, "still no room").await;
    let dead = world.jobs.list(&queue("a"), Which::Dead, 10, Vec::new()).await.unwrap();
    assert_eq!(dead.jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&id]);
    let shown = world.jobs.show(&id).await.unwrap();
    assert_eq!(shown.status, JobStatus::Dead);
    let failure = shown.failure.unwrap();
    assert_eq!((&*failure.error, &*failure.kind), ("still no room", "Broken"));

    let requeued = world.jobs.requeue(&id).await.unwrap();
    assert_eq!((requeued.id.as_str(), requeued.times), (id.as_str(), 1));
    let again = world.jobs.requeue(&id).await.unwrap_err();
    assert!(again.to_string().contains("has not ended"), "{again}");
    let dead = world.jobs.list(&queue("a"), Which::Dead, 10, Vec::new()).await.unwrap();
    assert!(dead.jobs.is_empty(), "{dead:?}");
    let third = world.next("a").await;
    assert_eq!((third.attempt, third.attempts, third.priority), (1, Some(2), 2));
    assert_eq!(third.input, Content::Json(json!({"path": "/x"})));
    world.complete(&third).await.unwrap();
    let shown = world.jobs.show(&id).await.unwrap();
    assert_eq!(shown.earlier.len(), 1);
    assert_eq!(
        (shown.earlier[0].status, shown.earlier[0].attempts),
        (JobStatus::Dead, 2)
    );
    assert_eq!(shown.earlier[0].failure.as_ref().unwrap().error, "still no room");
    assert!(
        matches!(world.jobs.requeue(&id).await, Err(Error::Conflict(_))),
        "it is done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_jobs_are_requeued_and_purged_in_bulk() {
    let world = World::new().await;
    world.publish("a", numbered(10)).await;
    for job in world.take("a", 10).await {
        let fatal = Failing {
            fatal: true,
            ..failing(&job, "no")
        };
        world.jobs.fail(&world.claim_of(&job), &fatal).await.unwrap();
        // Said again, it is the same.
        assert!(world.jobs.fail(&world.claim_of(&job), &fatal).await.unwrap().repeated);
    }
    assert_eq!(world.jobs.stats(&queue("a")).await.unwrap().dead, 10);
    let swept = world.jobs.requeue_dead(&queue("a")).await.unwrap();
    assert_eq!((swept.jobs, swept.is_more), (10, false));
    let again = world.take("a", 100).await;
    assert_eq!(again.len(), 10);
    for job in &again {
        world.complete(job).await.unwrap();
    }
    assert!(world.jobs.purge(&queue("a"), Which::Open).await.is_err());
    assert_eq!(world.jobs.purge(&queue("a"), Which::Completed).await.unwrap().jobs, 10);
    while world.jobs.stats(&queue("a")).await.unwrap().completed > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_only_to_who_has_all_that_it_needs() {
    let world = World::new().await;
    let needing = |needs: &[&str]| NewJob {
        needs: Needs::new(needs.iter().copied()).unwrap(),
        ..NewJob::default()
    };
    let plain = world.one("a", needing(&[])).await;
    let linux = world.one("a", needing(&["linux"])).await;
    let both = world.one("a", needing(&["linux", "gpu=1"])).await;
    assert_eq!(ids(&world.take("a", 10).await), [plain].into());
    assert!(world.take_with("a", 10, &["gpu=1"]).await.is_empty());
    assert_eq!(ids(&world.take_with("a", 10, &["linux", "big"]).await), [linux].into());
    let stats = world.jobs.stats(&queue("a")).await.unwrap();
    let waiting = stats.by_needs.iter().find(|of| of.needs.len() == 2).unwrap();
    assert_eq!((waiting.waiting, stats.waiting), (1, 1));
    let taken = world.take_with("a", 10, &["gpu=1", "linux", "big"]).await;
    assert_eq!(ids(&taken), [both].into());
    assert_eq!(taken[0].needs, Needs::new(["gpu=1", "linux"]).unwrap());
    assert_eq!(world.jobs.queues().await.unwrap(), [queue("a")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn needs_that_another_process_published_are_found() {
    let world = World::new().await;
    let job = NewJob {
        needs: Needs::new(["linux"]).unwrap(),
        ..NewJob::default()
    };
    let id = world.one("a", job).await;
    // It knows nothing of what was published here.
    let other = world.crash().await;
    assert_eq!(ids(&other.take_with("a", 1, &["linux"]).await), [id].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_gets_what_is_published_meanwhile() {
    let world = Arc::new(World::live().await);
    for has in [&[][..], &["linux"]] {
        let claiming = Claiming {
            wait: Some(span("60s")),
            has: Has::new(has.iter().copied()).unwrap(),
            ..Claiming::default()
        };
        let waiting = world.clone();
        let claim = tokio::spawn(async move { waiting.jobs.claim(&queue("a"), &claiming).await.unwrap() });
        let job = NewJob {
            needs: Needs::new(has.iter().copied()).unwrap(),
            ..NewJob::default()
        };
        let id = world.one("a", job).await;
        assert_eq!(ids(&claim.await.unwrap().jobs), [id].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_lease_may_be_asked_for() {
    let world = World::new().await;
    let id = world.one("a", NewJob::default()).await;
    let claiming = Claiming {
        lease: Some(span("5m")),
        ..Claiming::default()
    };
    let job = world.jobs.claim(&queue("a"), &claiming).await.unwrap().jobs.remove(0);
    assert_eq!(job.lease_ms, 300_000);
    world.advance(200);
    world.jobs.heartbeat(&world.claim_of(&job), None).await.unwrap();
    assert_eq!(world.status(&id).await, JobStatus::Claimed);
    assert!(!world.complete(&job).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_ends_or_its_claimer_is_told() {
    let world = World::new().await;
    let idle = world.one("a", NewJob::default()).await;
    world.jobs.cancel(&idle, "not wanted").await.unwrap();
    assert_eq!(world.status(&idle).await, JobStatus::Canceled);
    assert!(world.take("a", 1).await.is_empty());

    let id = world.one("a", NewJob::default()).await;
    let job = world.next("a").await;
    let claim = world.claim_of(&job);
    let early = Failing {
        canceled: true,
        ..failing(&job, "stopped")
    };
    assert!(matches!(world.jobs.fail(&claim, &early).await, Err(Error::Conflict(_))));
    world.jobs.cancel(&id, "not wanted").await.unwrap();
    assert_eq!(world.status(&id).await, JobStatus::Canceling);
    assert!(world.jobs.heartbeat(&claim, None).await.unwrap().cancel_requested);
    world.jobs.fail(&claim, &early).await.unwrap();
    assert_eq!(world.status(&id).await, JobStatus::Canceled);
    world.jobs.remove(&id).await.unwrap();
    assert!(matches!(world.jobs.remove("job-never").await, Err(Error::NoJob(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_others_and_too_large_things_are_refused() {
    let world = World::new().await;
    world.one("a", NewJob::default()).await;
    let job = world.next("a").await;
    let elsewhere = world.jobs.of_namespace("team-b");
    assert!(matches!(elsewhere.open(&job.claim), Err(Error::WrongClaim(_))));
    let large = Content::of_bytes(&vec![0; 300_000]);
    let refused = world.jobs.complete(&world.claim_of(&job), &large).await;
    assert!(matches!(refused, Err(Error::Invalid { field: "output", .. })));
    let huge = NewJob {
        input: large,
        ..NewJob::default()
    };
    let published = world
        .jobs
        .publish(&queue("a"), vec![huge, NewJob::default()], &by("ci"))
        .await
        .unwrap();
    assert!(published[0].is_err() && published[1].is_ok(), "an answer for each");
    assert!(
        world
            .jobs
            .publish(&queue("a"), numbered(1001), &by("ci"))
            .await
            .is_err()
    );
    assert!(world.jobs.publish(&queue("a"), Vec::new(), &by("ci")).await.is_err());
    drop(world.engine);
}
