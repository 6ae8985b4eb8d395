//! The same programs on the TypeScript SDK, on Helve's engine and on the real server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::column::{Column, judge, print_columns, title};
use crate::environment::Environment;
use crate::process::{exists, quietly, show};
use crate::python::{self, Prepared};
use crate::report::{Outcome, Tally};

const SOURCES: &str = "tests/conformance-typescript";
const OPEN: &str = "that programs on Temporal's official TypeScript SDK work on Helve";

pub(crate) fn run(environment: &Environment) -> Result<Outcome> {
    let missing = |what: String| Ok(Outcome::Missing(Tally::default(), format!("{what}: {OPEN}")));
    // The real server comes with the Python packages.
    let temporal = match python::prepare(environment)? {
        Prepared::Ready(python) => python.temporal(),
        Prepared::Missing(what) => return missing(what),
    };
    let folder = match prepare(environment)? {
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

/// A copy of the programs beside their packages, under the target directory: the checkout stays clean. Or what is missing.
fn prepare(environment: &Environment) -> Result<Result<PathBuf, String>> {
    for program in ["node", npm()] {
        if !exists(program, "--version") {
            return Ok(Err(format!("{program} is missing (Node.js 20 or newer)")));
        }
    }
    let sources = environment.root.join(SOURCES);
    let folder = environment.target.join("conformance-typescript");
    for stale in ["src", "build"] {
        let stale = folder.join(stale);
        if stale.exists() {
            fs::remove_dir_all(&stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    copy(&sources.join("src"), &folder.join("src"))?;
    for file in ["package.json", "package-lock.json", "tsconfig.json", ".npmrc"] {
        fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("copying {file}"))?;
    }
    let wanted = fs::read_to_string(sources.join("package-lock.json"))?;
    let stamp = folder.join("packages.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Ok(folder));
    }
    println!("installing the packages in {SOURCES}/package-lock.json");
    let mut install = environment.command(npm());
    // No package needs to run a script of its own here.
    install
        .current_dir(&folder)
        .args(["install", "--no-save", "--ignore-scripts"]);
    let installed = quietly(&mut install)?;
    if !installed.success {
        println!("{}", installed.text());
        return Ok(Err(format!("the packages in {SOURCES} cannot be installed")));
    }
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(Ok(folder))
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
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
