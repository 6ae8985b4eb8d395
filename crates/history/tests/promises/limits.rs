//! Limits. [trap 16]

use helve_history::{ActivityRef, Input, Limits, Rejection, Reply, Signal};
use temporalio_protos::temporal::api::{
    command::v1::{UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes as C},
    common::v1::{Payloads, SearchAttributes},
    enums::v1::{
        CommandType, EventType, SuggestContinueAsNewReason, WorkflowExecutionStatus, WorkflowTaskFailedCause as Cause,
    },
};

use crate::scenario::*;

fn fails_with(s: &mut Scenario, commands: Vec<temporalio_protos::temporal::api::command::v1::Command>) -> Cause {
    let task = s.poll();
    let reply = s.try_complete(&task, commands, |_| {}).unwrap();
    assert!(reply.answer_error.is_some());
    attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes).cause()
}

/// [trap 16]
#[test]
fn a_long_history_is_advised_to_continue_as_new() {
    let limits = Limits {
        history_count_suggest: 10,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    s.run(vec![marker(), marker(), marker()]);
    s.signal("wake up");
    let task = s.poll();
    let started = attributes!(
        s.last(EventType::WorkflowTaskStarted),
        WorkflowTaskStartedEventAttributes
    );
    assert!(started.suggest_continue_as_new);
    assert_eq!(
        started.suggest_continue_as_new_reasons,
        [SuggestContinueAsNewReason::TooManyHistoryEvents as i32]
    );
    s.complete(&task, vec![]);
}

/// [trap 16]
#[test]
fn a_history_beyond_all_limits_is_terminated() {
    let limits = Limits {
        history_count_max: 20,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    for _ in 0..17 {
        s.signal("flood");
    }
    assert!(s.state.is_running());
    s.run(vec![]);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Terminated);
    let terminated = attributes!(
        s.last(EventType::WorkflowExecutionTerminated),
        WorkflowExecutionTerminatedEventAttributes
    );
    assert_eq!(terminated.reason, "Workflow history count exceeds limit.");

    let limits = Limits {
        history_size_max: 4096,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    s.ok(Input::Signal(Signal {
        name: "big".to_owned(),
        input: Some(payloads(&"x".repeat(5000))),
        ..Signal::default()
    }));
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Terminated);
}

/// [trap 16]
#[test]
fn pending_things_are_limited_per_kind() {
    let limits = Limits {
        pending_activities_max: 1,
        pending_children_max: 1,
        pending_external_signals_max: 1,
        pending_external_cancels_max: 1,
        ..Limits::default()
    };
    let start = || Scenario::start_within(limits.clone(), |_| {});
    assert_eq!(
        fails_with(&mut start(), vec![activity("a"), activity("b")]),
        Cause::PendingActivitiesLimitExceeded
    );
    let children = vec![start_child("a", |_| {}), start_child("b", |_| {})];
    assert_eq!(
        fails_with(&mut start(), children),
        Cause::PendingChildWorkflowsLimitExceeded
    );
    let signals = vec![signal_external("a"), signal_external("b")];
    assert_eq!(fails_with(&mut start(), signals), Cause::PendingSignalsLimitExceeded);
    let cancels = vec![cancel_external("a"), cancel_external("b")];
    assert_eq!(
        fails_with(&mut start(), cancels),
        Cause::PendingRequestCancelLimitExceeded
    );
}

/// [trap 16]
#[test]
fn too_many_signals_and_too_large_ones_are_refused() {
    let limits = Limits {
        signals_max: 2,
        blob_size_max: 100,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    let big = Signal {
        name: "big".to_owned(),
        input: Some(payloads(&"x".repeat(200))),
        ..Signal::default()
    };
    assert!(matches!(s.send(Input::Signal(big)), Err(Rejection::InvalidArgument(_))));
    s.signal("one");
    s.signal("two");
    assert!(matches!(s.send(signal("three")), Err(Rejection::InvalidArgument(_))));
}

/// [trap 16]
#[test]
fn search_attributes_that_are_too_large_end_the_run() {
    let upsert = |size: usize| {
        command(
            CommandType::UpsertWorkflowSearchAttributes,
            C::UpsertWorkflowSearchAttributesCommandAttributes(UpsertWorkflowSearchAttributesCommandAttributes {
                search_attributes: Some(SearchAttributes {
                    indexed_fields: [("Note".to_owned(), payload(&"x".repeat(size)))].into(),
                }),
            }),
        )
    };
    let mut s = Scenario::start();
    assert_eq!(fails_with(&mut s, vec![upsert(3 * 1024)]), Cause::BadSearchAttributes);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Terminated);
    let terminated = attributes!(
        s.last(EventType::WorkflowExecutionTerminated),
        WorkflowExecutionTerminatedEventAttributes
    );
    assert!(terminated.reason.contains("search attribute Note value size"));
    let mut s = Scenario::start();
    s.run(vec![upsert(1024)]);
    assert!(s.state.is_running());
}

/// [trap 16]
#[test]
fn a_failure_of_an_activity_that_is_too_large_is_cut_and_its_worker_is_told() {
    let mut s = Scenario::start();
    s.run(vec![schedule_activity("a", |a| a.retry_policy = retry(1))]);
    let activity = s.poll_activity();
    let reply = s.ok(Input::FailActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        failure: Some(Box::new(failure(&"x".repeat(3 << 20)))),
        last_heartbeat_details: Some(payloads(&"x".repeat(3 << 20))),
        identity: "worker".to_owned(),
    });
    let Reply::TooLarge(failures) = reply else {
        panic!("{reply:?}");
    };
    let messages: Vec<_> = failures.iter().map(|failure| failure.message.as_str()).collect();
    assert_eq!(
        messages,
        ["Heartbeat details exceed size limit.", "Failure exceeds size limit."]
    );
    let failed = attributes!(s.last(EventType::ActivityTaskFailed), ActivityTaskFailedEventAttributes);
    assert_eq!(failed.failure.as_ref(), failures.last());
}

/// [trap 16]
#[test]
fn a_command_with_too_much_data_ends_the_run() {
    let mut s = Scenario::start();
    let input: Payloads = payloads(&"x".repeat(3 * 1024 * 1024));
    let cause = fails_with(&mut s, vec![schedule_activity("a", |a| a.input = Some(input))]);
    assert_eq!(cause, Cause::BadScheduleActivityAttributes);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Terminated);
}
