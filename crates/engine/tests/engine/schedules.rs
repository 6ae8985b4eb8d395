//! Schedules on the engine: they act on time, once, whatever stops the engine in between.

use std::collections::BTreeSet;

use temporalio_protos::temporal::api::{
    common::v1::*,
    enums::v1::*,
    failure::v1::Failure,
    history::v1::history_event::Attributes,
    schedule::v1::*,
    workflow::v1::{NewWorkflowExecutionInfo, WorkflowExecutionInfo},
    workflowservice::v1::*,
};
use tonic::{Code, Status};

use crate::client::*;

fn workflow(id: &str) -> NewWorkflowExecutionInfo {
    NewWorkflowExecutionInfo {
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType {
            name: "Nightly".to_owned(),
        }),
        task_queue: normal_queue(QUEUE),
        input: payloads("night"),
        ..Default::default()
    }
}

/// Every minute, with a workflow id like the schedule's.
pub(crate) fn every_minute(id: &str, policy: ScheduleOverlapPolicy) -> CreateScheduleRequest {
    CreateScheduleRequest {
        namespace: NAMESPACE.to_owned(),
        schedule_id: id.to_owned(),
        request_id: format!("create-{id}"),
        schedule: Some(Schedule {
            spec: Some(ScheduleSpec {
                interval: vec![IntervalSpec {
                    interval: Some(seconds(60)),
                    phase: None,
                }],
                ..Default::default()
            }),
            action: Some(ScheduleAction {
                action: Some(schedule_action::Action::StartWorkflow(workflow(id))),
            }),
            policies: Some(SchedulePolicies {
                overlap_policy: policy.into(),
                ..Default::default()
            }),
            state: None,
        }),
        ..Default::default()
    }
}

async fn create(world: &World, request: CreateScheduleRequest) {
    try_create(world, request).await.unwrap();
}

async fn try_create(world: &World, request: CreateScheduleRequest) -> Result<CreateScheduleResponse, Status> {
    world.client.rpc("CreateSchedule", request).await
}

async fn try_describe(world: &World, id: &str) -> Result<DescribeScheduleResponse, Status> {
    let request = DescribeScheduleRequest {
        namespace: NAMESPACE.to_owned(),
        schedule_id: id.to_owned(),
    };
    world.client.rpc("DescribeSchedule", request).await
}

async fn info(world: &World, id: &str) -> ScheduleInfo {
    try_describe(world, id).await.unwrap().info.unwrap()
}

async fn patch(world: &World, id: &str, patch: SchedulePatch) {
    let request = PatchScheduleRequest {
        namespace: NAMESPACE.to_owned(),
        schedule_id: id.to_owned(),
        patch: Some(patch),
        ..Default::default()
    };
    let _: PatchScheduleResponse = world.client.rpc("PatchSchedule", request).await.unwrap();
}

async fn until_acted(world: &World, id: &str, times: i64) {
    eventually("the schedule acted", async || {
        info(world, id).await.action_count == times
    })
    .await;
}

async fn list(world: &World, query: &str, token: Vec<u8>, size: i32) -> Result<ListSchedulesResponse, Status> {
    let request = ListSchedulesRequest {
        namespace: NAMESPACE.to_owned(),
        maximum_page_size: size,
        next_page_token: token,
        query: query.to_owned(),
    };
    world.client.rpc("ListSchedules", request).await
}

/// The workflow ids of all executions.
async fn started(world: &World) -> Vec<String> {
    let page = world.client.list("").await.unwrap();
    let id = |execution: WorkflowExecutionInfo| execution.execution.unwrap().workflow_id;
    let mut ids: Vec<_> = page.executions.into_iter().map(id).collect();
    ids.sort();
    ids
}

/// The world's clock starts at 08:00.
fn at(minute: u32) -> String {
    format!("2027-01-15T08:{minute:02}:00Z")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_started_when_its_time_has_come_and_says_by_whom() {
    let world = World::new().await;
    create(&world, every_minute("s", ScheduleOverlapPolicy::Skip)).await;
    assert_eq!(info(&world, "s").await.future_action_times.len(), 10);
    world.advance(60);
    let task = world.client.poll().await;
    assert_eq!(
        task.workflow_execution.as_ref().unwrap().workflow_id,
        format!("s-{}", at(1))
    );
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = events(&task)[0].attributes.clone() else {
        panic!("{task:?}");
    };
    assert_eq!(started.identity, "temporal-scheduler-default-s");
    assert_eq!(text(started.input), "night");
    let attribute = |name: &str| {
        let payload = &started.search_attributes.as_ref().unwrap().indexed_fields[name];
        String::from_utf8(payload.data.clone()).unwrap()
    };
    assert_eq!(attribute("TemporalScheduledById"), "\"s\"");
    assert_eq!(attribute("TemporalScheduledStartTime"), format!("\"{}\"", at(1)));
    until_acted(&world, "s", 1).await;
    assert_eq!(info(&world, "s").await.running_workflows.len(), 1);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    eventually("its end is noticed", async || {
        info(&world, "s").await.running_workflows.is_empty()
    })
    .await;
    let recent = info(&world, "s").await.recent_actions;
    assert_eq!(recent[0].start_workflow_status(), WorkflowExecutionStatus::Completed);
    let found = world.client.list("TemporalScheduledById = 's'").await.unwrap();
    assert_eq!(found.executions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_asked_for_has_happened_when_he_looks_and_in_order() {
    let world = World::new().await;
    let mut request = every_minute("s", ScheduleOverlapPolicy::Skip);
    request.initial_patch = Some(SchedulePatch {
        trigger_immediately: Some(TriggerImmediatelyRequest::default()),
        backfill_request: vec![BackfillRequest {
            start_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            end_time: Some(prost_types::Timestamp {
                seconds: 1_700_000_300,
                nanos: 0,
            }),
            overlap_policy: ScheduleOverlapPolicy::AllowAll.into(),
        }],
        ..Default::default()
    });
    create(&world, request).await;
    let info = info(&world, "s").await;
    assert_eq!(info.action_count, 6);
    let filled = |action: &ScheduleActionResult| action.schedule_time.unwrap().seconds;
    let times: Vec<_> = info
        .recent_actions
        .iter()
        .map(filled)
        .filter(|time| *time < 1_750_000_000)
        .collect();
    assert_eq!(times.len(), 5);
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_neither_lose_nor_double_an_action() {
    let mut world = World::new().await;
    create(&world, every_minute("s", ScheduleOverlapPolicy::AllowAll)).await;
    for minute in 1..=6 {
        world.advance(60);
        // Somewhere between the decision, the start, and the note that it happened.
        for _ in 0..minute {
            tokio::task::yield_now().await;
        }
        world = world.crash().await;
    }
    until_acted(&world, "s", 6).await;
    let expected: Vec<_> = (1..=6).map(|minute| format!("s-{}", at(minute))).collect();
    assert_eq!(started(&world).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_the_engine_was_away_is_made_up_for_within_the_window() {
    let world = World::new().await;
    let mut request = every_minute("s", ScheduleOverlapPolicy::AllowAll);
    let policies = request.schedule.as_mut().unwrap().policies.as_mut().unwrap();
    policies.catchup_window = Some(seconds(150));
    create(&world, request).await;
    world.engine.shutdown().await;
    world.advance(600);
    let world = world.restart().await;
    until_acted(&world, "s", 3).await;
    assert_eq!(info(&world, "s").await.missed_catchup_window, 7);
    assert_eq!(
        started(&world).await,
        [8, 9, 10].map(|minute| format!("s-{}", at(minute)))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buffered_action_starts_at_the_end_of_the_one_before_even_after_a_restart() {
    let world = World::new().await;
    create(&world, every_minute("s", ScheduleOverlapPolicy::BufferAll)).await;
    world.advance(60);
    until_acted(&world, "s", 1).await;
    world.advance(60);
    eventually("one waits", async || info(&world, "s").await.buffer_size == 1).await;
    let world = world.restart().await;
    assert_eq!(info(&world, "s").await.buffer_size, 1);
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("one")]).await;
    let next = world.client.poll().await;
    assert_eq!(
        next.workflow_execution.as_ref().unwrap().workflow_id,
        format!("s-{}", at(2))
    );
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = events(&next)[0].attributes.clone() else {
        panic!("{next:?}");
    };
    assert_eq!(
        text(started.last_completion_result),
        "one",
        "it is handed the last result"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_before_is_cancelled_or_terminated_if_the_policy_says_so() {
    for (policy, end) in [
        (
            ScheduleOverlapPolicy::CancelOther,
            EventType::WorkflowExecutionCancelRequested,
        ),
        (
            ScheduleOverlapPolicy::TerminateOther,
            EventType::WorkflowExecutionTerminated,
        ),
    ] {
        let world = World::new().await;
        create(&world, every_minute("s", policy)).await;
        world.advance(60);
        until_acted(&world, "s", 1).await;
        world.advance(60);
        let first = format!("s-{}", at(1));
        eventually("the first one is told", async || {
            world.client.event_types(&first).await.contains(&end)
        })
        .await;
        if policy == ScheduleOverlapPolicy::CancelOther {
            world.client.terminate(&first).await.unwrap();
        }
        until_acted(&world, "s", 2).await;
        let running = info(&world, "s").await.running_workflows;
        assert_eq!(
            running.iter().map(|e| e.workflow_id.clone()).collect::<Vec<_>>(),
            [format!("s-{}", at(2))]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_runs_is_one_action_to_its_end() {
    let world = World::new().await;
    create(&world, every_minute("s", ScheduleOverlapPolicy::Skip)).await;
    world.advance(60);
    let task = world.client.poll().await;
    world.client.complete(&task, vec![continue_as_new()]).await;
    until_acted(&world, "s", 1).await;
    world.advance(60);
    eventually("it is skipped", async || info(&world, "s").await.overlap_skipped == 1).await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("end")]).await;
    eventually("the end is noticed", async || {
        info(&world, "s").await.running_workflows.is_empty()
    })
    .await;
}

fn continue_as_new() -> temporalio_protos::temporal::api::command::v1::Command {
    use temporalio_protos::temporal::api::command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, command::Attributes,
    };
    Command {
        command_type: CommandType::ContinueAsNewWorkflowExecution.into(),
        attributes: Some(Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(
            ContinueAsNewWorkflowExecutionCommandAttributes {
                workflow_type: Some(WorkflowType {
                    name: "Nightly".to_owned(),
                }),
                task_queue: normal_queue(QUEUE),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_pauses_a_schedule_that_wants_it() {
    let world = World::new().await;
    let mut request = every_minute("s", ScheduleOverlapPolicy::Skip);
    request
        .schedule
        .as_mut()
        .unwrap()
        .policies
        .as_mut()
        .unwrap()
        .pause_on_failure = true;
    create(&world, request).await;
    world.advance(60);
    let task = world.client.poll().await;
    let fail = {
        use temporalio_protos::temporal::api::command::v1::{
            Command, FailWorkflowExecutionCommandAttributes, command::Attributes,
        };
        Command {
            command_type: CommandType::FailWorkflowExecution.into(),
            attributes: Some(Attributes::FailWorkflowExecutionCommandAttributes(
                FailWorkflowExecutionCommandAttributes {
                    failure: Some(Failure {
                        message: "no luck".to_owned(),
                        ..Default::default()
                    }),
                },
            )),
            ..Default::default()
        }
    };
    world.client.complete(&task, vec![fail]).await;
    eventually("it is paused", async || {
        let state = try_describe(&world, "s")
            .await
            .unwrap()
            .schedule
            .unwrap()
            .state
            .unwrap();
        state.paused && state.notes.contains("no luck")
    })
    .await;
    let listed = list(&world, "TemporalSchedulePaused = true", Vec::new(), 0)
        .await
        .unwrap();
    assert!(listed.schedules[0].info.as_ref().unwrap().paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_taken_until_it_is_deleted_but_the_same_request_is_answered_the_same() {
    let world = World::new().await;
    let request = every_minute("s", ScheduleOverlapPolicy::Skip);
    create(&world, request.clone()).await;
    create(&world, request.clone()).await;
    let other = CreateScheduleRequest {
        request_id: "another".to_owned(),
        ..request
    };
    let refused = try_create(&world, other.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("already registered"), "{refused}");
    let world = world.restart().await;
    assert_eq!(
        try_create(&world, other.clone()).await.unwrap_err().code(),
        Code::AlreadyExists
    );
    let delete = DeleteScheduleRequest {
        namespace: NAMESPACE.to_owned(),
        schedule_id: "s".to_owned(),
        ..Default::default()
    };
    let _: DeleteScheduleResponse = world.client.rpc("DeleteSchedule", delete.clone()).await.unwrap();
    assert_eq!(try_describe(&world, "s").await.unwrap_err().code(), Code::NotFound);
    let again: Result<DeleteScheduleResponse, _> = world.client.rpc("DeleteSchedule", delete).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
    let world = world.restart().await;
    assert_eq!(try_describe(&world, "s").await.unwrap_err().code(), Code::NotFound);
    create(&world, other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_an_old_token_is_refused_and_changes_nothing() {
    let world = World::new().await;
    create(&world, every_minute("s", ScheduleOverlapPolicy::Skip)).await;
    let before = try_describe(&world, "s").await.unwrap();
    let pause = SchedulePatch {
        pause: "p".to_owned(),
        ..Default::default()
    };
    patch(&world, "s", pause).await;
    let mut schedule = before.schedule.clone().unwrap();
    schedule.spec.as_mut().unwrap().interval[0].interval = Some(seconds(5));
    let update = UpdateScheduleRequest {
        namespace: NAMESPACE.to_owned(),
        schedule_id: "s".to_owned(),
        schedule: Some(schedule),
        conflict_token: before.conflict_token,
        memo: Some(Memo::default()),
        ..Default::default()
    };
    let refused: Result<UpdateScheduleResponse, _> = world.client.rpc("UpdateSchedule", update.clone()).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    let now = try_describe(&world, "s").await.unwrap();
    let update = UpdateScheduleRequest {
        conflict_token: now.conflict_token,
        ..update
    };
    let _: UpdateScheduleResponse = world.client.rpc("UpdateSchedule", update).await.unwrap();
    let world = world.restart().await;
    let after = try_describe(&world, "s").await.unwrap();
    let spec = after.schedule.unwrap().spec.unwrap();
    assert_eq!(spec.interval[0].interval, Some(seconds(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_filtered_and_counted() {
    let world = World::new().await;
    for number in 0..5 {
        let mut request = every_minute(&format!("s-{number}"), ScheduleOverlapPolicy::Skip);
        request.schedule.as_mut().unwrap().state = Some(ScheduleState {
            paused: number % 2 == 0,
            ..Default::default()
        });
        request.memo = Some(Memo {
            fields: [("n".to_owned(), Payload::default())].into(),
        });
        create(&world, request).await;
    }
    let (mut token, mut seen) = (Vec::new(), BTreeSet::new());
    loop {
        let page = list(&world, "", token, 2).await.unwrap();
        assert!(page.schedules.iter().all(|entry| entry.memo.is_some()));
        seen.extend(page.schedules.into_iter().map(|entry| entry.schedule_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    for (query, expected) in [
        ("TemporalSchedulePaused = true", 3),
        ("TemporalSchedulePaused = false AND ScheduleId != 's-1'", 1),
        ("ScheduleId STARTS_WITH 's-'", 5),
    ] {
        let found = list(&world, query, Vec::new(), 0).await.unwrap();
        assert_eq!(found.schedules.len(), expected, "{query}");
        let count: CountSchedulesResponse = world
            .client
            .rpc(
                "CountSchedules",
                CountSchedulesRequest {
                    namespace: NAMESPACE.to_owned(),
                    query: query.to_owned(),
                },
            )
            .await
            .unwrap();
        assert_eq!(count.count, expected as i64, "{query}");
    }
    for query in ["Nonsense = 1", "ScheduleId =", "'; DROP TABLE schedules"] {
        assert_eq!(
            list(&world, query, Vec::new(), 0).await.unwrap_err().code(),
            Code::InvalidArgument,
            "{query}"
        );
    }
    let refused = list(&world, "", b"nonsense".to_vec(), 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_schedules_fire_in_the_same_second_once_each() {
    let world = World::new().await;
    let all: Vec<_> = (0..300)
        .map(|number| {
            let (client, request) = (
                world.client.clone(),
                every_minute(&format!("s-{number:03}"), ScheduleOverlapPolicy::Skip),
            );
            tokio::spawn(async move { client.rpc::<CreateScheduleResponse>("CreateSchedule", request).await })
        })
        .collect();
    for created in all {
        created.await.unwrap().unwrap();
    }
    world.advance(60);
    eventually("all have acted", async || started(&world).await.len() == 300).await;
    let ids: BTreeSet<_> = started(&world).await.into_iter().collect();
    assert_eq!(ids.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_is_over_goes_after_a_week() {
    let world = World::new().await;
    let mut request = every_minute("s", ScheduleOverlapPolicy::Skip);
    request.schedule.as_mut().unwrap().state = Some(ScheduleState {
        limited_actions: true,
        remaining_actions: 0,
        ..Default::default()
    });
    create(&world, request).await;
    world.advance(7 * 24 * 3600 - 1);
    assert!(try_describe(&world, "s").await.is_ok());
    world.advance(1);
    eventually("it is gone", async || try_describe(&world, "s").await.is_err()).await;
    let world = world.restart().await;
    assert!(try_describe(&world, "s").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let world = World::new().await;
    let request = || every_minute("s", ScheduleOverlapPolicy::Skip);
    let with = |change: fn(&mut Schedule, &mut NewWorkflowExecutionInfo)| {
        let mut request = request();
        let schedule = request.schedule.as_mut().unwrap();
        let mut started = workflow("s");
        change(schedule, &mut started);
        schedule.action = Some(ScheduleAction {
            action: Some(schedule_action::Action::StartWorkflow(started)),
        });
        request
    };
    for (refused, reason) in [
        (
            CreateScheduleRequest {
                schedule_id: String::new(),
                ..request()
            },
            "ScheduleId is not set",
        ),
        (
            CreateScheduleRequest {
                request_id: String::new(),
                ..request()
            },
            "RequestId is not set",
        ),
        (
            with(|schedule, _| schedule.spec.as_mut().unwrap().cron_string = vec!["61 * * * *".to_owned()]),
            "Invalid schedule spec: Minute is not in range",
        ),
        (
            with(|schedule, _| schedule.spec.as_mut().unwrap().timezone_name = "Mars/Olympus".to_owned()),
            "unknown time zone",
        ),
        (
            with(|_, workflow| workflow.workflow_type = None),
            "WorkflowType is not set",
        ),
        (
            with(|_, workflow| workflow.cron_schedule = "@daily".to_owned()),
            "must not contain CronSchedule",
        ),
        (
            with(|_, workflow| workflow.set_workflow_id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)),
            "must not contain WorkflowIDReusePolicy",
        ),
    ] {
        let error = try_create(&world, refused).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(reason), "{reason}: {error}");
    }
}
