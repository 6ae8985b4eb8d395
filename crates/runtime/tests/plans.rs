//! What plans mean: parallelism, needs, conditions, fan-outs, failure, cancellation, queries.

mod common;

use common::{Run, found};
use helve_runtime::plan::{Cause, HEARTBEAT_TIMEOUT, Job, MAX_LOST, Resolution};
use helve_toolbox::run::{FAILURE_INPUT, FAILURE_STEPS, RunInput, RunStatus, StepState};
use serde_json::{Value, json};

const TWO: &str = "steps: [{id: a, uses: m}, {id: b, uses: n}]\n";

#[test]
fn steps_without_needs_run_at_the_same_time_in_plan_order() {
    let mut run = Run::of(TWO, json!({}));
    assert_eq!(run.order, ["a", "b"]);
    let a = &run.running["a"];
    assert_eq!(
        (a.kind.as_str(), a.queue.as_str(), a.seq),
        ("m", "helve-vertical-builtin", 1)
    );
    assert_eq!(a.heartbeat, Some(HEARTBEAT_TIMEOUT));
    assert_eq!(a.input["step"], "a");
    assert_eq!(a.input["target"]["name"], "app");
    run.found("b", 2).found("a", 1);
    assert_eq!(run.order, ["a", "b", "helve.report"]);
    assert_eq!(run.running["helve.report"].queue, "helve-workflows");
    let steps: Vec<&str> = run.running["helve.report"].input["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["a", "b"], "in plan order, whichever ended first");
    run.merged();
    let output = run.completed();
    assert_eq!((output.status, output.total), (RunStatus::Completed, 3));
    assert_eq!(output.steps["b"].findings, 2);
}

#[test]
fn a_step_waits_for_what_it_needs_and_uses_its_outputs() {
    let mut run = Run::of(
        "\
steps:
  - {id: last, uses: m, needs: [a, b], with: {files: '{{ steps.a.summary.files + 1 }}', text: 'on {{ target.name }}'}}
  - {id: a, uses: m}
  - {id: b, uses: n, timeout: 5m, vertical: rust, retry: {max_attempts: 9, initial_interval: 2s}}
output: {sum: '{{ steps.a.findings + steps.b.findings }}', state: '{{ steps.last.status }}'}
",
        json!({}),
    );
    assert_eq!(run.order, ["a", "b"]);
    assert_eq!(run.running["b"].start_to_close.as_secs(), 300);
    assert_eq!(run.running["b"].queue, "helve-vertical-rust");
    assert_eq!(run.running["b"].retry.max_attempts, 9);
    assert_eq!(run.found("b", 1).ids(), ["a"]);
    assert_eq!(run.found("a", 4).ids(), ["last"]);
    assert_eq!(run.config("last"), &json!({"files": 11, "text": "on app"}));
    run.found("last", 0).merged();
    assert_eq!(run.completed().output, json!({"sum": 5, "state": "completed"}));
}

#[test]
fn a_false_condition_skips_a_step_but_not_those_that_need_it() {
    let plan = "\
steps:
  - {id: a, uses: m}
  - {id: deep, uses: n, needs: a, if: params.deep or steps.a.by_severity.high > 2}
  - {id: last, uses: m, needs: deep, with: {deep: '{{ steps.deep.status }}', depth: '{{ params.depth }}'}}
";
    let mut run = Run::of(plan, json!({}));
    assert_eq!(run.found("a", 1).ids(), ["last"]);
    assert_eq!(
        run.config("last"),
        &json!({"deep": "skipped"}),
        "a parameter that was not given is left out"
    );
    run.found("last", 0).merged();
    let output = run.completed();
    assert_eq!(output.status, RunStatus::Completed);
    assert_eq!(output.steps["deep"].status.reason(), Some("its condition is false"));

    for (parameters, findings) in [(json!({"deep": true}), 0), (json!({}), 3)] {
        let mut run = Run::of(plan, parameters);
        assert_eq!(run.found("a", findings).ids(), ["deep"]);
    }
}

#[test]
fn a_failure_skips_dependents_only_and_keeps_the_findings() {
    let mut run = Run::of(
        "\
steps:
  - {id: bad, uses: m}
  - {id: after, uses: m, needs: bad}
  - {id: later, uses: m, needs: after}
  - {id: good, uses: n}
  - {id: better, uses: n, needs: good}
",
        json!({}),
    );
    run.fail("bad", "disk full");
    assert_eq!(
        run.states(),
        [
            "bad:failed",
            "after:skipped",
            "later:skipped",
            "good:running",
            "better:pending"
        ]
    );
    run.found("good", 2).found("better", 1).merged();
    let failure = run.failed();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FAILURE_STEPS, "a step failed: `bad`: disk full")
    );
    let output = failure.output.as_ref().unwrap();
    assert_eq!((output.status, output.total), (RunStatus::Failed, 3));
    assert!(output.report.is_some(), "findings are not lost");
    assert_eq!(
        output.steps["after"].status.reason(),
        Some("it needs `bad`, which failed")
    );
    assert_eq!(
        output.steps["later"].status.reason(),
        Some("it needs `after`, which was skipped")
    );
}

#[test]
fn a_step_that_may_fail_makes_the_run_inconclusive_and_its_dependents_run() {
    let mut run = Run::of(
        "steps: [{id: a, uses: m, continue_on_error: true}, {id: b, uses: n, needs: a, with: {a: '{{ steps.a.status }}'}}]\n",
        json!({}),
    );
    assert_eq!(run.fail("a", "no").ids(), ["b"]);
    assert_eq!(run.config("b"), &json!({"a": "failed"}));
    run.found("b", 0).merged();
    assert_eq!(run.completed().status, RunStatus::Inconclusive);
}

#[test]
fn a_step_that_could_not_look_makes_the_run_inconclusive() {
    let mut run = Run::of(TWO, json!({}));
    run.done(
        "a",
        json!({"status": {"state": "inconclusive", "reason": "3 files could not be read"}}),
    )
    .found("b", 0)
    .merged();
    let output = run.completed();
    assert_eq!(output.status, RunStatus::Inconclusive);
    assert_eq!(output.steps["a"].status.reason(), Some("3 files could not be read"));
}

const EACH: &str = "\
steps:
  - id: each
    uses: m
    for_each: {items: '{{ params.names }}', as: name, max_items: 4, max_parallel: 2}
    with: {path: 'src/{{ name }}'}
  - {id: last, uses: n, needs: each, with: {first: '{{ steps.each.items[0].summary.id }}', all: '{{ steps.each.findings }}'}}
";

#[test]
fn a_fan_out_runs_its_items_a_few_at_a_time() {
    let mut run = Run::of(EACH, json!({}));
    assert_eq!(run.ids(), ["each[0]", "each[1]"]);
    assert_eq!(run.config("each[1]"), &json!({"path": "src/b"}));
    assert_eq!(run.found("each[1]", 1).ids(), ["each[0]", "each[2]"]);
    let view = run.machine.view();
    assert_eq!(
        (view.steps[0].items, view.steps[0].items_done, view.steps[0].findings),
        (Some(3), Some(1), 1)
    );
    run.found("each[2]", 2).found("each[0]", 4);
    assert_eq!(run.config("last"), &json!({"first": "each[0]", "all": 7}));
    run.found("last", 0);
    assert_eq!(run.running["helve.report"].input["steps"].as_array().unwrap().len(), 4);
    run.merged();
    assert_eq!(run.completed().steps["each"].findings, 7);
}

#[test]
fn a_fan_out_over_nothing_is_done_at_once_and_one_over_too_much_fails() {
    let mut run = Run::of(EACH, json!({"names": []}));
    assert_eq!(run.ids(), ["helve.report"]);
    assert_eq!(run.states(), ["each:completed", "last:failed"], "there is no items[0]");
    let run_of_one = Run::of("steps: [{id: a, uses: m, for_each: []}]\n", json!({}));
    assert_eq!(run_of_one.ids(), ["helve.report"]);
    run = Run::of(EACH, json!({"names": ["a", "b", "c", "d", "e"]}));
    assert_eq!(run.states(), ["each:failed", "last:skipped"]);
    let view = run.machine.view();
    assert_eq!(
        view.steps[0].reason.as_deref(),
        Some("`for_each` got 5 items, `max_items` is 4")
    );
}

#[test]
fn an_item_that_fails_lets_the_others_run_and_fails_its_step() {
    let mut run = Run::of(EACH, json!({}));
    run.fail("each[0]", "boom")
        .found("each[1]", 1)
        .found("each[2]", 1)
        .merged();
    assert_eq!(run.failed().message, "a step failed: `each`: 1 of 3 items failed: boom");
    let output = run.failed().output.clone().unwrap();
    assert_eq!(output.steps["each"].findings, 2);
}

#[test]
fn what_cannot_be_rendered_fails_its_step_with_the_reason() {
    let mut run = Run::of(
        "steps: [{id: a, uses: m}, {id: b, uses: n, needs: a, with: {x: '{{ steps.a.summary.none }}'}}]\n",
        json!({}),
    );
    run.found("a", 0).merged();
    assert_eq!(
        run.failed().message,
        "a step failed: `b`: its configuration cannot be made: `steps.a.summary.none` is not defined"
    );
}

#[test]
fn an_input_over_the_limit_fails_its_step() {
    let big = "x".repeat(30_000);
    let mut run = Run::of(
        "steps: [{id: a, uses: m, with: {a: '{{ params.names }}', b: '{{ params.names }}', c: '{{ params.names }}'}}]\n",
        json!({"names": [big]}),
    );
    run.merged();
    assert_eq!(
        run.failed().message,
        "a step failed: `a`: its input of 89 KiB is longer than 64 KiB"
    );
}

#[test]
fn an_answer_that_is_not_an_output_fails_its_step() {
    let mut run = Run::of(TWO, json!({}));
    run.done("a", json!({"status": "fine"})).found("b", 0).merged();
    assert!(
        run.failed()
            .message
            .starts_with("a step failed: `a`: the module's answer is not a step's output:")
    );
}

#[test]
fn a_lost_worker_does_not_count_against_the_step() {
    let lost = || Resolution::Failed {
        reason: "its worker stopped answering".to_owned(),
        cause: Cause::WorkerLost,
    };
    let mut run = Run::of("steps: [{id: a, uses: m, retry: 1}]\n", json!({}));
    for _ in 0..MAX_LOST {
        run.resolve("a", lost());
        assert_eq!(run.ids(), ["a"]);
    }
    run.found("a", 1).merged();
    assert_eq!(run.completed().status, RunStatus::Completed);

    let mut run = Run::of("steps: [{id: a, uses: m}]\n", json!({}));
    for _ in 0..=MAX_LOST {
        run.resolve("a", lost());
    }
    run.merged();
    assert_eq!(run.failed().message, "a step failed: `a`: its worker stopped answering");
}

#[test]
fn cancelling_stops_what_runs_and_reports_what_there_is() {
    let mut run = Run::of(
        "steps: [{id: a, uses: m}, {id: b, uses: n}, {id: c, uses: n, needs: b}, {id: d, uses: n, for_each: {items: [1, 2], max_parallel: 1}}]\n",
        json!({}),
    );
    run.found("a", 5).job(Job::Cancel);
    assert_eq!(run.stopped, ["b", "d[0]"]);
    assert_eq!(run.states(), ["a:completed", "b:running", "c:cancelled", "d:running"]);
    run.job(Job::Cancel);
    assert_eq!(run.stopped.len(), 2, "asking twice changes nothing");
    run.resolve("b", Resolution::Cancelled)
        .resolve("d[0]", Resolution::Cancelled);
    assert!(
        run.running["helve.report"].schedule_to_start.is_some(),
        "it does not wait for a worker for ever"
    );
    run.merged();
    let output = run.cancelled().unwrap();
    assert_eq!((output.status, output.total), (RunStatus::Cancelled, 3));
    assert!(output.report.is_some());
}

#[test]
fn cancelling_a_run_that_has_nothing_ends_it_without_a_report() {
    let mut run = Run::of(TWO, json!({}));
    run.job(Job::Cancel)
        .resolve("a", Resolution::Cancelled)
        .resolve("b", Resolution::Cancelled);
    assert_eq!(run.order, ["a", "b"]);
    assert_eq!(run.cancelled().unwrap().status, RunStatus::Cancelled);
}

#[test]
fn a_cancellation_that_comes_too_late_changes_nothing() {
    let mut run = Run::of(TWO, json!({}));
    run.found("a", 1).found("b", 1).job(Job::Cancel);
    assert_eq!(run.stopped, ["helve.report"]);
    run.merged();
    assert_eq!(run.completed().status, RunStatus::Completed);

    let mut run = Run::of(TWO, json!({}));
    run.found("a", 1)
        .found("b", 1)
        .job(Job::Cancel)
        .resolve("helve.report", Resolution::Cancelled);
    assert!(run.cancelled().unwrap().report.is_none());
}

#[test]
fn a_report_that_cannot_be_made_fails_the_run() {
    let mut run = Run::of(TWO, json!({}));
    run.found("a", 1).found("b", 2).fail("helve.report", "disk full");
    assert_eq!(run.failed().message, "the report could not be made: disk full");
    assert_eq!(run.failed().output.as_ref().unwrap().total, 3);
}

#[test]
fn a_signal_cancels_one_step_and_others_are_noted() {
    let mut run = Run::of(
        "steps: [{id: a, uses: m}, {id: b, uses: n, needs: a}, {id: c, uses: n}]\n",
        json!({}),
    );
    let signal = |name: &str, argument: Value| Job::Signal {
        name: name.to_owned(),
        arguments: vec![argument],
    };
    run.job(signal("cancel-step", json!("z")))
        .job(signal("pause", json!(1)))
        .job(signal("cancel-step", json!(3)));
    run.job(signal("cancel-step", json!("a")));
    assert_eq!(run.stopped, ["a"]);
    run.resolve("a", Resolution::Cancelled);
    assert_eq!(run.states(), ["a:cancelled", "b:skipped", "c:running"]);
    run.found("c", 1).job(signal("cancel-step", json!("c"))).merged();
    assert_eq!(run.completed().status, RunStatus::Inconclusive);
    assert_eq!(
        run.machine.view().notes,
        [
            "there is no step `z` to cancel",
            "the signal `pause` is not known and was ignored",
            "the signal `cancel-step` needs the id of a step and was ignored",
            "the step `c` had ended and was not cancelled",
        ]
    );
}

#[test]
fn a_run_without_a_plan_asks_for_it_first() {
    let pinned = common::pinned(TWO);
    let mut run = Run::start(Ok(RunInput {
        parameters: json!({"deep": true}).as_object().unwrap().clone(),
        ..RunInput::default()
    }));
    assert_eq!(run.ids(), ["helve.plan"]);
    let activity = &run.running["helve.plan"];
    assert_eq!(
        (&activity.input, activity.queue.as_str()),
        (
            &json!({"workflow": "flow", "parameters": {"deep": true}}),
            "helve-workflows"
        )
    );
    run.done(
        "helve.plan",
        json!({"plan": pinned, "parameters": {"deep": true, "names": []}}),
    );
    assert_eq!(run.ids(), ["a", "b"]);
    assert_eq!(run.machine.parameters()["names"], json!([]));

    let mut run = Run::start(Ok(RunInput::default()));
    run.fail("helve.plan", "the parameters do not fit");
    assert_eq!(
        run.failed().message,
        "the run of `flow` cannot start: the parameters do not fit"
    );
    let mut run = Run::start(Ok(RunInput::default()));
    run.job(Job::Cancel).resolve("helve.plan", Resolution::Cancelled);
    assert!(run.cancelled().is_none());
}

#[test]
fn an_input_that_cannot_be_used_fails_the_run_at_once() {
    let run = Run::start(Err("its argument is not valid JSON".to_owned()));
    assert_eq!(run.failed().kind, FAILURE_INPUT);
    assert_eq!(
        run.failed().message,
        "the run of `flow` cannot start: its argument is not valid JSON"
    );
    let broken = |change: &dyn Fn(&mut helve_toolbox::run::PinnedPlan)| {
        let mut pinned = common::pinned(TWO);
        change(&mut pinned);
        let run = Run::start(Ok(RunInput {
            plan: Some(pinned),
            ..RunInput::default()
        }));
        run.failed()
            .message
            .replace("the run of `flow` cannot start: its plan ", "")
    };
    assert_eq!(
        broken(&|p| p.workflow = "other".to_owned()),
        "is of the workflow `other`, not `flow`"
    );
    assert_eq!(
        broken(&|p| p.plan.steps[1].id = "a".to_owned()),
        "cannot be run: two steps have the id `a`"
    );
    assert_eq!(
        broken(&|p| p.plan.steps[1].needs = vec!["z".to_owned()]),
        "cannot be run: the step `b` needs `z`, which is not there"
    );
    assert_eq!(
        broken(&|p| p.plan.steps[1].needs = vec!["b".to_owned()]),
        "cannot be run: the step `b` waits for itself"
    );
}

#[test]
fn queries_tell_how_the_run_stands_also_after_its_end() {
    let mut run = Run::of(TWO, json!({}));
    run.found("a", 2);
    let view = run.machine.query("status").unwrap();
    assert_eq!(view["status"], "running");
    assert_eq!(view["version"], "7");
    assert_eq!(
        view["steps"][0],
        json!({"id": "a", "module": "m", "state": "completed", "findings": 2})
    );
    run.found("b", 0).merged();
    assert_eq!(run.machine.query("status").unwrap()["status"], "completed");
    assert_eq!(run.machine.view().steps[1].state, StepState::Completed);
    let metadata = run.machine.query("__temporal_workflow_metadata").unwrap();
    assert_eq!(metadata["definition"]["type"], "flow");
    assert_eq!(
        run.machine.query("progress").unwrap_err(),
        "there is no query `progress`; known: status"
    );
    assert_eq!(run.machine.apply(Job::Cancel), [], "nothing happens after the end");
    let _ = found("a", 1);
}
