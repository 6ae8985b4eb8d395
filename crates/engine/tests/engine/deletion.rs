//! Deleting executions: on request, and when they have been kept long enough.

use crate::{
    client::*,
    namespaces::{registration, start_in},
};
use temporalio_protos::temporal::api::{common::v1::*, enums::v1::*, workflowservice::v1::*};
use tonic::{Code, Status};

impl World {
    async fn delete(&self, id: &str, run_id: &str) -> Result<(), Status> {
        let request = DeleteWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: id.to_owned(),
                run_id: run_id.to_owned(),
            }),
        };
        let answer: Result<DeleteWorkflowExecutionResponse, _> =
            self.client.rpc("DeleteWorkflowExecution", request).await;
        answer.map(|_| ())
    }

    async fn describe_in(&self, namespace: &str, id: &str) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: namespace.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: id.to_owned(),
                run_id: String::new(),
            }),
        };
        self.client.rpc("DescribeWorkflowExecution", request).await
    }

    async fn is_gone(&self, namespace: &str, id: &str) -> bool {
        matches!(self.describe_in(namespace, id).await, Err(status) if status.code() == Code::NotFound)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_execution_is_nowhere_and_its_id_is_free() {
    let world = World::new().await;
    world.client.start("closed").await;
    world.client.terminate("closed").await.unwrap();
    world.client.start("open").await;
    world.delete("closed", "").await.unwrap();
    world.delete("open", "").await.unwrap();
    for id in ["closed", "open"] {
        eventually("it is deleted", async || world.is_gone(NAMESPACE, id).await).await;
    }
    assert!(world.client.list("").await.unwrap().executions.is_empty());
    let world = world.crash().await;
    assert!(world.client.list("").await.unwrap().executions.is_empty());
    assert_code(world.delete("open", "").await, Code::NotFound);
    world.client.start("open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_promised_happens_though_the_engine_stops() {
    let world = World::new().await;
    world.client.start("w").await;
    world.delete("w", "").await.unwrap();
    let world = world.crash().await;
    eventually("it is deleted", async || world.is_gone(NAMESPACE, "w").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_and_a_reader_of_a_deleted_execution_are_told_that_it_is_gone() {
    let world = World::new().await;
    let run_id = world.client.start("w").await;
    let task = world.client.poll().await;
    let client = world.client.clone();
    let reader = tokio::spawn(async move {
        let mut token = Vec::new();
        loop {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace: NAMESPACE.to_owned(),
                execution: Some(WorkflowExecution {
                    workflow_id: "w".to_owned(),
                    run_id: run_id.clone(),
                }),
                wait_new_event: true,
                next_page_token: token,
                ..Default::default()
            };
            let page: GetWorkflowExecutionHistoryResponse = client.rpc("GetWorkflowExecutionHistory", request).await?;
            token = page.next_page_token;
            if token.is_empty() {
                return Ok::<(), Status>(());
            }
        }
    });
    world.delete("w", "").await.unwrap();
    eventually("it is deleted", async || world.is_gone(NAMESPACE, "w").await).await;
    assert_code(world.client.try_complete(&task, vec![]).await, Code::NotFound);
    // The reader sees the end of the history, or that there is none any more, depending on how fast it is.
    if let Err(status) = reader.await.unwrap() {
        assert_eq!(status.code(), Code::NotFound, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_hears_of_the_end_of_a_child_that_is_deleted() {
    let world = World::new().await;
    world.client.start("parent").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![start_child("child")]).await;
    eventually("the child runs", async || {
        world.describe_in(NAMESPACE, "child").await.is_ok()
    })
    .await;
    world.delete("child", "").await.unwrap();
    eventually("it is deleted", async || world.is_gone(NAMESPACE, "child").await).await;
    let history = world.client.history("parent").await;
    let types: Vec<_> = history.iter().map(|event| event.event_type()).collect();
    assert!(
        types.contains(&EventType::ChildWorkflowExecutionTerminated),
        "{types:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_executions_are_deleted_when_their_retention_is_over_and_no_others() {
    let world = World::new().await;
    world.register(registration("mine")).await.unwrap();
    for id in ["open", "old", "new"] {
        world.client.start_with(start_in("mine", id)).await.unwrap();
    }
    // The namespaces that are there from the start keep everything.
    world.client.start("kept").await;
    world.client.terminate("kept").await.unwrap();
    let terminate = |id: &str| {
        let request = TerminateWorkflowExecutionRequest {
            namespace: "mine".to_owned(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: id.to_owned(),
                run_id: String::new(),
            }),
            ..Default::default()
        };
        let client = world.client.clone();
        async move {
            client
                .rpc::<TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", request)
                .await
                .unwrap()
        }
    };
    terminate("old").await;
    world.advance(2 * 86_400);
    terminate("new").await;
    world.advance(86_400 + 120);
    eventually("it is deleted", async || world.is_gone("mine", "old").await).await;
    for id in ["open", "new"] {
        assert!(world.describe_in("mine", id).await.is_ok(), "{id}");
    }
    assert!(world.describe_in(NAMESPACE, "kept").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_which_much_was_deleted_becomes_smaller() {
    let world = World::new().await;
    let large = "x".repeat(1 << 20);
    for n in 0..16 {
        let request = StartWorkflowExecutionRequest {
            input: payloads(&large),
            ..start_request(&format!("w{n}"))
        };
        world.client.start_with(request).await.unwrap();
    }
    let database = helve_db::rusqlite::Connection::open(world.dir.path().join("engine.db")).unwrap();
    let pages = || -> i64 { database.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap() };
    let before = pages();
    assert!(before > 4000, "{before}");
    for n in 0..15 {
        world.delete(&format!("w{n}"), "").await.unwrap();
    }
    eventually("the file is smaller", async || pages() < 1700).await;
    assert_eq!(world.client.history("w15").await.len(), 2, "what is kept is whole");
}
