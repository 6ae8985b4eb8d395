//! Runs whose workflow is code, driven by hand: jobs in, commands out.

#[path = "../../wasm/tests/common/guests.rs"]
mod guests;

use std::sync::LazyLock;

use helve_runtime::code::{At, CodeRun, CodeSource, Codes, GuestLimits, Moment};
use helve_runtime::plan::{Activity, Cause, Command, Handover, Job, MAX_LOST, Resolution, RunFailure};
use helve_toolbox::Plan;
use helve_toolbox::run::{
    FAILURE_CODE, FAILURE_WORKFLOW, Isolation, PinnedPlan, ReportInput, RunInput, RunOutput, RunStatus, StepInput,
    TargetRef,
};
use serde_json::{Value, json};

struct Trials;

static SOURCE: LazyLock<Vec<u8>> = LazyLock::new(|| guests::component("trials"));

impl CodeSource for Trials {
    fn source(&self, _digest: &str) -> Result<Vec<u8>, String> {
        Ok(SOURCE.clone())
    }
}

static CODES: LazyLock<Codes> = LazyLock::new(|| {
    let limits = GuestLimits {
        max_runs: 40,
        memory: 16 << 20,
        fuel: 50_000_000,
        ..GuestLimits::default()
    };
    Codes::new(limits, Some(guests::folder().join("compiled")), Trials)
});

fn digest() -> String {
    blake3::hash(&SOURCE).to_hex().to_string()
}

/// A run whose activities are resolved by hand.
struct Run {
    run: CodeRun,
    commands: Vec<Command>,
    jobs: Vec<Job>,
    event: u32,
}

impl Run {
    fn of(parameters: Value) -> Self {
        let handover = Handover {
            input: RunInput {
                target: Some(TargetRef {
                    id: "0".repeat(64),
                    name: "app".to_owned(),
                }),
                parameters: parameters.as_object().unwrap().clone(),
                plan: None,
            },
            pinned: PinnedPlan {
                workflow: "trials".to_owned(),
                version: "1".to_owned(),
                digest: digest(),
                vertical: "rust".to_owned(),
                isolation: Isolation::Shared,
                plan: Plan::default(),
                code: Some(digest()),
                modules: [("scan".to_owned(), "d".repeat(64))].into(),
            },
            last_seq: 1,
            signals: Vec::new(),
        };
        let code = CODES.get(&digest()).unwrap();
        let (run, commands) = CodeRun::start(&code, "run-7", handover, 42, at(3)).unwrap();
        Self {
            run,
            commands,
            jobs: Vec::new(),
            event: 3,
        }
    }

    fn job(&mut self, job: Job) -> &mut Self {
        self.event += 6;
        self.jobs.push(job.clone());
        let commands = self.run.apply(at(self.event), job).unwrap();
        self.commands.extend(commands);
        self
    }

    #[track_caller]
    fn scheduled(&self, id: &str) -> &Activity {
        self.commands
            .iter()
            .rev()
            .find_map(|command| match command {
                Command::Schedule(activity) if activity.id == id => Some(activity),
                _ => None,
            })
            .unwrap_or_else(|| panic!("`{id}` was not scheduled: {:?}", self.commands))
    }

    #[track_caller]
    fn resolve(&mut self, id: &str, resolution: Resolution) -> &mut Self {
        let seq = self.scheduled(id).seq;
        self.job(Job::ActivityResolved { seq, resolution })
    }

    #[track_caller]
    fn found(&mut self, id: &str, findings: u64) -> &mut Self {
        let blob = json!({"id": "1".repeat(64), "size": 5, "media_type": "application/json"});
        let output = json!({"status": {"state": "completed"}, "findings": findings, "report": blob});
        self.resolve(id, Resolution::Completed(output))
    }

    #[track_caller]
    fn merged(&mut self) -> &mut Self {
        let blob = json!({"id": "2".repeat(64), "size": 9, "media_type": "application/json"});
        let output = json!({"report": blob, "sarif": blob, "total": 3, "by_severity": {"high": 3}});
        self.resolve("helve.report", Resolution::Completed(output))
    }

    fn report_input(&self) -> ReportInput {
        serde_json::from_value(self.scheduled("helve.report").input.clone()).unwrap()
    }

    #[track_caller]
    fn completed(&self) -> &RunOutput {
        match self.commands.last() {
            Some(Command::Complete(output)) => output,
            other => panic!("it did not complete: {other:?}"),
        }
    }

    #[track_caller]
    fn failed(&self) -> &RunFailure {
        match self.commands.last() {
            Some(Command::Fail(failure)) => failure,
            other => panic!("it did not fail: {other:?}"),
        }
    }
}

fn at(event: u32) -> At {
    At {
        moment: Moment {
            now: 1_800_000_000_000,
            replaying: false,
        },
        event,
    }
}

/// The whole of a run that does a bit of everything.
fn journey() -> Run {
    let mut run = Run::of(json!({"do": "journey"}));
    run.found("quick", 1).found("slow", 2);
    let Some(Command::StartTimer { seq, .. }) = run.commands.last() else {
        panic!("{:?}", run.commands)
    };
    let seq = *seq;
    run.job(Job::TimerFired { seq });
    run.job(Job::Signal {
        name: "word".to_owned(),
        arguments: vec![json!("now")],
    });
    let Some(Command::StartChild(child)) = run.commands.last() else {
        panic!("{:?}", run.commands)
    };
    assert_eq!(child.workflow, "other");
    assert!(child.id.starts_with("run-7-"), "{}", child.id);
    assert_eq!(child.input["parameters"], json!({"word": "now"}));
    assert_eq!(child.input["target"]["name"], "app", "a child looks at the same target");
    let seq = child.seq;
    run.job(Job::ChildResolved {
        seq,
        resolution: Resolution::Completed(json!("grown up")),
    });
    run.merged();
    run
}

#[test]
fn steps_of_code_are_activities_like_those_of_a_plan() {
    let run = Run::of(json!({"do": "journey"}));
    let activity = run.scheduled("quick");
    assert_eq!(
        (activity.kind.as_str(), activity.queue.as_str()),
        ("scan", "helve-vertical-rust")
    );
    let input: StepInput = serde_json::from_value(activity.input.clone()).unwrap();
    assert_eq!(input.version, Some("d".repeat(64)), "modules are pinned");
    assert_eq!(input.isolation, Isolation::Shared);
    assert_eq!(input.target.unwrap().name, "app");
    let seqs: Vec<u32> = ["slow", "quick"].map(|id| run.scheduled(id).seq).into();
    assert_eq!(seqs, [2, 3], "numbers go on after those of planning");
}

#[test]
fn a_run_of_code_ends_with_a_merged_report_its_output_and_what_it_found_itself() {
    let run = journey();
    let input = run.report_input();
    let steps: Vec<&str> = input.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(steps, ["slow", "quick"]);
    assert_eq!(
        (input.findings[0].rule.as_str(), input.findings[0].severity.as_str()),
        ("odd", "low")
    );
    let output = run.completed();
    assert_eq!((output.status, output.total), (RunStatus::Completed, 3));
    assert_eq!(output.output["child"], "grown up");
    assert_eq!(run.run.view().status, RunStatus::Completed);
    assert_eq!(run.run.view().progress.unwrap().text, "arrives");
}

#[test]
fn killed_anywhere_a_run_of_code_says_the_same_again() {
    let whole = journey();
    for killed_after in 0..=whole.jobs.len() {
        let mut again = Run::of(json!({"do": "journey"}));
        for job in &whole.jobs[..killed_after] {
            again.job(job.clone());
        }
        assert_eq!(again.commands[..], whole.commands[..again.commands.len()]);
        for job in &whole.jobs[killed_after..] {
            again.job(job.clone());
        }
        assert_eq!(again.commands, whole.commands);
    }
}

#[test]
fn a_step_whose_worker_died_is_scheduled_anew_and_the_guest_does_not_notice() {
    let mut run = Run::of(json!({"do": "fan-out", "count": 1}));
    let lost = || Resolution::Failed {
        reason: "its worker stopped answering".to_owned(),
        cause: Cause::WorkerLost,
    };
    for _ in 0..MAX_LOST {
        let before = run.scheduled("scan[0]").seq;
        run.resolve("scan[0]", lost());
        assert!(run.scheduled("scan[0]").seq > before);
    }
    run.found("scan[0]", 4).merged();
    assert_eq!(run.completed().output, json!(4));
}

#[test]
fn a_step_that_failed_and_was_forgiven_makes_the_run_inconclusive_not_clean() {
    let mut run = Run::of(json!({"do": "fan-out", "count": 2}));
    run.found("scan[0]", 1);
    run.resolve(
        "scan[1]",
        Resolution::Failed {
            reason: "disk full".to_owned(),
            cause: Cause::Error,
        },
    );
    run.merged();
    assert_eq!(run.completed().status, RunStatus::Inconclusive);
}

#[test]
fn a_failure_that_the_workflow_returns_fails_the_run_with_its_words() {
    let mut run = Run::of(json!({"do": "fail"}));
    run.merged();
    let failure = run.failed();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FAILURE_WORKFLOW, "it does not want to")
    );
}

#[test]
fn a_fault_fails_the_run_and_names_the_event_but_loses_no_findings() {
    for (behaviour, word) in [
        ("loop", "does it loop?"),
        ("memory", "MiB of memory"),
        ("panic", "the sky fell"),
    ] {
        let mut run = Run::of(json!({"do": behaviour}));
        run.merged();
        let failure = run.failed();
        assert_eq!(failure.kind, FAILURE_CODE);
        assert!(failure.message.contains(word), "{}", failure.message);
        assert!(
            failure.message.ends_with("(at event 3 of the history)"),
            "{}",
            failure.message
        );
        assert_eq!(failure.output.as_ref().unwrap().total, 3);
    }
}

#[test]
fn steps_that_a_guest_leaves_behind_are_stopped_and_awaited_before_the_report() {
    let mut run = Run::of(json!({"do": "same-step"}));
    let seq = run.scheduled("m").seq;
    assert_eq!(run.commands.last(), Some(&Command::CancelActivity { seq }));
    run.resolve("m", Resolution::Cancelled);
    assert_eq!(run.report_input().steps[0].step, "m");
    run.merged();
    assert!(run.failed().message.contains("there was a step `m` before"));
}

#[test]
fn a_cancelled_run_of_code_cleans_up_and_ends_cancelled() {
    let mut run = Run::of(json!({"do": "tidy"}));
    run.job(Job::Cancel);
    assert!(
        run.commands
            .iter()
            .any(|command| matches!(command, Command::CancelTimer { .. }))
    );
    run.found("broom", 0).merged();
    let Some(Command::Cancelled(Some(output))) = run.commands.last() else {
        panic!("{:?}", run.commands)
    };
    assert_eq!(output.status, RunStatus::Cancelled);
}

#[test]
fn code_that_is_not_what_was_pinned_is_refused() {
    let error = CODES.get(&"0".repeat(64)).unwrap_err();
    assert!(error.contains("was changed"), "{error}");
}

#[test]
fn the_status_query_answers_while_the_guest_sleeps_and_changes_nothing() {
    let mut run = Run::of(json!({"do": "journey"}));
    run.found("quick", 1);
    let commands = run.commands.len();
    let view = run.run.query("status").unwrap();
    assert_eq!(view["status"], "running");
    assert_eq!(view["progress"], json!({"text": "sets out", "done": 1, "total": 2}));
    assert_eq!(view["steps"][1]["state"], "completed");
    assert!(run.run.query("other").is_err());
    assert_eq!(run.commands.len(), commands);
}
