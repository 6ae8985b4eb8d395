//! Queries: consistent with what happened before them, and never a reason to wait in vain.

use std::collections::HashMap;

use crate::client::*;
use temporalio_protos::temporal::api::{enums::v1::*, failure::v1::Failure, workflowservice::v1::*};
use tonic::{Code, Status};

fn querying(world: &World, name: &str) -> tokio::task::JoinHandle<Result<QueryWorkflowResponse, Status>> {
    let (client, name) = (world.client.clone(), name.to_owned());
    tokio::spawn(async move { client.query("w", &name).await })
}

async fn respond(
    client: &Client,
    task: &PollWorkflowTaskQueueResponse,
    end: RespondQueryTaskCompletedRequest,
) -> Result<RespondQueryTaskCompletedResponse, Status> {
    let request = RespondQueryTaskCompletedRequest {
        task_token: task.task_token.clone(),
        namespace: NAMESPACE.to_owned(),
        ..end
    };
    client.rpc("RespondQueryTaskCompleted", request).await
}

/// Completes a workflow task that carries one query, and answers that.
async fn complete_with_answer(client: &Client, task: &PollWorkflowTaskQueueResponse, text: &str) {
    let id = task.queries.keys().next().unwrap().clone();
    let request = RespondWorkflowTaskCompletedRequest {
        query_results: HashMap::from([(id, answer(text))]),
        ..completion(task, vec![])
    };
    let _: RespondWorkflowTaskCompletedResponse = client.rpc("RespondWorkflowTaskCompleted", request).await.unwrap();
}

async fn fail(client: &Client, task: &PollWorkflowTaskQueueResponse) {
    let request = RespondWorkflowTaskFailedRequest {
        task_token: task.task_token.clone(),
        ..Default::default()
    };
    let _: RespondWorkflowTaskFailedResponse = client.rpc("RespondWorkflowTaskFailed", request).await.unwrap();
}

fn answered(text: &str) -> RespondQueryTaskCompletedRequest {
    RespondQueryTaskCompletedRequest {
        completed_type: QueryResultType::Answered as i32,
        query_result: payloads(text),
        ..Default::default()
    }
}

/// A run that has completed one workflow task and waits.
async fn idle_run(world: &World) {
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_an_idle_run_is_a_task_of_its_own() {
    let world = World::new().await;
    idle_run(&world).await;
    let query = querying(&world, "state");
    let task = world.client.poll().await;
    assert_eq!(task.query.as_ref().unwrap().query_type, "state");
    assert_eq!(task.started_event_id, 0);
    assert_eq!(
        events(&task).len(),
        4,
        "a worker without the run in its cache needs all of it"
    );
    respond(&world.client, &task, answered("fine")).await.unwrap();
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "fine");
    assert_eq!(
        world.client.history("w").await.len(),
        4,
        "nothing of it is in the history"
    );
    assert_code(respond(&world.client, &task, answered("again")).await, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_sees_the_signal_before_it() {
    let world = World::new().await;
    idle_run(&world).await;
    world.client.signal("w", "s").await.unwrap();
    let query = querying(&world, "state");
    let task = loop {
        // The query may come a moment after the task was taken: then it comes with the next one.
        let task = world.client.poll().await;
        if task.query.is_some() || !task.queries.is_empty() {
            break task;
        }
        world.client.complete(&task, vec![]).await;
    };
    if task.query.is_some() {
        assert_eq!(signal_names(events(&task)), ["s"]);
        respond(&world.client, &task, answered("seen")).await.unwrap();
    } else {
        assert_eq!(signal_names(events(&task)), ["s"]);
        complete_with_answer(&world.client, &task, "seen").await;
    }
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_during_a_task_waits_for_its_end() {
    let world = World::new().await;
    idle_run(&world).await;
    world.client.signal("w", "s").await.unwrap();
    let task = world.client.poll().await;
    let query = querying(&world, "state");
    let next = world.client.polling(QUEUE);
    // The query is there before the completion or after it: in both cases it goes to a worker afterwards.
    tokio::task::yield_now().await;
    world.client.complete(&task, vec![]).await;
    let task = next.await.unwrap();
    assert_eq!(task.query.as_ref().unwrap().query_type, "state");
    respond(&world.client, &task, answered("after")).await.unwrap();
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_query_carries_the_worker_s_failure() {
    let world = World::new().await;
    idle_run(&world).await;
    let query = querying(&world, "broken");
    let task = world.client.poll().await;
    let end = RespondQueryTaskCompletedRequest {
        completed_type: QueryResultType::Failed as i32,
        error_message: "no such query".to_owned(),
        failure: Some(Failure {
            message: "no such query".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    respond(&world.client, &task, end).await.unwrap();
    let status = assert_code(query.await.unwrap(), Code::InvalidArgument);
    assert_eq!(status.message(), "no such query");
    assert!(String::from_utf8_lossy(status.details()).contains("QueryFailedFailure"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_can_be_queried_unless_the_caller_does_not_want_that() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let world = world.restart().await;
    let query = querying(&world, "state");
    let task = world.client.poll().await;
    assert_eq!(events(&task).len(), 5);
    respond(&world.client, &task, answered("over")).await.unwrap();
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "over");

    let request = QueryWorkflowRequest {
        query_reject_condition: QueryRejectCondition::NotOpen as i32,
        ..query_request("w", "state")
    };
    let rejected: QueryWorkflowResponse = world.client.rpc("QueryWorkflow", request).await.unwrap();
    assert_eq!(
        rejected.query_rejected.unwrap().status(),
        WorkflowExecutionStatus::Completed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_a_run_whose_tasks_fail_is_refused_at_once() {
    let world = World::new().await;
    world.client.start("w").await;
    for _ in 0..3 {
        let task = world.client.poll().await;
        fail(&world.client, &task).await;
    }
    let status = assert_code(world.client.query("w", "state").await, Code::FailedPrecondition);
    assert!(status.message().contains("failed state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_waits_is_answered_by_the_attempt_that_succeeds() {
    let world = World::new().await;
    // Nobody but the worker is told that the query waits, so this starts over until it came in time.
    let (mut task, query) = loop {
        world.client.start("w").await;
        let task = world.client.poll().await;
        let query = querying(&world, "state");
        tokio::task::yield_now().await;
        fail(&world.client, &task).await;
        let task = world.client.poll().await;
        if !task.queries.is_empty() {
            break (task, query);
        }
        world.client.terminate("w").await.unwrap();
    };
    for _ in 0..4 {
        fail(&world.client, &task).await;
        task = world.client.poll().await;
    }
    assert!(task.attempt > 3, "a query that came now would be refused");
    assert_code(world.client.query("w", "state").await, Code::FailedPrecondition);
    complete_with_answer(&world.client, &task, "at last").await;
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "at last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_waits_for_a_first_task_that_comes_in_time() {
    let world = World::new().await;
    let delayed = |id, delay| StartWorkflowExecutionRequest {
        workflow_start_delay: Some(seconds(delay)),
        ..start_request(id)
    };
    world.client.start_with(delayed("late", 3600)).await.unwrap();
    let status = assert_code(world.client.query("late", "state").await, Code::FailedPrecondition);
    assert!(status.message().contains("not scheduled yet"));

    world.client.start_with(delayed("w", 1)).await.unwrap();
    let query = querying(&world, "state");
    world.advance(1);
    let task = loop {
        let task = world.client.poll().await;
        if task.query.is_some() || !task.queries.is_empty() {
            break task;
        }
        world.client.complete(&task, vec![]).await;
    };
    if task.query.is_some() {
        respond(&world.client, &task, answered("in time")).await.unwrap();
    } else {
        complete_with_answer(&world.client, &task, "in time").await;
    }
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_worker_says_so() {
    let world = World::new().await;
    idle_run(&world).await;
    world.advance(60);
    let query = querying(&world, "state");
    let (clock, finished) = (world.clock.clone(), &query);
    eventually("the query gives up", async || {
        clock.advance(std::time::Duration::from_millis(100));
        finished.is_finished()
    })
    .await;
    let status = assert_code(query.await.unwrap(), Code::FailedPrecondition);
    assert!(status.message().contains("no poller seen"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_goes_to_the_worker_that_has_the_run_and_then_to_any() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let sticky = world.client.polling("sticky");
    wait_for_poller(&world, "sticky").await;
    world.client.complete_sticky(&task, vec![], "sticky").await;
    let query = querying(&world, "state");
    let task = sticky.await.unwrap();
    assert!(task.query.is_some());
    assert!(events(&task).is_empty(), "it has the run in its cache");
    // It never answers.
    world.advance(5);
    let task = world.client.poll().await;
    assert_eq!(events(&task).len(), 4);
    respond(&world.client, &task, answered("any")).await.unwrap();
    assert_eq!(text(query.await.unwrap().unwrap().query_result), "any");
}
