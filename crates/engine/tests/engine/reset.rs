//! Resetting executions through gRPC. [trap 15]

use temporalio_protos::temporal::api::{
    common::v1::WorkflowExecution, enums::v1::*, history::v1::history_event::Attributes, workflowservice::v1::*,
};
use tonic::{Code, Status};

use crate::client::*;

fn reset_request(id: &str, run_id: &str, event_id: i64) -> ResetWorkflowExecutionRequest {
    ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id: id.to_owned(),
            run_id: run_id.to_owned(),
        }),
        reason: "for the test".to_owned(),
        workflow_task_finish_event_id: event_id,
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    }
}

impl Client {
    async fn reset(&self, request: ResetWorkflowExecutionRequest) -> Result<String, Status> {
        let answer: ResetWorkflowExecutionResponse = self.rpc("ResetWorkflowExecution", request).await?;
        Ok(answer.run_id)
    }
}

#[tokio::test]
async fn a_reset_run_takes_the_place_of_the_old_one_and_survives_a_crash() {
    let world = World::new().await;
    let client = &world.client;
    let old = client.start("wf").await;
    let task = client.poll().await;
    client.complete(&task, vec![start_timer("t", 3600)]).await;
    client.signal("wf", "one").await.unwrap();
    let new = client.reset(reset_request("wf", &old, 4)).await.unwrap();
    assert_ne!(old, new);

    let world = world.crash().await;
    let client = &world.client;
    let described = client.describe("wf").await;
    assert_eq!(
        described.workflow_execution_info.unwrap().execution.unwrap().run_id,
        new
    );
    let history = client.history("wf").await;
    let ids: Vec<_> = history.iter().map(|event| event.event_id).collect();
    assert_eq!(ids, (1..=history.len() as i64).collect::<Vec<_>>());
    assert_eq!(signal_names(&history), ["one"]);
    let task = client.poll().await;
    assert_eq!(events(&task), history_with_start(&history, &task));
    client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(client.status("wf").await, WorkflowExecutionStatus::Completed);
}

/// The stored history, and the start of the task that came with it.
fn history_with_start(
    history: &[temporalio_protos::temporal::api::history::v1::HistoryEvent],
    task: &PollWorkflowTaskQueueResponse,
) -> Vec<temporalio_protos::temporal::api::history::v1::HistoryEvent> {
    let mut all = history.to_vec();
    all.extend(events(task).last().cloned());
    all
}

#[tokio::test]
async fn the_same_request_resets_once() {
    let world = World::new().await;
    let client = &world.client;
    let old = client.start("wf").await;
    let task = client.poll().await;
    client.complete(&task, vec![]).await;
    let request = reset_request("wf", &old, 4);
    let first = client.reset(request.clone()).await.unwrap();
    assert_eq!(client.reset(request).await.unwrap(), first);
    let other = client.reset(reset_request("wf", &old, 4)).await.unwrap();
    assert_ne!(other, first);
}

#[tokio::test]
async fn a_point_within_a_stored_batch_is_copied_up_to_the_event() {
    let world = World::new().await;
    let client = &world.client;
    let old = client.start("wf").await;
    let task = client.poll().await;
    // Completed, Signaled, Scheduled in one batch; then the second task.
    client.signal("wf", "buffered").await.unwrap();
    client.complete(&task, vec![start_timer("t", 3600)]).await;
    let before = client.history("wf").await;
    let task = client.poll().await;
    client.complete(&task, vec![]).await;
    let scheduled = before.last().unwrap().event_id;
    client.reset(reset_request("wf", &old, scheduled + 1)).await.unwrap();
    let after = client.history("wf").await;
    assert_eq!(after[..before.len()], before[..]);
    let world = world.crash().await;
    assert_eq!(world.client.history("wf").await, after);
}

#[tokio::test]
async fn an_older_run_may_be_reset_and_learns_of_it() {
    let world = World::new().await;
    let client = &world.client;
    let first = client.start("wf").await;
    let task = client.poll().await;
    client.complete(&task, vec![complete_workflow("one")]).await;
    let second = client.start("wf").await;
    let third = client.reset(reset_request("wf", &first, 4)).await.unwrap();
    let status = async |run_id: &str| {
        let described: DescribeWorkflowExecutionResponse = client
            .rpc(
                "DescribeWorkflowExecution",
                DescribeWorkflowExecutionRequest {
                    namespace: NAMESPACE.to_owned(),
                    execution: Some(WorkflowExecution {
                        workflow_id: "wf".to_owned(),
                        run_id: run_id.to_owned(),
                    }),
                },
            )
            .await
            .unwrap();
        let reset_run_id = described.workflow_extended_info.unwrap().reset_run_id;
        (described.workflow_execution_info.unwrap().status(), reset_run_id)
    };
    assert_eq!(status(&second).await.0, WorkflowExecutionStatus::Terminated);
    assert_eq!(status(&third).await.0, WorkflowExecutionStatus::Running);
    eventually("the base run is told", async || {
        status(&first).await == (WorkflowExecutionStatus::Completed, third.clone())
    })
    .await;
}

#[tokio::test]
async fn a_child_tells_the_run_that_took_its_parent_s_place() {
    let world = World::new().await;
    let client = &world.client;
    let old = client.start("parent").await;
    let task = client.poll().await;
    client.complete(&task, vec![start_child("child")]).await;
    // The child's first task, and the parent's, which knows of the child.
    for _ in 0..2 {
        let task = client.poll().await;
        if task.workflow_execution.as_ref().unwrap().workflow_id == "parent" {
            client.complete(&task, vec![start_timer("t", 3600)]).await;
        } else {
            client.complete(&task, vec![start_timer("t", 1)]).await;
        }
    }
    let point = client
        .history("parent")
        .await
        .iter()
        .filter(|event| event.event_type() == EventType::WorkflowTaskCompleted)
        .map(|event| event.event_id)
        .max()
        .unwrap();
    client.reset(reset_request("parent", &old, point)).await.unwrap();
    let task = client.poll().await;
    assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, "parent");
    client.complete(&task, vec![]).await;
    assert_eq!(client.status("child").await, WorkflowExecutionStatus::Running);
    world.advance(2);
    let task = client.poll().await;
    client.complete(&task, vec![complete_workflow("from the child")]).await;
    let task = client.poll().await;
    let told = events(&task).iter().any(|event| {
        matches!(
            &event.attributes,
            Some(Attributes::ChildWorkflowExecutionCompletedEventAttributes(_))
        )
    });
    assert!(told, "{task:?}");
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let client = &world.client;
    let run = client.start("wf").await;
    let without_id = ResetWorkflowExecutionRequest {
        request_id: String::new(),
        ..reset_request("wf", &run, 3)
    };
    assert_code(client.reset(without_id).await, Code::InvalidArgument);
    assert_code(client.reset(reset_request("wf", &run, 99)).await, Code::InvalidArgument);
    assert_code(client.reset(reset_request("other", "", 3)).await, Code::NotFound);
    let unknown = uuid::Uuid::new_v4().to_string();
    assert_code(client.reset(reset_request("wf", &unknown, 3)).await, Code::NotFound);
    assert_eq!(client.status("wf").await, WorkflowExecutionStatus::Running);
}
