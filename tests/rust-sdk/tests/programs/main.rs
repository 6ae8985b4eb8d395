//! Each feature of the engine as a program on the Rust SDK sees it: client, worker and engine in one process, with gRPC on
//! a loopback port between them.

mod schedules;
mod support;
mod workflows;

use std::time::Duration;

use temporalio_client::{
    WorkflowCancelOptions, WorkflowCountOptions, WorkflowDescribeOptions, WorkflowExecuteUpdateOptions,
    WorkflowFetchHistoryOptions, WorkflowGetResultOptions, WorkflowQueryOptions, WorkflowSignalOptions,
    WorkflowStartOptions, WorkflowTerminateOptions,
    errors::{WorkflowGetResultError, WorkflowUpdateError},
};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

use support::{QUEUE, eventually, with_worker};
use workflows::{Countdown, Counter, Family, Greeting, Patient, Resting, Steps};

fn start(id: &str) -> WorkflowStartOptions {
    WorkflowStartOptions::new(QUEUE, id)
        .execution_timeout(Duration::from_secs(60))
        .build()
}

#[tokio::test]
async fn an_activity_is_tried_until_it_goes_well() {
    with_worker(async |client| {
        let handle = client
            .start_workflow(Greeting::run, "you".to_owned(), start("greeting"))
            .await
            .unwrap();
        let greeting = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        assert_eq!(greeting, "hello you, attempt 2");
    })
    .await;
}

#[tokio::test]
async fn timers_race_and_local_activities_run() {
    with_worker(async |client| {
        let handle = client.start_workflow(Steps::run, (), start("steps")).await.unwrap();
        let log = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        assert_eq!(
            log,
            ["slept", "the short timer won", "hello local, attempt 2", "patched"]
        );
    })
    .await;
}

#[tokio::test]
async fn signals_and_queries_reach_the_workflow() {
    with_worker(async |client| {
        let handle = client.start_workflow(Counter::run, 12, start("counter")).await.unwrap();
        let increment = async |amount| {
            let options = WorkflowSignalOptions::default();
            handle.signal(Counter::increment, amount, options).await.unwrap();
        };
        increment(5).await;
        let count = handle
            .query(Counter::count, (), WorkflowQueryOptions::default())
            .await
            .unwrap();
        assert_eq!(count, 5);
        increment(7).await;
        assert_eq!(
            handle.get_result(WorkflowGetResultOptions::default()).await.unwrap(),
            12
        );
    })
    .await;
}

#[tokio::test]
async fn an_update_is_carried_out_once_or_rejected() {
    with_worker(async |client| {
        let handle = client.start_workflow(Counter::run, 7, start("counter")).await.unwrap();
        let refused = handle
            .execute_update(Counter::add, -1, WorkflowExecuteUpdateOptions::default())
            .await;
        assert!(matches!(refused, Err(WorkflowUpdateError::Failed(_))), "{refused:?}");
        let options = || {
            WorkflowExecuteUpdateOptions::builder()
                .update_id("only-once".to_owned())
                .build()
        };
        for _ in 0..2 {
            assert_eq!(handle.execute_update(Counter::add, 7, options()).await.unwrap(), 7);
        }
        assert_eq!(handle.get_result(WorkflowGetResultOptions::default()).await.unwrap(), 7);
    })
    .await;
}

#[tokio::test]
async fn children_are_signalled_and_come_home() {
    with_worker(async |client| {
        let handle = client
            .start_workflow(Family::run, vec![1, 2, 3], start("family"))
            .await
            .unwrap();
        assert_eq!(
            handle.get_result(WorkflowGetResultOptions::default()).await.unwrap(),
            [1, 2, 3]
        );
    })
    .await;
}

#[tokio::test]
async fn a_workflow_continues_as_new_until_it_is_done() {
    with_worker(async |client| {
        let handle = client
            .start_workflow(Countdown::run, 3, start("countdown"))
            .await
            .unwrap();
        assert_eq!(handle.get_result(WorkflowGetResultOptions::default()).await.unwrap(), 0);
        let first = handle.describe(WorkflowDescribeOptions::default()).await.unwrap();
        assert_eq!(first.id(), "countdown");
        let all = client
            .count_workflows("WorkflowId = 'countdown'", WorkflowCountOptions::default())
            .await
            .unwrap();
        assert_eq!(all.count(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_workflow_cleans_up() {
    with_worker(async |client| {
        let handle = client.start_workflow(Patient::run, (), start("patient")).await.unwrap();
        eventually(async || {
            let described = handle.describe(WorkflowDescribeOptions::default()).await.unwrap();
            described
                .raw()
                .pending_activities
                .iter()
                .any(|pending| pending.last_started_time.is_some())
        })
        .await;
        let why = WorkflowCancelOptions::builder().reason("no time".to_owned()).build();
        handle.cancel(why).await.unwrap();
        let result = handle.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        assert_eq!(result, "cancelled since no time; hello cleaner, attempt 2");
    })
    .await;
}

#[tokio::test]
async fn a_terminated_workflow_is_over() {
    with_worker(async |client| {
        let handle = client.start_workflow(Resting::run, (), start("resting")).await.unwrap();
        handle.terminate(WorkflowTerminateOptions::default()).await.unwrap();
        let error = handle
            .get_result(WorkflowGetResultOptions::default())
            .await
            .unwrap_err();
        assert!(matches!(error, WorkflowGetResultError::Terminated { .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn histories_of_the_engine_replay_in_the_sdk() {
    with_worker(async |client| {
        let steps = client.start_workflow(Steps::run, (), start("steps")).await.unwrap();
        steps.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        let counter = client.start_workflow(Counter::run, 3, start("counter")).await.unwrap();
        counter
            .execute_update(Counter::add, 1, WorkflowExecuteUpdateOptions::default())
            .await
            .unwrap();
        counter
            .signal(Counter::increment, 2, WorkflowSignalOptions::default())
            .await
            .unwrap();
        counter.get_result(WorkflowGetResultOptions::default()).await.unwrap();
        let options = WorkflowReplayerOptions::new()
            .register_workflow::<Steps>()
            .unwrap()
            .register_workflow::<Counter>()
            .unwrap()
            .build();
        let replayer = WorkflowReplayer::new(options).unwrap();
        for history in [
            steps.fetch_history(WorkflowFetchHistoryOptions::default()),
            counter.fetch_history(WorkflowFetchHistoryOptions::default()),
        ] {
            replayer.replay_workflow(history).await.unwrap();
        }
    })
    .await;
}
