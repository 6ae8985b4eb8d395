//! Runs that follow each other. [trap 14]

use std::time::Duration;

use helve_history::{ReadyKind, Signal};
use temporalio_protos::temporal::api::{
    command::v1::{
        ContinueAsNewWorkflowExecutionCommandAttributes, ModifyWorkflowPropertiesCommandAttributes,
        command::Attributes as C,
    },
    common::v1::{Memo, SearchAttributes},
    enums::v1::{CommandType, ContinueAsNewInitiator, EventType, RetryState},
    history::v1::WorkflowExecutionStartedEventAttributes,
};

use crate::scenario::*;

fn backoff(a: &WorkflowExecutionStartedEventAttributes) -> i64 {
    a.first_workflow_task_backoff.unwrap().seconds
}

/// [trap 14]
#[test]
fn continue_as_new_carries_what_belongs_to_the_chain() {
    let mut s = Scenario::start_with(|r| {
        r.workflow_execution_timeout = Some(seconds(3600));
        r.memo = Some(Memo {
            fields: [("m".to_owned(), payload("memo"))].into(),
        });
        r.search_attributes = Some(SearchAttributes {
            indexed_fields: [("s".to_owned(), payload("sa"))].into(),
        });
    });
    s.pass_seconds(5);
    let deadline = s.state.next_deadline();
    s.run(vec![continue_as_new()]);
    let event = attributes!(
        s.last(EventType::WorkflowExecutionContinuedAsNew),
        WorkflowExecutionContinuedAsNewEventAttributes
    )
    .clone();
    let next = s.follow();
    assert_eq!(event.new_execution_run_id, next.state.key().run_id);
    let a = next.state.started_attributes();
    assert_eq!(
        (a.first_execution_run_id.as_str(), a.continued_execution_run_id.as_str()),
        ("run-1", "run-1")
    );
    assert_eq!(a.original_execution_run_id, next.state.key().run_id);
    assert_eq!(a.initiator(), ContinueAsNewInitiator::Workflow);
    assert_eq!(a.input, Some(payloads("next input")));
    assert_eq!((a.attempt, backoff(a)), (1, 0));
    assert_eq!(next.state.memo()["m"], payload("memo"));
    assert_eq!(next.state.search_attributes()["s"], payload("sa"));
    assert_eq!(next.state.workflow_type(), "scan");
    assert_eq!(next.state.next_deadline(), deadline, "the chain's deadline stays");
    assert_eq!(next.ready(ReadyKind::Workflow).len(), 1);
    assert_eq!(next.state.first_run_id(), "run-1");
}

/// [trap 14]
#[test]
fn a_run_that_is_tried_again_begins_as_it_began() {
    let mut s = Scenario::start_with(|r| {
        r.retry_policy = retry(2);
        r.memo = Some(Memo {
            fields: [("m".to_owned(), payload("memo"))].into(),
        });
    });
    let upsert = ModifyWorkflowPropertiesCommandAttributes {
        upserted_memo: Some(Memo {
            fields: [("more".to_owned(), payload("memo"))].into(),
        }),
    };
    s.run(vec![
        command(
            CommandType::ModifyWorkflowProperties,
            C::ModifyWorkflowPropertiesCommandAttributes(upsert),
        ),
        fail_workflow(failure("no")),
    ]);
    assert!(s.state.memo().contains_key("more"));
    let next = s.follow();
    assert_eq!(next.state.memo().keys().collect::<Vec<_>>(), ["m"]);
}

/// [trap 14]
#[test]
fn continue_as_new_is_paced_and_a_signal_does_not_hurry_it() {
    let mut s = Scenario::start();
    s.run(vec![continue_as_new()]);
    let mut s = s.follow();
    assert_eq!(backoff(s.state.started_attributes()), 1);
    s.signal("hurry");
    assert!(s.ready_workflow_task().is_none());
    s.pass_seconds(1);
    assert!(s.ready_workflow_task().is_some());
}

#[test]
fn continue_as_new_may_change_type_queue_and_delay() {
    let mut s = Scenario::start();
    s.pass_seconds(5);
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: Some(temporalio_protos::temporal::api::common::v1::WorkflowType {
            name: "other".to_owned(),
        }),
        task_queue: Some(queue("other-queue")),
        backoff_start_interval: Some(seconds(30)),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    s.run(vec![command(
        CommandType::ContinueAsNewWorkflowExecution,
        C::ContinueAsNewWorkflowExecutionCommandAttributes(attributes),
    )]);
    let mut s = s.follow();
    assert_eq!(
        (s.state.workflow_type(), s.state.task_queue()),
        ("other", "other-queue")
    );
    assert!(s.ready_workflow_task().is_none());
    s.pass_seconds(30);
    assert_eq!(s.ready_workflow_task().unwrap().task_queue, "other-queue");
}

/// [trap 14]
#[test]
fn a_failed_run_is_retried_by_its_policy() {
    let mut s = Scenario::start_with(|r| r.retry_policy = retry(3));
    for attempt in 1..=3 {
        s.pass_seconds(10);
        s.run(vec![fail_workflow(failure(&format!("failure {attempt}")))]);
        let failed = attributes!(
            s.last(EventType::WorkflowExecutionFailed),
            WorkflowExecutionFailedEventAttributes
        );
        if attempt == 3 {
            assert_eq!(failed.retry_state(), RetryState::MaximumAttemptsReached);
            assert!(s.successor.is_none());
            break;
        }
        assert_eq!(failed.retry_state(), RetryState::InProgress);
        s = s.follow();
        let a = s.state.started_attributes();
        assert_eq!(a.initiator(), ContinueAsNewInitiator::Retry);
        assert_eq!((a.attempt, backoff(a)), (attempt + 1, [1, 2][attempt as usize - 1]));
        assert_eq!(
            a.continued_failure.as_ref().unwrap().message,
            format!("failure {attempt}")
        );
        assert_eq!(a.input, Some(payloads("input")));
        assert_eq!(a.first_execution_run_id, "run-1");
    }
}

/// [trap 14]
#[test]
fn a_cron_run_waits_for_its_time_and_is_followed_by_the_next_turn() {
    // 2023-11-14T22:13:20Z
    let mut s = Scenario::start_with(|r| r.cron_schedule = "0 * * * *".to_owned());
    assert_eq!(backoff(s.state.started_attributes()), 46 * 60 + 40);
    assert!(s.ready_workflow_task().is_none());
    s.signal("hurry");
    assert!(
        s.ready_workflow_task().is_none(),
        "a signal does not hurry the schedule"
    );
    s.pass_seconds(46 * 60 + 40);
    s.pass_seconds(60);
    s.run(vec![complete_workflow()]);
    assert!(!s.state.is_running());
    let mut s = s.follow();
    let a = s.state.started_attributes();
    assert_eq!(a.initiator(), ContinueAsNewInitiator::CronSchedule);
    assert_eq!((a.attempt, backoff(a)), (1, 59 * 60));
    assert_eq!(a.last_completion_result, Some(payloads("done")));
    s.pass_seconds(59 * 60);
    s.run(vec![fail_workflow(failure("turn failed"))]);
    let s = s.follow();
    let a = s.state.started_attributes();
    assert_eq!(a.continued_failure.as_ref().unwrap().message, "turn failed");
    assert_eq!(
        a.last_completion_result,
        Some(payloads("done")),
        "the last result there was"
    );
}

#[test]
fn a_start_delay_is_not_ended_by_a_signal_but_by_signal_with_start() {
    let mut s = Scenario::start_with(|r| r.workflow_start_delay = Some(seconds(60)));
    s.signal("hurry");
    assert!(s.ready_workflow_task().is_none());
    s.ok(helve_history::Input::Signal(Signal {
        name: "now".to_owned(),
        with_start: true,
        ..Signal::default()
    }));
    assert!(s.ready_workflow_task().is_some());
    assert_eq!(s.state.next_deadline(), None);
}

#[test]
fn a_start_delay_moves_the_run_timeout() {
    let s = Scenario::start_with(|r| {
        r.workflow_start_delay = Some(seconds(60));
        r.workflow_run_timeout = Some(seconds(30));
    });
    let info = s.state.describe().workflow_extended_info.unwrap();
    assert_eq!(info.run_expiration_time, Some((s.now + Duration::from_secs(90)).into()));
}
