//! Starting runs.

use helve_history::{CurrentRun, Env, Limits, Rejection, StartResolution, StartRun, Timestamp, resolve_start, start};
use temporalio_protos::temporal::api::{
    enums::v1::{EventType, WorkflowExecutionStatus as Status, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    workflowservice::v1::{SignalWithStartWorkflowExecutionRequest, StartWorkflowExecutionRequest},
};

use crate::scenario::*;

fn refused(adapt: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> String {
    let mut request = request();
    adapt(&mut request);
    let limits = Limits::default();
    let env = Env {
        now: Timestamp::EPOCH,
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "fresh",
        search_attributes: Default::default(),
    };
    match StartRun::from_request(request, "run-1", &env) {
        Err(Rejection::InvalidArgument(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_event_says_what_was_asked_for_with_defaults_filled_in() {
    let s = Scenario::start_with(|r| {
        r.workflow_execution_timeout = Some(seconds(100));
        r.retry_policy = retry(2);
    });
    let a = s.state.started_attributes();
    assert_eq!(a.workflow_task_timeout, Some(seconds(10)));
    assert_eq!(
        a.workflow_run_timeout,
        Some(seconds(100)),
        "a run may not outlive its chain"
    );
    assert_eq!(
        (a.attempt, a.workflow_id.as_str(), a.identity.as_str()),
        (1, "wf", "starter")
    );
    assert_eq!(
        (a.first_execution_run_id.as_str(), a.original_execution_run_id.as_str()),
        ("run-1", "run-1")
    );
    assert_eq!(a.continued_execution_run_id, "");
    let policy = a.retry_policy.as_ref().unwrap();
    assert_eq!(
        (policy.maximum_interval, policy.backoff_coefficient),
        (Some(seconds(100)), 2.0)
    );
    assert_eq!(s.state.start_request_id(), "start-request");
}

#[test]
fn a_workflow_task_timeout_is_capped() {
    let s = Scenario::start_with(|r| r.workflow_task_timeout = Some(seconds(1000)));
    assert_eq!(s.state.started_attributes().workflow_task_timeout, Some(seconds(120)));
    let s = Scenario::start_with(|r| r.workflow_run_timeout = Some(seconds(3)));
    assert_eq!(s.state.started_attributes().workflow_task_timeout, Some(seconds(3)));
}

#[test]
fn a_bad_start_is_refused_with_the_field_that_is_wrong() {
    assert!(refused(|r| r.workflow_id.clear()).contains("WorkflowId"));
    assert!(refused(|r| r.workflow_id = "x".repeat(1001)).contains("WorkflowId"));
    assert!(refused(|r| r.workflow_type = None).contains("WorkflowType"));
    assert!(refused(|r| r.task_queue = None).contains("TaskQueue"));
    assert!(refused(|r| r.task_queue = Some(queue("/_sys/mine"))).contains("reserved prefix"));
    assert!(refused(|r| r.workflow_run_timeout = Some(seconds(-1))).contains("WorkflowRunTimeout"));
    assert!(refused(|r| r.cron_schedule = "every day".to_owned()).contains("CronSchedule"));
    assert!(refused(|r| r.cron_schedule = "0 0 31 2 *".to_owned()).contains("no such date"));
    assert!(refused(|r| r.input = Some(payloads(&"x".repeat(3 << 20)))).contains("size exceeds limit"));
    let both = refused(|r| {
        r.cron_schedule = "@daily".to_owned();
        r.workflow_start_delay = Some(seconds(1));
    });
    assert!(both.contains("WorkflowStartDelay"));
    let policy = refused(|r| {
        r.retry_policy = retry(1);
        r.retry_policy.as_mut().unwrap().backoff_coefficient = 0.5;
    });
    assert!(policy.contains("BackoffCoefficient"));
}

#[test]
fn signal_with_start_records_the_signal_before_the_first_task() {
    let limits = Limits::default();
    let now = Timestamp::from_seconds(1_700_000_000);
    let env = Env {
        now,
        limits: &limits,
        namespace_id: NAMESPACE_ID,
        fresh_run_id: "fresh",
        search_attributes: Default::default(),
    };
    let plain = request();
    let request = SignalWithStartWorkflowExecutionRequest {
        namespace: plain.namespace,
        workflow_id: plain.workflow_id,
        workflow_type: plain.workflow_type,
        task_queue: plain.task_queue,
        request_id: "r".to_owned(),
        signal_name: "hello".to_owned(),
        signal_input: Some(payloads("x")),
        ..SignalWithStartWorkflowExecutionRequest::default()
    };
    let request = StartRun::from_signal_with_start(request, "run-1", &env).unwrap();
    let s = Scenario::of(start(request, &env).unwrap(), now, Limits::default());
    use EventType as T;
    assert_eq!(
        s.types(),
        [
            T::WorkflowExecutionStarted,
            T::WorkflowExecutionSignaled,
            T::WorkflowTaskScheduled
        ]
    );
}

#[test]
fn reuse_and_conflict_policies_decide_by_the_latest_run() {
    use StartResolution as R;
    use WorkflowIdConflictPolicy as Conflict;
    use WorkflowIdReusePolicy as Reuse;
    let current = |status| CurrentRun {
        kind: helve_history::RunKind::Workflow,
        workflow_id: "wf".to_owned(),
        run_id: "old".to_owned(),
        first_run_id: "first".to_owned(),
        status,
        start_request_id: "old-request".to_owned(),
        knows_request: false,
    };
    let resolve = |status, reuse, conflict| resolve_start(Some(&current(status)), reuse, conflict, "new-request");
    let rejected = |resolution| {
        matches!(resolution, R::Reject(Rejection::AlreadyStarted { run_id, first_run_id, .. })
            if run_id == "old" && first_run_id == "first")
    };
    let run_id = || "old".to_owned();

    assert_eq!(
        resolve_start(None, Reuse::RejectDuplicate, Conflict::Fail, "r"),
        R::Start
    );
    let again = resolve_start(
        Some(&current(Status::Completed)),
        Reuse::RejectDuplicate,
        Conflict::Fail,
        "old-request",
    );
    assert_eq!(again, R::Deduplicated { run_id: run_id() });
    // A request that was carried out in another way is answered the same whatever it wants now.
    let knowing = CurrentRun {
        knows_request: true,
        ..current(Status::Running)
    };
    let attached = resolve_start(
        Some(&knowing),
        Reuse::RejectDuplicate,
        Conflict::TerminateExisting,
        "attached",
    );
    assert_eq!(attached, R::Attached { run_id: run_id() });

    assert!(rejected(resolve(
        Status::Running,
        Reuse::AllowDuplicate,
        Conflict::Fail
    )));
    assert!(rejected(resolve(
        Status::Running,
        Reuse::AllowDuplicate,
        Conflict::Unspecified
    )));
    let existing = resolve(Status::Running, Reuse::RejectDuplicate, Conflict::UseExisting);
    assert_eq!(existing, R::UseExisting { run_id: run_id() });
    let replaced = resolve(Status::Running, Reuse::AllowDuplicate, Conflict::TerminateExisting);
    assert_eq!(replaced, R::TerminateThenStart { run_id: run_id() });
    #[expect(deprecated)]
    let replaced = resolve(Status::Running, Reuse::TerminateIfRunning, Conflict::Unspecified);
    assert_eq!(replaced, R::TerminateThenStart { run_id: run_id() });

    assert_eq!(
        resolve(Status::Completed, Reuse::AllowDuplicate, Conflict::Fail),
        R::Start
    );
    assert!(rejected(resolve(
        Status::Failed,
        Reuse::RejectDuplicate,
        Conflict::UseExisting
    )));
    assert!(rejected(resolve(
        Status::Completed,
        Reuse::AllowDuplicateFailedOnly,
        Conflict::Fail
    )));
    for failed in [Status::Failed, Status::Canceled, Status::Terminated, Status::TimedOut] {
        assert_eq!(
            resolve(failed, Reuse::AllowDuplicateFailedOnly, Conflict::Fail),
            R::Start
        );
    }
}
