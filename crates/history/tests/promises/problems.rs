//! What a run shows of workflow tasks that do not succeed.

use helve_history::{Input, Limits, Signal};
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;

use crate::scenario::*;

const ATTRIBUTE: &str = "TemporalReportedProblems";

fn reported(s: &Scenario) -> Option<String> {
    let attributes = s.state.search_attributes();
    let payload = attributes.get(ATTRIBUTE)?;
    Some(String::from_utf8(payload.data.clone()).unwrap())
}

fn fails(s: &mut Scenario, times: usize) {
    for _ in 0..times {
        let task = s.poll();
        s.fail(&task);
    }
}

#[test]
fn a_run_whose_tasks_fail_says_why_until_one_succeeds() {
    let mut s = Scenario::start();
    fails(&mut s, 4);
    assert_eq!(reported(&s), None);
    fails(&mut s, 1);
    let said = r#"["category=WorkflowTaskFailed","cause=WorkflowTaskFailedCauseWorkflowWorkerUnhandledFailure"]"#;
    assert_eq!(reported(&s).as_deref(), Some(said));
    let listed = s.state.describe_execution().search_attributes.unwrap();
    assert!(listed.indexed_fields.contains_key(ATTRIBUTE));
    s.crash();
    assert_eq!(reported(&s).as_deref(), Some(said), "it is stored");
    s.run(vec![]);
    assert_eq!(reported(&s), None);
}

#[test]
fn failures_are_counted_though_news_make_each_task_a_first_attempt() {
    let mut s = Scenario::start();
    for n in 0..5 {
        fails(&mut s, 1);
        s.ok(Input::Signal(Signal {
            name: format!("news {n}"),
            ..Signal::default()
        }));
    }
    assert!(reported(&s).is_some());
}

#[test]
fn tasks_that_time_out_are_a_problem_of_their_own() {
    let limits = Limits {
        failed_tasks_reported: 2,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    for _ in 0..2 {
        s.poll();
        s.pass_seconds(11);
    }
    let said = r#"["category=WorkflowTaskTimedOut","cause=WorkflowTaskTimedOutCauseStartToClose"]"#;
    assert_eq!(reported(&s).as_deref(), Some(said));
}

/// [trap 7]
#[test]
fn a_worker_that_lost_its_cache_is_no_problem() {
    let limits = Limits {
        failed_tasks_reported: 1,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |_| {});
    let task = s.poll();
    s.complete_sticky(&task, vec![]);
    s.signal("wake");
    let task = s.poll();
    s.fail(&task);
    assert_eq!(reported(&s), None);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::Running);
}

/// [trap 14]
#[test]
fn a_problem_is_not_handed_on() {
    let limits = Limits {
        failed_tasks_reported: 1,
        ..Limits::default()
    };
    let mut s = Scenario::start_within(limits, |r| {
        r.workflow_run_timeout = Some(seconds(60));
        r.retry_policy = retry(2);
    });
    fails(&mut s, 1);
    assert!(reported(&s).is_some());
    s.pass_seconds(61);
    assert_eq!(s.state.status(), WorkflowExecutionStatus::TimedOut);
    assert_eq!(reported(&s.follow()), None);
}
