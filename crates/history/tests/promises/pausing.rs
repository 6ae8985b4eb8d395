//! Pausing, resetting and changing activities of a workflow.

use std::time::Duration;

use helve_history::{
    ActivityOperation, ActivityRef, ActivitySelection, ActivityStarted, Input, OptionsUpdate, ReadyKind, Rejection,
    Reply, ResetOrder,
};
use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    common::v1::{Priority, RetryPolicy},
    enums::v1::{EventType, PendingActivityState},
    taskqueue::v1::TaskQueue,
    workflow::v1::PendingActivityInfo,
};

use crate::scenario::{Scenario, failure, payloads, schedule_activity, seconds};

/// A workflow with the activities `a` (of the type that scenarios use) and `b`.
fn running() -> Scenario {
    let mut s = Scenario::start();
    s.run(vec![
        schedule_activity("a", |a| a.retry_policy = Some(every_ten_seconds(3))),
        schedule_activity("b", |_| {}),
    ]);
    s
}

fn every_ten_seconds(attempts: i32) -> RetryPolicy {
    RetryPolicy {
        initial_interval: Some(seconds(10)),
        backoff_coefficient: 1.0,
        maximum_attempts: attempts,
        ..RetryPolicy::default()
    }
}

fn pause(request_id: &str) -> ActivityOperation {
    ActivityOperation::Pause {
        identity: "operator".to_owned(),
        reason: "a look at it".to_owned(),
        request_id: request_id.to_owned(),
    }
}

fn unpause() -> ActivityOperation {
    ActivityOperation::Unpause {
        reset_attempts: false,
        reset_heartbeat: false,
        jitter: Duration::ZERO,
        request_id: String::new(),
    }
}

fn reset() -> ResetOrder {
    ResetOrder::default()
}

fn update(options: ActivityOptions, paths: &[&str]) -> ActivityOperation {
    ActivityOperation::UpdateOptions {
        update: OptionsUpdate::Fields {
            options: Box::new(options),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        },
        request_id: String::new(),
    }
}

fn try_on(s: &mut Scenario, id: &str, operation: ActivityOperation) -> Result<Reply, Rejection> {
    s.send(Input::OperateActivities {
        selection: ActivitySelection::Id(id.to_owned()),
        operation,
    })
}

fn on(s: &mut Scenario, id: &str, operation: ActivityOperation) -> Reply {
    try_on(s, id, operation).expect("the operation is accepted")
}

fn pending(s: &Scenario, id: &str) -> PendingActivityInfo {
    let described = s.state.describe();
    let mut all = described.pending_activities.into_iter();
    all.find(|pending| pending.activity_id == id).expect("it is pending")
}

/// Starts `a`, whatever else is ready.
fn start_a(s: &mut Scenario) -> ActivityStarted {
    let first = s.ready(ReadyKind::Activity).remove(0);
    let started = s.start_activity(&first, "poll-a").expect("it can be started");
    assert_eq!(started.activity_id, "a");
    started
}

fn ready_ids(s: &Scenario) -> usize {
    s.ready(ReadyKind::Activity).len()
}

fn fail(s: &mut Scenario, activity: &ActivityStarted) -> Result<Reply, Rejection> {
    s.send(Input::FailActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        failure: Some(Box::new(failure("no luck"))),
        last_heartbeat_details: None,
        identity: "activity-worker".to_owned(),
    })
}

fn heartbeat(s: &mut Scenario, activity: &ActivityStarted) -> Result<Reply, Rejection> {
    s.send(Input::Heartbeat {
        activity: ActivityRef::Token(activity.token.clone()),
        details: Some(payloads("half")),
        identity: "activity-worker".to_owned(),
    })
}

#[test]
fn a_paused_activity_is_not_handed_out_until_it_is_unpaused() {
    let mut s = running();
    let offered = s.ready(ReadyKind::Activity);
    on(&mut s, "a", pause("1"));
    assert_eq!(ready_ids(&s), 1, "b is");
    // Not even to a poller that had the task in its hand already.
    assert!(matches!(
        s.start_activity(&offered[0], "late"),
        Err(Rejection::Obsolete(_))
    ));
    let info = pending(&s, "a");
    assert_eq!(info.state(), PendingActivityState::Paused);
    assert!(info.paused && info.pause_info.is_some());
    on(&mut s, "a", unpause());
    assert_eq!(pending(&s, "a").state(), PendingActivityState::Scheduled);
    assert_eq!(start_a(&mut s).attempt, 1);
}

#[test]
fn pausing_twice_is_refused_unless_it_is_the_same_request() {
    let mut s = running();
    on(&mut s, "a", pause("1"));
    on(&mut s, "a", pause("1"));
    assert_eq!(
        try_on(&mut s, "a", pause("2")),
        Err(Rejection::FailedPrecondition("activity is already paused".to_owned()))
    );
    on(&mut s, "a", unpause());
    on(&mut s, "a", unpause());
    assert!(matches!(try_on(&mut s, "z", pause("3")), Err(Rejection::NotFound(_))));
}

#[test]
fn a_worker_may_finish_what_is_paused_and_is_told() {
    let mut s = running();
    let activity = start_a(&mut s);
    on(&mut s, "a", pause("1"));
    assert_eq!(pending(&s, "a").state(), PendingActivityState::PauseRequested);
    let told = heartbeat(&mut s, &activity).unwrap();
    assert!(matches!(
        told,
        Reply::Heartbeat {
            paused: true,
            cancel_requested: false,
            reset: false
        }
    ));
    s.ok(Input::CompleteActivity {
        activity: ActivityRef::Token(activity.token),
        result: None,
        identity: "activity-worker".to_owned(),
    });
    assert_eq!(s.count(EventType::ActivityTaskCompleted), 1);
}

/// However often it fails while it is paused, it waits with its next attempt.
#[test]
fn pausing_never_loses_an_attempt() {
    let mut s = running();
    for attempt in 1..=5 {
        let activity = start_a(&mut s);
        assert_eq!(activity.attempt, attempt);
        on(&mut s, "a", pause("1"));
        fail(&mut s, &activity).unwrap();
        assert_eq!(pending(&s, "a").state(), PendingActivityState::Paused);
        assert_eq!(pending(&s, "a").attempt, attempt as i32 + 1);
        s.pass_seconds(60);
        assert_eq!(ready_ids(&s), 1, "only b");
        on(&mut s, "a", unpause());
    }
    assert_eq!(s.count(EventType::ActivityTaskFailed), 0);
}

#[test]
fn unpausing_ends_a_backoff_at_once_or_within_its_jitter() {
    let mut s = running();
    let activity = start_a(&mut s);
    fail(&mut s, &activity).unwrap();
    on(&mut s, "a", pause("1"));
    on(&mut s, "a", unpause());
    assert_eq!(start_a(&mut s).attempt, 2);

    on(&mut s, "b", pause("1"));
    let jitter = ActivityOperation::Unpause {
        reset_attempts: true,
        reset_heartbeat: true,
        jitter: Duration::from_secs(30),
        request_id: String::new(),
    };
    on(&mut s, "b", jitter);
    s.pass_seconds(30);
    assert_eq!(ready_ids(&s), 1);
}

#[test]
fn schedule_to_close_counts_while_an_activity_is_paused_but_schedule_to_start_does_not() {
    let mut s = Scenario::start();
    s.run(vec![
        schedule_activity("a", |a| a.schedule_to_start_timeout = Some(seconds(5))),
        schedule_activity("b", |b| b.schedule_to_close_timeout = Some(seconds(20))),
    ]);
    on(&mut s, "a", pause("1"));
    on(&mut s, "b", pause("1"));
    s.pass_seconds(10);
    assert_eq!(s.count(EventType::ActivityTaskTimedOut), 0);
    s.pass_seconds(10);
    assert_eq!(s.count(EventType::ActivityTaskTimedOut), 1);
    on(&mut s, "a", unpause());
    s.pass_seconds(5);
    assert_eq!(s.count(EventType::ActivityTaskTimedOut), 2);
}

#[test]
fn a_reset_activity_counts_from_one_again() {
    let mut s = running();
    let first = start_a(&mut s);
    fail(&mut s, &first).unwrap();
    on(&mut s, "a", ActivityOperation::Reset(reset()));
    let info = pending(&s, "a");
    assert_eq!((info.attempt, info.last_failure), (1, None));
    assert_eq!(start_a(&mut s).attempt, 1, "without the rest of its backoff");
}

#[test]
fn a_worker_hears_of_a_reset_of_its_first_attempt_and_loses_a_later_one() {
    let mut s = running();
    let first = start_a(&mut s);
    let order = ResetOrder {
        reset_heartbeat: true,
        ..reset()
    };
    on(&mut s, "a", ActivityOperation::Reset(order));
    assert!(matches!(
        heartbeat(&mut s, &first).unwrap(),
        Reply::Heartbeat { reset: true, .. }
    ));
    fail(&mut s, &first).unwrap();
    s.pass_seconds(10);
    let second = start_a(&mut s);
    assert_eq!(second.heartbeat_details, None, "they were reset");
    assert_eq!(second.attempt, 2);
    on(&mut s, "a", ActivityOperation::Reset(reset()));
    assert!(matches!(heartbeat(&mut s, &second), Err(Rejection::NotFound(_))));
    assert!(matches!(fail(&mut s, &second), Err(Rejection::NotFound(_))));
}

#[test]
fn a_reset_ends_a_pause_unless_it_is_to_be_kept() {
    let mut s = running();
    on(&mut s, "a", pause("1"));
    let keep = ResetOrder {
        keep_paused: true,
        ..reset()
    };
    on(&mut s, "a", ActivityOperation::Reset(keep));
    assert_eq!(pending(&s, "a").state(), PendingActivityState::Paused);
    on(&mut s, "a", ActivityOperation::Reset(reset()));
    assert_eq!(pending(&s, "a").state(), PendingActivityState::Scheduled);
}

#[test]
fn changed_options_count_for_the_task_that_waits() {
    let mut s = running();
    let offered = s.ready(ReadyKind::Activity);
    let options = ActivityOptions {
        task_queue: Some(TaskQueue {
            name: "elsewhere".to_owned(),
            ..TaskQueue::default()
        }),
        priority: Some(Priority {
            priority_key: 1,
            ..Priority::default()
        }),
        heartbeat_timeout: Some(seconds(7)),
        ..ActivityOptions::default()
    };
    let paths = ["task_queue.name", "priority", "heartbeatTimeout"];
    let Reply::ActivityOptions(after) = on(&mut s, "a", update(options, &paths)) else {
        panic!("an update is answered with the options")
    };
    assert_eq!(after.heartbeat_timeout, Some(seconds(7)));
    assert!(matches!(
        s.start_activity(&offered[0], "late"),
        Err(Rejection::Obsolete(_))
    ));
    let moved = s.ready(ReadyKind::Activity).remove(0);
    assert_eq!(moved.task_queue, "elsewhere");
    let started = s.start_activity(&moved, "poll").unwrap();
    assert_eq!(started.heartbeat_timeout, Duration::from_secs(7));
    assert_eq!(started.priority.unwrap().priority_key, 1);
    s.pass_seconds(7);
    assert_eq!(pending(&s, "a").attempt, 2, "the new heartbeat timeout is in force");
}

#[test]
fn a_changed_retry_policy_moves_a_retry_that_waits_and_the_original_one_can_come_back() {
    let mut s = running();
    let activity = start_a(&mut s);
    fail(&mut s, &activity).unwrap();
    let options = ActivityOptions {
        retry_policy: Some(RetryPolicy {
            initial_interval: Some(seconds(2)),
            maximum_attempts: 9,
            ..RetryPolicy::default()
        }),
        ..ActivityOptions::default()
    };
    let paths = ["retry_policy.initial_interval", "retry_policy.maximum_attempts"];
    on(&mut s, "a", update(options, &paths));
    s.pass_seconds(2);
    let second = start_a(&mut s);
    assert_eq!(second.retry_policy.unwrap().maximum_attempts, 9);
    let restore = ActivityOperation::UpdateOptions {
        update: OptionsUpdate::Restore,
        request_id: String::new(),
    };
    on(&mut s, "a", restore);
    assert_eq!(pending(&s, "a").maximum_attempts, 3);
}

#[test]
fn options_that_contradict_each_other_are_made_consistent_or_refused() {
    let mut s = running();
    let with = |timeout: prost_types::Duration| ActivityOptions {
        schedule_to_close_timeout: Some(timeout),
        ..ActivityOptions::default()
    };
    let Reply::ActivityOptions(after) = on(&mut s, "a", update(with(seconds(3)), &["scheduleToCloseTimeout"])) else {
        panic!("an update is answered with the options")
    };
    assert_eq!(after.start_to_close_timeout, Some(seconds(3)));
    let negative = update(with(seconds(-3)), &["scheduleToCloseTimeout"]);
    assert_eq!(
        try_on(&mut s, "a", negative),
        Err(Rejection::InvalidArgument(
            "invalid ScheduleToCloseTimeout: negative duration".to_owned()
        ))
    );
}

#[test]
fn all_activities_of_a_type_or_all_at_once_can_be_meant() {
    let mut s = running();
    let name = pending(&s, "a").activity_type.unwrap().name;
    s.ok(Input::OperateActivities {
        selection: ActivitySelection::Type(name),
        operation: pause("1"),
    });
    assert_eq!(ready_ids(&s), 0);
    s.ok(Input::OperateActivities {
        selection: ActivitySelection::All,
        operation: unpause(),
    });
    assert_eq!(ready_ids(&s), 2);
    let nothing = s.send(Input::OperateActivities {
        selection: ActivitySelection::Type("other".to_owned()),
        operation: pause("1"),
    });
    assert!(matches!(nothing, Err(Rejection::NotFound(_))));
}

#[test]
fn an_id_alone_completes_an_activity_that_nobody_started_but_cannot_fail_it() {
    let mut s = running();
    let by_id = || ActivityRef::ById("a".to_owned());
    let failed = s.send(Input::FailActivity {
        activity: by_id(),
        failure: None,
        last_heartbeat_details: None,
        identity: "somebody".to_owned(),
    });
    assert!(matches!(failed, Err(Rejection::NotFound(_))));
    s.ok(Input::CompleteActivity {
        activity: by_id(),
        result: None,
        identity: "somebody".to_owned(),
    });
    assert_eq!(s.count(EventType::ActivityTaskCompleted), 1);
}
