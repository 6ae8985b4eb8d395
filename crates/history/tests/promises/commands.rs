//! Commands, good and bad.

use helve_history::Rejection;
use temporalio_protos::temporal::api::{
    command::v1::{Command, command::Attributes as C, *},
    common::v1::{Memo, SearchAttributes},
    enums::v1::{CommandType, EventType, WorkflowTaskFailedCause as Cause},
    sdk::v1::UserMetadata,
};

use crate::scenario::*;

fn upsert(key: &str, value: &str) -> Command {
    let search_attributes = Some(SearchAttributes {
        indexed_fields: [(key.to_owned(), payload(value))].into(),
    });
    command(
        CommandType::UpsertWorkflowSearchAttributes,
        C::UpsertWorkflowSearchAttributesCommandAttributes(UpsertWorkflowSearchAttributesCommandAttributes {
            search_attributes,
        }),
    )
}

fn modify(key: &str, value: &str) -> Command {
    let upserted_memo = Some(Memo {
        fields: [(key.to_owned(), payload(value))].into(),
    });
    command(
        CommandType::ModifyWorkflowProperties,
        C::ModifyWorkflowPropertiesCommandAttributes(ModifyWorkflowPropertiesCommandAttributes { upserted_memo }),
    )
}

#[test]
fn each_command_has_its_event_that_names_the_completed_task() {
    let mut s = Scenario::start();
    let summary = Some(UserMetadata {
        summary: Some(payload("why")),
        details: None,
    });
    let mut commands = vec![
        activity("a"),
        timer("t", 5),
        marker(),
        upsert("k", "v"),
        modify("m", "v"),
        start_child("c", |_| {}),
        signal_external("x"),
        cancel_external("x"),
        cancel_timer("t"),
    ];
    for command in &mut commands {
        command.user_metadata = summary.clone();
    }
    s.run(commands);
    use EventType as T;
    assert_eq!(
        s.last_types(9),
        [
            T::ActivityTaskScheduled,
            T::TimerStarted,
            T::MarkerRecorded,
            T::UpsertWorkflowSearchAttributes,
            T::WorkflowPropertiesModified,
            T::StartChildWorkflowExecutionInitiated,
            T::SignalExternalWorkflowExecutionInitiated,
            T::RequestCancelExternalWorkflowExecutionInitiated,
            T::TimerCanceled
        ]
    );
    assert!(s.stored.events[4..].iter().all(|event| event.user_metadata == summary));
    let scheduled = attributes!(s.last(T::ActivityTaskScheduled), ActivityTaskScheduledEventAttributes);
    assert_eq!(scheduled.workflow_task_completed_event_id, 4);
    assert_eq!(s.state.search_attributes()["k"], payload("v"));
    assert_eq!(s.state.memo()["m"], payload("v"));
    s.signal("wake up");
    s.run(vec![upsert("k", ""), modify("m", "")]);
    assert!(
        s.state.search_attributes().is_empty() && s.state.memo().is_empty(),
        "an empty payload deletes"
    );
}

#[test]
fn a_timer_fires_once_at_its_time() {
    let mut s = Scenario::start();
    s.run(vec![timer("late", 10), timer("early", 5)]);
    s.pass_seconds(4);
    assert_eq!(s.count(EventType::TimerFired), 0);
    s.pass_seconds(10);
    let fired: Vec<_> = s
        .stored
        .events
        .iter()
        .filter(|event| event.event_type() == EventType::TimerFired)
        .map(|event| attributes!(event, TimerFiredEventAttributes).timer_id.clone())
        .collect();
    assert_eq!(fired, ["early", "late"]);
}

#[test]
fn bad_commands_fail_the_task_with_their_cause() {
    let cases: Vec<(Vec<Command>, Cause)> = vec![
        (vec![activity("")], Cause::BadScheduleActivityAttributes),
        (vec![activity("a"), activity("a")], Cause::ScheduleActivityDuplicateId),
        (
            vec![schedule_activity("a", |a| a.start_to_close_timeout = None)],
            Cause::BadScheduleActivityAttributes,
        ),
        (
            vec![schedule_activity("a", |a| a.task_queue = None)],
            Cause::BadScheduleActivityAttributes,
        ),
        (vec![cancel_activity(99)], Cause::BadRequestCancelActivityAttributes),
        (vec![timer("", 1)], Cause::BadStartTimerAttributes),
        (vec![timer("t", -1)], Cause::BadStartTimerAttributes),
        (vec![timer("t", 1), timer("t", 1)], Cause::StartTimerDuplicateId),
        (vec![cancel_timer("t")], Cause::BadCancelTimerAttributes),
        (vec![start_child("", |_| {})], Cause::BadStartChildExecutionAttributes),
        (
            vec![start_child("c", |a| a.cron_schedule = "x".to_owned())],
            Cause::BadStartChildExecutionAttributes,
        ),
        (vec![signal_external("")], Cause::BadSignalWorkflowExecutionAttributes),
        (
            vec![cancel_external("")],
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes,
        ),
        (
            vec![with_run_id(signal_external("x"))],
            Cause::BadSignalWorkflowExecutionAttributes,
        ),
        (
            vec![with_run_id(cancel_external("x"))],
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes,
        ),
        (
            vec![command(
                CommandType::ProtocolMessage,
                C::ProtocolMessageCommandAttributes(ProtocolMessageCommandAttributes::default()),
            )],
            Cause::BadUpdateWorkflowExecutionMessage,
        ),
        (
            vec![command(
                CommandType::ScheduleNexusOperation,
                C::ScheduleNexusOperationCommandAttributes(ScheduleNexusOperationCommandAttributes::default()),
            )],
            Cause::BadScheduleNexusOperationAttributes,
        ),
    ];
    for (commands, cause) in cases {
        let mut s = Scenario::start();
        let task = s.poll();
        let reply = s.try_complete(&task, commands, |_| {}).unwrap();
        assert!(
            matches!(reply.answer_error, Some(Rejection::InvalidArgument(_))),
            "{cause:?}"
        );
        let failed = attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
        assert_eq!(failed.cause(), cause);
        assert!(s.ready_workflow_task().is_some());
    }
}

/// Names a run that cannot exist.
fn with_run_id(mut command: Command) -> Command {
    match &mut command.attributes {
        Some(C::SignalExternalWorkflowExecutionCommandAttributes(a)) => {
            a.execution.as_mut().unwrap().run_id = "bad".to_owned();
        }
        Some(C::RequestCancelExternalWorkflowExecutionCommandAttributes(a)) => a.run_id = "bad".to_owned(),
        _ => panic!("{command:?} names no run"),
    }
    command
}

#[test]
fn a_command_without_its_attributes_fails_the_task() {
    let kinds = [
        (CommandType::RecordMarker, Cause::BadRecordMarkerAttributes),
        (
            CommandType::RequestCancelActivityTask,
            Cause::BadRequestCancelActivityAttributes,
        ),
        (
            CommandType::CompleteWorkflowExecution,
            Cause::BadCompleteWorkflowExecutionAttributes,
        ),
    ];
    for (kind, cause) in kinds {
        // None at all, or those of another command.
        for attributes in [None, timer("t", 1).attributes] {
            let mut s = Scenario::start();
            let task = s.poll();
            let mut bare = timer("t", 1);
            (bare.command_type, bare.attributes) = (kind.into(), attributes);
            let reply = s.try_complete(&task, vec![marker(), bare], |_| {}).unwrap();
            let Some(Rejection::InvalidArgument(message)) = reply.answer_error else {
                panic!("{kind:?} was taken");
            };
            assert!(message.contains("CommandAttributes is not set on"), "{message}");
            let failed = attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
            assert_eq!(failed.cause(), cause);
            assert_eq!(s.count(EventType::MarkerRecorded), 0, "none of the others is done");
            assert_eq!(s.count(EventType::TimerStarted), 0);
        }
    }
}

#[test]
fn a_command_that_there_is_not_is_refused() {
    let mut s = Scenario::start();
    let task = s.poll();
    let before = s.state.clone();
    for kind in [0, -1, 99] {
        let mut unknown = timer("t", 1);
        unknown.command_type = kind;
        let refused = s.try_complete(&task, vec![unknown], |_| {});
        assert!(matches!(refused, Err(Rejection::InvalidArgument(_))), "{kind}");
    }
    assert_eq!(s.state, before);
}

#[test]
fn a_close_command_must_be_the_last_one() {
    let mut s = Scenario::start();
    let task = s.poll();
    let before = s.state.clone();
    let refused = s.try_complete(&task, vec![complete_workflow(), marker()], |_| {});
    assert!(matches!(refused, Err(Rejection::InvalidArgument(_))));
    assert_eq!(s.state, before);
}
