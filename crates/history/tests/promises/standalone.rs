//! Standalone activities.

use std::time::Duration;

use helve_history::{
    ActivityOperation, ActivityRef, ActivityStarted, Env, Input, Limits, ReadyKind, Rejection, Reply, ResetOrder,
    RunKind, SearchAttributeCheck, StandaloneRequest, StartRun, Timestamp, start,
};
use proptest::prelude::*;
use temporalio_protos::temporal::api::{
    activity::v1::{ActivityExecutionInfo, ActivityExecutionOutcome, activity_execution_outcome::Value},
    common::v1::{ActivityType, Link, RetryPolicy},
    enums::v1::{ActivityExecutionStatus, PendingActivityState, RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{DescribeActivityExecutionRequest, StartActivityExecutionRequest},
};

use crate::scenario::{NAMESPACE_ID, Scenario, failure, payloads, seconds};

fn request() -> StartActivityExecutionRequest {
    StartActivityExecutionRequest {
        namespace: "default".to_owned(),
        activity_id: "act".to_owned(),
        activity_type: Some(ActivityType {
            name: "scan".to_owned(),
        }),
        task_queue: Some(TaskQueue {
            name: "queue".to_owned(),
            ..TaskQueue::default()
        }),
        start_to_close_timeout: Some(seconds(60)),
        retry_policy: Some(RetryPolicy {
            initial_interval: Some(seconds(10)),
            backoff_coefficient: 1.0,
            maximum_attempts: 3,
            ..RetryPolicy::default()
        }),
        input: Some(payloads("in")),
        request_id: "start".to_owned(),
        ..StartActivityExecutionRequest::default()
    }
}

fn try_start(adapt: impl FnOnce(&mut StartActivityExecutionRequest)) -> Result<Scenario, Rejection> {
    let mut request = request();
    adapt(&mut request);
    let (now, limits) = (Timestamp::from_seconds(1_700_000_000), Limits::default());
    let env = Env {
        now,
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "run-1",
        search_attributes: SearchAttributeCheck::default(),
    };
    let transition = start(StartRun::activity(request, "run-1", &env)?, &env)?;
    Ok(Scenario::of(transition, now, limits))
}

fn started_with(adapt: impl FnOnce(&mut StartActivityExecutionRequest)) -> Scenario {
    try_start(adapt).expect("it can be started")
}

fn begun() -> Scenario {
    started_with(|_| {})
}

fn info(s: &Scenario) -> ActivityExecutionInfo {
    let all = DescribeActivityExecutionRequest {
        include_heartbeat_details: true,
        include_last_failure: true,
        ..DescribeActivityExecutionRequest::default()
    };
    s.state.describe_activity(&all).unwrap().info.unwrap()
}

fn outcome(s: &Scenario) -> ActivityExecutionOutcome {
    s.state.activity_outcome().expect("it is closed")
}

fn failure_of(s: &Scenario) -> Failure {
    match outcome(s).value {
        Some(Value::Failure(failure)) => failure,
        other => panic!("{other:?} is no failure"),
    }
}

fn fail(activity: &ActivityStarted) -> Input {
    Input::FailActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        failure: Some(Box::new(failure("no luck"))),
        last_heartbeat_details: None,
        identity: "activity-worker".to_owned(),
    }
}

fn complete(activity: &ActivityStarted) -> Input {
    Input::CompleteActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        result: Some(payloads("out")),
        identity: "activity-worker".to_owned(),
    }
}

fn heartbeat(activity: &ActivityStarted) -> Input {
    Input::Heartbeat {
        activity: ActivityRef::Token(activity.token.clone()),
        details: Some(payloads("half")),
        identity: "activity-worker".to_owned(),
    }
}

fn cancel(request_id: &str) -> Input {
    Input::Standalone(StandaloneRequest::Cancel {
        reason: "not \"needed\"".to_owned(),
        identity: "caller".to_owned(),
        request_id: request_id.to_owned(),
    })
}

fn terminate(request_id: &str) -> Input {
    Input::Standalone(StandaloneRequest::Terminate {
        reason: "enough".to_owned(),
        identity: "boss".to_owned(),
        request_id: request_id.to_owned(),
    })
}

fn operate(operation: ActivityOperation) -> Input {
    Input::OperateActivities {
        selection: helve_history::ActivitySelection::All,
        operation,
    }
}

fn pause(request_id: &str) -> Input {
    operate(ActivityOperation::Pause {
        identity: "operator".to_owned(),
        reason: "a look at it".to_owned(),
        request_id: request_id.to_owned(),
    })
}

fn unpause(request_id: &str) -> Input {
    operate(ActivityOperation::Unpause {
        reset_attempts: false,
        reset_heartbeat: false,
        jitter: Duration::ZERO,
        request_id: request_id.to_owned(),
    })
}

fn reset(request_id: &str) -> Input {
    operate(ActivityOperation::Reset(ResetOrder {
        request_id: request_id.to_owned(),
        ..ResetOrder::default()
    }))
}

fn refused(s: &mut Scenario, input: Input) -> String {
    match s.send(input) {
        Err(Rejection::FailedPrecondition(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_handed_out_at_once_and_its_result_closes_it() {
    let mut s = begun();
    assert_eq!(s.state.key().kind, RunKind::Activity);
    assert!(s.ready_workflow_task().is_none(), "there is no workflow");
    let activity = s.poll_activity();
    assert!(activity.standalone && activity.activity_id == "act");
    assert_eq!(info(&s).run_state(), PendingActivityState::Started);
    s.ok(complete(&activity));
    assert!(!s.state.is_running());
    assert_eq!(outcome(&s).value, Some(Value::Result(payloads("out"))));
    let info = info(&s);
    assert_eq!(info.status(), ActivityExecutionStatus::Completed);
    assert_eq!(info.last_worker_identity, "activity-worker");
    assert_eq!((info.sdk_name.as_str(), info.sdk_version.as_str()), ("an-sdk", "1.2"));
    assert!(matches!(s.send(complete(&activity)), Err(Rejection::NotFound(_))));
}

#[test]
fn it_is_retried_by_its_policy_and_keeps_its_last_failure_when_it_closes() {
    let mut s = begun();
    for attempt in 1..=3 {
        let activity = s.poll_activity();
        assert_eq!(activity.attempt, attempt);
        s.ok(fail(&activity));
        s.pass_seconds(10);
    }
    assert_eq!(outcome(&s).retry_state(), RetryState::MaximumAttemptsReached);
    assert_eq!(failure_of(&s).message, "no luck");
    assert_eq!(info(&s).last_failure.unwrap().message, "no luck");
}

#[test]
fn a_start_delay_comes_before_all_its_timeouts() {
    let mut s = started_with(|r| {
        r.start_delay = Some(seconds(100));
        r.schedule_to_close_timeout = Some(seconds(30));
        r.schedule_to_start_timeout = Some(seconds(20));
    });
    assert!(s.ready(ReadyKind::Activity).is_empty());
    s.pass_seconds(99);
    assert!(s.ready(ReadyKind::Activity).is_empty() && s.state.is_running());
    s.pass_seconds(1);
    assert_eq!(s.ready(ReadyKind::Activity).len(), 1);
    s.pass_seconds(20);
    let failure = failure_of(&s);
    match failure.failure_info {
        Some(FailureInfo::TimeoutFailureInfo(info)) => assert_eq!(info.timeout_type(), TimeoutType::ScheduleToStart),
        other => panic!("{other:?}"),
    }
    assert_eq!(outcome(&s).retry_state(), RetryState::Timeout);
}

#[test]
fn an_attempt_that_times_out_is_retried_and_the_end_of_all_attempts_is_named() {
    let mut s = started_with(|r| {
        r.start_to_close_timeout = Some(seconds(5));
        r.schedule_to_close_timeout = Some(seconds(12));
        r.retry_policy.as_mut().unwrap().initial_interval = Some(seconds(6));
    });
    s.poll_activity();
    s.pass_seconds(5);
    assert_eq!(info(&s).attempt, 2);
    s.pass_seconds(6);
    s.poll_activity();
    s.pass_seconds(1);
    assert_eq!(info(&s).status(), ActivityExecutionStatus::TimedOut);
    assert_eq!(failure_of(&s).message, "activity ScheduleToClose timeout");
}

#[test]
fn cancelling_what_nobody_has_ends_it_at_once_and_a_worker_is_asked() {
    let mut s = begun();
    s.ok(cancel("1"));
    assert_eq!(info(&s).status(), ActivityExecutionStatus::Canceled);
    match failure_of(&s).failure_info {
        Some(FailureInfo::CanceledFailureInfo(info)) => {
            assert_eq!(info.identity, "caller");
            assert_eq!(info.details.unwrap().payloads[0].data, br#""not \"needed\"""#);
        }
        other => panic!("{other:?}"),
    }

    let mut s = begun();
    let activity = s.poll_activity();
    s.ok(pause("p"));
    s.ok(cancel("1"));
    s.ok(cancel("1"));
    assert_eq!(
        refused(&mut s, cancel("2")),
        "cancellation already requested with request ID 1"
    );
    assert!(matches!(
        s.ok(heartbeat(&activity)),
        Reply::Heartbeat {
            cancel_requested: true,
            paused: false,
            reset: false
        }
    ));
    assert_eq!(info(&s).canceled_reason, "not \"needed\"");
    s.ok(Input::CancelActivity {
        activity: ActivityRef::Token(activity.token),
        details: Some(payloads("stopped")),
        identity: "activity-worker".to_owned(),
    });
    assert_eq!(info(&s).status(), ActivityExecutionStatus::Canceled);
    s.ok(cancel("1"));
    assert_eq!(refused(&mut s, cancel("3")), "activity is in terminal state Canceled");
}

#[test]
fn terminating_needs_no_worker_and_is_done_once() {
    let mut s = begun();
    let activity = s.poll_activity();
    s.ok(terminate("1"));
    s.ok(terminate("1"));
    assert_eq!(refused(&mut s, terminate("2")), "already terminated with request ID 1");
    assert_eq!(failure_of(&s).message, "enough");
    assert!(matches!(s.send(complete(&activity)), Err(Rejection::NotFound(_))));
}

#[test]
fn what_was_left_of_a_backoff_is_waited_for_after_a_pause() {
    let mut s = begun();
    let activity = s.poll_activity();
    s.ok(pause("1"));
    s.ok(pause("1"));
    assert_eq!(
        refused(&mut s, pause("2")),
        "activity is in non-pausable state PauseRequested"
    );
    s.ok(fail(&activity));
    assert_eq!(info(&s).status(), ActivityExecutionStatus::Paused);
    s.pass_seconds(4);
    s.ok(unpause("3"));
    assert!(s.ready(ReadyKind::Activity).is_empty());
    s.pass_seconds(6);
    assert_eq!(s.poll_activity().attempt, 2);
    // A late repetition must not pause it again.
    s.ok(pause("1"));
    assert_eq!(info(&s).run_state(), PendingActivityState::Started);
}

#[test]
fn a_reset_waits_for_the_attempt_under_way() {
    let mut s = begun();
    let first = s.poll_activity();
    s.ok(fail(&first));
    s.pass_seconds(10);
    let second = s.poll_activity();
    s.ok(reset("1"));
    assert_eq!(
        refused(&mut s, reset("2")),
        "cannot reset an activity with a pending reset"
    );
    assert!(matches!(s.ok(heartbeat(&second)), Reply::Heartbeat { reset: true, .. }));
    assert_eq!(info(&s).attempt, 2);
    s.ok(fail(&second));
    assert_eq!(s.poll_activity().attempt, 1);
}

#[test]
fn links_of_later_starts_are_kept_once() {
    let mut s = begun();
    let attach = |request_id: &str| {
        Input::Standalone(StandaloneRequest::AttachLinks {
            links: vec![Link::default()],
            request_id: request_id.to_owned(),
        })
    };
    s.ok(attach("1"));
    s.ok(attach("1"));
    s.ok(attach("2"));
    assert_eq!(info(&s).links.len(), 2);
    s.ok(terminate("t"));
    s.ok(attach("2"));
    assert_eq!(refused(&mut s, attach("3")), "cannot attach links to a closed activity");
}

#[test]
fn a_start_that_makes_no_sense_is_refused() {
    let why = |adapt: fn(&mut StartActivityExecutionRequest)| match try_start(adapt) {
        Err(Rejection::InvalidArgument(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was started"),
    };
    assert_eq!(why(|r| r.activity_id.clear()), "activityId is not set");
    assert_eq!(why(|r| r.task_queue = None), "taskQueue is not set");
    assert!(why(|r| r.priority.get_or_insert_default().priority_key = -1).contains("priority"));
    assert_eq!(why(|r| r.activity_type = None), "activityType is not set");
    assert!(why(|r| r.start_to_close_timeout = None).starts_with("a valid StartToCloseTimeout"));
    assert_eq!(
        why(|r| r.start_delay = Some(seconds(-1))),
        "invalid StartDelay: negative duration"
    );
    assert!(why(|r| r.activity_id = "x".repeat(2000)).contains("Length=2000"));
}

#[derive(Clone, Debug)]
enum Step {
    Poll,
    Heartbeat(usize),
    Complete(usize),
    Fail(usize),
    Cancel,
    Terminate,
    Pause,
    Unpause,
    Reset,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Poll),
        2 => (0..4_usize).prop_map(Step::Heartbeat),
        1 => (0..4_usize).prop_map(Step::Complete),
        3 => (0..4_usize).prop_map(Step::Fail),
        1 => Just(Step::Cancel),
        1 => Just(Step::Terminate),
        3 => Just(Step::Pause),
        3 => Just(Step::Unpause),
        2 => Just(Step::Reset),
        3 => (0..30_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever comes in whatever order, from whatever stale token: one worker at a time, one end, and while it is open
    /// and not paused somebody or some time will bring it on.
    #[test]
    fn no_activity_is_completed_twice_and_none_is_stuck(steps in proptest::collection::vec(step(), 1..40)) {
        let mut s = started_with(|r| r.heartbeat_timeout = Some(seconds(20)));
        let mut held: Vec<ActivityStarted> = Vec::new();
        let mut ends = 0;
        for (at, step) in steps.into_iter().enumerate() {
            let was_open = s.state.is_running();
            let request_id = at.to_string();
            let answer = match step {
                Step::Poll => {
                    let ready = s.ready(ReadyKind::Activity);
                    prop_assert!(ready.len() <= 1);
                    for task in &ready {
                        held.push(s.start_activity(task, &request_id).unwrap());
                    }
                    None
                }
                Step::Heartbeat(i) => held.get(i).cloned().map(|held| s.send(heartbeat(&held))),
                Step::Complete(i) => held.get(i).cloned().map(|held| s.send(complete(&held))),
                Step::Fail(i) => held.get(i).cloned().map(|held| s.send(fail(&held))),
                Step::Cancel => Some(s.send(cancel(&request_id))),
                Step::Terminate => Some(s.send(terminate(&request_id))),
                Step::Pause => Some(s.send(pause(&request_id))),
                Step::Unpause => Some(s.send(unpause(&request_id))),
                Step::Reset => Some(s.send(reset(&request_id))),
                Step::Pass(time) => {
                    s.pass_seconds(time);
                    None
                }
            };
            if !was_open {
                prop_assert!(answer.is_none_or(|answer| answer.is_err()), "a closed activity accepts nothing new");
            }
            ends += usize::from(was_open && !s.state.is_running());
            let info = info(&s);
            let waits = !s.ready(ReadyKind::Activity).is_empty() || s.state.next_deadline().is_some();
            prop_assert!(
                !s.state.is_running() || info.status() == ActivityExecutionStatus::Paused || waits,
                "an open activity is stuck: {info:?}"
            );
        }
        prop_assert!(ends <= 1);
        prop_assert_eq!(ends == 1, s.state.activity_outcome().is_some());
    }
}
