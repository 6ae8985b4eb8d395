//! Runs of modules built with the crate `flawless`, driven by hand: jobs in, commands out.

#[path = "../../wasm/tests/common/flawless.rs"]
mod flawless;
#[allow(dead_code, reason = "components are for other tests")]
#[path = "../../wasm/tests/common/guests.rs"]
mod guests;

use std::path::Path;
use std::sync::LazyLock;

use helve_runtime::code::{At, CodeRun, CodeSource, Codes, GuestLimits, Moment};
use helve_runtime::exchange::{Activity, Cause, Child, Command, Job, Resolution};
use helve_runtime::http::{HttpAnswer, HttpEnd};
use helve_runtime::plan::Handover;
use helve_toolbox::Plan;
use helve_toolbox::run::{FAILURE_WORKFLOW, Isolation, PinnedPlan, RunInput, WORKFLOW_QUEUE};
use serde_json::{Value, json};

static SOURCE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm/tests/flawless-trials");
    flawless::module(&folder, "flawless-trials")
});

struct Trials;

impl CodeSource for Trials {
    fn source(&self, _digest: &str) -> Result<Vec<u8>, String> {
        Ok(SOURCE.clone())
    }
}

struct Run {
    run: CodeRun,
    commands: Vec<Command>,
    event: u32,
}

impl Run {
    fn of(workflow: &str, parameters: Value) -> Self {
        let digest = blake3::hash(&SOURCE).to_hex().to_string();
        let limits = GuestLimits {
            max_runs: 10,
            ..GuestLimits::default()
        };
        let codes = Codes::new(limits, Some(guests::folder().join("compiled")), Trials);
        let handover = Handover {
            input: RunInput {
                parameters: parameters.as_object().unwrap().clone(),
                ..RunInput::default()
            },
            pinned: PinnedPlan {
                workflow: workflow.to_owned(),
                version: "1".to_owned(),
                digest: digest.clone(),
                vertical: "sast".to_owned(),
                isolation: Isolation::Shared,
                plan: Plan::default(),
                code: Some(digest.clone()),
                modules: Default::default(),
            },
            last_seq: 0,
            signals: Vec::new(),
        };
        let (run, commands) = CodeRun::start(&codes.get(&digest).unwrap(), "run-7", handover, 42, at(3)).unwrap();
        Self {
            run,
            commands,
            event: 3,
        }
    }

    /// What it wants done because of that.
    fn job(&mut self, job: Job) -> Vec<Command> {
        self.event += 6;
        let commands = self.run.apply(at(self.event), job).unwrap();
        self.commands.extend(commands.clone());
        commands
    }

    fn resolve(&mut self, seq: u32, resolution: Resolution) -> Vec<Command> {
        self.job(Job::ActivityResolved { seq, resolution })
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

fn answered() -> Resolution {
    Resolution::Completed(json!(HttpEnd::Answered(HttpAnswer {
        status: 200,
        url: "http://h/".to_owned(),
        headers: Vec::new(),
        body: "b2s=".to_owned(),
    })))
}

fn request(run: &Run) -> Activity {
    match &run.commands[..] {
        [Command::Schedule(activity)] => activity.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_an_activity_that_is_tried_again_only_if_that_does_no_harm() {
    for (idempotent, attempts) in [(false, 1), (true, 5)] {
        let run = Run::of("fetch", json!({"url": "http://h/", "idempotent": idempotent}));
        let activity = request(&run);
        assert_eq!(
            (activity.kind.as_str(), activity.queue.as_str()),
            ("helve.http", WORKFLOW_QUEUE)
        );
        assert_eq!(activity.retry.max_attempts, attempts);
        assert_eq!(activity.input["url"], "http://h/");
        assert!(activity.heartbeat.is_some(), "a lost worker is noticed soon");
    }
}

#[test]
fn a_request_whose_worker_was_lost_is_an_error_that_the_workflow_sees() {
    let mut run = Run::of("fetch", json!({"url": "http://h/"}));
    let seq = request(&run).seq;
    let lost = Resolution::Failed {
        reason: "its worker stopped answering".to_owned(),
        cause: Cause::WorkerLost,
    };
    run.resolve(seq, lost);
    let output = end(&mut run);
    assert_eq!(output["error"], "RequestInterrupted");
    assert!(output["message"].as_str().unwrap().contains("may have seen it"));
}

#[test]
fn a_request_that_the_worker_must_not_send_fails_the_run_with_the_reason() {
    let mut run = Run::of("fetch", json!({"url": "http://h/"}));
    let seq = request(&run).seq;
    let refused = Resolution::Failed {
        reason: "the host `h` may not be requested by workflows on this worker".to_owned(),
        cause: Cause::Error,
    };
    run.resolve(seq, refused);
    let report = run.commands.iter().find_map(|command| match command {
        Command::Schedule(activity) if activity.kind == "helve.report" => Some(activity.seq),
        _ => None,
    });
    let commands = run.resolve(report.unwrap(), merged());
    let [Command::Fail(failure)] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!(failure.kind, FAILURE_WORKFLOW);
    assert!(
        failure.message.contains("the host `h` may not be requested"),
        "{}",
        failure.message
    );
}

#[test]
fn a_started_workflow_is_a_run_of_its_own_with_the_same_code() {
    let mut run = Run::of("journey", json!({"url": "http://h/"}));
    let seq = request(&run).seq;
    let [Command::StartTimer { seq, .. }] = run.resolve(seq, answered())[..] else {
        panic!()
    };
    run.job(Job::TimerFired { seq });
    let approval = Job::Signal {
        name: "approve".to_owned(),
        arguments: vec![json!({"by": "ann"})],
    };
    let commands = run.job(approval);
    let [Command::CancelTimer { .. }, Command::StartChild(child)] = &commands[..] else {
        panic!("{commands:?}")
    };
    let Child {
        seq,
        id,
        abandoned,
        workflow,
        input,
    } = child.clone();
    assert!(abandoned, "it goes on when its parent ends");
    assert_eq!((id, workflow.as_str()), (format!("run-7-{seq}"), "named"));
    let input: RunInput = serde_json::from_value(input).unwrap();
    let plan = input.plan.unwrap();
    assert_eq!((plan.workflow.as_str(), plan.code.is_some()), ("named", true));
    // Its input is found again from the parameters.
    let parameters = Value::Object(input.parameters);
    assert_eq!(end(&mut Run::of("named", parameters)), json!("it is called a child"));

    run.job(Job::ChildStarted { seq });
    assert_eq!(end(&mut run)["who"], "ann");
    let gone = Job::ChildResolved {
        seq,
        resolution: Resolution::Completed(Value::Null),
    };
    assert_eq!(run.job(gone), []);
}

/// Answers the request for the report, and returns the run's output.
fn end(run: &mut Run) -> Value {
    let report = run.commands.iter().find_map(|command| match command {
        Command::Schedule(activity) if activity.kind == "helve.report" => Some(activity.seq),
        _ => None,
    });
    let commands = run.resolve(report.expect("the workflow is over"), merged());
    match &commands[..] {
        [Command::Complete(output)] => output.output.clone(),
        other => panic!("{other:?}"),
    }
}

fn merged() -> Resolution {
    let blob = json!({"id": "0", "size": 1, "media_type": "application/json"});
    Resolution::Completed(json!({"report": blob, "sarif": blob, "total": 0}))
}
