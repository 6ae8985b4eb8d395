//! Options of a workflow that are changed while it runs.

use helve_history::{Input, MessageBody, OptionsChange, PriorityField, ReadyKind, Rejection, Reply};
use temporalio_protos::temporal::api::{common::v1::Priority, enums::v1::EventType};

use crate::scenario::*;

fn priority(priority_key: i32, fairness_key: &str) -> Priority {
    Priority {
        priority_key,
        fairness_key: fairness_key.to_owned(),
        ..Priority::default()
    }
}

fn change(priority: Option<Priority>, fields: &[PriorityField]) -> Input {
    Input::ChangeOptions(OptionsChange {
        priority,
        fields: fields.to_vec(),
        identity: "operator".to_owned(),
    })
}

fn told(reply: Reply) -> Option<Priority> {
    match reply {
        Reply::Priority(priority) => priority.map(|priority| *priority),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_priority_is_that_of_the_run_and_of_all_that_follows_from_it() {
    let mut s = Scenario::start_with(|request| request.priority = Some(priority(4, "tenant")));
    let changed = told(s.ok(change(Some(priority(2, "unused")), &[PriorityField::Key])));
    assert_eq!(changed, Some(priority(2, "tenant")), "only what is named changes");
    assert_eq!(s.state.priority(), priority(2, "tenant"));
    let info = s.state.describe().workflow_execution_info.unwrap();
    assert_eq!(info.priority, Some(priority(2, "tenant")));
    let event = s.last(EventType::WorkflowExecutionOptionsUpdated);
    assert!(event.worker_may_ignore, "it says nothing to the workflow");
    let updated = attributes!(event, WorkflowExecutionOptionsUpdatedEventAttributes);
    assert_eq!(
        (updated.priority.clone(), updated.identity.as_str()),
        (Some(priority(2, "tenant")), "operator")
    );

    s.run(vec![activity("a"), start_child("c", |_| ())]);
    let waiting = s.ready(ReadyKind::Activity);
    assert_eq!(s.state.task_priority(&waiting[0]), priority(2, "tenant"));
    let child = s.state.outbox().into_iter().find_map(|message| match message.body {
        MessageBody::StartChild(start) => start.parent_priority,
        _ => None,
    });
    assert_eq!(child, Some(priority(2, "tenant")));
    s.run_after_signal("go on", vec![continue_as_new()]);
    assert_eq!(s.follow().state.priority(), priority(2, "tenant"));
}

#[test]
fn a_change_that_changes_nothing_leaves_no_trace() {
    let mut s = Scenario::start_with(|request| request.priority = Some(priority(4, "")));
    for same in [
        change(Some(priority(4, "")), &[PriorityField::All]),
        change(Some(priority(1, "x")), &[]),
        change(None, &[PriorityField::FairnessKey, PriorityField::FairnessWeight]),
    ] {
        assert_eq!(told(s.ok(same)), Some(priority(4, "")));
    }
    assert_eq!(s.count(EventType::WorkflowExecutionOptionsUpdated), 0);
    assert_eq!(s.state.priority_changes(), 0);
}

#[test]
fn a_priority_that_is_unset_is_the_usual_one() {
    let mut s = Scenario::start_with(|request| request.priority = Some(priority(1, "x")));
    assert_eq!(told(s.ok(change(None, &[PriorityField::All]))), None);
    assert_eq!(s.state.priority(), Priority::default());
    s.ok(change(None, &[PriorityField::All]));
    assert_eq!(s.count(EventType::WorkflowExecutionOptionsUpdated), 1);
}

/// [trap 1]
#[test]
fn a_change_during_a_task_counts_at_once_and_its_event_waits() {
    let mut s = Scenario::start();
    let task = s.poll();
    s.ok(change(Some(priority(1, "")), &[PriorityField::All]));
    assert_eq!(s.state.priority().priority_key, 1);
    assert_eq!(s.count(EventType::WorkflowExecutionOptionsUpdated), 0);
    s.complete(&task, vec![]);
    assert_eq!(s.count(EventType::WorkflowExecutionOptionsUpdated), 1);
    assert!(s.ready_workflow_task().is_some(), "what waited is shown to the worker");
}

#[test]
fn options_of_a_closed_run_and_bad_priorities_are_refused() {
    let mut s = Scenario::start();
    let bad = s.send(change(Some(priority(-1, "")), &[PriorityField::All]));
    assert!(matches!(bad, Err(Rejection::InvalidArgument(_))));
    s.run(vec![complete_workflow()]);
    let late = s.send(change(Some(priority(1, "")), &[PriorityField::All]));
    assert!(matches!(late, Err(Rejection::NotFound(_))));
}
