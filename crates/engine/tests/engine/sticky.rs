//! Sticky queues: a worker that has a run in its cache gets only what is new, for as long as it is there.

use crate::client::*;
use temporalio_protos::temporal::api::{enums::v1::*, taskqueue::v1::TaskQueue, workflowservice::v1::*};

/// A run whose worker waits at its sticky queue.
async fn sticky_run(world: &World) -> tokio::task::JoinHandle<PollWorkflowTaskQueueResponse> {
    world.client.start("w").await;
    let task = world.client.poll().await;
    let waiting = world.client.polling("sticky");
    wait_for_poller(world, "sticky").await;
    world.client.complete_sticky(&task, vec![], "sticky").await;
    waiting
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_that_has_the_run_gets_only_the_new_events() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    world.client.signal("w", "s").await.unwrap();
    let task = waiting.await.unwrap();
    let ids: Vec<i64> = events(&task).iter().map(|event| event.event_id).collect();
    assert_eq!(
        ids,
        (task.previous_started_event_id + 1..=task.started_event_id).collect::<Vec<_>>()
    );
    assert_eq!(task.previous_started_event_id, 3);
    assert_eq!(signal_names(events(&task)), ["s"]);
}

/// As `temporal task-queue describe` asks, which knows no normal name.
#[tokio::test(flavor = "multi_thread")]
async fn who_polls_a_sticky_queue_is_told_by_its_name_alone() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    let by_name = TaskQueue {
        name: "sticky".to_owned(),
        ..Default::default()
    };
    wait_for_poller_of(&world, Some(by_name)).await;
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_for_a_worker_that_vanished_goes_to_any_worker_after_its_timeout() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    waiting.abort();
    let _ = waiting.await;
    world.client.signal("w", "s").await.unwrap();
    let anybody = world.client.polling(QUEUE);
    world.advance(10);
    let task = anybody.await.unwrap();
    assert_eq!(events(&task)[0].event_id, 1, "with the whole history");
    assert_eq!(task.attempt, 1);
    assert!(
        events(&task)
            .iter()
            .any(|event| event.event_type() == EventType::WorkflowTaskTimedOut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_for_a_worker_not_seen_for_long_goes_to_any_worker_at_once() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    waiting.abort();
    let _ = waiting.await;
    world.advance(11);
    world.client.signal("w", "s").await.unwrap();
    let task = world.client.poll().await;
    assert_eq!(events(&task)[0].event_id, 1);
    assert!(
        !events(&task)
            .iter()
            .any(|event| event.event_type() == EventType::WorkflowTaskTimedOut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shuts_down_gets_empty_polls_and_leaves_its_tasks_to_others() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    let normal = world.client.polling(QUEUE);
    wait_for_poller(&world, QUEUE).await;
    let activities = {
        let client = world.client.clone();
        tokio::spawn(async move { client.poll_activity().await })
    };
    let _: ShutdownWorkerResponse = world
        .client
        .rpc(
            "ShutdownWorker",
            ShutdownWorkerRequest {
                namespace: NAMESPACE.to_owned(),
                sticky_task_queue: "sticky".to_owned(),
                worker_instance_key: "instance".to_owned(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap(), PollWorkflowTaskQueueResponse::default());
    assert_eq!(normal.await.unwrap(), PollWorkflowTaskQueueResponse::default());
    assert_eq!(activities.await.unwrap(), PollActivityTaskQueueResponse::default());
    // Its polls that were under way when it said goodbye: nothing is given to a worker that is gone.
    world.client.start("later").await;
    assert_eq!(world.client.poll().await, PollWorkflowTaskQueueResponse::default());
    assert_eq!(
        world.client.poll_activity().await,
        PollActivityTaskQueueResponse::default()
    );
    world.client.terminate("later").await.unwrap();
    world.client.signal("w", "s").await.unwrap();
    let other = PollWorkflowTaskQueueRequest {
        worker_instance_key: "other".to_owned(),
        ..poll_request(QUEUE)
    };
    let task: PollWorkflowTaskQueueResponse = world.client.rpc("PollWorkflowTaskQueue", other).await.unwrap();
    assert_eq!(events(&task)[0].event_id, 1);
    assert_eq!(signal_names(events(&task)), ["s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_a_worker_moves_when_that_worker_shuts_down() {
    let world = World::new().await;
    let waiting = sticky_run(&world).await;
    waiting.abort();
    let _ = waiting.await;
    world.client.signal("w", "s").await.unwrap();
    let _: ShutdownWorkerResponse = world
        .client
        .rpc(
            "ShutdownWorker",
            ShutdownWorkerRequest {
                namespace: NAMESPACE.to_owned(),
                sticky_task_queue: "sticky".to_owned(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    let task = world.client.poll().await;
    assert_eq!(signal_names(events(&task)), ["s"]);
    assert_eq!(events(&task)[0].event_id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sticky_queue_is_an_ordinary_one_of_the_same_name() {
    let world = World::new().await;
    // Who may poll a sticky queue, since it belongs to a queue of theirs, has made its name up.
    let request = PollWorkflowTaskQueueRequest {
        task_queue: Some(sticky_queue(QUEUE)),
        ..poll_request(QUEUE)
    };
    let client = world.client.clone();
    let thief: tokio::task::JoinHandle<Result<PollWorkflowTaskQueueResponse, tonic::Status>> =
        tokio::spawn(async move { client.rpc("PollWorkflowTaskQueue", request).await });
    wait_for_poller_of(&world, Some(sticky_queue(QUEUE))).await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    assert_eq!(
        events(&task)[0].event_id,
        1,
        "the ordinary poll gets it, whoever else waits"
    );
    assert!(!thief.is_finished(), "the other is still without");
    // Nor does a worker that takes leave of one empty the other.
    let goodbye = ShutdownWorkerRequest {
        namespace: NAMESPACE.to_owned(),
        sticky_task_queue: QUEUE.to_owned(),
        ..Default::default()
    };
    let others = world.client.polling(QUEUE);
    wait_for_poller(&world, QUEUE).await;
    let _: ShutdownWorkerResponse = world.client.rpc("ShutdownWorker", goodbye).await.unwrap();
    world.client.start("v").await;
    assert_eq!(others.await.unwrap().workflow_execution.unwrap().workflow_id, "v");
    assert_eq!(
        thief.await.unwrap().unwrap().task_token,
        b"",
        "it took leave of this one"
    );

    let request = PollActivityTaskQueueRequest {
        task_queue: Some(sticky_queue(QUEUE)),
        ..poll_activity_request(QUEUE)
    };
    let refused: Result<PollActivityTaskQueueResponse, _> = world.client.rpc("PollActivityTaskQueue", request).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument);
}
