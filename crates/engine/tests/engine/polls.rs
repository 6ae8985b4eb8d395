//! Tasks and polls: nothing is lost, nothing is handed out twice.

use std::time::Duration;

use crate::client::*;
use temporalio_protos::temporal::api::{enums::v1::*, workflowservice::v1::*};
use tonic::codegen::http::HeaderMap;

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_dropped_loses_no_task() {
    let world = World::new().await;
    // Each dropped at another moment: before, while and after the task is on its way.
    for round in 0..200 {
        let id = format!("w{round}");
        let poll = world.client.polling(QUEUE);
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        let start = {
            let (client, id) = (world.client.clone(), id.clone());
            tokio::spawn(async move { client.start(&id).await })
        };
        for _ in 0..round % 23 {
            tokio::task::yield_now().await;
        }
        poll.abort();
        start.await.unwrap();
        let task = match poll.await {
            Ok(task) => task,
            Err(_) => world.client.poll().await,
        };
        assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, id);
        assert_eq!(task.attempt, 1);
        world.client.complete(&task, vec![complete_workflow("done")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_answered_with_nothing_before_its_client_gives_up() {
    let world = World::new().await;
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", "10S".parse().unwrap());
    let poll = {
        let client = world.client.clone();
        tokio::spawn(async move {
            let answer = client
                .rpc_with("PollWorkflowTaskQueue", headers, poll_request(QUEUE))
                .await;
            answer.unwrap_or_else(|status| panic!("{status}"))
        })
    };
    wait_for_poller(&world, QUEUE).await;
    world.clock.advance(Duration::from_millis(9_500));
    let answer: PollWorkflowTaskQueueResponse = poll.await.unwrap();
    assert_eq!(answer, PollWorkflowTaskQueueResponse::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_goes_to_exactly_one_poller() {
    let world = World::new().await;
    let polls: Vec<_> = (0..50).map(|_| world.client.polling(QUEUE)).collect();
    let starts: Vec<_> = (0..50)
        .map(|n| {
            let client = world.client.clone();
            tokio::spawn(async move { client.start(&format!("w{n}")).await })
        })
        .collect();
    let mut started = Vec::new();
    for start in starts {
        started.push(start.await.unwrap());
    }
    let mut polled = Vec::new();
    for poll in polls {
        polled.push(poll.await.unwrap().workflow_execution.unwrap().run_id);
    }
    started.sort();
    polled.sort();
    assert_eq!(started, polled);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_task_comes_inline_when_asked_for() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.signal("w", "s").await.unwrap();
    let request = RespondWorkflowTaskCompletedRequest {
        return_new_workflow_task: true,
        ..completion(&task, vec![])
    };
    let answer: RespondWorkflowTaskCompletedResponse =
        world.client.rpc("RespondWorkflowTaskCompleted", request).await.unwrap();
    let next = answer.workflow_task.unwrap();
    assert_eq!(signal_names(events(&next)), ["s"]);
    world.client.complete(&next, vec![complete_workflow("done")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eager_activities_come_with_the_answer() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let mut command = schedule_activity("a");
    if let Some(
        temporalio_protos::temporal::api::command::v1::command::Attributes::ScheduleActivityTaskCommandAttributes(a),
    ) = &mut command.attributes
    {
        a.request_eager_execution = true;
    }
    let answer = world.client.complete(&task, vec![command]).await;
    assert_eq!(answer.activity_tasks.len(), 1);
    world.client.complete_activity(&answer.activity_tasks[0], "r").await;
    let task = world.client.poll().await;
    assert!(
        events(&task)
            .iter()
            .any(|event| event.event_type() == EventType::ActivityTaskCompleted)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_comes_in_pages() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world
        .client
        .complete(&task, (0..2_400).map(|n| start_timer(&format!("t{n}"), 1000)).collect())
        .await;
    world.client.signal("w", "s").await.unwrap();
    let task = world.client.poll().await;
    assert_eq!(events(&task).len(), 2_000);
    let mut ids: Vec<i64> = events(&task).iter().map(|event| event.event_id).collect();
    let mut token = task.next_page_token.clone();
    while !token.is_empty() {
        let page: GetWorkflowExecutionHistoryResponse = world
            .client
            .rpc(
                "GetWorkflowExecutionHistory",
                GetWorkflowExecutionHistoryRequest {
                    namespace: NAMESPACE.to_owned(),
                    execution: task.workflow_execution.clone(),
                    next_page_token: token,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        ids.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
        token = page.next_page_token;
    }
    assert_eq!(ids, (1..=task.started_event_id).collect::<Vec<_>>());

    let mut reversed = Vec::new();
    let mut token = Vec::new();
    loop {
        let page: GetWorkflowExecutionHistoryReverseResponse = world
            .client
            .rpc(
                "GetWorkflowExecutionHistoryReverse",
                GetWorkflowExecutionHistoryReverseRequest {
                    namespace: NAMESPACE.to_owned(),
                    execution: execution("w"),
                    next_page_token: token,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        reversed.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    ids.reverse();
    assert_eq!(reversed, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_workflow_task_does_not_grow_the_history() {
    let world = World::new().await;
    world.client.start("w").await;
    for attempt in 1..=4 {
        let task = world.client.poll().await;
        assert_eq!(task.attempt, attempt);
        let last = events(&task).last().unwrap();
        assert_eq!(
            (last.event_id, last.event_type()),
            (task.started_event_id, EventType::WorkflowTaskStarted)
        );
        let _: RespondWorkflowTaskFailedResponse = world
            .client
            .rpc(
                "RespondWorkflowTaskFailed",
                RespondWorkflowTaskFailedRequest {
                    task_token: task.task_token.clone(),
                    cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
    }
    assert_eq!(
        world.client.history("w").await.len(),
        4,
        "started, and one task scheduled, started, failed"
    );
    let world = world.crash().await;
    let task = world.client.poll().await;
    assert_eq!(task.attempt, 5);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_ends_a_run_whose_task_is_started() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.signal("w", "late").await.unwrap();
    world.client.terminate("w").await.unwrap();
    let error = world.client.try_complete(&task, vec![complete_workflow("done")]).await;
    assert_code(error, tonic::Code::NotFound);
    let kinds = world.client.event_types("w").await;
    assert_eq!(
        kinds[3..],
        [
            EventType::WorkflowTaskFailed,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowExecutionTerminated,
        ]
    );
    assert_code(world.client.terminate("w").await, tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_answers_polls_with_nothing() {
    let world = World::new().await;
    let poll = world.client.polling(QUEUE);
    tokio::task::yield_now().await;
    world.engine.shutdown().await;
    assert_eq!(poll.await.unwrap(), PollWorkflowTaskQueueResponse::default());
    assert_code(
        world.client.start_with(start_request("w")).await,
        tonic::Code::Unavailable,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_wants_what_is_there_gets_it_however_long_the_disk_takes_and_waits_for_nothing_else() {
    let world = World::new().await;
    let poll = async || {
        let mut headers = tonic::codegen::http::HeaderMap::new();
        headers.insert("helve-wait-ms", tonic::codegen::http::HeaderValue::from_static("0"));
        let request = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: normal_queue(QUEUE),
            ..PollActivityTaskQueueRequest::default()
        };
        let answer = world.client.rpc_with("PollActivityTaskQueue", headers, request).await;
        answer
            .map(|task: PollActivityTaskQueueResponse| !task.task_token.is_empty())
            .unwrap()
    };
    // The clock stands still: a poll that waited would never come back.
    assert!(!poll().await);
    for id in ["a", "b", "c"] {
        let request = crate::standalone::start_activity_request(id);
        let _: StartActivityExecutionResponse = world.client.rpc("StartActivityExecution", request).await.unwrap();
    }
    for _ in 0..3 {
        assert!(poll().await);
    }
    assert!(!poll().await);
}
