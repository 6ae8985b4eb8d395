//! Loading what was stored, and refusing what cannot have been.

use helve_history::{RunState, WorkflowTaskToken};
use prost::Message;

use crate::scenario::*;

fn load(
    s: &Scenario,
    change: impl FnOnce(&mut Vec<temporalio_protos::temporal::api::history::v1::HistoryEvent>),
) -> String {
    let mut events = s.stored.events.clone();
    change(&mut events);
    RunState::rebuild(s.state.key().clone(), events, &[], &[], &[])
        .map(drop)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_damaged_history_is_refused_by_name() {
    let mut s = Scenario::start();
    s.run(vec![activity("a")]);
    let gap = load(&s, |events| drop(events.remove(2)));
    assert_eq!(
        gap,
        "run default/wf/run-1: its history has event 4 where event 3 belongs"
    );
    assert!(load(&s, Vec::clear).contains("its history is empty"));
    let records = [(99, Vec::new())];
    let stray = RunState::rebuild(s.state.key().clone(), s.stored.events.clone(), &[], &records, &[]).unwrap_err();
    assert!(stray.problem.contains("activity 99"), "{stray}");
    let garbage = RunState::rebuild(s.state.key().clone(), s.stored.events.clone(), &[0xff], &[], &[]).unwrap_err();
    assert!(garbage.problem.contains("cannot be read"), "{garbage}");
}

#[test]
fn tokens_survive_the_wire_and_garbage_is_refused() {
    let mut s = Scenario::start();
    let task = s.poll();
    assert_eq!(
        WorkflowTaskToken::parse(&task.token.encode_to_vec()),
        Ok(task.token.clone())
    );
    assert_eq!(task.token.run_key(), *s.state.key());
    for garbage in [&b""[..], b"garbage", &[0xff; 40]] {
        assert!(WorkflowTaskToken::parse(garbage).is_err());
    }
}

#[test]
fn a_run_can_be_loaded_in_the_middle_of_everything_and_goes_on() {
    let mut s = Scenario::start();
    s.run(vec![activity("a"), timer("t", 5), start_child("c", |_| {})]);
    let activity = s.poll_activity();
    s.ok(fail_activity(&activity, failure("again")));
    s.signal("wake up");
    let task = s.poll();
    s.signal("buffered");
    s.crash();
    s.pass_seconds(5);
    let activity = s.poll_activity();
    assert_eq!(activity.attempt, 2);
    s.complete(&task, vec![]);
    s.ok(complete_activity(&activity));
    s.run(vec![complete_workflow()]);
    assert!(!s.state.is_running());
}
