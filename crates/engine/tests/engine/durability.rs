//! What was acknowledged is there after a restart or a crash, and what was under way goes on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use helve_db::{CommitError, Request, Store};
use helve_engine::{Engine, EngineOptions, ManualClock, Timestamp};
use temporalio_protos::temporal::api::{enums::v1::*, failure::v1::Failure, workflowservice::v1::*};

use crate::client::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_start_survives_a_crash() {
    let world = World::new().await;
    let run_id = world.client.start("w").await;
    let world = world.crash().await;
    assert_eq!(world.engine.recovered(), 1);
    assert_eq!(
        world
            .client
            .describe("w")
            .await
            .workflow_execution_info
            .unwrap()
            .execution
            .unwrap()
            .run_id,
        run_id
    );
    let task = world.client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().run_id, run_id);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_a_worker_held_can_be_answered_after_a_restart() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let world = world.restart().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let kinds = world.client.event_types("w").await;
    assert_eq!(
        kinds,
        [
            EventType::WorkflowExecutionStarted,
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowTaskStarted,
            EventType::WorkflowTaskCompleted,
            EventType::WorkflowExecutionCompleted,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_after_a_restart() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![start_timer("t", 30)]).await;
    let world = world.restart().await;
    let next = world.client.polling(QUEUE);
    world.advance(30);
    let task = next.await.unwrap();
    assert!(
        events(&task)
            .iter()
            .any(|event| event.event_type() == EventType::TimerFired)
    );
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_is_retried_after_a_restart() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![schedule_activity("a")]).await;
    let first = world.client.poll_activity().await;
    assert_eq!(first.attempt, 1);
    fail_activity(&world.client, &first).await;

    let world = world.restart().await;
    let pending = world.client.describe("w").await.pending_activities.remove(0);
    assert_eq!(pending.attempt, 2);
    assert_eq!(pending.last_failure.unwrap().message, "no luck");
    let waiting = {
        let client = world.client.clone();
        tokio::spawn(async move { client.poll_activity().await })
    };
    world.advance(5);
    let second = waiting.await.unwrap();
    assert_eq!(second.attempt, 2);
    world.client.complete_activity(&second, "luck").await;
    let task = world.client.poll().await;
    let started = events(&task)
        .iter()
        .find(|event| event.event_type() == EventType::ActivityTaskStarted)
        .unwrap();
    assert!(
        format!("{started:?}").contains("no luck"),
        "the last failure is in the Started event"
    );
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

async fn fail_activity(client: &Client, task: &PollActivityTaskQueueResponse) {
    let _: RespondActivityTaskFailedResponse = client
        .rpc(
            "RespondActivityTaskFailed",
            RespondActivityTaskFailedRequest {
                task_token: task.task_token.clone(),
                failure: Some(Failure {
                    message: "no luck".to_owned(),
                    ..Default::default()
                }),
                namespace: NAMESPACE.to_owned(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_is_there_after_a_crash() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![schedule_activity("a")]).await;
    let activity = world.client.poll_activity().await;
    let beat: RecordActivityTaskHeartbeatResponse = world
        .client
        .rpc(
            "RecordActivityTaskHeartbeat",
            RecordActivityTaskHeartbeatRequest {
                task_token: activity.task_token.clone(),
                details: payloads("half"),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert!(!beat.cancel_requested);
    let world = world.crash().await;
    fail_activity(&world.client, &activity).await;
    world.advance(5);
    let again = world.client.poll_activity().await;
    assert_eq!(text(again.heartbeat_details), "half");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_reports_to_its_parent_across_a_restart() {
    let world = World::new().await;
    world.client.start("parent").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![start_child("child")]).await;
    let (first, second) = (world.client.poll().await, world.client.poll().await);
    let (child, parent) = if first.workflow_execution.as_ref().unwrap().workflow_id == "child" {
        (first, second)
    } else {
        (second, first)
    };
    assert!(
        events(&parent)
            .iter()
            .any(|event| event.event_type() == EventType::ChildWorkflowExecutionStarted)
    );
    world.client.complete(&parent, vec![]).await;

    let world = world.restart().await;
    world
        .client
        .complete(&child, vec![complete_workflow("from the child")])
        .await;
    let world = world.crash().await;
    let parent = world.client.poll().await;
    let closed = events(&parent)
        .iter()
        .find(|event| event.event_type() == EventType::ChildWorkflowExecutionCompleted);
    assert!(format!("{closed:?}").contains("child"));
    world.client.complete(&parent, vec![complete_workflow("done")]).await;
    assert_eq!(world.client.status("parent").await, WorkflowExecutionStatus::Completed);
    // Nobody owes anybody anything any more.
    assert_eq!(world.restart().await.engine.recovered(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_another_execution_arrives_once_across_crashes() {
    let world = World::new().await;
    world.client.start("target").await;
    let target = world.client.poll().await;
    world.client.start("sender").await;
    let sender = world.client.poll().await;
    world
        .client
        .complete(
            &sender,
            vec![signal_external("target", "hello"), signal_external("nobody", "hello")],
        )
        .await;
    // Whatever was delivered by then, the rest is delivered after it.
    let world = world.crash().await;
    let client = &world.client;
    eventually("both signals are acknowledged", async || {
        let kinds = client.event_types("sender").await;
        kinds.contains(&EventType::ExternalWorkflowExecutionSignaled)
            && kinds.contains(&EventType::SignalExternalWorkflowExecutionFailed)
    })
    .await;
    client.complete(&target, vec![]).await;
    let target = loop {
        let task = client.poll().await;
        if task.workflow_execution.as_ref().unwrap().workflow_id == "target" {
            break task;
        }
    };
    assert_eq!(signal_names(events(&target)), ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn buffered_signals_survive_a_crash() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    for name in ["one", "two"] {
        world.client.signal("w", name).await.unwrap();
    }
    let world = world.crash().await;
    world.client.signal("w", "three").await.unwrap();
    let world = world.crash().await;
    assert!(
        signal_names(&world.client.history("w").await).is_empty(),
        "they have no place in history yet"
    );
    world.client.complete(&task, vec![]).await;
    let next = world.client.poll().await;
    assert_eq!(signal_names(events(&next)), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_as_new_moves_the_current_run_in_one_step() {
    let world = World::new().await;
    let first = world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![continue_as_new()]).await;
    let world = world.crash().await;
    let info = world.client.describe("w").await.workflow_execution_info.unwrap();
    let second = info.execution.unwrap().run_id;
    assert_ne!(first, second);
    assert_eq!(info.first_run_id, first);
    world.advance(2);
    let task = world.client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().run_id, second);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let listed = world.client.list("WorkflowId = 'w'").await.unwrap().executions;
    let statuses: Vec<_> = listed.iter().map(|info| info.status()).collect();
    assert_eq!(
        statuses,
        [
            WorkflowExecutionStatus::Completed,
            WorkflowExecutionStatus::ContinuedAsNew
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_can_be_described_and_its_id_used_again_after_a_restart() {
    let world = World::new().await;
    let first = world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let world = world.restart().await;
    assert_eq!(world.engine.recovered(), 0);
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Completed);
    let world = world.restart().await;
    let second = world.client.start("w").await;
    assert_ne!(first, second);
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_changed_behind_the_engine_s_back_is_read_again() {
    let world = World::new().await;
    world.client.start("w").await;
    let database = helve_db::rusqlite::Connection::open(world.dir.path().join("engine.db")).unwrap();
    database.execute("UPDATE runs SET version = version + 1", []).unwrap();
    world.client.signal("w", "s").await.unwrap_or_default();
    world.client.signal("w", "t").await.unwrap();
    let task = world.client.poll().await;
    assert!(signal_names(events(&task)).contains(&"t".to_owned()));
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

/// What is wrong with a disk, for as long as it is set.
#[derive(Default)]
struct Faults {
    /// Nothing is written.
    fails: AtomicBool,
    /// What was written is said to have failed.
    lies: AtomicBool,
}

/// An engine on a disk that fails for as long as it is told to.
async fn on_failing_disk(faults: &Arc<Faults>) -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let options = options(dir.path(), &clock);
    let path = dir.path().join("engine.db");
    let (store, mut requests, mut driver) = Store::driven(&path, &Engine::store_options(&options)).unwrap();
    let faults = faults.clone();
    tokio::spawn(async move {
        let failed = || {
            Err(CommitError::Io {
                reason: "simulated".to_owned(),
            })
        };
        while let Some(request) = requests.recv().await {
            match request {
                Request::Commit(commit) if faults.fails.load(Ordering::Relaxed) => commit.answer(failed()),
                Request::Commit(commit) => {
                    let results = driver.write(std::slice::from_ref(&commit));
                    let lies = faults.lies.load(Ordering::Relaxed);
                    commit.answer(if lies {
                        failed()
                    } else {
                        results.into_iter().next().unwrap()
                    });
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
    World {
        dir,
        clock,
        engine,
        client,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_fails_its_request_and_leaves_memory_as_the_disk_has_it() {
    let faults = Arc::new(Faults::default());
    let world = on_failing_disk(&faults).await;
    world.client.start("w").await;
    let task = world.client.poll().await;

    faults.fails.store(true, Ordering::Relaxed);
    let refused: Result<StartWorkflowExecutionResponse, _> =
        world.client.rpc("StartWorkflowExecution", start_request("other")).await;
    assert_code(refused, tonic::Code::Unavailable);
    assert_code(world.client.signal("w", "lost").await, tonic::Code::Unavailable);
    assert_code(world.client.terminate("w").await, tonic::Code::Unavailable);
    let completed = world.client.try_complete(&task, vec![start_timer("t", 30)]).await;
    assert_code(completed, tonic::Code::Unavailable);
    world.engine.audit().await.unwrap();
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Running);

    // The same requests again, on a disk that works.
    faults.fails.store(false, Ordering::Relaxed);
    world.client.start("other").await;
    world.client.signal("w", "kept").await.unwrap();
    world.client.complete(&task, vec![start_timer("t", 30)]).await;
    assert_eq!(signal_names(&world.client.history("w").await), ["kept"]);
    world.engine.audit().await.unwrap();

    // A timer that is due while the disk fails fires when it works again.
    let other = world.client.poll().await;
    world.client.complete(&other, vec![]).await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![]).await;
    faults.fails.store(true, Ordering::Relaxed);
    world.advance(31);
    faults.fails.store(false, Ordering::Relaxed);
    eventually("the timer fired", async || {
        // Whoever waits for a better time is woken.
        world.advance(1);
        world.client.event_types("w").await.contains(&EventType::TimerFired)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_on_disk_though_it_seemed_to_fail_goes_on() {
    let faults = Arc::new(Faults::default());
    let world = on_failing_disk(&faults).await;
    faults.lies.store(true, Ordering::Relaxed);
    let request = start_request("w");
    assert_code(world.client.start_with(request.clone()).await, tonic::Code::Unavailable);
    faults.lies.store(false, Ordering::Relaxed);
    // Nobody has asked for it again.
    let task = world.client.poll().await;
    let again = world.client.start_with(request).await.unwrap();
    assert_eq!(task.workflow_execution.as_ref().unwrap().run_id, again.run_id);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Completed);
    world.engine.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_end_seemed_to_fail_goes_on_in_the_next_one() {
    let faults = Arc::new(Faults::default());
    let world = on_failing_disk(&faults).await;
    let first = world.client.start("w").await;
    let task = world.client.poll().await;
    faults.lies.store(true, Ordering::Relaxed);
    let completed = world.client.try_complete(&task, vec![continue_as_new()]).await;
    assert_code(completed, tonic::Code::Unavailable);
    faults.lies.store(false, Ordering::Relaxed);
    // Runs do not follow each other faster than this.
    world.advance(1);
    let next = world.client.poll().await;
    assert_ne!(next.workflow_execution.as_ref().unwrap().run_id, first);
    world.client.signal("w", "for the next one").await.unwrap();
    assert_code(
        world.client.try_complete(&task, vec![continue_as_new()]).await,
        tonic::Code::NotFound,
    );
    world.client.complete(&next, vec![]).await;
    let task = world.client.poll().await;
    assert_eq!(signal_names(events(&task)), ["for the next one"]);
    world.engine.audit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let limited = EngineOptions {
        max_database_bytes: Some(512 << 10),
        ..options(dir.path(), &clock)
    };
    let world = World::open_with(dir.clone(), clock.clone(), limited).await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![start_timer("t", 30)]).await;
    let big = SignalWorkflowExecutionRequest {
        input: payloads(&"x".repeat(1 << 20)),
        ..signal_request("w", "big")
    };
    let refused = world
        .client
        .rpc::<SignalWorkflowExecutionResponse>("SignalWorkflowExecution", big)
        .await;
    let status = assert_code(refused, tonic::Code::Unavailable);
    assert!(status.message().contains("free some space"), "{}", status.message());
    assert_eq!(world.client.history("w").await.len(), 5);

    // What fits goes on, and with more space everything does.
    world.client.signal("w", "small").await.unwrap();
    world.engine.shutdown().await;
    let world = World::open_with(dir.clone(), clock.clone(), options(dir.path(), &clock)).await;
    world.advance(30);
    let task = world.client.poll().await;
    assert_eq!(signal_names(events(&task)), ["small"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_runs_that_were_forgotten_are_read_again() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let small = EngineOptions {
        max_closed_runs: 2,
        ..options(dir.path(), &clock)
    };
    let world = World::open_with(dir, clock, small).await;
    for n in 0..20 {
        world.client.start(&format!("w{n}")).await;
        world.client.terminate(&format!("w{n}")).await.unwrap();
    }
    for n in 0..20 {
        let id = format!("w{n}");
        assert_eq!(world.client.status(&id).await, WorkflowExecutionStatus::Terminated);
        assert_code(world.client.signal(&id, "s").await, tonic::Code::NotFound);
        assert_eq!(world.client.history(&id).await.len(), 3);
    }
}

/// Options under which no open run that only waits stays in memory.
fn forgetful(dir: &std::path::Path, clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions {
        max_open_bytes: 0,
        ..options(dir, clock)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_runs_that_only_wait_are_dropped_from_memory_and_go_on_all_the_same() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let world = World::open_with(dir.clone(), clock.clone(), forgetful(dir.path(), &clock)).await;
    for n in 0..5 {
        world.client.start(&format!("w{n}")).await;
        let task = world.client.poll().await;
        world.client.complete(&task, vec![start_timer("t", 30)]).await;
    }
    // Twice around: once to be noticed as unused, once to be dropped.
    for n in 0..20 {
        world.client.start(&format!("other{n}")).await;
        world.client.terminate(&format!("other{n}")).await.unwrap();
    }
    assert!(world.engine.audit().await.unwrap() >= 5);
    world.client.signal("w0", "s").await.unwrap();
    let task = world.client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, "w0");
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    world.advance(30);
    for _ in 1..5 {
        let task = world.client.poll().await;
        world.client.complete(&task, vec![complete_workflow("done")]).await;
    }
    for n in 0..5 {
        assert_eq!(
            world.client.status(&format!("w{n}")).await,
            WorkflowExecutionStatus::Completed
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_wait_and_runs_that_owe_go_on_after_a_restart() {
    let world = World::new().await;
    for id in ["waits", "owes"] {
        world.client.start(id).await;
        let task = world.client.poll().await;
        world.client.complete(&task, vec![start_timer("t", 30)]).await;
    }
    world.client.signal("owes", "s").await.unwrap();
    let world = world.crash().await;
    assert_eq!(world.engine.recovered(), 2);
    world.engine.audit().await.unwrap();
    let task = world.client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, "owes");
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(world.client.status("waits").await, WorkflowExecutionStatus::Running);
    world.advance(30);
    let task = world.client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, "waits");
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(world.client.status("waits").await, WorkflowExecutionStatus::Completed);
}

/// A worker that takes tasks until the engine has no more for it, and answers none.
fn taking<T>(
    client: &Client,
    rpc: &'static str,
    request: impl prost::Message + Clone + 'static,
    is_task: fn(&T) -> bool,
) -> tokio::task::JoinHandle<Vec<T>>
where
    T: prost::Message + Default + 'static,
{
    let client = client.clone();
    tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            match client.rpc::<T>(rpc, request.clone()).await {
                Ok(task) if is_task(&task) => taken.push(task),
                Ok(_) | Err(_) => return taken,
            }
        }
    })
}

/// Tasks are on their way at every stage when the engine stops. The clock stands still, so that nothing can come from a
/// timeout: what a worker got, it can answer, and the rest is offered again.
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_hands_nothing_to_the_timeout_path() {
    const EARLIER: usize = 8;
    for round in 0..8 {
        let world = World::new().await;
        for n in 0..EARLIER {
            world.client.start(&format!("earlier-{n}")).await;
            let task = world.client.poll().await;
            world.client.complete(&task, vec![schedule_activity("a")]).await;
        }
        let workflows: Vec<_> = (0..3)
            .map(|_| {
                let is_task = |task: &PollWorkflowTaskQueueResponse| !task.task_token.is_empty();
                taking(&world.client, "PollWorkflowTaskQueue", poll_request(QUEUE), is_task)
            })
            .collect();
        let activities: Vec<_> = (0..3)
            .map(|_| {
                let is_task = |task: &PollActivityTaskQueueResponse| !task.task_token.is_empty();
                taking(
                    &world.client,
                    "PollActivityTaskQueue",
                    poll_activity_request(QUEUE),
                    is_task,
                )
            })
            .collect();
        let starts: Vec<_> = (0..20)
            .map(|n| {
                let client = world.client.clone();
                tokio::spawn(async move { client.start_with(start_request(&format!("late-{n}"))).await.is_ok() })
            })
            .collect();
        for _ in 0..round * 40 {
            tokio::task::yield_now().await;
        }
        let world = world.restart().await;
        let (mut tasks, mut held, mut acknowledged) = (Vec::new(), Vec::new(), 0);
        for worker in workflows {
            tasks.extend(worker.await.unwrap());
        }
        for worker in activities {
            held.extend(worker.await.unwrap());
        }
        for start in starts {
            acknowledged += usize::from(start.await.unwrap());
        }
        let client = &world.client;
        let late = client
            .list("WorkflowId STARTS_WITH 'late'")
            .await
            .unwrap()
            .executions
            .len();
        assert!(late >= acknowledged, "a start that was acknowledged is gone");
        assert_eq!(world.engine.recovered(), EARLIER + late);
        while tasks.len() < late {
            tasks.push(within_reason(client.poll()).await);
        }
        while held.len() < EARLIER {
            held.push(within_reason(client.poll_activity()).await);
        }
        for task in tasks {
            assert_eq!(task.attempt, 1);
            client.complete(&task, vec![complete_workflow("done")]).await;
        }
        for activity in held {
            assert_eq!(activity.attempt, 1);
            client.complete_activity(&activity, "done").await;
            let task = within_reason(client.poll()).await;
            client.complete(&task, vec![complete_workflow("done")]).await;
        }
        assert!(
            client
                .list("ExecutionStatus != 'Completed'")
                .await
                .unwrap()
                .executions
                .is_empty()
        );
    }
}

/// A poll that must not be in vain.
async fn within_reason<T>(poll: impl Future<Output = T>) -> T {
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, poll).await.expect("nothing is offered")
}
