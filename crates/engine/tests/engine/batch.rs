//! Batch operations.

use temporalio_protos::temporal::api::{
    batch::v1::*,
    common::v1::{ResetOptions, WorkflowExecution, reset_options::Target},
    enums::v1::*,
    workflowservice::v1::{start_batch_operation_request::Operation, *},
};
use tonic::{Code, Status};

use crate::client::*;

fn batch_request(job_id: &str, operation: Operation) -> StartBatchOperationRequest {
    StartBatchOperationRequest {
        namespace: NAMESPACE.to_owned(),
        job_id: job_id.to_owned(),
        reason: "for the test".to_owned(),
        visibility_query: "WorkflowType = 'kind'".to_owned(),
        operation: Some(operation),
        ..Default::default()
    }
}

fn terminate() -> Operation {
    Operation::TerminationOperation(BatchOperationTermination {
        identity: "tester".to_owned(),
        ..Default::default()
    })
}

fn signal(name: &str) -> Operation {
    Operation::SignalOperation(BatchOperationSignal {
        signal: name.to_owned(),
        ..Default::default()
    })
}

impl Client {
    async fn batch(&self, request: StartBatchOperationRequest) -> Result<StartBatchOperationResponse, Status> {
        self.rpc("StartBatchOperation", request).await
    }

    async fn describe_batch(&self, job_id: &str) -> DescribeBatchOperationResponse {
        let request = DescribeBatchOperationRequest {
            namespace: NAMESPACE.to_owned(),
            job_id: job_id.to_owned(),
        };
        self.rpc("DescribeBatchOperation", request).await.unwrap()
    }

    async fn batch_ends(&self, job_id: &str) -> DescribeBatchOperationResponse {
        eventually("the batch operation ends", async || {
            self.describe_batch(job_id).await.state() != BatchOperationState::Running
        })
        .await;
        self.describe_batch(job_id).await
    }
}

#[tokio::test]
async fn every_open_execution_that_a_query_finds_is_terminated() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..250 {
        client.start(&format!("wf-{n}")).await;
    }
    client.batch(batch_request("job", terminate())).await.unwrap();
    let ended = client.batch_ends("job").await;
    assert_eq!(ended.state(), BatchOperationState::Completed);
    assert_eq!(
        (
            ended.total_operation_count,
            ended.complete_operation_count,
            ended.failure_operation_count
        ),
        (250, 250, 0)
    );
    assert_eq!(
        (ended.reason.as_str(), ended.identity.as_str()),
        ("for the test", "tester")
    );
    assert!(
        client
            .list("ExecutionStatus = 'Running'")
            .await
            .unwrap()
            .executions
            .is_empty()
    );
}

#[tokio::test]
async fn a_job_goes_no_faster_than_it_may_and_stops_when_told_to() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..5 {
        client.start(&format!("wf-{n}")).await;
    }
    let request = StartBatchOperationRequest {
        max_operations_per_second: 2.0,
        ..batch_request("job", signal("go"))
    };
    client.batch(request).await.unwrap();
    let signalled = async || {
        let mut count = 0;
        for n in 0..5 {
            count += signal_names(&client.history(&format!("wf-{n}")).await).len();
        }
        count
    };
    eventually("the first two are done", async || signalled().await == 2).await;
    world.advance(1);
    eventually("two more are done", async || signalled().await == 4).await;
    let stop = StopBatchOperationRequest {
        namespace: NAMESPACE.to_owned(),
        job_id: "job".to_owned(),
        reason: "enough".to_owned(),
        ..Default::default()
    };
    let _: StopBatchOperationResponse = client.rpc("StopBatchOperation", stop.clone()).await.unwrap();
    world.advance(60);
    assert_eq!(client.describe_batch("job").await.state(), BatchOperationState::Failed);
    assert_eq!(signalled().await, 4);
    let again: Result<StopBatchOperationResponse, _> = client.rpc("StopBatchOperation", stop).await;
    assert_code(again, Code::NotFound);
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart_and_does_nothing_twice() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..4 {
        client.start(&format!("wf-{n}")).await;
    }
    let request = StartBatchOperationRequest {
        max_operations_per_second: 2.0,
        ..batch_request("job", signal("go"))
    };
    client.batch(request).await.unwrap();
    let done = async |client: &Client| {
        let mut done = Vec::new();
        for n in 0..4 {
            done.push(signal_names(&client.history(&format!("wf-{n}")).await).len());
        }
        done
    };
    eventually("the first two are done", async || {
        done(&world.client).await.iter().sum::<usize>() == 2
    })
    .await;
    // Its page is not done: nothing is written down of it.
    let world = world.restart().await;
    world.advance(10);
    eventually("all are done", async || {
        world.advance(1);
        world.client.describe_batch("job").await.state() == BatchOperationState::Completed
    })
    .await;
    assert_eq!(done(&world.client).await, [1, 1, 1, 1]);
    assert_eq!(world.client.describe_batch("job").await.complete_operation_count, 4);
}

#[tokio::test]
async fn listed_executions_are_reset_to_their_first_task() {
    let world = World::new().await;
    let client = &world.client;
    for id in ["a", "b"] {
        client.start(id).await;
        let task = client.poll().await;
        client.complete(&task, vec![complete_workflow("done")]).await;
    }
    let reset = Operation::ResetOperation(BatchOperationReset {
        options: Some(ResetOptions {
            target: Some(Target::FirstWorkflowTask(())),
            ..Default::default()
        }),
        ..Default::default()
    });
    #[allow(deprecated)]
    let request = StartBatchOperationRequest {
        visibility_query: String::new(),
        executions: ["a", "missing", "b"]
            .map(|id| WorkflowExecution {
                workflow_id: id.to_owned(),
                run_id: String::new(),
            })
            .to_vec(),
        ..batch_request("job", reset)
    };
    client.batch(request).await.unwrap();
    let ended = client.batch_ends("job").await;
    assert_eq!(
        (ended.state(), ended.complete_operation_count),
        (BatchOperationState::Completed, 3)
    );
    assert_eq!(ended.executions.len(), 3);
    for id in ["a", "b"] {
        assert_eq!(client.status(id).await, WorkflowExecutionStatus::Running);
    }
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_an_id_names_one() {
    let world = World::new().await;
    let client = &world.client;
    for job in ["one", "two", "three"] {
        client.batch(batch_request(job, terminate())).await.unwrap();
        client.batch_ends(job).await;
        world.advance(1);
    }
    assert_code(
        client.batch(batch_request("one", terminate())).await,
        Code::AlreadyExists,
    );
    let mut jobs = Vec::new();
    let mut token = Vec::new();
    loop {
        let page: ListBatchOperationsResponse = client
            .rpc(
                "ListBatchOperations",
                ListBatchOperationsRequest {
                    namespace: NAMESPACE.to_owned(),
                    page_size: 2,
                    next_page_token: token,
                },
            )
            .await
            .unwrap();
        jobs.extend(page.operation_info.into_iter().map(|info| info.job_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(jobs, ["three", "two", "one"]);
}

#[tokio::test]
async fn batch_operations_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let client = &world.client;
    let mut refused = Vec::new();
    let changes: [fn(&mut StartBatchOperationRequest); 7] = [
        |request| request.reason.clear(),
        |request| request.job_id.clear(),
        |request| request.visibility_query.clear(),
        |request| request.visibility_query = "WorkflowType = ".to_owned(),
        |request| request.operation = None,
        |request| request.operation = Some(signal("")),
        |request| request.operation = Some(Operation::ResetOperation(BatchOperationReset::default())),
    ];
    for change in changes {
        let mut request = batch_request("job", terminate());
        change(&mut request);
        refused.push(assert_code(client.batch(request).await, Code::InvalidArgument));
    }
    let unknown = DescribeBatchOperationRequest {
        namespace: NAMESPACE.to_owned(),
        job_id: "job".to_owned(),
    };
    let answer: Result<DescribeBatchOperationResponse, _> = client.rpc("DescribeBatchOperation", unknown).await;
    assert_code(answer, Code::NotFound);
}
