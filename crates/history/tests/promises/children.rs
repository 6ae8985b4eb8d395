//! Children, and messages to other runs.

use helve_history::{
    ChildClose, ChildClosed, Env, Input, Limits, Message, MessageBody, MessageId, ParentRef, Rejection, StartRun,
    Termination, start,
};
use temporalio_protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, EventType, ParentClosePolicy, RetryState,
        SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause, WorkflowExecutionStatus,
    },
    sdk::v1::UserMetadata,
};

use crate::scenario::*;

pub(crate) fn closed(initiated_event_id: i64) -> ChildClosed {
    ChildClosed {
        initiated_event_id,
        execution: WorkflowExecution {
            workflow_id: "child".to_owned(),
            run_id: "child-run".to_owned(),
        },
        first_run_id: "child-run".to_owned(),
        close: ChildClose::Completed {
            result: Some(payloads("child result")),
        },
    }
}

fn with_child(policy: ParentClosePolicy) -> (Scenario, i64) {
    let mut s = Scenario::start();
    s.run(vec![start_child("child", |a| a.parent_close_policy = policy.into())]);
    let initiated = s.last(EventType::StartChildWorkflowExecutionInitiated).event_id;
    (s, initiated)
}

fn started(s: &mut Scenario, initiated_event_id: i64) {
    s.ok(Input::ChildStarted {
        initiated_event_id,
        run_id: "child-run".to_owned(),
    });
}

/// The child of the first message in `parent`'s outbox.
pub(crate) fn child_of(parent: &Scenario) -> Scenario {
    let Some(Message {
        body: MessageBody::StartChild(child),
        ..
    }) = parent.state.outbox().into_iter().next()
    else {
        panic!("a child is to be started")
    };
    let limits = Limits::default();
    let env = Env {
        now: parent.now,
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "fresh",
        search_attributes: Default::default(),
    };
    let request = StartRun::child(&child, "child-run", &env).unwrap();
    assert_eq!(request.request_id, "run-1:5");
    Scenario::of(start(request, &env).unwrap(), parent.now, Limits::default())
}

#[test]
fn a_child_is_owed_until_it_is_known_to_run() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
    assert_eq!(s.state.outbox_ids(), [MessageId::StartChild(initiated)]);
    started(&mut s, initiated);
    assert!(s.state.outbox_ids().is_empty());
    let length = s.stored.events.len();
    started(&mut s, initiated);
    assert_eq!(s.stored.events.len(), length, "the news is taken once");
    let event = s.last(EventType::ChildWorkflowExecutionStarted);
    let a = attributes!(event, ChildWorkflowExecutionStartedEventAttributes);
    assert_eq!(
        (a.namespace.as_str(), a.namespace_id.as_str()),
        ("default", NAMESPACE_ID)
    );
    assert_eq!(a.workflow_type.as_ref().unwrap().name, "child");
}

#[test]
fn a_child_knows_its_parent_and_its_root() {
    let mut s = Scenario::start();
    let mut command = start_child("child", |a| a.input = Some(payloads("child input")));
    command.user_metadata = Some(UserMetadata {
        summary: Some(payload("summary")),
        details: None,
    });
    s.run(vec![command.clone()]);
    let child = child_of(&s);
    let a = child.state.started_attributes();
    assert_eq!(a.parent_workflow_execution, Some(s.state.key().execution()));
    assert_eq!(a.root_workflow_execution, Some(s.state.key().execution()));
    assert_eq!(
        (a.parent_initiated_event_id, a.parent_workflow_namespace_id.as_str()),
        (5, NAMESPACE_ID)
    );
    assert_eq!(
        a.task_queue.as_ref().unwrap().name,
        "queue",
        "the parent's, as none was named"
    );
    assert_eq!(a.input, Some(payloads("child input")));
    assert_eq!(child.state.user_metadata(), command.user_metadata.as_ref());
    assert_eq!(
        s.last(EventType::StartChildWorkflowExecutionInitiated).user_metadata,
        command.user_metadata
    );
}

#[test]
fn a_childs_end_is_reported_to_its_parent_once() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
    let mut child = child_of(&s);
    started(&mut s, initiated);
    child.run(vec![complete_workflow()]);
    assert_eq!(child.state.outbox_ids(), [MessageId::ChildClosed]);
    let Message {
        body: MessageBody::ChildClosed { parent, closed },
        ..
    } = child.state.outbox().remove(0)
    else {
        panic!("the parent is to be told")
    };
    assert_eq!(
        (parent.run_id.as_str(), parent.initiated_event_id),
        ("run-1", initiated)
    );
    s.ok(Input::ChildClosed(closed.clone()));
    s.ok(Input::ChildClosed(closed));
    assert_eq!(s.count(EventType::ChildWorkflowExecutionCompleted), 1);
    child.ok(Input::MessageDelivered {
        id: MessageId::ChildClosed,
    });
    assert!(child.state.outbox_ids().is_empty());
    assert!(child.stored.rebuild(child.state.key().clone()).outbox_ids().is_empty());
}

#[test]
fn a_childs_end_that_overtakes_the_news_of_its_start_brings_that_along() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
    s.ok(Input::ChildClosed(Box::new(closed(initiated))));
    use EventType as T;
    assert_eq!(
        s.last_types(3),
        [
            T::ChildWorkflowExecutionStarted,
            T::ChildWorkflowExecutionCompleted,
            T::WorkflowTaskScheduled
        ]
    );
    started(&mut s, initiated);
    assert_eq!(s.count(EventType::ChildWorkflowExecutionStarted), 1);
}

#[test]
fn every_end_of_a_child_has_its_event() {
    let cases = [
        (
            ChildClose::Failed {
                failure: Some(Box::new(failure("x"))),
                retry_state: RetryState::RetryPolicyNotSet.into(),
            },
            EventType::ChildWorkflowExecutionFailed,
        ),
        (
            ChildClose::Canceled { details: None },
            EventType::ChildWorkflowExecutionCanceled,
        ),
        (
            ChildClose::TimedOut {
                retry_state: RetryState::Timeout.into(),
            },
            EventType::ChildWorkflowExecutionTimedOut,
        ),
        (ChildClose::Terminated, EventType::ChildWorkflowExecutionTerminated),
    ];
    for (close, event) in cases {
        let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
        started(&mut s, initiated);
        s.ok(Input::ChildClosed(Box::new(ChildClosed {
            close,
            ..closed(initiated)
        })));
        assert_eq!(s.count(event), 1, "{event:?}");
        assert!(s.state.describe().pending_children.is_empty());
    }
}

#[test]
fn a_child_that_cannot_be_started_is_a_failure_its_parent_sees() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
    let cause = StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists;
    s.ok(Input::ChildStartFailed {
        initiated_event_id: initiated,
        cause,
    });
    let failed = attributes!(
        s.last(EventType::StartChildWorkflowExecutionFailed),
        StartChildWorkflowExecutionFailedEventAttributes
    );
    assert_eq!((failed.cause(), failed.initiated_event_id), (cause, initiated));
    assert!(s.state.outbox_ids().is_empty());
}

#[test]
fn parent_close_policies_are_owed_to_the_children_of_a_closed_run() {
    for policy in [
        ParentClosePolicy::Terminate,
        ParentClosePolicy::RequestCancel,
        ParentClosePolicy::Abandon,
    ] {
        let (mut s, initiated) = with_child(policy);
        started(&mut s, initiated);
        s.run(vec![complete_workflow()]);
        let outbox = s.state.outbox();
        match (policy, outbox.first().map(|message| &message.body)) {
            (ParentClosePolicy::Abandon, None) => continue,
            (ParentClosePolicy::Terminate, Some(MessageBody::TerminateChild { termination, .. })) => {
                assert_eq!(termination.first_execution_run_id, "child-run");
            }
            (ParentClosePolicy::RequestCancel, Some(MessageBody::CancelChild { request, .. })) => {
                assert_eq!(request.first_execution_run_id, "child-run");
            }
            other => panic!("{other:?}"),
        }
        s.ok(Input::MessageDelivered { id: outbox[0].id });
        assert!(s.state.outbox_ids().is_empty());
    }
}

#[test]
fn an_abandoned_child_is_started_even_after_its_parent_closed() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Abandon);
    s.signal("wake up");
    s.run(vec![complete_workflow()]);
    assert_eq!(s.state.outbox_ids(), [MessageId::StartChild(initiated)]);
    started(&mut s, initiated);
    assert!(s.state.outbox_ids().is_empty());
}

#[test]
fn a_child_that_starts_while_its_parent_closes_still_shares_its_fate() {
    let (mut s, initiated) = with_child(ParentClosePolicy::Terminate);
    s.signal("wake up");
    s.run(vec![complete_workflow()]);
    assert_eq!(s.state.outbox_ids(), [MessageId::ParentClosed(initiated)]);
    // Nobody was there to be terminated ...
    s.ok(Input::MessageDelivered {
        id: MessageId::ParentClosed(initiated),
    });
    assert!(s.state.outbox_ids().is_empty());
    // ... but the start had been on its way.
    started(&mut s, initiated);
    assert_eq!(s.state.outbox_ids(), [MessageId::ParentClosed(initiated)]);
}

#[test]
fn a_parent_close_policy_reaches_only_the_parents_own_child() {
    let (s, initiated) = with_child(ParentClosePolicy::Terminate);
    let mut child = child_of(&s);
    let order = |run_id: &str| {
        Input::Terminate(Termination {
            only_child_of: Some(ParentRef {
                namespace: "default".to_owned(),
                workflow_id: "wf".to_owned(),
                run_id: run_id.to_owned(),
                initiated_event_id: initiated,
            }),
            ..Termination::default()
        })
    };
    assert!(matches!(child.send(order("another-run")), Err(Rejection::NotFound(_))));
    child.ok(order("run-1"));
    assert_eq!(child.state.status(), WorkflowExecutionStatus::Terminated);
}

#[test]
fn signals_and_cancel_requests_to_others_are_owed_until_answered() {
    let mut s = Scenario::start();
    s.run(vec![
        signal_external("x"),
        cancel_external("x"),
        signal_external("y"),
        cancel_external("y"),
    ]);
    let ids = s.state.outbox_ids();
    assert_eq!(
        ids,
        [
            MessageId::SignalExternal(5),
            MessageId::SignalExternal(7),
            MessageId::CancelExternal(6),
            MessageId::CancelExternal(8)
        ]
    );
    s.ok(Input::ExternalSignalDelivered { initiated_event_id: 5 });
    s.ok(Input::ExternalSignalDelivered { initiated_event_id: 5 });
    s.ok(Input::ExternalCancelDelivered { initiated_event_id: 6 });
    let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
    s.ok(Input::ExternalSignalFailed {
        initiated_event_id: 7,
        cause,
    });
    let cause = CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
    s.ok(Input::ExternalCancelFailed {
        initiated_event_id: 8,
        cause,
    });
    assert!(s.state.outbox_ids().is_empty());
    for kind in [
        EventType::ExternalWorkflowExecutionSignaled,
        EventType::ExternalWorkflowExecutionCancelRequested,
        EventType::SignalExternalWorkflowExecutionFailed,
        EventType::RequestCancelExternalWorkflowExecutionFailed,
    ] {
        assert_eq!(s.count(kind), 1, "{kind:?}");
    }
}

#[test]
fn a_signal_sent_just_before_closing_is_still_owed() {
    let mut s = Scenario::start();
    s.run(vec![signal_external("x"), complete_workflow()]);
    let outbox = s.state.outbox();
    assert_eq!(outbox.len(), 1);
    s.ok(Input::ExternalSignalDelivered { initiated_event_id: 5 });
    assert!(s.state.outbox_ids().is_empty());
}
