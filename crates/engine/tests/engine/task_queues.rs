//! Task queues as workers and operators see them: priorities, fairness, limits, descriptions, and polls that go away.

use temporalio_protos::temporal::api::{
    command::v1::command::Attributes, common::v1::Priority, enums::v1::*, taskqueue::v1::*, workflowservice::v1::*,
};
use tonic::Code;

use crate::client::*;

fn priority(priority_key: i32, fairness_key: &str, fairness_weight: f32) -> Option<Priority> {
    Some(Priority {
        priority_key,
        fairness_key: fairness_key.to_owned(),
        fairness_weight,
    })
}

async fn start(world: &World, id: &str, priority: Option<Priority>) {
    let request = StartWorkflowExecutionRequest {
        priority,
        ..start_request(id)
    };
    world.client.start_with(request).await.unwrap();
}

fn id_of(task: &PollWorkflowTaskQueueResponse) -> String {
    task.workflow_execution.clone().unwrap().workflow_id
}

fn scheduled(id: &str, priority: Option<Priority>) -> temporalio_protos::temporal::api::command::v1::Command {
    let mut command = schedule_activity(id);
    if let Some(Attributes::ScheduleActivityTaskCommandAttributes(attributes)) = &mut command.attributes {
        attributes.priority = priority;
    }
    command
}

async fn describe(world: &World, kind: TaskQueueType) -> DescribeTaskQueueResponse {
    let request = DescribeTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: queue(QUEUE),
        task_queue_type: kind as i32,
        report_stats: true,
        report_config: true,
        ..Default::default()
    };
    world.client.rpc("DescribeTaskQueue", request).await.unwrap()
}

fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        ..Default::default()
    })
}

fn limit(per_second: Option<f32>) -> UpdateTaskQueueConfigRequest {
    UpdateTaskQueueConfigRequest {
        namespace: NAMESPACE.to_owned(),
        identity: "an operator".to_owned(),
        task_queue: QUEUE.to_owned(),
        task_queue_type: TaskQueueType::Activity as i32,
        update_queue_rate_limit: Some(update_task_queue_config_request::RateLimitUpdate {
            rate_limit: per_second.map(|requests_per_second| RateLimit { requests_per_second }),
            reason: "a test".to_owned(),
        }),
        ..Default::default()
    }
}

async fn configure(
    world: &World,
    request: UpdateTaskQueueConfigRequest,
) -> Result<UpdateTaskQueueConfigResponse, tonic::Status> {
    world.client.rpc("UpdateTaskQueueConfig", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn workflow_tasks_leave_by_priority_also_after_a_restart() {
    let world = World::new().await;
    for (id, key) in [("later", 5), ("usual", 0), ("first", 1)] {
        start(&world, id, priority(key, "", 0.0)).await;
    }
    let world = world.restart().await;
    for id in ["first", "usual", "later"] {
        assert_eq!(id_of(&world.client.poll().await), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_s_priority_is_its_own_field_by_field_over_its_workflow_s() {
    let world = World::new().await;
    start(&world, "w", priority(2, "tenant", 3.0)).await;
    let task = world.client.poll().await;
    let commands = vec![
        scheduled("inherits", None),
        scheduled("sooner", priority(1, "", 0.0)),
        scheduled("other", priority(0, "own", 0.0)),
    ];
    world.client.complete(&task, commands).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let task = world.client.poll_activity().await;
        seen.push((task.activity_id, task.priority));
    }
    assert_eq!(seen[0], ("sooner".to_owned(), priority(1, "tenant", 3.0)));
    seen[1..].sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(seen[1], ("inherits".to_owned(), priority(2, "tenant", 3.0)));
    assert_eq!(seen[2], ("other".to_owned(), priority(2, "own", 3.0)));
    // The history says what was asked for.
    let asked: Vec<_> = world
        .client
        .history("w")
        .await
        .into_iter()
        .filter_map(|event| match event.attributes {
            Some(
                temporalio_protos::temporal::api::history::v1::history_event::Attributes::ActivityTaskScheduledEventAttributes(a),
            ) => Some(a.priority),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [None, priority(1, "", 0.0), priority(0, "own", 0.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn priorities_that_make_no_sense_are_refused() {
    let world = World::new().await;
    for bad in [
        priority(-1, "", 0.0),
        priority(1, &"k".repeat(65), 0.0),
        priority(1, "k", -1.0),
    ] {
        let request = StartWorkflowExecutionRequest {
            priority: bad,
            ..start_request("w")
        };
        assert_code(world.client.start_with(request).await, Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_s_limit_is_shown_kept_over_a_restart_and_lifted() {
    let world = World::new().await;
    let config = configure(&world, limit(Some(0.0))).await.unwrap().config.unwrap();
    let metadata = config.queue_rate_limit.unwrap().metadata.unwrap();
    assert_eq!(
        (metadata.reason.as_str(), metadata.update_identity.as_str()),
        ("a test", "an operator")
    );
    let weights = UpdateTaskQueueConfigRequest {
        update_queue_rate_limit: None,
        set_fairness_weight_overrides: [("gold".to_owned(), 5.0)].into(),
        ..limit(None)
    };
    configure(&world, weights).await.unwrap();

    start(&world, "w", None).await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![schedule_activity("a")]).await;
    let world = world.restart().await;

    let described = describe(&world, TaskQueueType::Activity).await;
    let config = described.config.unwrap();
    assert_eq!(
        config.queue_rate_limit.unwrap().rate_limit,
        Some(RateLimit {
            requests_per_second: 0.0
        })
    );
    assert_eq!(config.fairness_weight_overrides["gold"], 5.0);
    let effective = described.effective_rate_limit.unwrap();
    assert_eq!(
        (effective.requests_per_second, effective.rate_limit_source()),
        (0.0, RateLimitSource::Api)
    );
    assert_eq!(described.stats.unwrap().approximate_backlog_count, 1);
    assert_eq!(
        describe(&world, TaskQueueType::Workflow).await.config,
        None,
        "of its kind of tasks only"
    );

    let poll = {
        let client = world.client.clone();
        tokio::spawn(async move { client.poll_activity().await })
    };
    while !describe(&world, TaskQueueType::Activity)
        .await
        .stats
        .unwrap()
        .rate_limiting_active
    {
        tokio::task::yield_now().await;
    }
    world.advance(30);
    assert!(!poll.is_finished());
    let config = configure(&world, limit(None)).await.unwrap().config.unwrap();
    assert_eq!(config.queue_rate_limit.unwrap().rate_limit, None);
    assert_eq!(poll.await.unwrap().activity_id, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let workflow = TaskQueueType::Workflow as i32;
    for bad in [
        UpdateTaskQueueConfigRequest {
            task_queue_type: workflow,
            ..limit(Some(1.0))
        },
        UpdateTaskQueueConfigRequest {
            task_queue: String::new(),
            ..limit(Some(1.0))
        },
        limit(Some(-1.0)),
        limit(Some(f32::NAN)),
        UpdateTaskQueueConfigRequest {
            set_fairness_weight_overrides: [("k".to_owned(), 0.0)].into(),
            ..limit(None)
        },
        UpdateTaskQueueConfigRequest {
            set_fairness_weight_overrides: [(String::new(), 1.0)].into(),
            ..limit(None)
        },
        UpdateTaskQueueConfigRequest {
            set_fairness_weight_overrides: [("k".to_owned(), 1.0)].into(),
            unset_fairness_weight_overrides: vec!["k".to_owned()],
            ..limit(None)
        },
        UpdateTaskQueueConfigRequest {
            set_fairness_weight_overrides: (0..1001).map(|n| (format!("k{n}"), 1.0)).collect(),
            ..limit(None)
        },
    ] {
        assert_code(configure(&world, bad).await, Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_tells_what_waits_and_who_polls() {
    let world = World::new().await;
    start(&world, "usual", None).await;
    start(&world, "sooner", priority(1, "", 0.0)).await;
    world.advance(7);
    let described = describe(&world, TaskQueueType::Unspecified).await;
    let stats = described.stats.unwrap();
    assert_eq!(stats.approximate_backlog_count, 2);
    assert_eq!(stats.approximate_backlog_age, Some(seconds(7)));
    assert!(stats.tasks_add_rate > 0.0 && stats.tasks_dispatch_rate == 0.0);
    let mut levels: Vec<i32> = described.stats_by_priority_key.into_keys().collect();
    levels.sort_unstable();
    assert_eq!(levels, [1, 3]);
    assert_eq!(described.pollers, []);
    world.client.poll().await;
    let described = describe(&world, TaskQueueType::Workflow).await;
    assert_eq!(described.stats.unwrap().approximate_backlog_count, 1);
    assert_eq!(described.pollers.len(), 1);
    // The age is the task's, not that of its place in memory.
    let world = world.restart().await;
    let stats = describe(&world, TaskQueueType::Workflow).await.stats.unwrap();
    assert_eq!(stats.approximate_backlog_age, Some(seconds(7)));
}

/// The clock stands still: a task that waited for a timeout would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_poll_is_cancelled_at_any_moment_goes_to_the_next_poll_at_once() {
    const TASKS: usize = 120;
    let world = World::new().await;
    for n in 0..TASKS {
        world.client.start(&format!("w{n}")).await;
    }
    let mut done = 0;
    for round in 0_u32.. {
        if done == TASKS {
            break;
        }
        let poll = world.client.polling(QUEUE);
        // Somewhere between the poll's begin and its answer, at other places in every round.
        for _ in 0..round * 37 % 3001 {
            tokio::task::yield_now().await;
        }
        poll.abort();
        if let Ok(task) = poll.await {
            assert_eq!(task.attempt, 1, "round {round}");
            world.client.complete(&task, vec![complete_workflow("done")]).await;
            done += 1;
        }
        if round % 50 == 49 && done < TASKS {
            let task = world.client.poll().await;
            world.client.complete(&task, vec![complete_workflow("done")]).await;
            done += 1;
        }
    }
}
