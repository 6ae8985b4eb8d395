//! The same programs on Helve's engine and on the real server, side by side: Python's SDK and the command line.

use std::time::Instant;

use anyhow::Result;

use crate::column::{Column, judge, print_columns, title};
use crate::environment::Environment;
use crate::process::show;
use crate::python::{self, Prepared, Python};
use crate::report::{Outcome, Tally};

/// Processes of pytest: the tests mostly wait, so more than the two cores a small machine has.
const PROCESSES: &str = "6";

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
    print_columns(
        "programs on the Python SDK",
        &[("helve", &helve), ("temporal", &temporal)],
    );
    Ok(judge(&helve, &temporal))
}

fn column(environment: &Environment, python: &Python, engine: &str, only: &[String]) -> Result<Column> {
    println!("\n{}:", title(engine));
    let results = environment.target.join(format!("conformance-{engine}.tsv"));
    if results.exists() {
        std::fs::remove_file(&results)?;
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
    Column::read(&results, began.elapsed())
}
