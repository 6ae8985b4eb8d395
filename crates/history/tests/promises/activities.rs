//! Activities.

use std::time::Duration;

use helve_history::{ActivityRef, Input, ReadyKind, Rejection, Reply};
use prost::Message;
use temporalio_protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    enums::v1::{EventType, PendingActivityState, RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use crate::scenario::*;

fn running(adapt: impl FnOnce(&mut ScheduleActivityTaskCommandAttributes)) -> Scenario {
    let mut s = Scenario::start();
    s.run(vec![schedule_activity("a", adapt)]);
    s
}

fn heartbeat(s: &mut Scenario, activity: &helve_history::ActivityStarted, text: &str) -> bool {
    let reply = s.ok(Input::Heartbeat {
        activity: ActivityRef::Token(activity.token.clone()),
        details: Some(payloads(text)),
        identity: "activity-worker".to_owned(),
    });
    matches!(
        reply,
        Reply::Heartbeat {
            cancel_requested: true,
            ..
        }
    )
}

fn timeout_of(failure: Option<&Failure>) -> TimeoutType {
    match &failure.unwrap().failure_info {
        Some(FailureInfo::TimeoutFailureInfo(info)) => info.timeout_type(),
        other => panic!("{other:?}"),
    }
}

/// [trap 8]
#[test]
fn the_started_event_is_written_with_the_close_event_and_tells_when_it_really_started() {
    let mut s = running(|_| {});
    let before = s.types();
    let activity = s.poll_activity();
    let started_at = s.now;
    assert_eq!(s.types(), before, "starting records nothing");
    s.pass_seconds(7);
    s.ok(complete_activity(&activity));
    assert_eq!(
        s.last_types(3),
        [
            EventType::ActivityTaskStarted,
            EventType::ActivityTaskCompleted,
            EventType::WorkflowTaskScheduled
        ]
    );
    let event = s.last(EventType::ActivityTaskStarted);
    assert_eq!(event.event_time, Some(started_at.into()));
    let started = attributes!(event, ActivityTaskStartedEventAttributes);
    assert_eq!((started.attempt, started.identity.as_str()), (1, "activity-worker"));
}

/// [trap 8]
#[test]
fn failed_attempts_leave_no_trace_in_history_but_the_last_failure() {
    let mut s = running(|a| a.retry_policy = retry(3));
    for (attempt, wait) in [(1, 1), (2, 2)] {
        let activity = s.poll_activity();
        assert_eq!(activity.attempt, attempt);
        s.ok(fail_activity(&activity, failure("again")));
        assert!(s.ready(ReadyKind::Activity).is_empty(), "it backs off");
        assert_eq!(s.state.next_deadline(), Some(s.now + Duration::from_secs(wait)));
        s.pass_seconds(wait);
    }
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, failure("for good")));
    let started = attributes!(
        s.last(EventType::ActivityTaskStarted),
        ActivityTaskStartedEventAttributes
    );
    assert_eq!(started.attempt, 3);
    assert_eq!(started.last_failure.as_ref().unwrap().message, "again");
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(failed.retry_state(), RetryState::MaximumAttemptsReached);
    assert_eq!(failed.failure.as_ref().unwrap().message, "for good");
    assert_eq!(s.count(EventType::ActivityTaskStarted), 1);
}

/// [trap 8]
#[test]
fn an_activity_without_a_retry_policy_gets_the_default_one_and_retries_without_end() {
    let mut s = running(|_| {});
    let scheduled = attributes!(
        s.last(EventType::ActivityTaskScheduled),
        ActivityTaskScheduledEventAttributes
    );
    let policy = scheduled.retry_policy.as_ref().unwrap();
    assert_eq!((policy.maximum_attempts, policy.backoff_coefficient), (0, 2.0));
    assert_eq!(
        (policy.initial_interval, policy.maximum_interval),
        (Some(seconds(1)), Some(seconds(100)))
    );
    for _ in 0..20 {
        let activity = s.poll_activity();
        s.ok(fail_activity(&activity, failure("again")));
        s.pass_seconds(100);
    }
    assert_eq!(s.poll_activity().attempt, 21);
}

/// [trap 8]
#[test]
fn the_stored_failure_of_an_attempt_is_cut_to_size() {
    let mut s = running(|_| {});
    let activity = s.poll_activity();
    let mut long = failure(&"m".repeat(10_000));
    long.stack_trace = "s".repeat(100_000);
    long.cause = Some(Box::new(failure(&"c".repeat(10_000))));
    s.ok(fail_activity(&activity, long));
    let pending = s.state.describe().pending_activities.remove(0);
    let last = pending.last_failure.unwrap();
    assert!(last.encoded_len() <= 4096, "{}", last.encoded_len());
    assert!(last.message.starts_with("mmm"));
    assert!(matches!(last.failure_info, Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type == "Oops"));
}

/// [trap 8]
#[test]
fn schedule_to_close_spans_all_attempts() {
    let mut s = running(|a| a.schedule_to_close_timeout = Some(seconds(10)));
    for _ in 0..3 {
        let activity = s.poll_activity();
        s.ok(fail_activity(&activity, failure("again")));
        s.pass_seconds(4);
        if s.ready(ReadyKind::Activity).is_empty() {
            break;
        }
    }
    // Attempts at 0, 4 and 8; the fourth could only start at 12.
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(failed.retry_state(), RetryState::Timeout);
}

/// [trap 8]
#[test]
fn schedule_to_close_ends_a_running_attempt() {
    let mut s = running(|a| {
        a.schedule_to_close_timeout = Some(seconds(10));
        a.start_to_close_timeout = Some(seconds(10));
    });
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, failure("first")));
    s.pass_seconds(1);
    s.poll_activity();
    s.pass_seconds(9);
    let timed_out = attributes!(
        s.last(EventType::ActivityTaskTimedOut),
        ActivityTaskTimedOutEventAttributes
    );
    assert_eq!(timeout_of(timed_out.failure.as_ref()), TimeoutType::ScheduleToClose);
    let cause = timed_out.failure.as_ref().unwrap().cause.as_ref().unwrap();
    assert_eq!(cause.message, "first");
    assert_eq!(
        timed_out.started_event_id,
        s.last(EventType::ActivityTaskStarted).event_id
    );
}

#[test]
fn schedule_to_start_never_retries_and_has_no_started_event() {
    let mut s = running(|a| a.schedule_to_start_timeout = Some(seconds(5)));
    s.pass_seconds(5);
    let timed_out = attributes!(
        s.last(EventType::ActivityTaskTimedOut),
        ActivityTaskTimedOutEventAttributes
    );
    assert_eq!(timeout_of(timed_out.failure.as_ref()), TimeoutType::ScheduleToStart);
    assert_eq!(timed_out.started_event_id, 0);
    assert_eq!(s.count(EventType::ActivityTaskStarted), 0);
}

#[test]
fn start_to_close_retries_and_the_last_one_is_recorded_with_its_cause() {
    let mut s = running(|a| {
        a.start_to_close_timeout = Some(seconds(5));
        a.retry_policy = retry(2);
    });
    s.poll_activity();
    s.pass_seconds(6);
    assert_eq!(s.poll_activity().attempt, 2);
    s.pass_seconds(5);
    let timed_out = attributes!(
        s.last(EventType::ActivityTaskTimedOut),
        ActivityTaskTimedOutEventAttributes
    );
    assert_eq!(timeout_of(timed_out.failure.as_ref()), TimeoutType::StartToClose);
    assert_eq!(timed_out.retry_state(), RetryState::MaximumAttemptsReached);
    let cause = timed_out.failure.as_ref().unwrap().cause.as_deref();
    assert_eq!(timeout_of(cause), TimeoutType::StartToClose);
}

#[test]
fn a_silent_activity_times_out_and_its_progress_goes_to_the_next_attempt() {
    let mut s = running(|a| a.heartbeat_timeout = Some(seconds(5)));
    let activity = s.poll_activity();
    assert_eq!(activity.heartbeat_details, None);
    for step in 0..4 {
        s.pass_seconds(4);
        heartbeat(&mut s, &activity, &format!("step {step}"));
    }
    s.pass_seconds(6);
    let next = s.poll_activity();
    assert_eq!(next.attempt, 2);
    assert_eq!(next.heartbeat_details, Some(payloads("step 3")));
    let pending = s.state.describe().pending_activities.remove(0);
    assert_eq!(timeout_of(pending.last_failure.as_ref()), TimeoutType::Heartbeat);
}

#[test]
fn a_final_heartbeat_timeout_carries_the_last_details() {
    let mut s = running(|a| {
        a.heartbeat_timeout = Some(seconds(5));
        a.retry_policy = retry(1);
    });
    let activity = s.poll_activity();
    heartbeat(&mut s, &activity, "half way");
    s.pass_seconds(5);
    let timed_out = attributes!(
        s.last(EventType::ActivityTaskTimedOut),
        ActivityTaskTimedOutEventAttributes
    );
    match &timed_out.failure.as_ref().unwrap().failure_info {
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            assert_eq!(info.timeout_type(), TimeoutType::Heartbeat);
            assert_eq!(info.last_heartbeat_details, Some(payloads("half way")));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn non_retryable_failures_end_the_activity() {
    let non_retryable = || {
        let mut failure = failure("final");
        if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut failure.failure_info {
            info.non_retryable = true;
        }
        failure
    };
    let mut s = running(|_| {});
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, non_retryable()));
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(failed.retry_state(), RetryState::NonRetryableFailure);

    let mut s = running(|a| {
        a.retry_policy = retry(0);
        a.retry_policy.as_mut().unwrap().non_retryable_error_types = vec!["Oops".to_owned()];
    });
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, failure("listed")));
    assert_eq!(s.count(EventType::ActivityTaskFailed), 1);
}

#[test]
fn a_failure_may_choose_its_own_delay() {
    let mut s = running(|_| {});
    let activity = s.poll_activity();
    let mut choosy = failure("later");
    if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut choosy.failure_info {
        info.next_retry_delay = Some(seconds(42));
    }
    s.ok(fail_activity(&activity, choosy));
    assert_eq!(s.state.next_deadline(), Some(s.now + Duration::from_secs(42)));
}

/// [trap 9]
#[test]
fn an_answer_for_an_earlier_attempt_is_refused() {
    let mut s = running(|_| {});
    let old = s.poll_activity();
    s.ok(fail_activity(&old, failure("again")));
    assert!(
        matches!(s.send(complete_activity(&old)), Err(Rejection::NotFound(_))),
        "it backs off"
    );
    s.pass_seconds(1);
    let new = s.poll_activity();
    let before = s.state.clone();
    assert!(matches!(s.send(complete_activity(&old)), Err(Rejection::NotFound(_))));
    assert_eq!(s.state, before);
    s.ok(complete_activity(&new));
}

/// [trap 9]
#[test]
fn an_activity_poll_is_answered_the_same_when_it_is_repeated() {
    let mut s = running(|_| {});
    let task = s.ready(ReadyKind::Activity).remove(0);
    let first = s.start_activity(&task, "poll-1").unwrap();
    s.pass_seconds(1);
    assert_eq!(s.start_activity(&task, "poll-1").unwrap(), first);
    assert!(matches!(s.start_activity(&task, "poll-2"), Err(Rejection::Obsolete(_))));
}

/// [trap 8]
#[test]
fn completing_an_unstarted_activity_by_id_makes_up_its_start() {
    let mut s = running(|_| {});
    s.ok(Input::CompleteActivity {
        activity: ActivityRef::ById("a".to_owned()),
        result: None,
        identity: "operator".to_owned(),
    });
    let started = attributes!(
        s.last(EventType::ActivityTaskStarted),
        ActivityTaskStartedEventAttributes
    );
    assert_eq!(started.identity, "operator");
    assert_eq!(s.count(EventType::ActivityTaskCompleted), 1);
    let unknown = s.send(Input::CompleteActivity {
        activity: ActivityRef::ById("a".to_owned()),
        result: None,
        identity: String::new(),
    });
    assert!(matches!(unknown, Err(Rejection::NotFound(_))));
}

#[test]
fn cancelling_an_unstarted_activity_ends_it_at_once() {
    let mut s = running(|_| {});
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    s.signal("wake up");
    s.run(vec![cancel_activity(scheduled)]);
    assert_eq!(
        s.last_types(3),
        [
            EventType::ActivityTaskCancelRequested,
            EventType::ActivityTaskCanceled,
            EventType::WorkflowTaskScheduled
        ]
    );
    assert!(s.ready(ReadyKind::Activity).is_empty());
}

#[test]
fn cancelling_an_activity_that_backs_off_ends_it_at_once() {
    let mut s = running(|_| {});
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, failure("again")));
    s.signal("wake up");
    s.run(vec![cancel_activity(scheduled)]);
    assert_eq!(s.count(EventType::ActivityTaskCanceled), 1);
}

#[test]
fn a_running_activity_learns_of_its_cancellation_by_heartbeat_and_may_obey() {
    let mut s = running(|_| {});
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    let activity = s.poll_activity();
    assert!(!heartbeat(&mut s, &activity, "fine"));
    let cancel = |s: &mut Scenario| {
        s.send(Input::CancelActivity {
            activity: ActivityRef::Token(activity.token.clone()),
            details: Some(payloads("stopped")),
            identity: "activity-worker".to_owned(),
        })
    };
    assert!(
        matches!(cancel(&mut s), Err(Rejection::InvalidArgument(_))),
        "nobody asked"
    );
    s.signal("wake up");
    s.run(vec![cancel_activity(scheduled)]);
    assert_eq!(s.count(EventType::ActivityTaskCanceled), 0);
    let pending = s.state.describe().pending_activities.remove(0);
    assert_eq!(pending.state(), PendingActivityState::CancelRequested);
    assert!(heartbeat(&mut s, &activity, "oh"));
    cancel(&mut s).unwrap();
    let canceled = attributes!(
        s.last(EventType::ActivityTaskCanceled),
        ActivityTaskCanceledEventAttributes
    );
    let requested = s.last(EventType::ActivityTaskCancelRequested).event_id;
    assert_eq!(canceled.latest_cancel_requested_event_id, requested);
    assert_eq!(
        canceled.started_event_id,
        s.last(EventType::ActivityTaskStarted).event_id
    );
}

#[test]
fn an_activity_that_was_asked_to_cancel_is_not_retried() {
    let mut s = running(|_| {});
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    let activity = s.poll_activity();
    s.signal("wake up");
    s.run(vec![cancel_activity(scheduled)]);
    s.ok(fail_activity(&activity, failure("interrupted")));
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(failed.retry_state(), RetryState::CancelRequested);
}

#[test]
fn cancelling_an_activity_whose_completion_is_buffered_only_records_the_request() {
    let mut s = running(|_| {});
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    s.signal("wake up");
    let task = s.poll();
    let activity = s.poll_activity();
    s.ok(complete_activity(&activity));
    s.complete(&task, vec![cancel_activity(scheduled)]);
    use EventType as T;
    assert_eq!(
        s.last_types(4),
        [
            T::ActivityTaskCancelRequested,
            T::ActivityTaskStarted,
            T::ActivityTaskCompleted,
            T::WorkflowTaskScheduled
        ]
    );
}

#[test]
fn eager_activities_come_with_the_answer() {
    let mut s = Scenario::start();
    let task = s.poll();
    let eager = |id: &str| schedule_activity(id, |a| a.request_eager_execution = true);
    let reply = s
        .try_complete(&task, vec![eager("a"), activity("b"), eager("c")], |c| {
            c.eager_activities = 1
        })
        .unwrap();
    assert_eq!(reply.activities.len(), 1);
    assert_eq!(reply.activities[0].activity_id, "a");
    assert_eq!(s.ready(ReadyKind::Activity).len(), 2);
    s.ok(complete_activity(&reply.activities[0]));
}

#[test]
fn timeouts_are_made_consistent() {
    let mut s = Scenario::start_with(|r| r.workflow_run_timeout = Some(seconds(100)));
    s.run(vec![schedule_activity("a", |a| {
        a.start_to_close_timeout = Some(seconds(500));
        a.heartbeat_timeout = Some(seconds(1000));
    })]);
    let a = attributes!(
        s.last(EventType::ActivityTaskScheduled),
        ActivityTaskScheduledEventAttributes
    );
    assert_eq!(a.schedule_to_close_timeout, Some(seconds(100)));
    assert_eq!(a.schedule_to_start_timeout, Some(seconds(100)));
    assert_eq!(a.start_to_close_timeout, Some(seconds(100)));
    assert_eq!(a.heartbeat_timeout, Some(seconds(100)));
}

#[test]
fn too_large_a_result_fails_the_activity_for_good() {
    let mut s = running(|_| {});
    let activity = s.poll_activity();
    s.ok(Input::CompleteActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        result: Some(payloads(&"x".repeat(3 * 1024 * 1024))),
        identity: String::new(),
    });
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(
        failed.failure.as_ref().unwrap().message,
        "Complete result exceeds size limit."
    );
}
