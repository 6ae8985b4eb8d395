//! The same programs on the TypeScript SDK, on Helve's engine and on the real server.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::column::{Column, judge, print_columns, title};
use crate::environment::Environment;
use crate::npm;
use crate::process::show;
use crate::python::{self, Prepared};
use crate::report::{Outcome, Tally};

const OPEN: &str = "that programs on Temporal's official TypeScript SDK work on Helve";

pub(crate) fn run(environment: &Environment) -> Result<Outcome> {
    let missing = |what: String| Ok(Outcome::Missing(Tally::default(), format!("{what}: {OPEN}")));
    // The real server comes with the Python packages.
    let temporal = match python::prepare(environment)? {
        Prepared::Ready(python) => python.temporal(),
        Prepared::Missing(what) => return missing(what),
    };
    let folder = match npm::prepare(environment, "conformance-typescript")? {
        Ok(folder) => folder,
        Err(what) => return missing(what),
    };
    let compiled = show(
        environment
            .command("node")
            .arg(folder.join("node_modules/typescript/bin/tsc"))
            .arg("--project")
            .arg(&folder),
    )?;
    if !compiled.success {
        return Ok(Outcome::Failed(Tally::default(), "the programs do not compile".into()));
    }
    let helve = column(environment, &folder, &temporal, "helve")?;
    let temporal = column(environment, &folder, &temporal, "temporal")?;
    print_columns(
        "programs on the TypeScript SDK",
        &[("helve", &helve), ("temporal", &temporal)],
    );
    Ok(judge(&helve, &temporal))
}

fn column(environment: &Environment, folder: &Path, temporal: &Path, engine: &str) -> Result<Column> {
    println!("\n{}:", title(engine));
    let results = environment.target.join(format!("conformance-typescript-{engine}.tsv"));
    if results.exists() {
        fs::remove_file(&results)?;
    }
    let began = Instant::now();
    let mut command = environment.command("node");
    command
        .current_dir(folder)
        .args(["build/run.js", "--engine", engine, "--results"])
        .arg(&results)
        .env("HELVE_BIN", environment.helve())
        .env("HELVE_TEMPORAL_BIN", temporal);
    show(&mut command)?;
    Column::read(&results, began.elapsed())
}
