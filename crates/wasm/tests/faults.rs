//! Guests that do what they may not: they end, with a reason that helps, and nobody else notices.

mod common;

use std::time::Duration;

use common::{Trial, component, engine, found, small, trials};
use helve_wasm::{CodeError, Fault, Limits, Run};
use serde_json::json;

#[track_caller]
fn fault(behaviour: &str) -> Fault {
    let trial = Trial::of(json!({"do": behaviour, "count": 100}));
    let fault = trial.fault().clone();
    let again = Trial::of(json!({"do": behaviour, "count": 100}));
    assert_eq!(*again.fault(), fault, "a fault is the same each time");
    assert!(fault.is_certain());
    fault
}

#[test]
fn a_guest_that_loops_ends() {
    assert_eq!(fault("loop"), Fault::Endless { fuel: small().fuel });
}

#[test]
fn what_a_guest_may_compute_counts_from_its_last_event() {
    let toil = |count: u64| Trial::of(json!({"do": "toil", "count": count}));
    toil(20).serve().returned();
    let at_once = Trial::of(json!({"do": "compute", "count": 40_000_000}));
    assert!(
        matches!(at_once.fault(), Fault::Endless { .. }),
        "as much, without waiting"
    );
}

#[test]
fn a_guest_that_loops_ends_by_the_clock_on_the_wall_when_fuel_lasts_too_long() {
    let limits = Limits {
        fuel: u64::MAX >> 1,
        compute: Duration::from_millis(100),
        ..small()
    };
    let code = engine(limits).load(&component("trials")).unwrap();
    let trial = Trial::on(&code, json!({"do": "loop"}));
    assert_eq!(*trial.fault(), Fault::TooSlow(Duration::from_millis(100)));
    assert!(!trial.fault().is_certain(), "a faster machine may get further");
}

#[test]
fn a_guest_that_takes_too_much_memory_ends() {
    let Fault::OutOfMemory { wanted, limit } = fault("memory") else {
        panic!()
    };
    assert!(wanted > limit && limit == small().memory);
}

#[test]
fn a_panic_is_reported_with_its_message() {
    let message = fault("panic").to_string();
    assert!(message.contains("the sky fell on 100 heads"), "{message}");
}

#[test]
fn a_guest_that_ends_its_process_is_reported_with_what_it_said() {
    let message = fault("exit").to_string();
    assert!(
        message.contains("it ended its process") && message.contains("nothing more to do here"),
        "{message}"
    );
}

#[test]
fn a_stack_overflow_is_the_guests_own() {
    let message = fault("stack").to_string();
    assert!(message.contains("stack"), "{message}");
}

#[test]
fn there_are_no_files_and_no_network() {
    for behaviour in ["file", "socket"] {
        let trial = Trial::of(json!({"do": behaviour}));
        let end = trial.end.as_ref().unwrap();
        assert_ne!(trial.end, None);
        assert!(
            !matches!(end, Ok(helve_wasm::Outcome::Returned(Ok(value))) if value != &json!(false)),
            "{end:?}"
        );
    }
}

#[test]
fn a_step_id_is_used_once() {
    let message = fault("same-step").to_string();
    assert!(message.contains("there was a step `m` before"), "{message}");
}

#[test]
fn findings_of_the_workflow_itself_are_bounded() {
    let message = fault("emit").to_string();
    assert!(message.contains("KiB of findings"), "{message}");
}

#[test]
fn a_fault_harms_no_other_run() {
    let mut neighbour = Trial::of(json!({"do": "journey"}));
    for behaviour in ["loop", "memory", "panic", "stack"] {
        Trial::of(json!({"do": behaviour})).fault();
        neighbour.run.progress();
    }
    neighbour.ended(0, found(1));
    neighbour.ended(1, found(1)).serve();
    assert_eq!(neighbour.returned()["found"], 2);
}

#[test]
fn runs_that_are_dropped_make_room_and_one_too_many_waits_for_it() {
    let code = trials();
    let sleep = || {
        let mut run = Run::new(&code, common::start(json!({"do": "sleep", "count": 5})));
        run.begin().map(|_| run)
    };
    // Other tests of this file may have runs in the same pool.
    let mut runs = Vec::new();
    let refused = loop {
        match sleep() {
            Ok(run) => runs.push(run),
            Err(fault) => break fault,
        }
        assert!(runs.len() <= small().max_runs as usize);
    };
    assert!(
        matches!(refused, Fault::NoRoom(_)) && !refused.is_certain(),
        "{refused}"
    );
    runs.clear();
    sleep().unwrap();
}

#[test]
fn what_is_not_a_workflow_is_refused_when_it_is_loaded() {
    let engine = engine(small());
    let nothing = engine.load(b"not wasm").unwrap_err();
    assert!(matches!(nothing, CodeError::NotAComponent(_)), "{nothing}");
    // The smallest component there is.
    let empty = engine.load(b"\0asm\x0d\0\x01\0").unwrap_err();
    assert!(matches!(empty, CodeError::NotAWorkflow(_)), "{empty}");
}

#[test]
fn compiled_code_outlives_its_engine_and_is_found_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let source = component("trials");
    let digest = {
        let engine = helve_wasm::Engine::new(small(), Some(folder.path())).unwrap();
        assert!(engine.loaded(&blake3::hash(&source).to_hex()).is_none());
        engine.load(&source).unwrap().digest()
    };
    assert_eq!(digest, blake3::hash(&source).to_hex().as_str());
    let engine = helve_wasm::Engine::new(small(), Some(folder.path())).unwrap();
    let code = engine.load(&source).unwrap();
    assert_eq!(engine.loaded(&digest).map(|code| code.digest()), Some(digest));
    assert_eq!(
        *Trial::on(&code, json!({"do": "compute", "count": 1})).returned(),
        json!(31)
    );
}
