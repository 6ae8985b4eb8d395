//! The same tests on several engines, side by side.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::report::{Outcome, Tally};

/// What one engine made of the tests: name of the test to what became of it (`passed`, `failed`, `error`, `skipped`).
pub(crate) struct Column {
    pub(crate) outcomes: BTreeMap<String, String>,
    pub(crate) took: Duration,
}

impl Column {
    /// Reads results, one test per line: name, tab, outcome. Without the file the tests did not come to their end: then
    /// there are no outcomes, which counts as a failure.
    pub(crate) fn read(path: &Path, took: Duration) -> Result<Self> {
        let outcomes = if path.exists() {
            parse(&fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?)
        } else {
            BTreeMap::new()
        };
        Ok(Self { outcomes, took })
    }

    pub(crate) fn tally(&self) -> Tally {
        let count = |wanted: &[&str]| self.outcomes.values().filter(|o| wanted.contains(&o.as_str())).count() as u64;
        Tally {
            passed: count(&["passed"]),
            failed: count(&["failed", "error"]),
        }
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.outcomes
            .iter()
            .filter(|(_, outcome)| is_bad(outcome))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect()
}

fn is_bad(outcome: &str) -> bool {
    matches!(outcome, "failed" | "error")
}

pub(crate) fn title(engine: &str) -> &'static str {
    if engine == "helve" {
        "on Helve's engine"
    } else {
        "on the real Temporal server"
    }
}

/// Good only if something ran on both engines and nothing failed on either.
pub(crate) fn judge(helve: &Column, temporal: &Column) -> Outcome {
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

/// One line per file of tests, one column per engine.
pub(crate) fn print_columns(heading: &str, columns: &[(&str, &Column)]) {
    let mut files: BTreeMap<&str, Vec<Tally>> = BTreeMap::new();
    for (index, (_, column)) in columns.iter().enumerate() {
        for (name, outcome) in &column.outcomes {
            let file = name.split_once("::").map_or(name.as_str(), |(file, _)| file);
            let tallies = files
                .entry(file)
                .or_insert_with(|| vec![Tally::default(); columns.len()]);
            tallies[index].passed += u64::from(outcome == "passed");
            tallies[index].failed += u64::from(is_bad(outcome));
        }
    }
    let width = files.keys().map(|file| file.len()).chain([heading.len()]).max();
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>10}")).collect();
        println!("{name:<width$}{cells}", width = width.unwrap_or_default());
    };
    let cell = |tally: &Tally| format!("{}/{}", tally.passed, tally.passed + tally.failed);
    println!();
    line(
        heading,
        columns.iter().map(|(engine, _)| (*engine).to_owned()).collect(),
    );
    for (file, tallies) in &files {
        line(file, tallies.iter().map(cell).collect());
    }
    line("all", columns.iter().map(|(_, column)| cell(&column.tally())).collect());
    let seconds = |column: &Column| format!("{:.1}", column.took.as_secs_f64());
    line("seconds", columns.iter().map(|(_, column)| seconds(column)).collect());
    for (engine, column) in columns {
        for name in column.failures() {
            println!("FAILED {}: {name}", title(engine));
        }
    }
}

/// Prints the tests that came out differently. Whether Helve passed each test that the real server passed.
pub(crate) fn differences(helve: &Column, temporal: &Column) -> bool {
    let missed = only_in(temporal, helve);
    println!("\npassed on the real server, not on Helve: {}", missed.len());
    missed.iter().for_each(|name| println!("    {name}"));
    let gained = only_in(helve, temporal);
    println!("passed on Helve, not on the real server: {}", gained.len());
    gained.iter().for_each(|name| println!("    {name}"));
    let something_ran = helve.tally().passed > 0 && temporal.tally().passed > 0;
    something_ran && missed.is_empty()
}

/// Tests that passed on the one and not on the other.
fn only_in<'a>(one: &'a Column, other: &Column) -> Vec<&'a str> {
    one.outcomes
        .iter()
        .filter(|(name, outcome)| *outcome == "passed" && other.outcomes.get(*name).is_none_or(|o| o != "passed"))
        .map(|(name, _)| name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column_of(text: &str) -> Column {
        Column {
            outcomes: parse(text),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_on_either_engine_fails() {
        let good = || column_of("a::x\tpassed\na::y\tskipped");
        let bad = || column_of("a::x\tpassed\na::y\terror");
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
            judge(&column_of(""), &column_of("a::x\tpassed")),
            Outcome::Failed(..)
        ));
        assert!(!differences(&column_of(""), &column_of("")));
    }

    #[test]
    fn a_test_that_only_the_real_server_passes_is_a_difference() {
        let theirs = column_of("a::x\tpassed\na::y\tpassed\na::z\tfailed");
        assert!(differences(
            &column_of("a::x\tpassed\na::y\tpassed\na::z\tfailed"),
            &theirs
        ));
        assert_eq!(only_in(&theirs, &column_of("a::x\tpassed\na::y\tskipped")), ["a::y"]);
        assert!(!differences(&column_of("a::x\tpassed"), &theirs));
    }
}
