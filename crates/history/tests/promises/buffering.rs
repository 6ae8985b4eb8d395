//! What happens while a worker thinks.

use helve_history::{Input, Rejection};
use temporalio_protos::temporal::api::enums::v1::{EventType, ResourceExhaustedCause, WorkflowTaskFailedCause};

use crate::scenario::*;

/// [trap 1]
#[test]
fn signal_during_started_task_is_buffered_until_completion() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.signal("one");
    s.signal("two");
    assert_eq!(s.count(EventType::WorkflowExecutionSignaled), 0);
    assert_eq!(s.state.buffered_events().len(), 2);
    s.complete(&task, vec![marker()]);
    use EventType as T;
    assert_eq!(
        s.last_types(5),
        [
            T::WorkflowTaskCompleted,
            T::MarkerRecorded,
            T::WorkflowExecutionSignaled,
            T::WorkflowExecutionSignaled,
            T::WorkflowTaskScheduled
        ]
    );
}

/// [trap 1]
#[test]
fn buffered_events_get_their_ids_and_wire_their_started_events_when_flushed() {
    let mut s = Scenario::start();
    s.run(vec![activity("a"), start_child("child", |_| {})]);
    let scheduled = s.last(EventType::ActivityTaskScheduled).event_id;
    let initiated = s.last(EventType::StartChildWorkflowExecutionInitiated).event_id;
    s.signal("wake up");
    let task = s.poll();
    let activity = s.poll_activity();
    s.ok(complete_activity(&activity));
    s.ok(Input::ChildStarted {
        initiated_event_id: initiated,
        run_id: "child-run".to_owned(),
    });
    s.ok(Input::ChildClosed(Box::new(crate::children::closed(initiated))));
    assert_eq!(s.state.buffered_events().len(), 4);
    s.complete(&task, vec![]);

    let started = s.last(EventType::ActivityTaskStarted).event_id;
    let completed = attributes!(
        s.last(EventType::ActivityTaskCompleted),
        ActivityTaskCompletedEventAttributes
    );
    assert_eq!(
        (completed.scheduled_event_id, completed.started_event_id),
        (scheduled, started)
    );
    let started = s.last(EventType::ChildWorkflowExecutionStarted).event_id;
    let child = attributes!(
        s.last(EventType::ChildWorkflowExecutionCompleted),
        ChildWorkflowExecutionCompletedEventAttributes
    );
    assert_eq!((child.initiated_event_id, child.started_event_id), (initiated, started));
}

#[test]
fn a_child_that_started_in_the_buffer_and_closes_later_refers_to_its_started_event() {
    let mut s = Scenario::start();
    s.run(vec![start_child("child", |_| {})]);
    let initiated = s.last(EventType::StartChildWorkflowExecutionInitiated).event_id;
    s.signal("wake up");
    let task = s.poll();
    s.ok(Input::ChildStarted {
        initiated_event_id: initiated,
        run_id: "child-run".to_owned(),
    });
    s.complete(&task, vec![]);
    s.ok(Input::ChildClosed(Box::new(crate::children::closed(initiated))));
    let started = s.last(EventType::ChildWorkflowExecutionStarted).event_id;
    let closed = attributes!(
        s.last(EventType::ChildWorkflowExecutionCompleted),
        ChildWorkflowExecutionCompletedEventAttributes
    );
    assert_eq!(closed.started_event_id, started);
}

/// [trap 1]
#[test]
fn an_activity_whose_completion_is_buffered_is_closed_already() {
    let mut s = Scenario::start();
    s.run(vec![activity("a")]);
    s.signal("wake up");
    let _task = s.poll();
    let activity = s.poll_activity();
    s.ok(complete_activity(&activity));
    assert!(matches!(
        s.send(complete_activity(&activity)),
        Err(Rejection::NotFound(_))
    ));
}

/// [trap 2]
#[test]
fn too_many_buffered_events_fail_the_task_in_flight() {
    let mut s = Scenario::start();
    let task = s.poll();
    for _ in 0..100 {
        s.signal("flood");
    }
    assert!(s.state.workflow_task_in_flight());
    s.signal("one too many");
    let failed = attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::ForceCloseCommand);
    assert_eq!(s.count(EventType::WorkflowExecutionSignaled), 101);
    assert_eq!(s.ready_workflow_task().unwrap().attempt, 1);
    assert!(s.try_complete(&task, vec![], |_| {}).is_err());
}

/// [trap 2]
#[test]
fn too_many_buffered_bytes_fail_the_task_in_flight() {
    let mut s = Scenario::start();
    let _task = s.poll();
    let big = "x".repeat(900 * 1024);
    for _ in 0..3 {
        s.ok(Input::Signal(helve_history::Signal {
            name: "big".to_owned(),
            input: Some(payloads(&big)),
            ..Default::default()
        }));
    }
    assert!(!s.state.workflow_task_in_flight());
    assert_eq!(s.count(EventType::WorkflowExecutionSignaled), 3);
}

/// [trap 3]
#[test]
fn a_workflow_cannot_close_over_events_it_has_not_seen() {
    for close in [
        complete_workflow(),
        fail_workflow(failure("x")),
        cancel_workflow(),
        continue_as_new(),
    ] {
        let mut s = Scenario::start();
        let task = s.poll();
        s.signal("unseen");
        let reply = s.try_complete(&task, vec![marker(), close], |_| {}).unwrap();
        assert_eq!(
            reply.answer_error,
            Some(Rejection::InvalidArgument("UnhandledCommand".to_owned()))
        );
        assert!(s.state.is_running());
        let failed = attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
        assert_eq!(failed.cause(), WorkflowTaskFailedCause::UnhandledCommand);
        assert_eq!(
            s.last_types(2),
            [EventType::WorkflowExecutionSignaled, EventType::WorkflowTaskScheduled]
        );
    }
}

/// [trap 3]
#[test]
fn signals_wait_while_a_workflow_tries_again_to_close() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.signal("unseen");
    let _ = s.try_complete(&task, vec![complete_workflow()], |_| {}).unwrap();
    s.signal("accepted: no task is in flight");
    let task = s.poll();
    match s.send(signal("too late")) {
        Err(Rejection::Busy { cause, .. }) => assert_eq!(cause, ResourceExhaustedCause::BusyWorkflow),
        other => panic!("{other:?}"),
    }
    s.complete(&task, vec![complete_workflow()]);
    assert!(!s.state.is_running());
    assert_eq!(s.count(EventType::WorkflowExecutionSignaled), 2);
}

/// [trap 3]
#[test]
fn a_workflow_that_changed_its_mind_about_closing_takes_signals_again() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.signal("unseen");
    let _ = s.try_complete(&task, vec![complete_workflow()], |_| {}).unwrap();
    s.run(vec![timer("t", 100)]);
    s.signal("wake up");
    let _task = s.poll();
    s.signal("welcome");
}

/// [trap 4]
#[test]
fn cancelling_a_timer_whose_firing_is_buffered_takes_the_firing_back() {
    let mut s = Scenario::start();
    s.run(vec![timer("t", 5)]);
    s.signal("wake up");
    let task = s.poll();
    s.pass_seconds(5);
    assert_eq!(s.state.buffered_events().len(), 1);
    s.complete(&task, vec![cancel_timer("t"), complete_workflow()]);
    assert!(!s.state.is_running(), "nothing unseen is left");
    assert_eq!(s.count(EventType::TimerFired), 0);
    assert_eq!(s.count(EventType::TimerCanceled), 1);
}

/// [trap 4]
#[test]
fn cancelling_a_fired_timer_keeps_other_buffered_events() {
    let mut s = Scenario::start();
    s.run(vec![timer("t", 5)]);
    s.signal("wake up");
    let task = s.poll();
    s.pass_seconds(5);
    s.signal("unseen");
    s.complete(&task, vec![cancel_timer("t")]);
    assert_eq!(
        s.last_types(3),
        [
            EventType::TimerCanceled,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowTaskScheduled
        ]
    );
}

#[test]
fn a_timer_id_may_be_used_again_while_its_firing_is_buffered() {
    let mut s = Scenario::start();
    s.run(vec![timer("t", 5)]);
    s.signal("wake up");
    let task = s.poll();
    s.pass_seconds(5);
    s.complete(&task, vec![timer("t", 50)]);
    s.run(vec![]);
    s.pass_seconds(50);
    assert_eq!(s.count(EventType::TimerFired), 2);
}

/// Request ids make signals idempotent, whether the first one is recorded or still buffered.
#[test]
fn a_repeated_signal_is_taken_once() {
    let mut s = Scenario::start();
    let with_id = |id: &str| {
        Input::Signal(helve_history::Signal {
            name: "signal".to_owned(),
            request_id: id.to_owned(),
            ..Default::default()
        })
    };
    let task = s.poll();
    s.ok(with_id("a"));
    s.ok(with_id("a"));
    s.complete(&task, vec![]);
    s.ok(with_id("a"));
    s.ok(with_id("b"));
    assert_eq!(s.count(EventType::WorkflowExecutionSignaled), 2);
    s.run(vec![complete_workflow()]);
    s.ok(with_id("a"));
    assert!(matches!(s.send(with_id("c")), Err(Rejection::NotFound(_))));
}
