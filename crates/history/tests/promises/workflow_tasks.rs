//! The workflow task.

use std::time::Duration;

use helve_history::{Input, PolledQueue, ReadyKind, Rejection};
use temporalio_protos::temporal::api::enums::v1::{EventType, TimeoutType, WorkflowTaskFailedCause};

use crate::scenario::*;

#[test]
fn a_started_run_has_a_workflow_task_on_its_queue() {
    let s = Scenario::start();
    assert_eq!(
        s.types(),
        [EventType::WorkflowExecutionStarted, EventType::WorkflowTaskScheduled]
    );
    let task = s.ready_workflow_task().unwrap();
    assert_eq!(
        (task.kind, task.scheduled_event_id, task.attempt),
        (ReadyKind::Workflow, 2, 1)
    );
    assert_eq!(task.task_queue, "queue");
    assert_eq!(s.state.next_deadline(), None, "waiting for a worker has no limit");
}

#[test]
fn a_poll_is_answered_the_same_when_it_is_repeated_and_refused_to_another_poller() {
    let mut s = Scenario::start();
    let task = s.ready_workflow_task().unwrap();
    let first = s.poll_as(&task, "poll-1").unwrap();
    let again = s.poll_as(&task, "poll-1").unwrap();
    assert_eq!(first, again);
    assert_eq!(s.types().len(), 3, "the repetition recorded nothing");
    assert!(matches!(s.poll_as(&task, "poll-2"), Err(Rejection::Obsolete(_))));
}

/// [trap 5]
#[test]
fn a_failing_workflow_task_does_not_grow_history() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.fail(&task);
    let after_first = s.types();
    assert_eq!(after_first.last(), Some(&EventType::WorkflowTaskFailed));
    for attempt in 2..6 {
        let task = s.poll();
        assert_eq!(task.attempt, attempt);
        s.fail(&task);
        assert_eq!(s.types(), after_first, "attempt {attempt}");
    }
    let task = s.poll();
    s.pass_seconds(3600);
    assert_eq!(s.types(), after_first, "nor does a timeout");
    assert_eq!(s.state.ready_tasks()[0].attempt, task.attempt + 1);
}

/// [trap 5]
#[test]
fn a_transient_tasks_virtual_events_are_the_ones_written_when_it_completes() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.fail(&task);
    let task = s.poll();
    let seen = s.seen(&task);
    assert_eq!(task.suffix.len(), 2);
    assert_eq!(seen.last().unwrap().event_id, task.started_event_id);
    assert!(seen.windows(2).all(|pair| pair[0].event_id + 1 == pair[1].event_id));
    s.pass(Duration::from_secs(3));
    s.complete(&task, vec![marker()]);
    assert_eq!(
        s.stored.events[..seen.len()],
        seen[..],
        "word for word, ids, times and advice included"
    );
    assert_eq!(s.types()[seen.len()], EventType::WorkflowTaskCompleted);
}

/// [trap 5]
#[test]
fn news_make_a_transient_task_a_normal_one() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.fail(&task);
    let transient = s.ready_workflow_task().unwrap();
    assert_eq!(transient.attempt, 2);
    s.signal("news");
    let normal = s.ready_workflow_task().unwrap();
    assert_eq!(normal.attempt, 1);
    assert_eq!(
        s.last_types(2),
        [EventType::WorkflowExecutionSignaled, EventType::WorkflowTaskScheduled]
    );
    assert!(matches!(s.poll_as(&transient, "late"), Err(Rejection::Obsolete(_))));
    assert!(s.poll_as(&normal, "on time").unwrap().suffix.is_empty());
}

/// [trap 5]
#[test]
fn news_during_a_transient_task_that_fails_make_the_next_one_normal() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.fail(&task);
    let task = s.poll();
    s.signal("news");
    s.fail(&task);
    assert_eq!(
        s.last_types(2),
        [EventType::WorkflowExecutionSignaled, EventType::WorkflowTaskScheduled]
    );
    assert_eq!(s.ready_workflow_task().unwrap().attempt, 1);
}

/// [trap 6]
#[test]
fn a_failing_task_is_offered_at_once_but_its_timeout_grows() {
    let mut s = Scenario::start();
    let mut timeouts = Vec::new();
    for _ in 0..12 {
        let task = s.poll();
        timeouts.push(s.state.next_deadline().unwrap().since(s.now).as_secs());
        s.fail(&task);
        assert!(s.ready_workflow_task().is_some());
    }
    assert_eq!(timeouts, [10, 10, 10, 15, 20, 30, 50, 90, 170, 330, 610, 610]);
}

/// [trap 6]
#[test]
fn a_bad_completion_fails_the_first_attempt_and_leaves_later_ones_to_time_out() {
    let mut s = Scenario::start();
    let task = s.poll();
    let reply = s
        .try_complete(&task, vec![marker(), cancel_timer("unknown")], |_| {})
        .unwrap();
    assert!(matches!(reply.answer_error, Some(Rejection::InvalidArgument(_))));
    let failed = attributes!(s.last(EventType::WorkflowTaskFailed), WorkflowTaskFailedEventAttributes);
    assert_eq!(failed.cause(), WorkflowTaskFailedCause::BadCancelTimerAttributes);
    assert_eq!(
        s.count(EventType::MarkerRecorded),
        0,
        "what other commands did is dropped"
    );

    let task = s.poll();
    let before = s.state.clone();
    let refused = s
        .try_complete(&task, vec![cancel_timer("unknown")], |_| {})
        .unwrap_err();
    assert!(
        refused.to_string().starts_with("BadCancelTimerAttributes: "),
        "{refused}"
    );
    assert_eq!(s.state, before);
    s.complete(&task, vec![]);
}

/// [trap 7]
#[test]
fn a_sticky_task_goes_to_its_worker_with_the_news_only() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("news");
    let ready = s.ready_workflow_task().unwrap();
    assert_eq!(
        (ready.kind, ready.task_queue.as_str()),
        (ReadyKind::StickyWorkflow, "sticky-queue")
    );
    let task = s.poll();
    assert!(task.sticky);
    assert_eq!(task.previous_started_event_id, 3);
    assert_eq!(s.seen(&task)[0].event_id, 4);
}

/// [trap 7]
#[test]
fn a_sticky_timeout_is_recorded_but_does_not_raise_the_attempt() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("news");
    s.pass_seconds(10);
    assert_eq!(
        s.last_types(2),
        [EventType::WorkflowTaskTimedOut, EventType::WorkflowTaskScheduled]
    );
    let timed_out = attributes!(
        s.last(EventType::WorkflowTaskTimedOut),
        WorkflowTaskTimedOutEventAttributes
    );
    assert_eq!(timed_out.timeout_type(), TimeoutType::ScheduleToStart);
    let ready = s.ready_workflow_task().unwrap();
    assert_eq!((ready.kind, ready.attempt), (ReadyKind::Workflow, 1));
    let task = s.poll();
    assert!(!task.sticky);
    assert_eq!(s.seen(&task)[0].event_id, 1, "another worker needs the whole history");
}

/// [trap 7]
#[test]
fn a_failure_while_sticky_clears_stickiness_and_not_more() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("news");
    let task = s.poll();
    s.fail(&task);
    assert_eq!(s.state.sticky_queue(), None);
    let ready = s.ready_workflow_task().unwrap();
    assert_eq!((ready.kind, ready.attempt), (ReadyKind::Workflow, 1));
}

/// [trap 7]
#[test]
fn a_poll_from_the_normal_queue_ends_stickiness_and_a_late_sticky_poll_is_obsolete() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("news");
    let ready = s.ready_workflow_task().unwrap();
    s.ok(Input::ResetSticky);
    assert!(matches!(
        s.poll_on(&ready, PolledQueue::Sticky, "late"),
        Err(Rejection::Obsolete(_))
    ));
    let task = s.poll_on(&ready, PolledQueue::Normal, "on time").unwrap();
    assert!(!task.sticky);

    let mut s = Scenario::start();
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("news");
    let ready = s.ready_workflow_task().unwrap();
    assert!(!s.poll_on(&ready, PolledQueue::Normal, "normal").unwrap().sticky);
    assert_eq!(s.state.sticky_queue(), None);
}

/// [trap 9]
#[test]
fn an_answer_must_name_the_very_task_that_is_in_flight() {
    let mut s = Scenario::start();
    let task = s.poll();
    let before = s.state.clone();
    for spoil in [
        |t: &mut helve_history::WorkflowTaskToken| t.scheduled_event_id += 1,
        |t: &mut helve_history::WorkflowTaskToken| t.started_event_id += 1,
        |t: &mut helve_history::WorkflowTaskToken| t.attempt += 1,
        |t: &mut helve_history::WorkflowTaskToken| t.started_time_nanos += 1,
    ] {
        let mut stale = task.clone();
        spoil(&mut stale.token);
        let refused = s.try_complete(&stale, vec![complete_workflow()], |_| {}).unwrap_err();
        assert_eq!(refused, Rejection::NotFound("Workflow task not found.".to_owned()));
        assert_eq!(s.state, before);
    }
    s.complete(&task, vec![]);
    assert!(
        matches!(s.try_complete(&task, vec![], |_| {}), Err(Rejection::NotFound(_))),
        "twice"
    );
}

/// [trap 9]
#[test]
fn a_transient_task_with_recycled_ids_is_told_apart_by_its_start_time() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.fail(&task);
    let old = s.poll();
    s.pass_seconds(10);
    let new = s.poll();
    assert_eq!(old.token.scheduled_event_id, new.token.scheduled_event_id);
    assert!(s.try_complete(&old, vec![], |_| {}).is_err());
    s.complete(&new, vec![]);
}

/// [trap 13]
#[test]
fn heartbeats_keep_the_original_time_and_end_after_thirty_minutes() {
    let mut s = Scenario::start();
    let mut task = s.poll();
    for _ in 0..30 {
        s.pass_seconds(9);
        let reply = s
            .try_complete(&task, vec![], |c| {
                (c.force_create_new, c.return_new_task, c.sticky) = (true, true, Some(sticky()));
            })
            .unwrap();
        task = *reply
            .new_task
            .expect("the next task comes with the answer, started in the same batch");
    }
    for _ in 0..200 {
        s.pass_seconds(9);
        let reply = s
            .try_complete(&task, vec![], |c| {
                (c.force_create_new, c.return_new_task) = (true, true)
            })
            .unwrap();
        match reply.new_task {
            Some(next) => task = *next,
            None => {
                assert!(matches!(reply.answer_error, Some(Rejection::NotFound(_))));
                break;
            }
        }
    }
    assert_eq!(
        s.last(EventType::WorkflowTaskTimedOut).event_id,
        s.stored.events.len() as i64
    );
    assert!(s.now.since(s.state.start_time()) > Duration::from_secs(30 * 60));
    assert_eq!(s.ready_workflow_task().unwrap().kind, ReadyKind::Workflow);
}

/// [trap 13]
#[test]
fn a_forced_task_with_commands_is_progress_and_starts_the_clock_again() {
    let mut s = Scenario::start();
    let mut task = s.poll();
    for _ in 0..250 {
        s.pass_seconds(9);
        let reply = s
            .try_complete(&task, vec![marker()], |c| {
                (c.force_create_new, c.return_new_task) = (true, true)
            })
            .unwrap();
        task = *reply.new_task.unwrap();
    }
    assert_eq!(s.count(EventType::WorkflowTaskTimedOut), 0);
}

/// [trap 17]
#[test]
fn queries_wait_for_the_first_task_and_fail_at_once_while_tasks_fail() {
    let mut s = Scenario::start();
    assert!(!s.state.has_completed_workflow_task());
    s.run(vec![]);
    assert!(s.state.has_completed_workflow_task());
    assert!(!s.state.refuses_queries(&s.limits));
    s.signal("go");
    for _ in 0..2 {
        let task = s.poll();
        s.fail(&task);
    }
    assert!(s.state.refuses_queries(&s.limits));
    s.run(vec![complete_workflow()]);
    assert!(!s.state.refuses_queries(&s.limits), "a closed run can be queried");
}

#[test]
fn a_workflow_task_times_out_and_is_offered_again() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.pass_seconds(10);
    let timed_out = attributes!(
        s.last(EventType::WorkflowTaskTimedOut),
        WorkflowTaskTimedOutEventAttributes
    );
    assert_eq!(timed_out.timeout_type(), TimeoutType::StartToClose);
    assert!(s.try_complete(&task, vec![], |_| {}).is_err());
    assert_eq!(s.ready_workflow_task().unwrap().attempt, 2);
}

#[test]
fn started_events_tell_the_worker_what_it_needs_to_know() {
    let mut s = Scenario::start();
    let task = s.poll();
    let event = s.last(EventType::WorkflowTaskStarted);
    let started = attributes!(event, WorkflowTaskStartedEventAttributes);
    assert_eq!(started.scheduled_event_id, 2);
    assert_eq!(started.identity, "worker");
    assert!(!started.request_id.is_empty());
    assert!(!started.suggest_continue_as_new);
    assert!(started.history_size_bytes > 0);
    assert_eq!(event.event_time, Some(s.now.into()));
    assert_eq!(s.seen(&task).last().unwrap().event_id, task.started_event_id);
}
