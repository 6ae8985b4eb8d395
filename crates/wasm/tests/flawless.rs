//! Modules built with the crate `flawless`, as they come: driven by hand, events in, commands out.

mod common;
#[path = "common/flawless.rs"]
mod flawless;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use common::{NOON, Trial, engine, guests, small, start};
use helve_wasm::http::{HttpAnswer, HttpCall, HttpEnd, HttpFailure, HttpFailureKind};
use helve_wasm::{Code, CodeError, Command, Event, Failure, FailureKind, Fault, Outcome, Start, TaskId};
use serde_json::{Value, json};

/// `ok` in Base64.
const OK: &str = "b2s=";

fn module() -> Vec<u8> {
    flawless::module(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flawless-trials"),
        "flawless-trials",
    )
}

fn code() -> Code {
    static CODE: LazyLock<Code> = LazyLock::new(|| engine(small()).load(&module()).unwrap());
    CODE.clone()
}

fn run(workflow: &str, parameters: Value) -> Trial {
    Trial::begin(
        &code(),
        Start {
            workflow: workflow.to_owned(),
            ..start(parameters)
        },
    )
}

fn answered(status: u16) -> Value {
    json!(HttpEnd::Answered(HttpAnswer {
        status,
        url: "http://h/".to_owned(),
        headers: vec![("x-answer".to_owned(), "42".to_owned())],
        body: OK.to_owned(),
    }))
}

/// The whole of `journey`, as far as it is told.
fn journey(told: usize) -> Trial {
    let mut trial = run("journey", json!({"url": "http://h/"}));
    for step in 0..told {
        match step {
            0 => trial.ended(0, answered(200)),
            1 => {
                trial.now += 60_000;
                trial.ended(1, Value::Null)
            }
            2 => trial.signal("approve", json!({"by": "ann"})),
            _ => trial.ended(5, json!("a run")),
        };
    }
    trial
}

#[test]
fn a_module_runs_as_it_is() {
    let mut trial = journey(0);
    let [Command::Http { task: TaskId(0), call }] = &trial.commands[..] else {
        panic!("{:?}", trial.commands)
    };
    let wanted = HttpCall {
        method: "GET".to_owned(),
        url: "http://h/".to_owned(),
        headers: vec![("x-trial".to_owned(), "1".to_owned())],
        body: String::new(),
        timeout_ms: 120_000,
        body_limit: 10_000_000,
        idempotent: false,
        secrets: Default::default(),
    };
    assert_eq!(*call, wanted);
    trial = journey(1);
    let sleep = Command::Timer {
        task: TaskId(1),
        duration: Duration::from_secs(60),
    };
    assert_eq!(trial.commands.last(), Some(&sleep));
    trial = journey(3);
    let [
        ..,
        Command::Cancel { task: TaskId(4) },
        Command::Launch {
            task,
            workflow,
            parameters,
            same_code,
        },
    ] = &trial.commands[..]
    else {
        panic!("{:?}", trial.commands)
    };
    assert_eq!((task.0, workflow.as_str(), *same_code), (5, "named", true));
    assert_eq!(*parameters, json!({"input": "a child"}), "parameters are an object");
    trial = journey(4);
    let output = trial.returned();
    assert_eq!(output["answer"], json!({"status": 200, "header": "42", "text": "ok"}));
    assert_eq!(output["who"], "ann");
    assert_eq!(output["now"], NOON + 60_000 + 2_000 + 1_000);
    assert!(output["luck"].is_i64());
}

#[test]
fn killed_anywhere_a_module_comes_back_says_the_same_again_and_ends_the_same() {
    let whole = journey(4);
    for killed_after in 0..=4 {
        let mut again = journey(killed_after);
        assert_eq!(again.commands[..], whole.commands[..again.commands.len()]);
        for happening in &whole.told[again.told.len()..] {
            again.now = happening.now;
            again.tell(happening.event.clone());
        }
        assert_eq!(again.commands, whole.commands);
        assert_eq!(again.returned(), whole.returned());
    }
}

#[test]
fn who_waits_for_a_message_too_long_goes_on() {
    let mut trial = journey(2);
    let [
        ..,
        Command::Timer {
            task: TaskId(4),
            duration,
        },
    ] = &trial.commands[..]
    else {
        panic!("{:?}", trial.commands)
    };
    assert_eq!(*duration, Duration::from_secs(30));
    trial.ended(4, Value::Null).ended(5, json!("a run"));
    assert_eq!(trial.returned()["who"], "timeout");
}

#[test]
fn messages_of_several_types_come_in_their_order_early_ones_too_and_none_is_lost() {
    let mut trial = run("messages", json!({}));
    trial.signal("reject", Value::Null);
    // Nobody waits for these while the first is given out.
    let mut early = journey(0);
    early
        .signal("reject", Value::Null)
        .signal("approve", json!({"by": "late"}))
        .ended(0, answered(200))
        .ended(1, Value::Null);
    early.ended(5, json!("a run"));
    assert_eq!(early.returned()["who"], "nobody", "the rejection came first");

    for by in ["ann", "bob"] {
        trial.signal("approve", json!({"by": by}));
    }
    assert_eq!(trial.end, None);
    trial.signal("reject", Value::Null);
    assert_eq!(*trial.returned(), json!(["rejected", "ann", "bob", "rejected"]));
}

#[test]
fn what_a_server_and_a_network_do_wrong_a_module_sees_as_its_own_errors() {
    let error = |end: Value| {
        let mut trial = run("fetch", json!({"url": "http://h/", "idempotent": true}));
        assert!(matches!(&trial.commands[0], Command::Http { call, .. } if call.idempotent));
        trial.ended(0, end);
        trial.returned().clone()
    };
    assert_eq!(error(answered(404))["error"], "StatusCode");
    let failed = HttpEnd::Failed(HttpFailure {
        kind: HttpFailureKind::Interrupted,
        message: "lost".to_owned(),
        url: None,
    });
    assert_eq!(
        error(json!(failed)),
        json!({"error": "RequestInterrupted", "message": "lost"})
    );
}

#[test]
fn a_request_that_is_not_allowed_fails_the_run_with_the_reason() {
    let mut trial = run("fetch", json!({"url": "http://h/"}));
    let failure = Failure::new(FailureKind::Failed, "the host `h` may not be requested");
    trial.tell(Event::Ended {
        task: TaskId(0),
        result: Err(failure.clone()),
    });
    assert_eq!(trial.end, Some(Ok(Outcome::Returned(Err(failure)))));
}

#[test]
fn a_module_sees_a_stand_in_for_a_secret_and_never_the_same_twice() {
    let secret = |seed: u64| {
        let mut trial = Trial::begin(
            &code(),
            Start {
                workflow: "secret".to_owned(),
                seed,
                ..start(json!({"url": "http://h/"}))
            },
        );
        let Command::Secret { name, .. } = &trial.commands[0] else {
            panic!()
        };
        assert_eq!(name, "TOKEN");
        trial.ended(0, json!(true)).ended(1, answered(200));
        trial
    };
    let trial = secret(1);
    let token = trial.returned()["token"].as_str().unwrap();
    assert!(token.starts_with("helve-secret-") && token.len() == 45, "{token}");
    let [_, Command::Http { call, .. }] = &trial.commands[..] else {
        panic!("it asks once: {:?}", trial.commands)
    };
    assert_eq!(call.secrets[token], "TOKEN");
    assert!(
        call.headers
            .contains(&("Authorization".to_owned(), format!("Bearer {token}")))
    );
    assert_ne!(secret(2).returned()["token"], token, "nobody can guess it");

    let mut none = run("secret", json!({"url": "http://h/"}));
    none.ended(0, json!(false));
    assert_eq!(*none.returned(), json!("none"));
}

#[test]
fn the_input_of_a_workflow_is_what_its_parameters_mean() {
    assert_eq!(*run("named", json!({"input": "x"})).returned(), json!("it is called x"));
    let mut nothing = run("nothing", json!({}));
    nothing.ended(0, Value::Null);
    assert_eq!(*nothing.returned(), Value::Null);
    let Some(Ok(Outcome::Returned(Err(failure)))) = run("fetch", json!({"uri": "x"})).end else {
        panic!()
    };
    assert!(
        failure.message.contains("does not understand its parameters"),
        "{failure:?}"
    );
    assert!(failure.message.contains("missing field `url`"), "{failure:?}");
}

#[test]
fn random_numbers_are_the_same_each_time() {
    let numbers = run("numbers", json!({})).returned().clone();
    assert_eq!(numbers, *run("numbers", json!({})).returned());
    let fractions = [&numbers[3], &numbers[4]].map(|number| number.as_f64().unwrap());
    assert!(fractions.iter().all(|number| (0.0..1.0).contains(number)), "{numbers}");
}

#[test]
fn a_cancelled_module_ends_where_it_waits() {
    let mut trial = journey(1);
    trial.tell(Event::Cancel);
    assert!(matches!(
        &trial.end,
        Some(Ok(Outcome::Returned(Err(failure)))) if failure.kind == FailureKind::Cancelled
    ));
}

#[test]
fn a_name_that_the_module_does_not_have_is_refused_with_those_that_it_has() {
    let trial = run("guided", json!({}));
    let message = trial.fault().to_string();
    assert!(
        message.contains("`journey`") && message.contains("`guided`"),
        "{message}"
    );
}

#[test]
fn a_module_is_bounded_as_every_guest_is() {
    assert_eq!(*run("loop", json!({})).fault(), Fault::Endless { fuel: small().fuel });
    assert!(matches!(run("memory", json!({})).fault(), Fault::OutOfMemory { .. }));
    let mut panic = run("panic", json!({}));
    panic.ended(0, Value::Null);
    assert!(panic.fault().to_string().contains("the sky fell"), "{}", panic.fault());
}

#[test]
fn a_workflow_of_the_toolbox_is_started_by_its_name() {
    let trial = run("elsewhere", json!({}));
    let [
        Command::Launch {
            workflow,
            parameters,
            same_code,
            ..
        },
    ] = &trial.commands[..]
    else {
        panic!()
    };
    assert_eq!((workflow.as_str(), *same_code), ("assessment", false));
    assert_eq!(*parameters, json!({"min_severity": "high"}));
}

#[test]
fn compiled_modules_outlive_their_engine() {
    let folder = tempfile::tempdir().unwrap();
    let source = module();
    let load = || {
        helve_wasm::Engine::new(small(), Some(folder.path()))
            .unwrap()
            .load(&source)
            .unwrap()
    };
    load();
    let files = || walk(folder.path());
    let compiled = files();
    assert_eq!(compiled.len(), 1);
    let code = load();
    assert_eq!(files(), compiled);
    let start = Start {
        workflow: "numbers".to_owned(),
        ..start(json!({}))
    };
    Trial::begin(&code, start).returned();
}

fn walk(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let found = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => walk(&entry.path()),
        false => vec![(entry.path(), entry.metadata().unwrap().modified().unwrap())],
    });
    found.flatten().collect()
}

#[test]
fn a_core_module_that_is_no_workflow_is_refused_with_what_to_do() {
    let engine = engine(small());
    let empty = engine.load(b"\0asm\x01\0\0\0").unwrap_err();
    assert!(
        matches!(&empty, CodeError::NotAWorkflow(reason) if reason.contains("wasm32-wasip2")),
        "{empty}"
    );
}
