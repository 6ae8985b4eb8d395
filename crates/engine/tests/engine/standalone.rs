//! Standalone activities, from start to end, and what operators do to them.

use temporalio_protos::temporal::api::{
    activity::v1::{ActivityExecutionOutcome, activity_execution_outcome::Value},
    common::v1::ActivityType,
    enums::v1::*,
    errordetails::v1::ActivityExecutionAlreadyStartedFailure,
    workflowservice::v1::*,
};
use tonic::{Code, Status};

use crate::client::*;

pub(crate) fn start_activity_request(id: &str) -> StartActivityExecutionRequest {
    StartActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: id.to_owned(),
        activity_type: Some(ActivityType {
            name: "scan".to_owned(),
        }),
        task_queue: normal_queue(QUEUE),
        start_to_close_timeout: Some(seconds(60)),
        input: payloads("in"),
        ..StartActivityExecutionRequest::default()
    }
}

async fn start(world: &World, request: StartActivityExecutionRequest) -> StartActivityExecutionResponse {
    world.client.rpc("StartActivityExecution", request).await.unwrap()
}

async fn describe(world: &World, id: &str) -> Result<DescribeActivityExecutionResponse, Status> {
    let request = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: id.to_owned(),
        ..DescribeActivityExecutionRequest::default()
    };
    world.client.rpc("DescribeActivityExecution", request).await
}

async fn state(world: &World, id: &str) -> PendingActivityState {
    describe(world, id).await.unwrap().info.unwrap().run_state()
}

async fn outcome(world: &World, id: &str) -> ActivityExecutionOutcome {
    let request = PollActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: id.to_owned(),
        ..PollActivityExecutionRequest::default()
    };
    let answer: PollActivityExecutionResponse = world.client.rpc("PollActivityExecution", request).await.unwrap();
    answer.outcome.expect("it is closed")
}

async fn pause(world: &World, id: &str) {
    let request = PauseActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: id.to_owned(),
        ..PauseActivityExecutionRequest::default()
    };
    let _: PauseActivityExecutionResponse = world.client.rpc("PauseActivityExecution", request).await.unwrap();
}

async fn unpause(world: &World, id: &str) {
    let request = UnpauseActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: id.to_owned(),
        ..UnpauseActivityExecutionRequest::default()
    };
    let _: UnpauseActivityExecutionResponse = world.client.rpc("UnpauseActivityExecution", request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_activity_is_done_by_a_worker_and_its_outcome_is_polled() {
    let world = World::new().await;
    let started = start(&world, start_activity_request("a")).await;
    assert!(started.started);
    let task = world.client.poll_activity().await;
    assert_eq!(task.activity_run_id, started.run_id);
    assert_eq!(task.workflow_type, None);
    world.client.complete_activity(&task, "out").await;
    match outcome(&world, "a").await.value {
        Some(Value::Result(result)) => assert_eq!(text(Some(result)), "out"),
        other => panic!("{other:?}"),
    }
    // Its history is nobody's business.
    let history = world
        .client
        .rpc::<GetWorkflowExecutionHistoryResponse>(
            "GetWorkflowExecutionHistory",
            GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution("a"),
                ..GetWorkflowExecutionHistoryRequest::default()
            },
        )
        .await;
    assert_code(history, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_and_an_activity_may_have_the_same_id() {
    let world = World::new().await;
    world.client.start("same").await;
    start(&world, start_activity_request("same")).await;
    assert_eq!(world.client.status("same").await, WorkflowExecutionStatus::Running);
    assert_eq!(state(&world, "same").await, PendingActivityState::Scheduled);
    let listed = world.client.list("").await.unwrap();
    assert_eq!(listed.executions.len(), 1, "lists of workflows have workflows only");
    let again = world
        .client
        .rpc::<StartActivityExecutionResponse>("StartActivityExecution", start_activity_request("same"))
        .await;
    let refused = assert_code(again, Code::AlreadyExists);
    let name = <ActivityExecutionAlreadyStartedFailure as prost::Name>::full_name();
    assert!(String::from_utf8_lossy(refused.details()).contains(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_and_start_delays_survive_a_crash() {
    let world = World::new().await;
    start(&world, start_activity_request("paused")).await;
    pause(&world, "paused").await;
    let delayed = StartActivityExecutionRequest {
        start_delay: Some(seconds(30)),
        ..start_activity_request("delayed")
    };
    start(&world, delayed).await;
    let world = world.crash().await;
    assert_eq!(world.engine.recovered(), 2);
    assert_eq!(state(&world, "paused").await, PendingActivityState::Paused);
    world.advance(30);
    let task = world.client.poll_activity().await;
    assert_eq!(task.activity_id, "delayed");
    unpause(&world, "paused").await;
    assert_eq!(world.client.poll_activity().await.activity_id, "paused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_can_be_waited_for_until_there_is_news() {
    let world = World::new().await;
    start(&world, start_activity_request("a")).await;
    let seen = describe(&world, "a").await.unwrap();
    let request = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: "a".to_owned(),
        run_id: seen.run_id,
        long_poll_token: seen.long_poll_token,
        ..DescribeActivityExecutionRequest::default()
    };
    let client = world.client.clone();
    let news = tokio::spawn(async move {
        client
            .rpc::<DescribeActivityExecutionResponse>("DescribeActivityExecution", request)
            .await
    });
    pause(&world, "a").await;
    let info = news.await.unwrap().unwrap().info.unwrap();
    assert_eq!(info.status(), ActivityExecutionStatus::Paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn activities_are_listed_and_counted_by_their_own_names() {
    let world = World::new().await;
    for id in ["a", "b", "c"] {
        start(&world, start_activity_request(id)).await;
    }
    pause(&world, "b").await;
    let terminate = TerminateActivityExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        activity_id: "c".to_owned(),
        ..TerminateActivityExecutionRequest::default()
    };
    let _: TerminateActivityExecutionResponse =
        world.client.rpc("TerminateActivityExecution", terminate).await.unwrap();
    let ids = async |query: &str| {
        let request = ListActivityExecutionsRequest {
            namespace: NAMESPACE.to_owned(),
            query: query.to_owned(),
            ..ListActivityExecutionsRequest::default()
        };
        let page: ListActivityExecutionsResponse = world.client.rpc("ListActivityExecutions", request).await.unwrap();
        let mut ids: Vec<_> = page.executions.into_iter().map(|found| found.activity_id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids("ActivityType = 'scan' AND TaskQueue = 'q'").await, ["a", "b", "c"]);
    assert_eq!(ids("ExecutionStatus = 'Paused'").await, ["b"]);
    assert_eq!(
        ids("ExecutionStatus = 'Terminated' AND CloseTime IS NOT NULL").await,
        ["c"]
    );
    assert_eq!(
        ids("ActivityId STARTS_WITH 'a' AND ExecutionStatus = 'Running'").await,
        ["a"]
    );
    let count = CountActivityExecutionsRequest {
        namespace: NAMESPACE.to_owned(),
        query: "GROUP BY ExecutionStatus".to_owned(),
    };
    let counts: CountActivityExecutionsResponse = world.client.rpc("CountActivityExecutions", count).await.unwrap();
    assert_eq!((counts.count, counts.groups.len()), (3, 3));
}
