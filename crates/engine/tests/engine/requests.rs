//! Requests: deduplicated, validated, and refused with what SDKs look at.

use crate::client::*;
use prost::Message;
use temporalio_protos::{
    google::rpc,
    temporal::api::{
        enums::v1::*,
        errordetails::v1::{NamespaceNotFoundFailure, WorkflowExecutionAlreadyStartedFailure},
        workflow::v1::OnConflictOptions,
        workflowservice::v1::*,
    },
};
use tonic::{Code, Status};

fn details<T: Message + Default + prost::Name>(status: &Status) -> T {
    let status = rpc::Status::decode(status.details()).unwrap();
    assert!(
        status.details[0].type_url.ends_with(&T::full_name()),
        "{}",
        status.details[0].type_url
    );
    T::decode(status.details[0].value.as_slice()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_repeated_starts_once() {
    let world = World::new().await;
    let request = start_request("w");
    let first = world.client.start_with(request.clone()).await.unwrap();
    let world = world.restart().await;
    let second = world.client.start_with(request).await.unwrap();
    assert_eq!((&first.run_id, first.started), (&second.run_id, second.started));

    let status = assert_code(world.client.start_with(start_request("w")).await, Code::AlreadyExists);
    assert_eq!(
        details::<WorkflowExecutionAlreadyStartedFailure>(&status).run_id,
        first.run_id
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starts_of_one_id_exactly_one_wins() {
    let world = World::new().await;
    let starts: Vec<_> = (0..40)
        .map(|_| {
            let client = world.client.clone();
            tokio::spawn(async move { client.start_with(start_request("w")).await })
        })
        .collect();
    let mut won = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(_) => won += 1,
            Err(status) => assert_eq!(status.code(), Code::AlreadyExists),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starts_of_a_closed_id_exactly_one_wins() {
    let world = World::new().await;
    world.client.start("w").await;
    world.client.terminate("w").await.unwrap();
    let world = world.restart().await;
    let starts: Vec<_> = (0..40)
        .map(|_| {
            let client = world.client.clone();
            tokio::spawn(async move { client.start_with(start_request("w")).await })
        })
        .collect();
    let mut won = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(_) => won += 1,
            Err(status) => assert_eq!(status.code(), Code::AlreadyExists, "{}", status.message()),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.client.list("").await.unwrap().executions.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_is_repeated_arrives_once() {
    let world = World::new().await;
    world.client.start("w").await;
    let request = signal_request("w", "s");
    for _ in 0..3 {
        let _: SignalWorkflowExecutionResponse = world
            .client
            .rpc("SignalWorkflowExecution", request.clone())
            .await
            .unwrap();
    }
    let world = world.crash().await;
    let _: SignalWorkflowExecutionResponse = world.client.rpc("SignalWorkflowExecution", request).await.unwrap();
    assert_eq!(signal_names(&world.client.history("w").await), ["s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn terminating_the_old_run_and_starting_the_new_one_is_one_step() {
    let world = World::new().await;
    let first = world.client.start("w").await;
    let request = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::TerminateExisting as i32,
        ..start_request("w")
    };
    let second = world.client.start_with(request).await.unwrap().run_id;
    let world = world.crash().await;
    let listed = world.client.list("WorkflowId = 'w'").await.unwrap().executions;
    let runs: Vec<_> = listed
        .iter()
        .map(|info| (info.execution.clone().unwrap().run_id, info.status()))
        .collect();
    assert_eq!(
        runs,
        [
            (second, WorkflowExecutionStatus::Running),
            (first, WorkflowExecutionStatus::Terminated)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_with_start_starts_or_signals() {
    let world = World::new().await;
    let request = || SignalWithStartWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_id: "w".to_owned(),
        workflow_type: start_request("w").workflow_type,
        task_queue: normal_queue(QUEUE),
        signal_name: "s".to_owned(),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let first: SignalWithStartWorkflowExecutionResponse = world
        .client
        .rpc("SignalWithStartWorkflowExecution", request())
        .await
        .unwrap();
    let second: SignalWithStartWorkflowExecutionResponse = world
        .client
        .rpc("SignalWithStartWorkflowExecution", request())
        .await
        .unwrap();
    assert_eq!((first.started, second.started), (true, false));
    assert_eq!(first.run_id, second.run_id);
    assert_eq!(signal_names(&world.client.history("w").await), ["s", "s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_namespace_is_not_found() {
    let world = World::new().await;
    let request = StartWorkflowExecutionRequest {
        namespace: "nope".to_owned(),
        ..start_request("w")
    };
    let status = assert_code(world.client.start_with(request).await, Code::NotFound);
    assert_eq!(details::<NamespaceNotFoundFailure>(&status).namespace, "nope");
    let described: Result<DescribeNamespaceResponse, Status> = world
        .client
        .rpc(
            "DescribeNamespace",
            DescribeNamespaceRequest {
                namespace: "nope".to_owned(),
                ..Default::default()
            },
        )
        .await;
    assert_code(described, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_keep_their_ids_and_say_what_is_true() {
    let world = World::new().await;
    let describe = async |world: &World| -> DescribeNamespaceResponse {
        let request = DescribeNamespaceRequest {
            namespace: "helve".to_owned(),
            ..Default::default()
        };
        world.client.rpc("DescribeNamespace", request).await.unwrap()
    };
    let before = describe(&world).await.namespace_info.unwrap();
    let world = world.restart().await;
    assert_eq!(before, describe(&world).await.namespace_info.unwrap());
    let capabilities = before.capabilities.unwrap();
    assert!(capabilities.worker_poll_complete_on_shutdown && capabilities.worker_heartbeats);
    assert_eq!(before.limits.unwrap().blob_size_limit_error, 2 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_lack_something_say_what() {
    let world = World::new().await;
    for (request, word) in [
        (
            StartWorkflowExecutionRequest {
                namespace: String::new(),
                ..start_request("w")
            },
            "Namespace",
        ),
        (start_request(""), "WorkflowId"),
        (start_request(&"x".repeat(1001)), "WorkflowId length exceeds limit"),
        (
            StartWorkflowExecutionRequest {
                workflow_type: None,
                ..start_request("w")
            },
            "WorkflowType",
        ),
        (
            StartWorkflowExecutionRequest {
                task_queue: None,
                ..start_request("w")
            },
            "TaskQueue",
        ),
    ] {
        let status = assert_code(world.client.start_with(request).await, Code::InvalidArgument);
        assert!(status.message().contains(word), "{}", status.message());
    }
    let poll: Result<PollWorkflowTaskQueueResponse, _> = world
        .client
        .rpc(
            "PollWorkflowTaskQueue",
            PollWorkflowTaskQueueRequest {
                task_queue: None,
                ..poll_request(QUEUE)
            },
        )
        .await;
    assert_code(poll, Code::InvalidArgument);
    let status = assert_code(world.client.signal("nobody", "s").await, Code::NotFound);
    assert_eq!(status.message(), "workflow not found for ID: nobody");
    let token: Result<RespondWorkflowTaskCompletedResponse, _> = world
        .client
        .rpc(
            "RespondWorkflowTaskCompleted",
            RespondWorkflowTaskCompletedRequest {
                task_token: b"nonsense".to_vec(),
                ..Default::default()
            },
        )
        .await;
    assert_code(token, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let world = World::new().await;
    let answer: Result<PollNexusTaskQueueResponse, _> = world
        .client
        .rpc("PollNexusTaskQueue", PollNexusTaskQueueRequest::default())
        .await;
    let status = assert_code(answer, Code::Unimplemented);
    assert_eq!(
        status.message(),
        "PollNexusTaskQueue: this server does not support Nexus"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_the_close_is_told_at_once() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution("w"),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
        ..Default::default()
    };
    let waiting = {
        let (client, request) = (world.client.clone(), request.clone());
        tokio::spawn(async move {
            client
                .rpc::<GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", request)
                .await
                .unwrap()
        })
    };
    tokio::task::yield_now().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let answer = waiting.await.unwrap();
    assert!(answer.next_page_token.is_empty());
    let events = answer.history.unwrap().events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type(), EventType::WorkflowExecutionCompleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_too_long_is_told_to_ask_again() {
    let world = World::new().await;
    world.client.start("w").await;
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution("w"),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
        ..Default::default()
    };
    let waiting = {
        let (client, request) = (world.client.clone(), request.clone());
        tokio::spawn(async move {
            client
                .rpc::<GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", request)
                .await
                .unwrap()
        })
    };
    let (clock, finished) = (world.clock.clone(), &waiting);
    eventually("the wait ends", async || {
        clock.advance(std::time::Duration::from_secs(1));
        finished.is_finished()
    })
    .await;
    let answer = waiting.await.unwrap();
    assert!(answer.history.unwrap().events.is_empty());
    assert!(!answer.next_page_token.is_empty());
    world.client.terminate("w").await.unwrap();
    let again = GetWorkflowExecutionHistoryRequest {
        next_page_token: answer.next_page_token,
        ..request
    };
    let answer: GetWorkflowExecutionHistoryResponse =
        world.client.rpc("GetWorkflowExecutionHistory", again).await.unwrap();
    assert_eq!(
        answer.history.unwrap().events[0].event_type(),
        EventType::WorkflowExecutionTerminated
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_history_gives_every_event_once() {
    let world = World::new().await;
    world.client.start("w").await;
    let follower = {
        let client = world.client.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            let mut token = Vec::new();
            loop {
                let page: GetWorkflowExecutionHistoryResponse = client
                    .rpc(
                        "GetWorkflowExecutionHistory",
                        GetWorkflowExecutionHistoryRequest {
                            namespace: NAMESPACE.to_owned(),
                            execution: execution("w"),
                            wait_new_event: true,
                            next_page_token: token,
                            ..Default::default()
                        },
                    )
                    .await
                    .unwrap();
                ids.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
                if page.next_page_token.is_empty() {
                    return ids;
                }
                token = page.next_page_token;
            }
        })
    };
    for n in 0..20 {
        world.client.signal("w", &format!("s{n}")).await.unwrap();
    }
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let length = world.client.history("w").await.len() as i64;
    assert_eq!(follower.await.unwrap(), (1..=length).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_never_stale_and_page() {
    let world = World::new().await;
    for n in 0..5 {
        world.client.start(&format!("w{n}")).await;
        world.advance(1);
    }
    world.client.terminate("w1").await.unwrap();
    let ids = |page: &ListWorkflowExecutionsResponse| -> Vec<String> {
        page.executions
            .iter()
            .map(|info| info.execution.clone().unwrap().workflow_id)
            .collect()
    };
    let running = world
        .client
        .list("ExecutionStatus = 'Running' AND WorkflowType = 'kind'")
        .await
        .unwrap();
    assert_eq!(ids(&running), ["w4", "w3", "w2", "w0"]);
    let mut seen = Vec::new();
    let mut token = Vec::new();
    loop {
        let page: ListWorkflowExecutionsResponse = world
            .client
            .rpc(
                "ListWorkflowExecutions",
                ListWorkflowExecutionsRequest {
                    namespace: NAMESPACE.to_owned(),
                    page_size: 2,
                    next_page_token: token,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        seen.extend(ids(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    // Open ones first, then the one that closed.
    assert_eq!(seen, ["w4", "w3", "w2", "w0", "w1"]);
    let count: CountWorkflowExecutionsResponse = world
        .client
        .rpc(
            "CountWorkflowExecutions",
            CountWorkflowExecutionsRequest {
                namespace: NAMESPACE.to_owned(),
                query: "WorkflowId STARTS_WITH 'w' GROUP BY ExecutionStatus".to_owned(),
            },
        )
        .await
        .unwrap();
    assert_eq!(count.count, 5);
    let groups: Vec<_> = count
        .groups
        .iter()
        .map(|group| {
            (
                String::from_utf8_lossy(&group.group_values[0].data).into_owned(),
                group.count,
            )
        })
        .collect();
    assert_eq!(
        groups,
        [("\"Running\"".to_owned(), 4), ("\"Terminated\"".to_owned(), 1)]
    );
    let status = assert_code(world.client.list("Custom = 1").await, Code::InvalidArgument);
    assert!(status.message().contains("Custom"));
}

#[tokio::test]
async fn a_starter_that_is_a_worker_gets_the_first_task_with_the_answer() {
    let world = World::new().await;
    let client = &world.client;
    let request = StartWorkflowExecutionRequest {
        request_eager_execution: true,
        ..start_request("wf")
    };
    let answer = client.start_with(request.clone()).await.unwrap();
    let task = answer.eager_workflow_task.unwrap();
    assert_eq!(events(&task), client.history("wf").await);
    // The same request, sent again, gets the same task.
    let again = client
        .start_with(request.clone())
        .await
        .unwrap()
        .eager_workflow_task
        .unwrap();
    assert_eq!(again.task_token, task.task_token);
    client.complete(&task, vec![complete_workflow("done")]).await;
    assert_eq!(client.status("wf").await, WorkflowExecutionStatus::Completed);
    assert_eq!(client.start_with(request).await.unwrap().eager_workflow_task, None);
}

#[tokio::test]
async fn an_eager_first_task_that_nobody_answers_is_offered_to_all() {
    let world = World::new().await;
    let client = &world.client;
    let request = StartWorkflowExecutionRequest {
        request_eager_execution: true,
        ..start_request("wf")
    };
    client.start_with(request).await.unwrap();
    let poll = client.polling(QUEUE);
    wait_for_poller(&world, QUEUE).await;
    world.advance(11);
    assert_eq!(poll.await.unwrap().attempt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_met_a_running_workflow_is_known_after_a_crash() {
    let world = World::new().await;
    let first = world.client.start_with(start_request("w")).await.unwrap();
    let request = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
        on_conflict_options: Some(OnConflictOptions {
            attach_request_id: true,
            ..Default::default()
        }),
        ..start_request("w")
    };
    let second = world.client.start_with(request.clone()).await.unwrap();
    assert_eq!((&second.run_id, second.started), (&first.run_id, false));
    assert_ne!(second.link, first.link);
    let world = world.crash().await;
    let again = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail as i32,
        ..request
    };
    assert_eq!(world.client.start_with(again).await.unwrap(), second);
    let types = world.client.event_types("w").await;
    let left = types
        .iter()
        .filter(|kind| **kind == EventType::WorkflowExecutionOptionsUpdated);
    assert_eq!(left.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_whose_tasks_fail_is_found_by_what_it_reports() {
    let world = World::new().await;
    world.client.start("w").await;
    let query = "TemporalReportedProblems = 'category=WorkflowTaskFailed'";
    for _ in 0..5 {
        assert!(world.client.list(query).await.unwrap().executions.is_empty());
        let task = world.client.poll().await;
        let request = RespondWorkflowTaskFailedRequest {
            task_token: task.task_token,
            namespace: NAMESPACE.to_owned(),
            ..Default::default()
        };
        let _: RespondWorkflowTaskFailedResponse =
            world.client.rpc("RespondWorkflowTaskFailed", request).await.unwrap();
    }
    assert_eq!(world.client.list(query).await.unwrap().executions.len(), 1);
    let world = world.crash().await;
    assert_eq!(world.client.list(query).await.unwrap().executions.len(), 1);
    let task = world.client.poll().await;
    world.client.complete(&task, vec![]).await;
    assert!(world.client.list(query).await.unwrap().executions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_looks_elsewhere_in_the_middle_of_its_calls_keeps_nobody_waiting() {
    let world = World::new().await;
    world.client.start("w").await;
    let mut signals: Vec<_> = (0..20).map(|_| Box::pin(world.client.signal("w", "begun"))).collect();
    let mut looks: Vec<_> = (0..20).map(|_| Box::pin(world.client.describe("w"))).collect();
    for (signal, look) in signals.iter_mut().zip(&mut looks) {
        // The run is locked while this is committed; the look waits for its turn.
        let _ = futures_util::poll!(signal.as_mut());
        let _ = futures_util::poll!(look.as_mut());
    }
    // They are kept, and not polled.
    let other = tokio::time::timeout(std::time::Duration::from_secs(30), world.client.describe("w")).await;
    other.expect("it has its turn");
}
