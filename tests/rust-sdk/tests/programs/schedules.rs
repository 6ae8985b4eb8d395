//! Schedules as the Rust SDK sees them.

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use temporalio_client::{
    Client, WorkflowCountOptions,
    schedules::{CreateScheduleOptions, ScheduleAction, ScheduleBackfill, ScheduleOverlapPolicy, ScheduleSpec},
};

use crate::{
    support::{QUEUE, eventually, with_worker},
    workflows::Countdown,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The first day of 2020.
const NEW_YEAR: Duration = Duration::from_secs(1_577_836_800);

/// Every day, but paused: what it does is what it is told.
fn daily() -> CreateScheduleOptions {
    CreateScheduleOptions::builder()
        .action(ScheduleAction::start_workflow(Countdown::run, 0, QUEUE, "by-schedule"))
        .spec(ScheduleSpec::from_interval(DAY))
        .paused(true)
        .note("not yet")
        .build()
}

async fn listed(client: &Client) -> Vec<String> {
    let summaries = client.list_schedules(Default::default());
    let ids = summaries.map(|summary| summary.unwrap().schedule_id().to_owned());
    ids.collect().await
}

#[tokio::test]
async fn a_schedule_is_paused_changed_triggered_and_deleted() {
    with_worker(async |client| {
        let schedule = client.create_schedule("daily", daily()).await.unwrap();
        let described = schedule.describe(Default::default()).await.unwrap();
        assert_eq!((described.paused(), described.note()), (true, Some("not yet")));
        assert_eq!(described.future_action_times().len(), 10);
        assert!(
            client.create_schedule("daily", daily()).await.is_err(),
            "the id is taken"
        );

        schedule.unpause(Some("now"), Default::default()).await.unwrap();
        let described = schedule.describe(Default::default()).await.unwrap();
        assert_eq!((described.paused(), described.note()), (false, Some("now")));
        schedule.pause(Some("a look at it"), Default::default()).await.unwrap();
        schedule
            .update(
                |update| {
                    update.set_note("changed").set_remaining_actions(Some(1));
                },
                Default::default(),
            )
            .await
            .unwrap();
        let described = schedule.describe(Default::default()).await.unwrap();
        assert_eq!((described.paused(), described.note()), (true, Some("changed")));
        assert_eq!(described.action_count(), 0);

        schedule
            .trigger(ScheduleOverlapPolicy::Unspecified, Default::default())
            .await
            .unwrap();
        eventually(async || {
            let described = schedule.describe(Default::default()).await.unwrap();
            described.action_count() == 1 && described.recent_actions().len() == 1
        })
        .await;
        assert_eq!(listed(&client).await, ["daily"]);

        schedule.delete(Default::default()).await.unwrap();
        assert!(schedule.describe(Default::default()).await.is_err());
        assert!(listed(&client).await.is_empty(), "a deleted schedule is listed");
    })
    .await;
}

#[tokio::test]
async fn a_schedule_makes_up_for_days_gone_by() {
    with_worker(async |client| {
        let schedule = client.create_schedule("daily", daily()).await.unwrap();
        let from = SystemTime::UNIX_EPOCH + NEW_YEAR - DAY / 2;
        let days = ScheduleBackfill::new(from, from + 3 * DAY)
            .overlap_policy(ScheduleOverlapPolicy::AllowAll)
            .build();
        schedule.backfill([days], Default::default()).await.unwrap();
        eventually(async || {
            let done = "TemporalScheduledById = 'daily' AND ExecutionStatus = 'Completed'";
            let options = WorkflowCountOptions::default();
            client.count_workflows(done, options).await.unwrap().count() == 3
        })
        .await;
        let described = schedule.describe(Default::default()).await.unwrap();
        let mut ids: Vec<_> = described
            .recent_actions()
            .into_iter()
            .map(|action| action.workflow_id)
            .collect();
        ids.sort();
        assert_eq!(
            ids,
            [
                "by-schedule-2020-01-01T00:00:00Z",
                "by-schedule-2020-01-02T00:00:00Z",
                "by-schedule-2020-01-03T00:00:00Z"
            ]
        );
    })
    .await;
}
