//! Inputs to one run that come while the disk is busy share a commit: what that changes for their callers (nothing), and
//! for the disk.
//!
//! These tests run on one thread, so that "everything that can go on went on" is a thing one can wait for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use helve_db::{CommitError, Request, Store};
use helve_engine::{Engine, ManualClock, Timestamp};
use temporalio_protos::temporal::api::{enums::v1::*, workflowservice::v1::*};
use tokio::{sync::watch, task::JoinHandle};
use tonic::{Code, Status};

use crate::client::*;

/// A disk that can be made to wait, or to fail, and counts what it is asked to write.
struct Disk {
    is_held: watch::Sender<bool>,
    /// Commits that were asked for.
    asked: AtomicUsize,
    /// Every commit after this many fails.
    good: AtomicUsize,
    /// What fails is written all the same.
    lies: AtomicBool,
}

impl Disk {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn hold(&self) {
        self.is_held.send_replace(true);
    }

    fn release(&self) {
        self.is_held.send_replace(false);
    }

    /// Only `more` commits succeed from here on.
    fn fail_after(&self, more: usize) {
        self.good.store(self.asked() + more, Ordering::Relaxed);
    }

    fn heal(&self) {
        self.good.store(usize::MAX, Ordering::Relaxed);
        self.lies.store(false, Ordering::Relaxed);
    }
}

async fn on_disk() -> (World, Arc<Disk>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let options = options(dir.path(), &clock);
    let path = dir.path().join("engine.db");
    let (store, mut requests, mut driver) = Store::driven(&path, &Engine::store_options(&options)).unwrap();
    let disk = Arc::new(Disk {
        is_held: watch::Sender::new(false),
        asked: AtomicUsize::new(0),
        good: AtomicUsize::new(usize::MAX),
        lies: AtomicBool::new(false),
    });
    let of_writer = disk.clone();
    tokio::spawn(async move {
        let disk = of_writer;
        while let Some(request) = requests.recv().await {
            match request {
                Request::Commit(commit) => {
                    let number = disk.asked.fetch_add(1, Ordering::Relaxed) + 1;
                    let mut held = disk.is_held.subscribe();
                    held.wait_for(|is_held| !is_held).await.unwrap();
                    let fails = number > disk.good.load(Ordering::Relaxed);
                    let mut result = Ok(());
                    if !fails || disk.lies.load(Ordering::Relaxed) {
                        result = driver.write(std::slice::from_ref(&commit)).remove(0);
                    }
                    if fails {
                        result = Err(CommitError::Io {
                            reason: "simulated".to_owned(),
                        });
                    }
                    commit.answer(result);
                }
                Request::Read(read) => driver.read(read),
                Request::Close(close) => return driver.close(close),
            }
        }
    });
    let engine = Arc::new(Engine::open_on(options, store).await.unwrap());
    let client = Client {
        call: engine.in_process(),
    };
    let world = World {
        dir,
        clock,
        engine,
        client,
    };
    (world, disk)
}

/// Lets everything go on that can.
async fn settle() {
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
}

type Signalled = JoinHandle<Result<SignalWorkflowExecutionResponse, Status>>;

fn signalling(world: &World, name: impl Into<String>) -> Signalled {
    let (client, name) = (world.client.clone(), name.into());
    tokio::spawn(async move { client.signal("w", &name).await })
}

/// Makes the disk wait with one signal's commit: whatever comes now, comes while the disk is busy.
async fn busy_with(world: &World, disk: &Disk, name: &str) -> Signalled {
    let before = disk.asked();
    disk.hold();
    let signal = signalling(world, name);
    settle().await;
    assert_eq!(disk.asked(), before + 1);
    signal
}

fn by_id(activity_id: &str) -> RespondActivityTaskCompletedByIdRequest {
    RespondActivityTaskCompletedByIdRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: "w".to_owned(),
        activity_id: activity_id.to_owned(),
        result: payloads("done"),
        ..Default::default()
    }
}

fn completing(
    world: &World,
    activity_id: &str,
) -> JoinHandle<Result<RespondActivityTaskCompletedByIdResponse, Status>> {
    let (client, request) = (world.client.clone(), by_id(activity_id));
    tokio::spawn(async move { client.rpc("RespondActivityTaskCompletedById", request).await })
}

async fn signals_of(world: &World) -> Vec<String> {
    signal_names(&world.client.history("w").await)
}

#[tokio::test]
async fn signals_that_come_while_the_disk_syncs_share_one_commit() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let before = disk.asked();
    let first = busy_with(&world, &disk, "first").await;
    let names: Vec<_> = (0..100).map(|number| format!("s{number}")).collect();
    let signals: Vec<_> = names.iter().map(|name| signalling(&world, name)).collect();
    settle().await;
    assert!(!first.is_finished() && signals.iter().all(|signal| !signal.is_finished()));

    disk.release();
    first.await.unwrap().unwrap();
    for signal in signals {
        signal.await.unwrap().unwrap();
    }
    assert_eq!(disk.asked(), before + 2);
    let expected: Vec<_> = std::iter::once("first".to_owned()).chain(names).collect();
    assert_eq!(signals_of(&world).await, expected, "in the order in which they came");
    world.engine.audit().await.unwrap();
    let world = world.crash().await;
    assert_eq!(signals_of(&world).await, expected);
    world.engine.audit().await.unwrap();
}

#[tokio::test]
async fn a_commit_has_only_so_much_room() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let before = disk.asked();
    let first = busy_with(&world, &disk, "first").await;
    let mut signals: Vec<_> = (0..600)
        .map(|number| signalling(&world, format!("s{number}")))
        .collect();
    settle().await;
    disk.release();
    signals.insert(0, first);
    for signal in signals {
        signal.await.unwrap().unwrap();
    }
    assert_eq!(disk.asked(), before + 1 + 3, "256, 256 and 88");

    let before = disk.asked();
    let first = busy_with(&world, &disk, "first").await;
    let large = |number| {
        let client = world.client.clone();
        let request = SignalWorkflowExecutionRequest {
            input: payloads(&"x".repeat(700 << 10)),
            ..signal_request("w", &format!("large{number}"))
        };
        tokio::spawn(async move { client.rpc("SignalWorkflowExecution", request).await })
    };
    let mut signals: Vec<Signalled> = (0..4).map(large).collect();
    settle().await;
    disk.release();
    signals.insert(0, first);
    for signal in signals {
        signal.await.unwrap().unwrap();
    }
    assert_eq!(disk.asked(), before + 1 + 2, "two large ones fill a commit");
    world.engine.audit().await.unwrap();
}

#[tokio::test]
async fn polls_and_completions_of_one_workflow_s_activities_share_commits() {
    const ACTIVITIES: usize = 50;
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let activities = (0..ACTIVITIES).map(|number| schedule_activity(&format!("a{number}")));
    world.client.complete(&task, activities.collect()).await;

    let before = disk.asked();
    let signal = busy_with(&world, &disk, "first").await;
    let poll = |_| {
        let client = world.client.clone();
        tokio::spawn(async move { client.poll_activity().await })
    };
    let polls: Vec<_> = (0..ACTIVITIES).map(poll).collect();
    settle().await;
    disk.release();
    signal.await.unwrap().unwrap();
    let mut tasks = Vec::new();
    for poll in polls {
        tasks.push(poll.await.unwrap());
    }
    assert_eq!(disk.asked(), before + 2);
    let mut ids: Vec<_> = tasks.iter().map(|task| task.activity_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), ACTIVITIES, "each of them is given out once");
    world.engine.audit().await.unwrap();

    let before = disk.asked();
    let signal = busy_with(&world, &disk, "second").await;
    let complete = |task: &PollActivityTaskQueueResponse| {
        let (client, task) = (world.client.clone(), task.clone());
        tokio::spawn(async move { client.complete_activity(&task, "done").await })
    };
    let completions: Vec<_> = tasks.iter().map(complete).collect();
    settle().await;
    disk.release();
    signal.await.unwrap().unwrap();
    for completion in completions {
        completion.await.unwrap();
    }
    assert_eq!(disk.asked(), before + 2);
    world.engine.audit().await.unwrap();
    let task = world.client.poll().await;
    let completed = events(&task)
        .iter()
        .filter(|event| event.event_type() == EventType::ActivityTaskCompleted);
    assert_eq!(completed.count(), ACTIVITIES);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

#[tokio::test]
async fn one_refused_input_of_a_batch_spoils_nobody_elses() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![schedule_activity("a")]).await;
    world.client.poll_activity().await;
    let before = disk.asked();
    let first = busy_with(&world, &disk, "first").await;
    let nobody = completing(&world, "nobody");
    let one = signalling(&world, "one");
    let completed = completing(&world, "a");
    let again = completing(&world, "a");
    let two = signalling(&world, "two");
    settle().await;
    assert!(!again.is_finished(), "it is refused for what is not on disk yet");
    disk.release();
    assert_code(nobody.await.unwrap(), Code::NotFound);
    assert_code(again.await.unwrap(), Code::NotFound);
    completed.await.unwrap().unwrap();
    for signal in [first, one, two] {
        signal.await.unwrap().unwrap();
    }
    assert_eq!(disk.asked(), before + 2);
    assert_eq!(signals_of(&world).await, ["first", "one", "two"]);
    world.engine.audit().await.unwrap();
}

#[tokio::test]
async fn a_failed_commit_of_a_batch_fails_all_its_callers_and_keeps_memory_as_the_disk_has_it() {
    for lies in [false, true] {
        let (world, disk) = on_disk().await;
        world.client.start("w").await;
        let task = world.client.poll().await;
        world.client.complete(&task, vec![schedule_activity("a")]).await;
        world.client.poll_activity().await;
        disk.lies.store(lies, Ordering::Relaxed);
        disk.fail_after(1);
        let first = busy_with(&world, &disk, "first").await;
        let one = signalling(&world, "one");
        let completed = completing(&world, "a");
        let again = completing(&world, "a");
        let two = signalling(&world, "two");
        settle().await;
        disk.release();
        first.await.unwrap().unwrap();
        assert_code(one.await.unwrap(), Code::Unavailable);
        assert_code(completed.await.unwrap(), Code::Unavailable);
        // It was refused for what may never have happened.
        assert_code(again.await.unwrap(), Code::Unavailable);
        assert_code(two.await.unwrap(), Code::Unavailable);
        disk.heal();
        if lies {
            // Told that it failed, the engine finds out by the next commit that it did not.
            let _ = world.client.signal("w", "after").await;
            eventually("the run is read again", async || {
                signals_of(&world).await.contains(&"two".to_owned())
            })
            .await;
        } else {
            world.client.signal("w", "after").await.unwrap();
            assert_eq!(signals_of(&world).await, ["first", "after"]);
            let _: RespondActivityTaskCompletedByIdResponse = world
                .client
                .rpc("RespondActivityTaskCompletedById", by_id("a"))
                .await
                .unwrap();
        }
        world.engine.audit().await.unwrap();
    }
}

#[tokio::test]
async fn what_follows_the_end_of_a_run_is_decided_on_the_closed_run() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let before = disk.asked();
    let first = busy_with(&world, &disk, "first").await;
    let one = signalling(&world, "one");
    let client = world.client.clone();
    let end = tokio::spawn(async move { client.terminate("w").await });
    settle().await;
    let late = signalling(&world, "late");
    settle().await;
    disk.release();
    first.await.unwrap().unwrap();
    one.await.unwrap().unwrap();
    end.await.unwrap().unwrap();
    assert_code(late.await.unwrap(), Code::NotFound);
    assert_eq!(disk.asked(), before + 2);
    assert_eq!(signals_of(&world).await, ["first", "one"]);
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Terminated);
    world.engine.audit().await.unwrap();
}

#[tokio::test]
async fn a_signal_behind_a_continue_as_new_goes_to_the_new_run() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    disk.hold();
    let client = world.client.clone();
    let answer = task.clone();
    let completion = tokio::spawn(async move { client.complete(&answer, vec![continue_as_new()]).await });
    settle().await;
    let signals: Vec<_> = (0..10).map(|number| signalling(&world, format!("s{number}"))).collect();
    settle().await;
    disk.release();
    completion.await.unwrap();
    for signal in signals {
        signal.await.unwrap().unwrap();
    }
    let expected: Vec<_> = (0..10).map(|number| format!("s{number}")).collect();
    assert_eq!(signals_of(&world).await, expected);
    let old = task.workflow_execution.unwrap().run_id;
    assert_ne!(
        world
            .client
            .describe("w")
            .await
            .workflow_execution_info
            .unwrap()
            .execution
            .unwrap()
            .run_id,
        old
    );
    world.engine.audit().await.unwrap();
}

/// An update that only memory knows, and inputs that the disk must have, in one batch.
#[tokio::test]
async fn an_update_in_a_batch_with_the_end_of_its_run_is_told_so() {
    let (world, disk) = on_disk().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![start_timer("t", 60)]).await;
    let first = busy_with(&world, &disk, "first").await;
    let client = world.client.clone();
    let update = tokio::spawn(async move {
        let request = crate::updates::update_request("w", "u", UpdateWorkflowExecutionLifecycleStage::Completed);
        client
            .rpc::<UpdateWorkflowExecutionResponse>("UpdateWorkflowExecution", request)
            .await
    });
    settle().await;
    let client = world.client.clone();
    let end = tokio::spawn(async move { client.terminate("w").await });
    settle().await;
    disk.release();
    first.await.unwrap().unwrap();
    end.await.unwrap().unwrap();
    assert_code(update.await.unwrap(), Code::NotFound);
    world.engine.audit().await.unwrap();
}
