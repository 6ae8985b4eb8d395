//! The ends of a run.

use helve_history::{CancelRequest, Input, Rejection, Termination, WorkflowTaskFailure};
use temporalio_protos::temporal::api::enums::v1::{
    EventType, RetryState, WorkflowExecutionStatus, WorkflowTaskFailedCause,
};

use crate::scenario::*;

fn terminate() -> Input {
    Input::Terminate(Termination {
        reason: "enough".to_owned(),
        ..Termination::default()
    })
}

fn cancel() -> Input {
    Input::RequestCancel(CancelRequest {
        reason: "please".to_owned(),
        ..CancelRequest::default()
    })
}

#[test]
fn commands_close_the_run() {
    let cases = [
        (complete_workflow(), WorkflowExecutionStatus::Completed),
        (fail_workflow(failure("x")), WorkflowExecutionStatus::Failed),
        (cancel_workflow(), WorkflowExecutionStatus::Canceled),
        (continue_as_new(), WorkflowExecutionStatus::ContinuedAsNew),
    ];
    for (command, status) in cases {
        let mut s = Scenario::start();
        s.run(vec![activity("a"), timer("t", 5), command]);
        assert_eq!(s.state.status(), status);
        assert_eq!(s.state.close_time(), Some(s.now));
    }
}

#[test]
fn a_failed_workflow_without_a_retry_policy_says_so() {
    let mut s = Scenario::start();
    s.run(vec![fail_workflow(failure("x"))]);
    let failed = attributes!(
        s.last(EventType::WorkflowExecutionFailed),
        WorkflowExecutionFailedEventAttributes
    );
    assert_eq!(failed.retry_state(), RetryState::RetryPolicyNotSet);
    assert_eq!(failed.workflow_task_completed_event_id, 4);
}

/// [trap 12]
#[test]
fn terminating_a_run_with_a_task_in_flight_brings_everything_down_in_one_batch() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.signal("unseen");
    s.ok(terminate());
    use EventType as T;
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskFailed,
            T::WorkflowExecutionSignaled,
            T::WorkflowExecutionTerminated
        ]
    );
    let failed = attributes!(s.last(T::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::ForceCloseCommand);
    assert!(matches!(
        s.try_complete(&task, vec![complete_workflow()], |_| {}),
        Err(Rejection::NotFound(_))
    ));
}

/// [trap 12]
#[test]
fn a_run_that_times_out_with_a_task_in_flight_keeps_what_was_buffered() {
    let mut s = Scenario::start_with(|r| r.workflow_run_timeout = Some(seconds(8)));
    let task = s.poll();
    s.signal("unseen");
    s.pass_seconds(8);
    use EventType as T;
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskFailed,
            T::WorkflowExecutionSignaled,
            T::WorkflowExecutionTimedOut
        ]
    );
    assert!(s.try_complete(&task, vec![], |_| {}).is_err());
}

/// [trap 12]
#[test]
fn nothing_can_happen_to_a_closed_run() {
    let mut s = Scenario::start();
    s.run(vec![activity("a"), timer("t", 5)]);
    let activity = s.poll_activity();
    s.ok(terminate());
    let length = s.stored.events.len();
    for input in [
        signal("late"),
        terminate(),
        complete_activity(&activity),
        Input::ResetSticky,
    ] {
        assert!(matches!(s.send(input), Err(Rejection::NotFound(_))));
    }
    s.ok(cancel());
    s.pass_seconds(100);
    s.ok(Input::Tick);
    assert_eq!(s.stored.events.len(), length);
}

#[test]
fn a_cancel_request_reaches_the_workflow_once() {
    let mut s = Scenario::start();
    s.run(vec![]);
    s.ok(cancel());
    s.ok(cancel());
    assert_eq!(s.count(EventType::WorkflowExecutionCancelRequested), 1);
    assert!(s.state.cancel_requested());
    assert!(s.ready_workflow_task().is_some());
    s.run(vec![cancel_workflow()]);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Canceled);
}

#[test]
fn a_cancel_request_does_not_wait_for_the_end_of_a_start_delay() {
    let mut s = Scenario::start_with(|r| r.workflow_start_delay = Some(seconds(60)));
    s.ok(cancel());
    s.run(vec![cancel_workflow()]);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Canceled);
}

#[test]
fn a_worker_whose_answer_is_too_large_to_send_ends_the_run() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.ok(Input::FailWorkflowTask(Box::new(WorkflowTaskFailure {
        token: task.token,
        cause: WorkflowTaskFailedCause::GrpcMessageTooLarge,
        ..WorkflowTaskFailure::default()
    })));
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Terminated);
}

#[test]
fn orders_for_another_chain_of_runs_are_refused() {
    let mut s = Scenario::start();
    let order = |first: &str| {
        Input::Terminate(Termination {
            first_execution_run_id: first.to_owned(),
            ..Termination::default()
        })
    };
    assert!(matches!(s.send(order("someone-else")), Err(Rejection::NotFound(_))));
    s.ok(order("run-1"));
}

#[test]
fn the_execution_timeout_ends_the_whole_chain() {
    let mut s = Scenario::start_with(|r| {
        r.workflow_execution_timeout = Some(seconds(60));
        r.workflow_run_timeout = Some(seconds(40));
        r.retry_policy = retry(0);
    });
    s.pass_seconds(40);
    let timed_out = attributes!(
        s.last(EventType::WorkflowExecutionTimedOut),
        WorkflowExecutionTimedOutEventAttributes
    );
    assert_eq!(timed_out.retry_state(), RetryState::InProgress);
    let mut s = s.follow();
    s.pass_seconds(20);
    let timed_out = attributes!(
        s.last(EventType::WorkflowExecutionTimedOut),
        WorkflowExecutionTimedOutEventAttributes
    );
    assert_eq!(
        (timed_out.retry_state(), timed_out.new_execution_run_id.as_str()),
        (RetryState::Timeout, "")
    );
}
