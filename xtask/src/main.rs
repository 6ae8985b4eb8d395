//! `cargo xtask test` checks everything Helve promises; `cargo xtask bench` measures it.

mod bench;
mod column;
mod conformance;
mod environment;
mod npm;
mod pages;
mod process;
mod python;
mod report;
mod sdk_suite;
mod steps;
mod toolchain;
mod tools;
mod typescript;

use std::process::ExitCode;

use anyhow::{Result, bail};

use environment::Environment;
use report::Report;
use steps::Step;

const HELP: &str = "\
cargo xtask test [STEP...]    check everything, or only these steps:
    fmt          formatting
    lint         clippy, warnings denied
    build        all targets of the workspace, once for the steps below
    unit         unit and property tests
    doc          the examples in the documentation
    deny         licences and advisories of the dependencies (needs cargo-deny)
    conformance  programs on Temporal's official Python SDK and its command line, on Helve's engine and on the real server
    typescript   programs on Temporal's official TypeScript SDK, on both engines (needs Node.js 20)
    pages        the web pages in a headless Chromium, with pictures of each (needs Node.js 20)
    e2e          the helve program from outside: scans, kills, wrong input; on its own engine and on the real server
cargo xtask sdk-suite [--on helve|temporal|both] [PYTEST ARGUMENT...]
                              the Python SDK's own tests on both engines; SDK_PYTHON names a checkout of temporalio/sdk-python
cargo xtask bench [--quick] [LOAD...]
                              scan rate, start-up time and the engine's loads, beside the real server's (`help`: the loads)
cargo xtask bench --compare [--write]
                              allocations per unit of work against the baseline in bench/ (a part of `unit`)

Environment:
    CARGO_TARGET_DIR   where to build; unset, ~/.cache/helve/target is used when it exists
    CI=true            what cannot be checked is a failure, not a warning";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything passed.
fn run(arguments: &[String]) -> Result<bool> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test", steps @ ..] => test(steps),
        ["sdk-suite", arguments @ ..] => sdk_suite::run(&Environment::find()?, arguments),
        ["bench", options @ ..] => bench::run(&Environment::find()?, options).map(|()| true),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(true)
        }
        [other, ..] => bail!("there is no task `{other}`\n\n{HELP}"),
    }
}

fn test(names: &[&str]) -> Result<bool> {
    let wanted = if names.is_empty() {
        Step::ALL.to_vec()
    } else {
        steps::named(names)?
    };
    let environment = Environment::find()?;
    println!("target directory: {}", environment.target.display());
    let mut report = Report::new(environment.ci);
    for step in steps::with_needs(&wanted) {
        report.run(step, || step.run(&environment));
    }
    report.print();
    Ok(report.is_good())
}
