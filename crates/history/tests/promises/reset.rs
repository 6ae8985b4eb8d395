//! Reset: a new run that begins as an older one did. [trap 15]

use helve_history::{
    AfterReset, CancelRequest, ExternalSource, Input, MessageBody, MessageId, OptionsChange, ParentRef, PriorityField,
    Reapply, Rejection, Reply, ResetBase, ResetRequest, Signal, is_reapplied,
};
use temporalio_protos::temporal::api::{
    common::v1::{Priority, WorkflowExecution},
    enums::v1::{
        EventType, ParentClosePolicy, ResetReapplyExcludeType, ResetReapplyType, WorkflowExecutionStatus,
        WorkflowTaskFailedCause,
    },
    failure::v1::failure::FailureInfo,
};

use crate::{children::closed, scenario::*};

fn at(event_id: i64) -> ResetRequest {
    ResetRequest {
        event_id,
        reason: "bad code".to_owned(),
        request_id: "reset-request".to_owned(),
        ..ResetRequest::default()
    }
}

/// The last event of a kind, as the point of a reset.
fn at_last(s: &Scenario, kind: EventType) -> ResetRequest {
    at(s.last(kind).event_id)
}

fn signal_names(s: &Scenario) -> Vec<String> {
    let signals = s
        .stored
        .events
        .iter()
        .filter(|event| event.event_type() == EventType::WorkflowExecutionSignaled);
    signals
        .map(|event| {
            attributes!(event, WorkflowExecutionSignaledEventAttributes)
                .signal_name
                .clone()
        })
        .collect()
}

/// [trap 15]
#[test]
fn a_reset_run_begins_with_the_same_events_and_names_where_it_left() {
    let mut old = Scenario::start();
    old.run(vec![marker()]);
    old.signal("one");
    let request = at_last(&old, EventType::WorkflowTaskCompleted);
    let before = old.stored.events.clone();
    let new = old.reset(&request).unwrap();
    let copied = usize::try_from(request.event_id - 1).unwrap();
    assert_eq!(new.stored.events[..copied], before[..copied]);
    assert_eq!(
        new.types()[copied..],
        [
            EventType::WorkflowTaskFailed,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowTaskScheduled
        ]
    );
    let failed = attributes!(
        new.last(EventType::WorkflowTaskFailed),
        WorkflowTaskFailedEventAttributes
    );
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::ResetWorkflow);
    assert_eq!(failed.base_run_id, "run-1");
    assert_eq!(failed.new_run_id, new.state.key().run_id);
    let failure = failed.failure.as_ref().unwrap();
    assert_eq!(failure.message, "bad code");
    assert!(matches!(
        failure.failure_info,
        Some(FailureInfo::ResetWorkflowFailureInfo(_))
    ));
}

/// [trap 15]
#[test]
fn the_open_run_ends_and_both_runs_say_so() {
    let mut old = Scenario::start();
    old.run(vec![]);
    let start = old.now;
    old.pass_seconds(7);
    let new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    assert_eq!(old.state.status(), WorkflowExecutionStatus::Terminated);
    let close = attributes!(
        old.last(EventType::WorkflowExecutionTerminated),
        WorkflowExecutionTerminatedEventAttributes
    );
    assert_eq!(
        (close.reason.as_str(), close.identity.as_str()),
        ("bad code", "history-resetter")
    );
    let info = old.state.describe().workflow_extended_info.unwrap();
    assert_eq!(info.reset_run_id, new.state.key().run_id);
    assert!(old.state.outbox().is_empty(), "nobody need be told");
    assert!(new.state.outbox().is_empty());

    let described = new.state.describe();
    let info = described.workflow_extended_info.unwrap();
    assert_eq!(info.original_start_time, Some(start.into()));
    assert_eq!(info.last_reset_time, Some(new.now.into()));
    assert_eq!(
        described.workflow_execution_info.unwrap().start_time,
        Some(new.now.into())
    );
    assert_eq!(new.state.first_run_id(), "run-1");
    assert_eq!(new.state.reset_request_id(), "reset-request");
}

/// [trap 15]
#[test]
fn a_reset_run_goes_on_to_its_end() {
    let mut old = Scenario::start();
    old.run(vec![timer("t", 60)]);
    old.run_after_signal("one", vec![complete_workflow()]);
    let mut new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    let task = new.poll();
    assert_eq!(task.attempt, 1);
    assert_eq!(
        new.seen(&task).len(),
        new.stored.events.len(),
        "the worker sees all of it"
    );
    new.complete(&task, vec![complete_workflow()]);
    assert_eq!(new.state.status(), WorkflowExecutionStatus::Completed);
}

/// [trap 15]
#[test]
fn only_a_workflow_task_can_be_repeated() {
    let mut s = Scenario::start();
    s.run(vec![marker()]);
    s.signal("later");
    let refused = |s: &mut Scenario, event_id| match s.reset(&at(event_id)) {
        Err(Rejection::InvalidArgument(message)) => message,
        other => panic!("{:?}", other.map(|s| s.types())),
    };
    let length = s.state.history_length();
    for event_id in [-1, 0, 1, length + 1, i64::MAX] {
        assert!(refused(&mut s, event_id).starts_with("Workflow task finish ID must be > 1"));
    }
    // Before the first task was scheduled, and after it was over.
    assert!(refused(&mut s, 2).contains("[WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: 2"));
    assert!(refused(&mut s, 5).ends_with(": 5"));
    assert!(s.state.is_running(), "nothing happened");
}

/// [trap 15]
#[test]
fn a_task_that_nobody_had_taken_is_started_and_failed_by_the_engine() {
    let mut s = Scenario::start();
    let new = s.reset(&at(3)).err();
    assert!(new.is_some(), "there is no event 3 yet");
    s.poll();
    let new = s.reset(&at(3)).unwrap();
    assert_eq!(
        new.types()[1..],
        [
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowTaskStarted,
            EventType::WorkflowTaskFailed,
            EventType::WorkflowTaskScheduled
        ]
    );
    let started = attributes!(
        new.last(EventType::WorkflowTaskStarted),
        WorkflowTaskStartedEventAttributes
    );
    assert_eq!(started.identity, "history-service");
    assert_eq!(
        s.last_types(2),
        [EventType::WorkflowTaskFailed, EventType::WorkflowExecutionTerminated],
        "the task in flight ends with the old run"
    );
}

/// [trap 15]
#[test]
fn signals_that_waited_for_a_task_in_flight_are_not_lost() {
    let mut old = Scenario::start();
    old.run(vec![]);
    old.signal("before");
    old.poll();
    old.signal("buffered");
    let request = at(4);
    let new = old.reset(&request).unwrap();
    assert_eq!(signal_names(&new), ["before", "buffered"]);
}

/// [trap 15]
#[test]
fn a_signal_taken_again_is_still_deduplicated() {
    let mut old = Scenario::start();
    old.run(vec![]);
    let signal = Input::Signal(Signal {
        name: "once".to_owned(),
        request_id: "same".to_owned(),
        ..Signal::default()
    });
    old.ok(signal.clone());
    let mut new = old.reset(&at(4)).unwrap();
    new.ok(signal);
    assert_eq!(signal_names(&new), ["once"]);
}

/// [trap 15]
#[test]
fn what_is_left_out_does_not_happen_again() {
    use ResetReapplyExcludeType as Exclude;
    let all = Reapply::from_request(ResetReapplyType::Unspecified, &[]);
    assert_eq!(all, Reapply::default());
    let none = Reapply::from_request(ResetReapplyType::None, &[]);
    assert_eq!((none.signals, none.updates, none.children), (false, false, true));
    let signals = Reapply::from_request(ResetReapplyType::Signal, &[]);
    assert_eq!((signals.signals, signals.updates), (true, false));
    let no_updates = Reapply::from_request(ResetReapplyType::AllEligible, &[Exclude::Update]);
    assert_eq!((no_updates.signals, no_updates.updates), (true, false));
    #[expect(deprecated, reason = "old clients name what to reapply like this")]
    let everything = [Exclude::Signal, Exclude::Update, Exclude::Nexus, Exclude::CancelRequest];
    let nothing = Reapply::from_request(ResetReapplyType::AllEligible, &everything);
    assert_eq!(
        (nothing.signals, nothing.updates, nothing.children),
        (false, false, false)
    );

    let mut old = Scenario::start();
    old.run(vec![]);
    old.signal("one");
    old.ok(Input::RequestCancel(CancelRequest::default()));
    let mut new = old.reset(&at(4)).unwrap();
    assert!(!new.state.cancel_requested(), "a cancel request is not repeated");
    let request = ResetRequest { reapply: none, ..at(4) };
    assert_eq!(signal_names(&new.reset(&request).unwrap()), Vec::<String>::new());
}

/// [trap 15]
#[test]
fn signals_are_taken_along_the_chain_of_runs_that_continued_it() {
    let mut first = Scenario::start();
    first.run(vec![]);
    first.signal("one");
    first.run(vec![continue_as_new()]);
    let (base, base_events) = (first.state.clone(), first.stored.events.clone());
    let mut second = first.follow();
    second.pass_seconds(1);
    second.signal("two");
    second.run(vec![continue_as_new()]);
    let (second_key, second_events) = (second.state.key().run_id.clone(), second.stored.events.clone());
    let mut third = second.follow();
    third.pass_seconds(1);
    third.signal("three");
    third.poll();
    third.signal("buffered");

    let keep = |events: &[_]| {
        events
            .iter()
            .filter(|event| is_reapplied(event))
            .cloned()
            .collect::<Vec<_>>()
    };
    let continued = [
        (second_key, keep(&second_events)),
        (third.state.key().run_id.clone(), keep(&third.stored.events)),
    ];
    let base = ResetBase {
        state: &base,
        events: &base_events,
        continued: &continued,
    };
    let new = third.reset_from(&base, &at(4)).unwrap();
    assert_eq!(signal_names(&new), ["one", "two", "three", "buffered"]);
    assert_eq!(third.state.status(), WorkflowExecutionStatus::Terminated);
}

/// [trap 15]
#[test]
fn a_base_run_that_is_not_the_current_one_is_told_by_a_message() {
    let mut first = Scenario::start();
    first.run(vec![]);
    let mut second = first.reset(&at(4)).unwrap();
    let events = first.stored.events.clone();
    let base_state = first.state.clone();
    let base = ResetBase {
        state: &base_state,
        events: &events,
        continued: &[],
    };
    let mut third = second.reset_from(&base, &at(4)).unwrap();
    let outbox = third.state.outbox();
    assert_eq!(outbox.len(), 1);
    let MessageBody::WasReset { base_run_id } = &outbox[0].body else {
        panic!("{outbox:?}")
    };
    assert_eq!(base_run_id, "run-1");
    first.ok(Input::WasReset {
        run_id: third.state.key().run_id.clone(),
    });
    let info = first.state.describe().workflow_extended_info.unwrap();
    assert_eq!(info.reset_run_id, third.state.key().run_id);
    third.ok(Input::MessageDelivered {
        id: MessageId::WasReset,
    });
    assert!(third.state.outbox().is_empty());
}

/// [trap 15]
#[test]
fn activities_that_were_running_wait_for_their_first_attempt_again() {
    let mut old = Scenario::start();
    old.run(vec![schedule_activity("a", |a| {
        a.retry_policy = retry(5);
        a.schedule_to_close_timeout = Some(seconds(30));
    })]);
    let running = old.poll_activity();
    old.pass_seconds(20);
    old.run_after_signal("wake", vec![]);
    let mut new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    assert!(
        matches!(new.send(complete_activity(&running)), Err(Rejection::NotFound(_))),
        "the attempt belongs to the old run"
    );
    new.pass_seconds(29);
    let again = new.poll_activity();
    assert_eq!(again.attempt, 1);
    assert_eq!(again.scheduled_time.since(old.now).as_secs(), 0, "its time began anew");
    new.ok(complete_activity(&again));
    assert_eq!(new.count(EventType::ActivityTaskCompleted), 1);
}

/// [trap 15]
#[test]
fn timers_keep_their_time_and_timeouts_begin_anew() {
    let mut old = Scenario::start_with(|request| {
        request.workflow_run_timeout = Some(seconds(100));
        request.workflow_execution_timeout = Some(seconds(200));
    });
    old.run(vec![timer("t", 10)]);
    old.pass_seconds(8);
    old.run_after_signal("wake", vec![]);
    old.pass_seconds(60);
    let mut new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    let reset_at = new.now;
    assert!(new.state.next_deadline().unwrap() <= new.now, "the timer is overdue");
    new.pass_seconds(0);
    assert_eq!(new.count(EventType::TimerFired), 1);
    let info = new.state.describe().workflow_extended_info.unwrap();
    assert_eq!(
        info.run_expiration_time,
        Some((reset_at + std::time::Duration::from_secs(100)).into())
    );
    assert_eq!(
        info.execution_expiration_time,
        Some((reset_at + std::time::Duration::from_secs(200)).into())
    );
    // A successor belongs to the chain whose time began with the reset.
    new.run(vec![continue_as_new()]);
    let next = new.follow();
    let info = next.state.describe().workflow_extended_info.unwrap();
    assert_eq!(
        info.execution_expiration_time,
        Some((reset_at + std::time::Duration::from_secs(200)).into())
    );
}

fn parent_with_child(policy: ParentClosePolicy) -> (Scenario, i64) {
    let mut s = Scenario::start();
    s.run(vec![start_child("child", |a| a.parent_close_policy = policy.into())]);
    let initiated = s.last(EventType::StartChildWorkflowExecutionInitiated).event_id;
    s.ok(Input::ChildStarted {
        initiated_event_id: initiated,
        run_id: "child-run".to_owned(),
    });
    s.run(vec![]);
    (s, initiated)
}

/// [trap 15]
#[test]
fn children_stay_with_the_run_that_took_their_parent_s_place() {
    let (mut old, initiated) = parent_with_child(ParentClosePolicy::Terminate);
    let mut new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    assert!(
        old.state.outbox().is_empty(),
        "no parent close policy for the old run's child"
    );
    // The child knows the old run; what it tells that run is for the new one.
    let reply = old.ok(Input::ChildClosed(Box::new(closed(initiated))));
    let run_id = new.state.key().run_id.clone();
    assert_eq!(reply, Reply::WasReset { run_id });
    new.ok(Input::ChildClosed(Box::new(closed(initiated))));
    assert_eq!(new.count(EventType::ChildWorkflowExecutionCompleted), 1);
}

/// [trap 15]
#[test]
fn the_new_run_s_parent_close_policy_names_the_parent_that_the_child_knows() {
    let (mut old, initiated) = parent_with_child(ParentClosePolicy::Terminate);
    let mut new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    new.run(vec![complete_workflow()]);
    let outbox = new.state.outbox();
    let Some(MessageBody::TerminateChild { termination, .. }) = outbox.first().map(|message| &message.body) else {
        panic!("{outbox:?}")
    };
    let parent = termination.only_child_of.clone().unwrap();
    assert_eq!(
        parent,
        ParentRef {
            namespace: "default".to_owned(),
            workflow_id: "wf".to_owned(),
            run_id: "run-1".to_owned(),
            initiated_event_id: initiated,
        }
    );
}

/// [trap 15]
#[test]
fn a_child_s_news_from_after_the_point_reach_the_new_run_once() {
    let (mut old, initiated) = parent_with_child(ParentClosePolicy::Terminate);
    old.ok(Input::ChildClosed(Box::new(closed(initiated))));
    let request = at_last(&old, EventType::WorkflowTaskCompleted);
    let mut new = old.reset(&request).unwrap();
    assert_eq!(new.count(EventType::ChildWorkflowExecutionCompleted), 1);
    new.ok(Input::ChildClosed(Box::new(closed(initiated))));
    assert_eq!(new.count(EventType::ChildWorkflowExecutionCompleted), 1);

    // A child whose start the copied part only asks for.
    let mut s = Scenario::start();
    s.run(vec![start_child("child", |_| {})]);
    s.run_after_signal("wake", vec![]);
    let point = at_last(&s, EventType::WorkflowTaskCompleted);
    let initiated = s.last(EventType::StartChildWorkflowExecutionInitiated).event_id;
    s.ok(Input::ChildStarted {
        initiated_event_id: initiated,
        run_id: "child-run".to_owned(),
    });
    let new = s.reset(&point).unwrap();
    assert_eq!(new.count(EventType::ChildWorkflowExecutionStarted), 1);
    assert!(new.state.outbox().is_empty(), "it need not be started again");
}

/// [trap 15]
#[test]
fn a_reset_parent_may_still_signal_its_children() {
    let mut parent = Scenario::start();
    parent.run(vec![start_child("child", |_| {})]);
    let mut child = crate::children::child_of(&parent);
    parent.run_after_signal("wake", vec![]);
    let new = parent
        .reset(&at_last(&parent, EventType::WorkflowTaskCompleted))
        .unwrap();
    let signal = |former_run_ids: Vec<String>| {
        Input::Signal(Signal {
            name: "hello".to_owned(),
            external: Some(ExternalSource {
                execution: WorkflowExecution {
                    workflow_id: "wf".to_owned(),
                    run_id: new.state.key().run_id.clone(),
                },
                initiated_event_id: 9,
                child_workflow_only: true,
                former_run_ids,
            }),
            ..Signal::default()
        })
    };
    assert!(matches!(child.send(signal(vec![])), Err(Rejection::NotFound(_))));
    child.ok(signal(vec!["run-1".to_owned()]));
}

/// [trap 15]
#[test]
fn a_message_under_way_is_the_same_message_after_a_reset() {
    let mut old = Scenario::start();
    old.run(vec![signal_external("other")]);
    old.run_after_signal("wake", vec![]);
    let before = old.state.outbox();
    let new = old.reset(&at_last(&old, EventType::WorkflowTaskCompleted)).unwrap();
    let request_id = |s: &Scenario| match &s.state.outbox()[0].body {
        MessageBody::SignalExternal { signal, .. } => signal.request_id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(before.len(), 1);
    assert_eq!(request_id(&old), request_id(&new), "so that the receiver takes it once");
}

/// [trap 15]
#[test]
fn the_parent_of_a_reset_child_hears_of_the_last_run_only() {
    let mut parent = Scenario::start();
    parent.run(vec![start_child("child", |_| {})]);
    let mut child = crate::children::child_of(&parent);
    child.run(vec![]);
    let mut new = child.reset(&at_last(&child, EventType::WorkflowTaskCompleted)).unwrap();
    assert!(child.state.outbox().is_empty(), "being reset is no end to tell of");
    new.run(vec![complete_workflow()]);
    assert!(matches!(new.state.outbox()[0].body, MessageBody::ChildClosed { .. }));
}

fn urgent() -> OptionsChange {
    OptionsChange {
        priority: Some(Priority {
            priority_key: 1,
            ..Priority::default()
        }),
        fields: vec![PriorityField::All],
        identity: "operator".to_owned(),
    }
}

/// [trap 15]
#[test]
fn what_is_asked_for_after_a_reset_is_done_before_the_first_task_and_after_what_happens_again() {
    let mut old = Scenario::start();
    old.run(vec![]);
    old.signal("one");
    let signal = Signal {
        name: "after".to_owned(),
        identity: "operator".to_owned(),
        ..Signal::default()
    };
    let request = ResetRequest {
        afterwards: vec![AfterReset::Signal(signal), AfterReset::ChangeOptions(urgent())],
        ..at(4)
    };
    let new = old.reset(&request).unwrap();
    assert_eq!(
        new.types()[3..],
        [
            EventType::WorkflowTaskFailed,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowExecutionOptionsUpdated,
            EventType::WorkflowTaskScheduled,
        ]
    );
    assert_eq!(signal_names(&new), ["one", "after"]);
    assert_eq!(new.state.priority().priority_key, 1);
    assert_eq!(old.state.priority().priority_key, 0);
}

/// [trap 15]
#[test]
fn a_reset_with_a_bad_operation_after_it_never_happened() {
    let mut old = Scenario::start();
    old.run(vec![]);
    let nameless = AfterReset::Signal(Signal::default());
    let request = ResetRequest {
        afterwards: vec![nameless],
        ..at(4)
    };
    assert!(matches!(old.reset(&request), Err(Rejection::InvalidArgument(_))));
    assert!(old.state.is_running());
}

/// [trap 15]
#[test]
fn changed_options_are_kept_by_a_reset_unless_everything_is_left_out() {
    let mut old = Scenario::start();
    old.run(vec![]);
    old.ok(Input::ChangeOptions(urgent()));
    let everything = Reapply {
        signals: false,
        updates: false,
        children: false,
        options: false,
    };
    let mut new = old.reset(&at(4)).unwrap();
    assert_eq!(new.state.priority().priority_key, 1);
    let request = ResetRequest {
        reapply: everything,
        ..at(4)
    };
    assert_eq!(new.reset(&request).unwrap().state.priority().priority_key, 0);
}
