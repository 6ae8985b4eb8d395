//! Updates, and the workflow tasks that exist in memory only. [traps 10 and 11]

use helve_history::{Input, Limits, ReadyKind, Rejection, Termination, Timestamp, UpdateAnswer, UpdateStage};
use temporalio_protos::temporal::api::{
    enums::v1::{EventType as T, ResourceExhaustedCause, SuggestContinueAsNewReason, WorkflowTaskFailedCause},
    failure::v1::failure::FailureInfo,
    protocol::v1::message::SequencingId,
    update::v1::{Outcome, outcome::Value},
};

use crate::scenario::*;

/// A run whose first workflow task is done.
fn idle() -> Scenario {
    let mut s = Scenario::start();
    s.run(vec![]);
    s
}

fn idle_within(limits: Limits) -> Scenario {
    let mut s = Scenario::start_within(limits, |_| {});
    s.run(vec![]);
    s
}

fn failure_type(answer: &UpdateAnswer) -> &str {
    let UpdateAnswer::Completed(outcome) = answer else {
        panic!("{answer:?} is no outcome")
    };
    match &outcome.value {
        Some(Value::Failure(failure)) => match &failure.failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => &info.r#type,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?} is no failure"),
    }
}

fn completed() -> UpdateAnswer {
    UpdateAnswer::Completed(Box::new(outcome()))
}

#[test]
fn an_update_of_an_idle_run_gets_a_task_that_history_does_not_know() {
    let mut s = idle();
    s.update("u");
    let task = s.ready_workflow_task().unwrap();
    assert_eq!(
        (task.kind, task.scheduled_event_id, task.attempt),
        (ReadyKind::Workflow, 5, 1)
    );
    let task = s.poll();
    assert_eq!((task.history_to, task.started_event_id), (4, 6));
    assert_eq!(s.seen(&task).len(), 6, "the worker sees its events all the same");
    assert_eq!(s.state.virtual_events(), task.suffix);
    assert_eq!(s.types().len(), 4);
    let message = &task.messages[0];
    assert_eq!(
        (message.id.as_str(), message.protocol_instance_id.as_str()),
        ("u/request", "u")
    );
    assert_eq!(message.sequencing_id, Some(SequencingId::EventId(5)));
}

#[test]
fn a_rejected_update_leaves_no_trace() {
    let mut s = idle();
    let (events, durable) = (s.types(), s.state.durable());
    for _ in 0..3 {
        s.update("u");
        let task = s.poll();
        let reply = s.answer(&task, vec![rejecting("u")]);
        assert_eq!(reply.reset_history_event_id, 3, "the worker goes back to its last task");
        assert_eq!(s.state.update_stage("u"), None);
    }
    assert_eq!(s.told("u").len(), 3);
    assert_eq!(failure_type(&s.told("u")[0]), "Oops");
    assert_eq!((s.types(), s.state.durable()), (events, durable));
    assert_eq!(s.state, s.state.durable());
}

#[test]
fn an_accepted_update_makes_its_task_real_word_for_word() {
    let mut s = idle();
    s.update("u");
    s.pass_seconds(1);
    let task = s.poll();
    let seen = s.seen(&task);
    s.pass_seconds(1);
    let reply = s.answer(&task, vec![accepting(&task, "u"), completing("u")]);
    assert_eq!(reply.reset_history_event_id, 0);
    assert_eq!(s.stored.events[..6], seen[..]);
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskCompleted,
            T::WorkflowExecutionUpdateAccepted,
            T::WorkflowExecutionUpdateCompleted
        ]
    );
    let accepted = attributes!(
        s.last(T::WorkflowExecutionUpdateAccepted),
        WorkflowExecutionUpdateAcceptedEventAttributes
    );
    assert_eq!(accepted.accepted_request, Some(update("u").request));
    assert_eq!(accepted.accepted_request_message_id, "u/request");
    assert_eq!(
        s.told("u"),
        [completed()],
        "acceptance and outcome in one answer are told as one"
    );
    assert_eq!(s.state.update_stage("u"), Some(UpdateStage::Completed(9)));
}

#[test]
fn acceptance_and_outcome_stand_where_the_commands_name_them() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    let messages = vec![accepting(&task, "u"), completing("u")];
    let commands = vec![
        protocol_message("u/accept"),
        timer("t", 10),
        protocol_message("u/complete"),
    ];
    s.try_complete(&task, commands, |c| c.messages = messages).unwrap();
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowExecutionUpdateAccepted,
            T::TimerStarted,
            T::WorkflowExecutionUpdateCompleted
        ]
    );
}

#[test]
fn an_update_is_completed_by_a_later_task_than_the_one_that_accepted_it() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    s.answer_with(&task, vec![accepting(&task, "u")], vec![timer("t", 5)]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted]);
    assert_eq!(s.state.update_stage("u"), Some(UpdateStage::Accepted));
    s.crash();
    s.pass_seconds(5);
    let task = s.poll();
    assert_eq!(task.messages, []);
    s.answer(&task, vec![completing("u")]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted, completed()]);
}

#[test]
fn an_update_rides_on_a_task_that_waits_already() {
    let mut s = Scenario::start();
    s.update("u");
    let task = s.poll();
    assert_eq!(task.messages.len(), 1);
    s.answer(&task, vec![rejecting("u")]);
    assert_eq!(
        s.last_types(1),
        [T::WorkflowTaskCompleted],
        "the run had to take its first step"
    );
    assert_eq!(s.told("u").len(), 1);
}

#[test]
fn an_update_during_a_task_goes_with_the_next_one() {
    let mut s = idle();
    s.signal("go");
    let task = s.poll();
    s.update("u");
    assert_eq!(s.ready_workflow_task(), None);
    let reply = s.try_complete(&task, vec![], |c| c.return_new_task = true).unwrap();
    let next = reply.new_task.expect("the worker gets it at once");
    assert_eq!(next.messages.len(), 1);
    assert_eq!(next.suffix.len(), 2, "history does not know it yet");
    assert_eq!(s.last_types(1), [T::WorkflowTaskCompleted]);
    s.answer(&next, vec![accepting(&next, "u")]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted]);
}

#[test]
fn a_speculative_task_becomes_real_when_anything_else_happens() {
    let mut s = idle();
    s.update("u");
    let offered = s.ready_workflow_task();
    s.signal("news");
    assert_eq!(
        s.last_types(2),
        [T::WorkflowTaskScheduled, T::WorkflowExecutionSignaled]
    );
    assert_eq!(s.ready_workflow_task(), offered, "and stays the one that was offered");

    let mut s = idle();
    s.update("u");
    let task = s.poll();
    s.signal("news");
    assert_eq!(s.last_types(2), [T::WorkflowTaskScheduled, T::WorkflowTaskStarted]);
    assert_eq!(
        s.last(T::WorkflowTaskStarted).event_id,
        task.started_event_id,
        "ids stay"
    );
    assert_eq!(s.state.buffered_events().len(), 1);
    s.answer(&task, vec![rejecting("u")]);
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskCompleted,
            T::WorkflowExecutionSignaled,
            T::WorkflowTaskScheduled
        ]
    );
}

#[test]
fn losing_a_speculative_task_loses_nothing_but_itself() {
    let mut s = idle();
    s.update("lost");
    let task = s.poll();
    s.crash();
    assert_eq!(s.state.update_stage("lost"), None);
    assert!(!s.state.has_workflow_task());
    let late = s.try_complete(&task, vec![], |c| c.messages = vec![rejecting("lost")]);
    assert!(matches!(late, Err(Rejection::NotFound(_))));
    s.pass_seconds(1);
    s.update("lost");
    let again = s.poll();
    assert_eq!(again.started_event_id, task.started_event_id, "the same virtual ids");
    let late = s.try_complete(&task, vec![], |c| c.messages = vec![rejecting("lost")]);
    assert!(
        matches!(late, Err(Rejection::NotFound(_))),
        "but not the same task [trap 9]"
    );
    s.answer(&again, vec![accepting(&again, "lost")]);
    assert_eq!(s.told("lost"), [UpdateAnswer::Accepted]);
}

#[test]
fn a_worker_brings_back_an_update_that_memory_lost() {
    let mut s = Scenario::start();
    s.update("u");
    let task = s.poll();
    s.crash();
    s.answer(&task, vec![accepting(&task, "u"), completing("u")]);
    assert!(matches!(s.state.update_stage("u"), Some(UpdateStage::Completed(_))));
}

#[test]
fn a_failing_speculative_task_is_seen_in_history_and_its_updates_go_with_the_next_one() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    s.fail(&task);
    assert_eq!(
        s.last_types(3),
        [T::WorkflowTaskScheduled, T::WorkflowTaskStarted, T::WorkflowTaskFailed]
    );
    let task = s.poll();
    assert_eq!((task.attempt, task.messages.len()), (2, 1));
    s.answer(&task, vec![accepting(&task, "u")]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted]);
}

#[test]
fn a_speculative_task_that_takes_too_long_is_seen_in_history() {
    let mut s = idle();
    s.update("u");
    s.poll();
    s.pass_seconds(10);
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskScheduled,
            T::WorkflowTaskStarted,
            T::WorkflowTaskTimedOut
        ]
    );
    assert_eq!(s.poll().messages.len(), 1);
}

#[test]
fn a_speculative_task_that_nobody_takes_becomes_a_real_one_after_five_seconds() {
    let mut s = idle();
    s.update("u");
    let deadline = s.state.next_deadline().unwrap();
    assert_eq!(deadline.since(s.now).as_secs(), 5);
    s.pass_seconds(5);
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskScheduled,
            T::WorkflowTaskTimedOut,
            T::WorkflowTaskScheduled
        ]
    );
    assert_eq!(s.state.next_deadline(), None);
    assert_eq!(s.poll().messages.len(), 1);
}

#[test]
fn the_sticky_worker_gets_the_update_and_nothing_else() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.update("u");
    assert_eq!(s.ready_workflow_task().unwrap().kind, ReadyKind::StickyWorkflow);
    let task = s.poll();
    assert_eq!((task.history_from, task.history_to), (4, 4));
    let kept = s.state.durable();
    s.try_complete(&task, vec![], |c| {
        c.messages = vec![rejecting("u")];
        c.sticky = Some(sticky());
    })
    .unwrap();
    assert_eq!(s.state, kept, "it stays the sticky worker, without a write");
}

#[test]
fn another_worker_takes_a_speculative_task_over_without_a_write() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.update("u");
    let ready = s.ready_workflow_task().unwrap();
    let task = s.poll_on(&ready, helve_history::PolledQueue::Normal, "other").unwrap();
    assert_eq!((task.history_from, task.sticky), (1, false));
    assert_eq!(s.types().len(), 4);
    s.fail(&task);
    assert_eq!(
        s.state.sticky_queue(),
        None,
        "the old worker is out as soon as there is something to write"
    );
    assert_eq!(
        s.ready_workflow_task().unwrap().attempt,
        2,
        "it was not on a sticky queue that the task failed"
    );
}

#[test]
fn a_poll_that_is_repeated_gets_the_same_messages() {
    let mut s = idle();
    s.update("u");
    let ready = s.ready_workflow_task().unwrap();
    let first = s.poll_as(&ready, "poll").unwrap();
    s.update("later");
    assert_eq!(s.poll_as(&ready, "poll").unwrap(), first);
}

#[test]
fn a_task_with_commands_or_a_heartbeat_does_not_vanish() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    s.answer_with(&task, vec![rejecting("u")], vec![timer("t", 10)]);
    assert_eq!(s.last_types(2), [T::WorkflowTaskCompleted, T::TimerStarted]);

    let mut s = idle();
    s.update("u");
    let task = s.poll();
    let reply = s
        .try_complete(&task, vec![], |c| {
            c.force_create_new = true;
            c.return_new_task = true;
        })
        .unwrap();
    assert_eq!(
        s.last_types(3),
        [
            T::WorkflowTaskCompleted,
            T::WorkflowTaskScheduled,
            T::WorkflowTaskStarted
        ]
    );
    let next = reply.new_task.unwrap();
    assert_eq!(next.messages, [], "the worker is still at it");
    assert_eq!(s.told("u"), []);
    s.answer(&next, vec![accepting(&next, "u")]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted]);
}

#[test]
fn a_task_that_showed_events_vanishes_only_if_they_can_be_shown_again() {
    for (may_see_events_again, vanishes) in [(false, false), (true, true)] {
        let mut s = Scenario::start();
        s.run(vec![timer("t", 100)]);
        s.update("u");
        let task = s.poll();
        let before = s.types().len();
        s.try_complete(&task, vec![], |c| {
            c.messages = vec![rejecting("u")];
            c.may_see_events_again = may_see_events_again;
        })
        .unwrap();
        assert_eq!(s.types().len() == before, vanishes);
    }
}

#[test]
fn an_update_the_worker_says_nothing_about_is_rejected_for_it() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    let reply = s.answer(&task, vec![]);
    assert_eq!(reply.reset_history_event_id, 3);
    assert_eq!(failure_type(&s.told("u")[0]), "UnprocessedUpdate");
    assert!(!s.state.has_workflow_task());
}

#[test]
fn the_same_update_is_taken_once_however_often_it_is_sent() {
    let mut s = idle();
    s.update("u");
    assert_eq!(s.try_update("u"), Ok(UpdateStage::Admitted));
    let task = s.poll();
    assert_eq!(task.messages.len(), 1);
    s.answer(&task, vec![accepting(&task, "u")]);
    assert_eq!(s.try_update("u"), Ok(UpdateStage::Accepted));
    s.crash();
    assert_eq!(s.try_update("u"), Ok(UpdateStage::Accepted));
    s.signal("go");
    let task = s.poll();
    s.answer(&task, vec![completing("u")]);
    let stage = s.try_update("u").unwrap();
    assert!(matches!(stage, UpdateStage::Completed(_)));
    s.signal("end");
    s.run(vec![complete_workflow()]);
    s.crash();
    assert_eq!(
        s.try_update("u"),
        Ok(stage),
        "also when the run is closed and loaded again"
    );
    assert!(matches!(s.try_update("new"), Err(Rejection::NotFound(_))));
}

#[test]
fn every_accepted_update_is_answered_when_its_run_ends() {
    for end in [complete_workflow(), continue_as_new()] {
        let mut s = idle();
        s.update("accepted");
        let task = s.poll();
        s.answer(&task, vec![accepting(&task, "accepted")]);
        s.signal("end");
        let task = s.poll();
        s.update("unseen");
        s.complete(&task, vec![end]);
        assert_eq!(failure_type(&s.told("accepted")[1]), "AcceptedUpdateCompletedWorkflow");
        let expected = if s.successor.is_some() {
            UpdateAnswer::Moved
        } else {
            UpdateAnswer::Closed
        };
        assert_eq!(s.told("unseen"), [expected]);
        assert!(matches!(s.try_update("accepted"), Ok(UpdateStage::Outlived(_))));
    }
}

#[test]
fn what_ends_a_run_from_outside_ends_its_updates_too() {
    let mut s = idle();
    s.update("u");
    s.poll();
    s.ok(Input::Terminate(Termination::default()));
    assert_eq!(
        s.last_types(4),
        [
            T::WorkflowTaskScheduled,
            T::WorkflowTaskStarted,
            T::WorkflowTaskFailed,
            T::WorkflowExecutionTerminated
        ]
    );
    assert_eq!(s.told("u"), [UpdateAnswer::Closed]);
}

#[test]
fn a_workflow_may_answer_updates_and_end_in_one_go() {
    let mut s = idle();
    for id in ["done", "open", "bad"] {
        s.update(id);
    }
    let task = s.poll();
    let messages = vec![
        accepting(&task, "done"),
        completing("done"),
        accepting(&task, "open"),
        rejecting("bad"),
    ];
    s.answer_with(&task, messages, vec![complete_workflow()]);
    assert_eq!(s.told("done"), [completed()]);
    assert_eq!(failure_type(&s.told("open")[0]), "AcceptedUpdateCompletedWorkflow");
    assert_eq!(
        failure_type(&s.told("bad")[0]),
        "Oops",
        "a rejection leaves no event that could come too late"
    );
}

#[test]
fn an_acceptance_after_the_end_does_not_count() {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    let messages = vec![accepting(&task, "u")];
    s.try_complete(&task, vec![complete_workflow()], |c| c.messages = messages)
        .unwrap();
    assert_eq!(s.last_types(1), [T::WorkflowExecutionCompleted]);
    assert_eq!(s.told("u"), [UpdateAnswer::Closed]);
}

#[test]
fn messages_that_make_no_sense_fail_the_task_and_the_updates_it_carried() {
    let nonsense = |task: &helve_history::WorkflowTaskStarted| {
        let mut broken = accepting(task, "u");
        broken.body.as_mut().unwrap().value = vec![0xff];
        let mut unknown = rejecting("u");
        unknown.body.as_mut().unwrap().type_url = "type.googleapis.com/some.other.Thing".to_owned();
        let mut nobody = rejecting("u");
        nobody.body = None;
        vec![
            (vec![completing("u")], "invalid state transition attempted for Update u"),
            (vec![completing("who")], "update who wasn't found on the server"),
            (
                vec![accepting(task, "u"), accepting(task, "u")],
                "while in state Accepted",
            ),
            (vec![broken], "unable to unmarshal"),
            (vec![unknown], "unsupported protocol type some.other.Thing"),
            (vec![nobody], "nil body"),
        ]
    };
    let count = nonsense(&idle_task().1).len();
    for at in 0..count {
        let (mut s, task) = idle_task();
        let (messages, says) = nonsense(&task).swap_remove(at);
        let reply = s.try_complete(&task, vec![], |c| c.messages = messages).unwrap();
        let error = reply.answer_error.expect("the worker is told").to_string();
        assert!(error.starts_with("BadUpdateWorkflowExecutionMessage: "), "{error}");
        assert!(error.contains(says), "{error}");
        let failed = attributes!(s.last(T::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
        assert_eq!(
            failed.cause(),
            WorkflowTaskFailedCause::BadUpdateWorkflowExecutionMessage
        );
        assert!(
            matches!(s.told("u")[..], [UpdateAnswer::Refused(Rejection::NotReady(_))]),
            "{:?}",
            s.told("u")
        );
        assert_eq!(s.count(T::WorkflowExecutionUpdateAccepted), 0);
    }
}

fn idle_task() -> (Scenario, helve_history::WorkflowTaskStarted) {
    let mut s = idle();
    s.update("u");
    let task = s.poll();
    (s, task)
}

#[test]
fn a_command_that_names_a_message_which_is_not_there_fails_the_task() {
    let (mut s, task) = idle_task();
    let reply = s.try_complete(&task, vec![protocol_message("none")], |_| {}).unwrap();
    let error = reply.answer_error.unwrap().to_string();
    assert!(error.contains("referenced absent message ID none"), "{error}");
}

#[test]
fn a_run_whose_tasks_fail_refuses_updates_at_once() {
    let mut s = Scenario::start();
    for _ in 0..2 {
        let task = s.poll();
        s.fail(&task);
    }
    assert!(matches!(s.try_update("u"), Err(Rejection::NotReady(_))));
}

/// [trap 3]
#[test]
fn a_workflow_that_is_closing_refuses_updates_until_it_has_tried() {
    let mut s = idle();
    s.signal("one");
    let task = s.poll();
    s.signal("two");
    s.try_complete(&task, vec![complete_workflow()], |_| {}).unwrap();
    s.poll();
    let refused = s.try_update("u");
    assert!(matches!(
        refused,
        Err(Rejection::Busy {
            cause: ResourceExhaustedCause::BusyWorkflow,
            ..
        })
    ));
}

#[test]
fn updates_in_flight_are_bounded() {
    let mut s = idle_within(Limits {
        updates_in_flight_max: 2,
        ..Limits::default()
    });
    s.update("1");
    let task = s.poll();
    s.answer(&task, vec![accepting(&task, "1")]);
    s.update("2");
    let refused = s.try_update("3");
    assert!(matches!(
        refused,
        Err(Rejection::Busy {
            cause: ResourceExhaustedCause::ConcurrentLimit,
            ..
        })
    ));
    assert_eq!(s.try_update("2"), Ok(UpdateStage::Admitted), "a known one is no other");
}

#[test]
fn updates_of_a_run_are_bounded_and_it_is_advised_to_continue_as_new_before() {
    let mut s = idle_within(Limits {
        updates_max: 2,
        updates_suggest: 1,
        ..Limits::default()
    });
    for id in ["1", "2"] {
        s.update(id);
        let task = s.poll();
        s.answer(&task, vec![accepting(&task, id), completing(id)]);
    }
    let refused = s.try_update("3").unwrap_err();
    assert!(matches!(refused, Rejection::FailedPrecondition(_)), "{refused}");
    let advice = attributes!(s.last(T::WorkflowTaskStarted), WorkflowTaskStartedEventAttributes);
    assert_eq!(
        advice.suggest_continue_as_new_reasons,
        [SuggestContinueAsNewReason::TooManyUpdates as i32]
    );
}

#[test]
fn an_update_for_another_chain_of_runs_is_refused() {
    let mut s = idle();
    let mut call = update("u");
    call.first_execution_run_id = "another".to_owned();
    assert!(matches!(
        s.send(Input::Update(Box::new(call))),
        Err(Rejection::NotFound(_))
    ));
}

/// [trap 14]
#[test]
fn an_update_does_not_wait_for_the_end_of_a_start_delay() {
    let mut s = Scenario::start_with(|r| r.workflow_start_delay = Some(seconds(3600)));
    s.update("u");
    let task = s.poll();
    s.pass_seconds(2);
    s.answer(&task, vec![accepting(&task, "u")]);
    assert_eq!(s.count(T::WorkflowTaskCompleted), 1);
    assert_eq!(s.state.next_deadline(), None, "the delay is over");
}

#[test]
fn a_start_delay_goes_on_when_the_update_that_came_meanwhile_is_lost() {
    let mut s = Scenario::start_with(|r| r.workflow_start_delay = Some(seconds(3600)));
    let due = s.state.next_deadline();
    s.update("u");
    s.poll();
    s.crash();
    assert_eq!(s.state.next_deadline(), due);
    s.pass_seconds(3600);
    assert!(s.ready_workflow_task().is_some());
}

#[test]
fn a_start_brings_its_update_along() {
    let limits = Limits::default();
    let env = helve_history::Env {
        now: Timestamp::from_seconds(1_700_000_000),
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "run-2",
        search_attributes: Default::default(),
    };
    let mut run = helve_history::StartRun::from_request(request(), "run-1", &env).unwrap();
    run.update = Some(update("u"));
    let mut s = Scenario::of(helve_history::start(run, &env).unwrap(), env.now, limits.clone());
    let task = s.poll();
    assert_eq!(task.messages.len(), 1);
    s.answer(&task, vec![accepting(&task, "u")]);
    assert_eq!(s.told("u"), [UpdateAnswer::Accepted]);
}

#[test]
fn updates_go_to_the_worker_in_the_order_in_which_they_came() {
    let mut s = idle();
    let ids = ["c", "a", "b"];
    for id in ids {
        s.update(id);
    }
    let task = s.poll();
    let carried: Vec<_> = task.messages.iter().map(|m| m.protocol_instance_id.as_str()).collect();
    assert_eq!(carried, ids);
}

/// An outcome is whatever the workflow says, a failure included.
#[test]
fn an_update_may_end_in_failure() {
    let (mut s, task) = idle_task();
    let outcome = Outcome {
        value: Some(Value::Failure(failure("it did not work"))),
    };
    let response = completing_with("u", outcome.clone());
    s.answer(&task, vec![accepting(&task, "u"), response]);
    assert_eq!(s.told("u"), [UpdateAnswer::Completed(Box::new(outcome))]);
    assert!(matches!(s.state.update_stage("u"), Some(UpdateStage::Completed(_))));
}
