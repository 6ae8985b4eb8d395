//! The same Python programs on Helve's engine and on the real server, side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::environment::Environment;
use crate::process::show;
use crate::python::{self, Prepared, Python};
use crate::report::{Outcome, Tally};

/// Processes of pytest: the tests mostly wait, so more than the two cores a small machine has.
const PROCESSES: &str = "6";

/// What one engine made of the tests: name of the test to what became of it (`passed`, `failed`, `error`, `skipped`).
struct Column {
    outcomes: BTreeMap<String, String>,
    took: Duration,
}

impl Column {
    fn tally(&self) -> Tally {
        let count = |wanted: &[&str]| self.outcomes.values().filter(|o| wanted.contains(&o.as_str())).count() as u64;
        Tally {
            passed: count(&["passed"]),
            failed: count(&["failed", "error"]),
        }
    }

    fn failures(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| is_bad(outcome))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn is_bad(outcome: &str) -> bool {
    matches!(outcome, "failed" | "error")
}

pub(crate) fn run(environment: &Environment) -> Result<Outcome> {
    let python = match python::prepare(environment)? {
        Prepared::Ready(python) => python,
        Prepared::Missing(what) => {
            return Ok(Outcome::Missing(
                Tally::default(),
                format!("{what}: that programs on Temporal's official SDK and its command line work on Helve"),
            ));
        }
    };
    let helve = column(environment, &python, "helve", &[])?;
    let mut temporal = column(environment, &python, "temporal", &[])?;
    // The real server tells whether a test asks for the right thing. It is not what we check, so it may be slow once.
    let again = temporal.failures();
    if !again.is_empty() && again.len() <= 10 {
        println!("once more on the real server: {}", again.join(", "));
        temporal
            .outcomes
            .extend(column(environment, &python, "temporal", &again)?.outcomes);
    }
    print_columns(&helve, &temporal);
    Ok(judge(&helve, &temporal))
}

fn judge(helve: &Column, temporal: &Column) -> Outcome {
    let tally = helve.tally().add(temporal.tally());
    match (helve.tally(), temporal.tally()) {
        (Tally { passed: 0, failed: 0 }, _) | (_, Tally { passed: 0, failed: 0 }) => {
            Outcome::Failed(tally, "no test ran on one of the engines".into())
        }
        (Tally { failed: 0, .. }, Tally { failed: 0, .. }) => Outcome::Passed(tally),
        (ours, theirs) => Outcome::Failed(
            tally,
            format!(
                "{} on Helve's engine, {} on the real Temporal server",
                ours.failed, theirs.failed
            ),
        ),
    }
}

fn column(environment: &Environment, python: &Python, engine: &str, only: &[String]) -> Result<Column> {
    println!("\n{}:", title(engine));
    let results = environment.target.join(format!("conformance-{engine}.tsv"));
    if results.exists() {
        fs::remove_file(&results)?;
    }
    let began = Instant::now();
    let mut command = environment.command(python.program());
    command
        .current_dir(environment.root.join("tests/conformance"))
        .args(["-m", "pytest", "-q", "-n", PROCESSES, "--engine", engine, "--results"])
        .arg(&results)
        .args(only)
        .env("HELVE_BIN", environment.helve())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    show(&mut command)?;
    // Without the file pytest did not come to its end: no outcomes, which `judge` takes as a failure.
    let outcomes = if results.exists() {
        read(&results)?
    } else {
        BTreeMap::new()
    };
    Ok(Column {
        outcomes,
        took: began.elapsed(),
    })
}

fn title(engine: &str) -> &'static str {
    if engine == "helve" {
        "on Helve's engine"
    } else {
        "on the real Temporal server"
    }
}

/// One test per line: name, tab, outcome.
fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect())
}

fn print_columns(helve: &Column, temporal: &Column) {
    let mut files: BTreeMap<&str, [Tally; 2]> = BTreeMap::new();
    for (index, column) in [helve, temporal].into_iter().enumerate() {
        for (name, outcome) in &column.outcomes {
            let file = name.split_once("::").map_or(name.as_str(), |(file, _)| file);
            let tally = &mut files.entry(file).or_default()[index];
            tally.passed += u64::from(outcome == "passed");
            tally.failed += u64::from(is_bad(outcome));
        }
    }
    let cell = |tally: Tally| format!("{}/{}", tally.passed, tally.passed + tally.failed);
    println!(
        "\n{:<28} {:>10} {:>10}",
        "programs on the official SDK", "helve", "temporal"
    );
    for (file, [ours, theirs]) in &files {
        println!("{:<28} {:>10} {:>10}", file, cell(*ours), cell(*theirs));
    }
    println!(
        "{:<28} {:>10} {:>10}",
        "all",
        cell(helve.tally()),
        cell(temporal.tally())
    );
    let seconds = |column: &Column| format!("{:.1}", column.took.as_secs_f64());
    println!("{:<28} {:>10} {:>10}", "seconds", seconds(helve), seconds(temporal));
    for (column, engine) in [(helve, "helve"), (temporal, "temporal")] {
        for name in column.failures() {
            println!("FAILED {}: {name}", title(engine));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column_of(outcomes: &[(&str, &str)]) -> Column {
        let outcomes = outcomes
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned()))
            .collect();
        Column {
            outcomes,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_on_either_engine_fails() {
        let good = || column_of(&[("a::x", "passed"), ("a::y", "skipped")]);
        let bad = || column_of(&[("a::x", "passed"), ("a::y", "error")]);
        assert!(matches!(
            judge(&good(), &good()),
            Outcome::Passed(Tally { passed: 2, failed: 0 })
        ));
        assert!(matches!(
            judge(&bad(), &good()),
            Outcome::Failed(Tally { passed: 2, failed: 1 }, _)
        ));
        assert!(matches!(judge(&good(), &bad()), Outcome::Failed(..)));
    }

    #[test]
    fn an_engine_on_which_nothing_ran_is_a_failure() {
        assert!(matches!(
            judge(&column_of(&[]), &column_of(&[("a::x", "passed")])),
            Outcome::Failed(..)
        ));
    }
}
