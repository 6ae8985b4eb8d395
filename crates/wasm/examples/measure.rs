//! How long the host takes: `cargo run --release -p helve-wasm --example measure -- WORKFLOW.wasm [PARAMETERS]`.
//!
//! Prints the time to compile, to load what was compiled before, and from nothing to a guest's first wait.

use std::time::{Duration, Instant};

use helve_wasm::{Engine, Limits, Moment, Run, Start};

const STARTS: usize = 2_000;
const LOADS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which workflow.wasm?")?;
    let parameters: serde_json::Value = serde_json::from_str(arguments.next().as_deref().unwrap_or("{}"))?;
    let source = std::fs::read(path)?;
    let cache = tempfile::tempdir()?;
    let engine = || Engine::new(Limits::default(), Some(cache.path()));

    let started = Instant::now();
    engine()?.load(&source)?;
    println!("{:<28} {:>10.1?}", "compile", started.elapsed());

    let mut loads = Vec::new();
    for _ in 0..LOADS {
        let engine = engine()?;
        let started = Instant::now();
        engine.load(&source)?;
        loads.push(started.elapsed());
    }
    say("load what was compiled", loads);

    let engine = engine()?;
    let code = engine.load(&source)?;
    let start = Start {
        name: "measured".to_owned(),
        workflow: "measured".to_owned(),
        parameters,
        target: None,
        seed: 1,
        moment: Moment::default(),
    };
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let start = start.clone();
        let started = Instant::now();
        let mut run = Run::new(&code, start);
        run.begin()?;
        starts.push(started.elapsed());
    }
    say("start to first wait", starts);
    Ok(())
}

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{what:<28} {:>10.1?} p50 {:>10.1?} p95 {:>10.1?} max",
        at(50),
        at(95),
        at(100)
    );
}
