//! What a request gets wrong is told by the code that clients act on.

use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::*,
    filter::v1::StartTimeFilter,
    history::v1::history_event::Attributes,
    schedule::v1::{SchedulePatch, schedule_action::Action},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
};
use tonic::{Code, Status, codegen::http::HeaderMap};

use crate::{client::*, schedules::every_minute, standalone::start_activity_request};

const INVALID: Code = Code::InvalidArgument;

/// The code and the words of a refusal.
async fn refusal<A: Message + Default>(world: &World, rpc: &str, request: impl Message) -> (Code, String) {
    let result: Result<A, Status> = world.client.rpc(rpc, request).await;
    let status = result.err().unwrap_or_else(|| panic!("{rpc} was not refused"));
    (status.code(), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_filter_must_not_end_before_it_begins() {
    let world = World::new().await;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let start_time_filter = Some(StartTimeFilter {
        earliest_time: at(2_000_000_000_000),
        latest_time: at(1_000_000_000_000),
    });
    let namespace = NAMESPACE.to_owned();
    let open = ListOpenWorkflowExecutionsRequest {
        namespace: namespace.clone(),
        start_time_filter,
        ..Default::default()
    };
    let closed = ListClosedWorkflowExecutionsRequest {
        namespace,
        start_time_filter,
        ..Default::default()
    };
    let says = "EarliestTime in StartTimeFilter should not be larger than LatestTime.".to_owned();
    assert_eq!(
        refusal::<ListOpenWorkflowExecutionsResponse>(&world, "ListOpenWorkflowExecutions", open).await,
        (INVALID, says.clone())
    );
    assert_eq!(
        refusal::<ListClosedWorkflowExecutionsResponse>(&world, "ListClosedWorkflowExecutions", closed).await,
        (INVALID, says)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_named_by_its_id() {
    let world = World::new().await;
    let namespace = NAMESPACE.to_owned();
    let describe = DescribeScheduleRequest {
        namespace: namespace.clone(),
        ..Default::default()
    };
    let patch = PatchScheduleRequest {
        namespace: namespace.clone(),
        patch: Some(SchedulePatch::default()),
        ..Default::default()
    };
    let delete = DeleteScheduleRequest {
        namespace,
        ..Default::default()
    };
    for (code, _) in [
        refusal::<DescribeScheduleResponse>(&world, "DescribeSchedule", describe).await,
        refusal::<PatchScheduleResponse>(&world, "PatchSchedule", patch).await,
        refusal::<DeleteScheduleResponse>(&world, "DeleteSchedule", delete).await,
    ] {
        assert_eq!(code, INVALID);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_workflow_has_no_policy_for_its_id() {
    let world = World::new().await;
    for policy in [2, 99, -1] {
        let mut request = every_minute("s", ScheduleOverlapPolicy::Skip);
        let action = request.schedule.as_mut().unwrap().action.as_mut().unwrap();
        let Some(Action::StartWorkflow(workflow)) = &mut action.action else {
            panic!("the schedule starts a workflow");
        };
        workflow.workflow_id_reuse_policy = policy;
        let (code, _) = refusal::<CreateScheduleResponse>(&world, "CreateSchedule", request).await;
        assert_eq!(code, INVALID, "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_has_no_stickiness_to_reset() {
    let world = World::new().await;
    world.client.start("w").await;
    world.client.terminate("w").await.unwrap();
    let request = ResetStickyTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution("w"),
    };
    assert_eq!(
        refusal::<ResetStickyTaskQueueResponse>(&world, "ResetStickyTaskQueue", request).await,
        (Code::NotFound, "workflow execution already completed".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_a_standalone_activity_has_a_name_of_limited_length() {
    let world = World::new().await;
    let _: StartActivityExecutionResponse = world
        .client
        .rpc("StartActivityExecution", start_activity_request("a"))
        .await
        .unwrap();
    let (namespace, activity_id, identity) = (NAMESPACE.to_owned(), "a".to_owned(), "x".repeat(1001));
    let cancel = RequestCancelActivityExecutionRequest {
        namespace: namespace.clone(),
        activity_id: activity_id.clone(),
        identity: identity.clone(),
        ..Default::default()
    };
    let terminate = TerminateActivityExecutionRequest {
        namespace,
        activity_id,
        identity,
        ..Default::default()
    };
    for (code, message) in [
        refusal::<RequestCancelActivityExecutionResponse>(&world, "RequestCancelActivityExecution", cancel).await,
        refusal::<TerminateActivityExecutionResponse>(&world, "TerminateActivityExecution", terminate).await,
    ] {
        assert_eq!(code, INVALID);
        assert_eq!(message, "identity exceeds length limit. Length=1001 Limit=1000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sticky_queue_has_a_normal_name() {
    let world = World::new().await;
    let request = DescribeTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: Some(TaskQueue {
            normal_name: "other".to_owned(),
            ..normal_queue(QUEUE).unwrap()
        }),
        ..Default::default()
    };
    let (code, message) = refusal::<DescribeTaskQueueResponse>(&world, "DescribeTaskQueue", request).await;
    assert_eq!(code, INVALID);
    assert!(
        message.starts_with("only sticky queues can have normal name."),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_in_the_one_cluster_that_there_is() {
    let world = World::new().await;
    let request = |cluster: &str| RegisterNamespaceRequest {
        namespace: "n".to_owned(),
        workflow_execution_retention_period: Some(seconds(86_400)),
        active_cluster_name: cluster.to_owned(),
        ..Default::default()
    };
    assert_eq!(
        refusal::<RegisterNamespaceResponse>(&world, "RegisterNamespace", request("nowhere")).await,
        (INVALID, "Invalid cluster name: nowhere".to_owned())
    );
    let _: RegisterNamespaceResponse = world.client.rpc("RegisterNamespace", request("active")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_no_run_can_have_is_not_found() {
    let world = World::new().await;
    let id = "x".repeat(1 << 20);
    let status = assert_code(world.client.signal(&id, "s").await, Code::NotFound);
    assert!(status.message().len() < 200, "it does not come back");
    assert_code(world.client.query(&id, "q").await, Code::NotFound);
    assert_code(world.client.terminate(&id).await, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_that_was_never_given_out_is_invalid() {
    let world = World::new().await;
    world.client.start("w").await;
    let forged = [&[10, 36][..], &[b'a'; 36]].concat();
    for token in [b"junk".to_vec(), forged] {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: execution("w"),
            next_page_token: token,
            ..Default::default()
        };
        assert_eq!(
            refusal::<GetWorkflowExecutionHistoryResponse>(&world, "GetWorkflowExecutionHistory", request).await,
            (INVALID, "Invalid NextPageToken.".to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_completion_is_told_to_the_worker_and_to_whoever_reads_the_history() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let bare = temporalio_protos::temporal::api::command::v1::Command {
        command_type: CommandType::RecordMarker.into(),
        ..Default::default()
    };
    let refused = world.client.try_complete(&task, vec![bare]).await;
    let status = assert_code(refused, INVALID);
    assert_eq!(
        status.message(),
        "BadRecordMarkerAttributes: RecordMarkerCommandAttributes is not set on RecordMarkerCommand."
    );
    let history = world.client.history("w").await;
    let Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) = &history[3].attributes else {
        panic!("{:?}", history[3]);
    };
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::BadRecordMarkerAttributes);
}

/// What a client of this name is shown of the history.
async fn shown_to(world: &World, client: &'static str, page_size: i32) -> Vec<EventType> {
    let mut headers = HeaderMap::new();
    headers.insert("client-name", client.parse().unwrap());
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution("w"),
        maximum_page_size: page_size,
        ..Default::default()
    };
    let page: GetWorkflowExecutionHistoryResponse = world
        .client
        .rpc_with("GetWorkflowExecutionHistory", headers, request)
        .await
        .unwrap();
    let events = page.history.unwrap().events;
    events.iter().map(|event| event.event_type()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_see_the_task_that_is_tried_again_and_people_see_what_is_stored() {
    use EventType::*;
    let world = World::new().await;
    world.client.start("w").await;
    let stored = [
        WorkflowExecutionStarted,
        WorkflowTaskScheduled,
        WorkflowTaskStarted,
        WorkflowTaskFailed,
    ];
    let fail = async |task: PollWorkflowTaskQueueResponse| {
        let request = RespondWorkflowTaskFailedRequest {
            task_token: task.task_token,
            ..Default::default()
        };
        let _: RespondWorkflowTaskFailedResponse =
            world.client.rpc("RespondWorkflowTaskFailed", request).await.unwrap();
    };
    fail(world.client.poll().await).await;
    let waiting = [&stored[..], &[WorkflowTaskScheduled]].concat();
    assert_eq!(shown_to(&world, "temporal-python", 0).await, waiting);
    world.client.poll().await;
    let started = [&waiting[..], &[WorkflowTaskStarted]].concat();
    assert_eq!(shown_to(&world, "temporal-go", 0).await, started);
    assert_eq!(
        shown_to(&world, "temporal-go", 4).await,
        started,
        "the last page has them"
    );
    assert_eq!(
        shown_to(&world, "temporal-go", 3).await,
        stored[..3],
        "no other page has"
    );
    assert_eq!(shown_to(&world, "temporal-cli", 0).await, stored);
    assert_eq!(shown_to(&world, "temporal-ui", 0).await, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_comes_with_an_answer_brings_what_is_new_though_no_queue_is_sticky() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let request = RespondWorkflowTaskCompletedRequest {
        force_create_new_workflow_task: true,
        return_new_workflow_task: true,
        ..completion(&task, vec![])
    };
    let answer: RespondWorkflowTaskCompletedResponse =
        world.client.rpc("RespondWorkflowTaskCompleted", request).await.unwrap();
    let next = answer.workflow_task.expect("it was asked for");
    let ids: Vec<i64> = events(&next).iter().map(|event| event.event_id).collect();
    assert_eq!(ids, [4, 5, 6]);
    world.client.complete(&next, vec![complete_workflow("done")]).await;
}
