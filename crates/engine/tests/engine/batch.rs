//! Batch operations.

use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    batch::v1::*,
    common::v1::{ActivityType, Execution, Priority, ResetOptions, WorkflowExecution, reset_options::Target},
    enums::v1::*,
    workflow::v1::{
        PostResetOperation, WorkflowExecutionOptions,
        post_reset_operation::{SignalWorkflow, Variant},
    },
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

/// Whatever the moment: what the query finds after it are also the runs that the job made itself.
#[tokio::test]
async fn a_reset_job_that_is_killed_midway_resets_every_run_once() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..4 {
        client.start(&format!("wf-{n}")).await;
        let task = client.poll().await;
        client.complete(&task, vec![]).await;
    }
    let request = StartBatchOperationRequest {
        max_operations_per_second: 2.0,
        ..batch_request("job", reset_to(Target::FirstWorkflowTask(())))
    };
    client.batch(request).await.unwrap();
    let runs = async |client: &Client| client.list("WorkflowType = 'kind'").await.unwrap().executions.len();
    eventually("the first two are done", async || runs(&world.client).await == 6).await;
    let world = world.crash().await;
    eventually("all are done", async || {
        world.advance(1);
        world.client.describe_batch("job").await.state() == BatchOperationState::Completed
    })
    .await;
    assert_eq!(runs(&world.client).await, 8, "one more run each");
    assert_eq!(world.client.describe_batch("job").await.complete_operation_count, 4);
}

#[tokio::test]
async fn deleted_executions_are_gone_open_ones_and_closed_ones_alike() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..120 {
        client.start(&format!("wf-{n}")).await;
    }
    for n in 0..3 {
        client.terminate(&format!("wf-{n}")).await.unwrap();
    }
    let other = StartWorkflowExecutionRequest {
        workflow_type: Some(temporalio_protos::temporal::api::common::v1::WorkflowType {
            name: "other".to_owned(),
        }),
        ..start_request("stays")
    };
    client.start_with(other).await.unwrap();
    let delete = Operation::DeletionOperation(BatchOperationDeletion::default());
    client.batch(batch_request("job", delete)).await.unwrap();
    let ended = client.batch_ends("job").await;
    assert_eq!(
        (ended.complete_operation_count, ended.failure_operation_count),
        (120, 0)
    );
    eventually("they are gone", async || {
        client
            .list("WorkflowType = 'kind'")
            .await
            .unwrap()
            .executions
            .is_empty()
    })
    .await;
    assert_eq!(client.status("stays").await, WorkflowExecutionStatus::Running);
    let gone: Result<DescribeWorkflowExecutionResponse, _> = client
        .rpc(
            "DescribeWorkflowExecution",
            DescribeWorkflowExecutionRequest {
                namespace: NAMESPACE.to_owned(),
                execution: execution("wf-7"),
            },
        )
        .await;
    assert_code(gone, Code::NotFound);
}

fn reset_to(target: Target) -> Operation {
    Operation::ResetOperation(BatchOperationReset {
        options: Some(ResetOptions {
            target: Some(target),
            ..Default::default()
        }),
        ..Default::default()
    })
}

#[tokio::test]
async fn a_reset_goes_to_the_first_the_last_or_a_named_task_and_signals_the_new_run() {
    let world = World::new().await;
    let client = &world.client;
    for (job, target, copied) in [
        ("first", Target::FirstWorkflowTask(()), 3),
        ("last", Target::LastWorkflowTask(()), 7),
        ("named", Target::WorkflowTaskId(8), 7),
    ] {
        client.start(job).await;
        for _ in 0..2 {
            let task = client.poll().await;
            client.complete(&task, vec![]).await;
            client.signal(job, "wake").await.unwrap();
        }
        let mut reset = reset_to(target);
        if let Operation::ResetOperation(reset) = &mut reset {
            reset.post_reset_operations = vec![PostResetOperation {
                variant: Some(Variant::SignalWorkflow(SignalWorkflow {
                    signal_name: "after".to_owned(),
                    ..Default::default()
                })),
            }];
        }
        let request = StartBatchOperationRequest {
            visibility_query: format!("WorkflowId = '{job}'"),
            ..batch_request(job, reset)
        };
        client.batch(request).await.unwrap();
        let ended = client.batch_ends(job).await;
        assert_eq!((ended.complete_operation_count, ended.failure_operation_count), (1, 0));
        let history = client.history(job).await;
        assert_eq!(history[copied].event_type(), EventType::WorkflowTaskFailed, "{job}");
        assert_eq!(signal_names(&history), ["wake", "wake", "after"], "{job}");
        client.terminate(job).await.unwrap();
    }
}

/// A run of type `kind` with an activity that waits on a queue of its own.
async fn with_activity(client: &Client, id: &str) {
    client.start(id).await;
    let task = client.poll().await;
    client.complete(&task, vec![schedule_activity("a")]).await;
}

async fn pause(client: &Client, id: &str) {
    let request = PauseActivityRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution(id),
        activity: Some(pause_activity_request::Activity::Id("a".to_owned())),
        ..Default::default()
    };
    let _: PauseActivityResponse = client.rpc("PauseActivity", request).await.unwrap();
}

#[tokio::test]
async fn activities_of_many_workflows_are_unpaused_reset_and_changed() {
    let world = World::new().await;
    let client = &world.client;
    let ids = ["x", "y", "z"];
    for id in ids {
        with_activity(client, id).await;
        pause(client, id).await;
    }
    let pending = async |id: &str| client.describe(id).await.pending_activities.remove(0);
    let timeout = ActivityOptions {
        start_to_close_timeout: Some(seconds(77)),
        ..Default::default()
    };
    let change = Operation::UpdateActivityOptionsOperation(BatchOperationUpdateActivityOptions {
        activity: Some(batch_operation_update_activity_options::Activity::MatchAll(true)),
        activity_options: Some(timeout),
        update_mask: Some(mask("start_to_close_timeout")),
        ..Default::default()
    });
    let of_another_type = Operation::UnpauseActivitiesOperation(BatchOperationUnpauseActivities {
        activity: Some(batch_operation_unpause_activities::Activity::Type("other".to_owned())),
        ..Default::default()
    });
    let keep_paused = Operation::ResetActivitiesOperation(BatchOperationResetActivities {
        activity: Some(batch_operation_reset_activities::Activity::Type("act".to_owned())),
        keep_paused: true,
        restore_original_options: true,
        ..Default::default()
    });
    let unpause = Operation::UnpauseActivitiesOperation(BatchOperationUnpauseActivities {
        activity: Some(batch_operation_unpause_activities::Activity::MatchAll(true)),
        jitter: Some(seconds(0)),
        ..Default::default()
    });
    for (job, operation, kind, paused, timeout) in [
        ("change", change, BatchOperationType::UpdateActivityOptions, true, 77),
        ("none", of_another_type, BatchOperationType::UnpauseActivity, true, 77),
        ("reset", keep_paused, BatchOperationType::ResetActivity, true, 30),
        ("unpause", unpause, BatchOperationType::UnpauseActivity, false, 30),
    ] {
        client.batch(batch_request(job, operation)).await.unwrap();
        let ended = client.batch_ends(job).await;
        assert_eq!(ended.operation_type(), kind);
        assert_eq!(
            (ended.complete_operation_count, ended.failure_operation_count),
            (3, 0),
            "{job}"
        );
        for id in ids {
            let pending = pending(id).await;
            assert_eq!(pending.paused, paused, "{job}");
            let options = pending.activity_options.unwrap();
            assert_eq!(options.start_to_close_timeout, Some(seconds(timeout)), "{job}");
        }
    }
    let mut polled = Vec::new();
    for _ in ids {
        polled.push(client.poll_activity().await.workflow_execution.unwrap().workflow_id);
    }
    polled.sort();
    assert_eq!(polled, ids);
}

fn mask(path: &str) -> prost_types::FieldMask {
    prost_types::FieldMask {
        paths: vec![path.to_owned()],
    }
}

#[tokio::test]
async fn the_priority_of_many_workflows_is_changed_and_their_waiting_tasks_go_first() {
    let world = World::new().await;
    let client = &world.client;
    for id in ["old-1", "old-2", "new-1", "new-2"] {
        client.start(id).await;
    }
    let urgent = Operation::UpdateWorkflowOptionsOperation(BatchOperationUpdateWorkflowExecutionOptions {
        identity: "operator".to_owned(),
        workflow_execution_options: Some(WorkflowExecutionOptions {
            priority: Some(Priority {
                priority_key: 1,
                ..Default::default()
            }),
            ..Default::default()
        }),
        update_mask: Some(mask("priority")),
    });
    let request = StartBatchOperationRequest {
        visibility_query: "WorkflowId STARTS_WITH 'new'".to_owned(),
        ..batch_request("job", urgent)
    };
    client.batch(request).await.unwrap();
    assert_eq!(client.batch_ends("job").await.complete_operation_count, 2);
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(client.poll().await.workflow_execution.unwrap().workflow_id);
    }
    order[..2].sort();
    assert_eq!(order, ["new-1", "new-2", "old-1", "old-2"]);
}

#[tokio::test]
async fn standalone_activities_are_cancelled_terminated_and_deleted() {
    let world = World::new().await;
    let client = &world.client;
    for n in 0..6 {
        let request = StartActivityExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            activity_id: format!("a{n}"),
            activity_type: Some(ActivityType {
                name: if n < 2 { "cancel" } else { "end" }.to_owned(),
            }),
            task_queue: normal_queue(QUEUE),
            start_to_close_timeout: Some(seconds(60)),
            ..Default::default()
        };
        let _: StartActivityExecutionResponse = client.rpc("StartActivityExecution", request).await.unwrap();
    }
    let count = async |query: &str| {
        let request = CountActivityExecutionsRequest {
            namespace: NAMESPACE.to_owned(),
            query: query.to_owned(),
        };
        let answer: CountActivityExecutionsResponse = client.rpc("CountActivityExecutions", request).await.unwrap();
        answer.count
    };
    let cancel = Operation::CancelActivitiesOperation(BatchOperationCancelActivities {
        reason: "enough".to_owned(),
        ..Default::default()
    });
    let terminate = Operation::TerminateActivitiesOperation(BatchOperationTerminateActivities {
        identity: "operator".to_owned(),
        ..Default::default()
    });
    let delete = Operation::DeleteActivitiesOperation(BatchOperationDeleteActivities::default());
    let request = StartBatchOperationRequest {
        visibility_query: "ActivityType = 'cancel'".to_owned(),
        ..batch_request("cancel", cancel)
    };
    client.batch(request).await.unwrap();
    assert_eq!(client.batch_ends("cancel").await.complete_operation_count, 2);
    assert_eq!(count("ExecutionStatus = 'Canceled'").await, 2);

    let request = StartBatchOperationRequest {
        visibility_query: String::new(),
        target_executions: ["a2", "a3", "missing"]
            .map(|id| Execution {
                r#type: ExecutionType::Activity as i32,
                business_id: id.to_owned(),
                run_id: String::new(),
            })
            .to_vec(),
        ..batch_request("terminate", terminate)
    };
    client.batch(request.clone()).await.unwrap();
    let ended = client.batch_ends("terminate").await;
    assert_eq!((ended.complete_operation_count, ended.failure_operation_count), (3, 0));
    assert_eq!(ended.executions, request.target_executions);
    assert_eq!(count("ExecutionStatus = 'Terminated'").await, 2);

    let request = StartBatchOperationRequest {
        visibility_query: "ActivityType = 'end'".to_owned(),
        ..batch_request("delete", delete)
    };
    client.batch(request).await.unwrap();
    assert_eq!(client.batch_ends("delete").await.complete_operation_count, 4);
    eventually("they are gone", async || count("").await == 2).await;
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
    #[expect(deprecated, reason = "clients still name executions and points like this")]
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
    let changes: [fn(&mut StartBatchOperationRequest); 13] = [
        |request| request.reason.clear(),
        |request| request.job_id.clear(),
        |request| request.visibility_query.clear(),
        |request| request.visibility_query = "WorkflowType = ".to_owned(),
        |request| request.operation = None,
        |request| request.operation = Some(signal("")),
        |request| request.operation = Some(Operation::ResetOperation(BatchOperationReset::default())),
        |request| request.operation = Some(Operation::UnpauseActivitiesOperation(Default::default())),
        |request| request.operation = Some(Operation::ResetActivitiesOperation(Default::default())),
        |request| request.operation = Some(Operation::UpdateActivityOptionsOperation(Default::default())),
        |request| request.operation = Some(Operation::UpdateWorkflowOptionsOperation(Default::default())),
        |request| {
            let activity = Some(batch_operation_unpause_activities::Activity::MatchAll(false));
            let unpause = BatchOperationUnpauseActivities {
                activity,
                ..Default::default()
            };
            request.operation = Some(Operation::UnpauseActivitiesOperation(unpause));
        },
        |request| {
            request.visibility_query.clear();
            request.target_executions = vec![Execution {
                r#type: ExecutionType::Activity as i32,
                business_id: "a".to_owned(),
                ..Default::default()
            }];
        },
    ];
    for change in changes {
        let mut request = batch_request("job", terminate());
        change(&mut request);
        refused.push(assert_code(client.batch(request).await, Code::InvalidArgument));
    }
    let by_build = batch_request("job", reset_to(Target::BuildId("b1".to_owned())));
    let unsupported = assert_code(client.batch(by_build).await, Code::Unimplemented);
    assert!(unsupported.message().contains("worker versioning"));
    let unknown = DescribeBatchOperationRequest {
        namespace: NAMESPACE.to_owned(),
        job_id: "job".to_owned(),
    };
    let answer: Result<DescribeBatchOperationResponse, _> = client.rpc("DescribeBatchOperation", unknown).await;
    assert_code(answer, Code::NotFound);
}
