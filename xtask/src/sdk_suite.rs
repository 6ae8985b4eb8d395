//! `cargo xtask sdk-suite`: the Python SDK's own tests as a judge, on Helve's engine and on the real server.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::column::{Column, differences, print_columns};
use crate::environment::Environment;
use crate::process::{quietly, show};
use crate::python::{self, Prepared, Python};

/// Names the checkout, or the bare repository, of `temporalio/sdk-python`.
pub(crate) const SOURCE: &str = "SDK_PYTHON";

/// What of the repository is needed.
const PARTS: [&str; 4] = ["tests", "scripts", "pyproject.toml", "README.md"];

/// Whether Helve passed every test that the real server passed.
pub(crate) fn run(environment: &Environment, arguments: &[&str]) -> Result<bool> {
    let (engines, selection): (&[&str], &[&str]) = match arguments {
        ["--on", "both", rest @ ..] => (&["helve", "temporal"], rest),
        ["--on", "helve", rest @ ..] => (&["helve"], rest),
        ["--on", "temporal", rest @ ..] => (&["temporal"], rest),
        ["--on", ..] => bail!("`--on` takes helve, temporal or both"),
        rest => (&["helve", "temporal"], rest),
    };
    let folder = environment.target.join("sdk-suite");
    let source = source(environment, &folder)?;
    let temporal = ready(python::prepare(environment)?)?;
    let python = ready(suite_python(environment, &source)?)?;
    if engines.contains(&"helve") {
        // As `cargo xtask test` builds, so that nothing is built twice.
        let build = ["build", "--workspace", "--all-targets"];
        if !show(&mut environment.cargo(&build))?.success {
            bail!("the engine does not compile");
        }
    }
    let mut columns = Vec::new();
    for engine in engines {
        println!("\nthe SDK's tests on {engine}: this takes a while");
        let results = folder.join(format!("{engine}.tsv"));
        let began = Instant::now();
        let mut command = environment.command(python.program());
        command
            .arg(environment.root.join("tests/sdk-suite/suite.py"))
            .args(["--engine", engine, "--source"])
            .arg(&source)
            .arg("--results")
            .arg(&results)
            .args(selection)
            .env("HELVE_SERVE_BIN", environment.example("serve"))
            .env("HELVE_TEMPORAL_BIN", temporal.temporal())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        show(&mut command)?;
        columns.push((*engine, Column::read(&results, began.elapsed())?));
    }
    let named: Vec<_> = columns.iter().map(|(engine, column)| (*engine, column)).collect();
    print_columns("the Python SDK's own tests", &named);
    let [(_, helve), (_, temporal)] = named.as_slice() else {
        return Ok(named.iter().all(|(_, column)| column.failures().is_empty()));
    };
    Ok(differences(helve, temporal))
}

fn ready(prepared: Prepared) -> Result<Python> {
    match prepared {
        Prepared::Ready(python) => Ok(python),
        Prepared::Missing(what) => bail!("{what}"),
    }
}

/// The suite's files, taken from the repository as it was committed.
fn source(environment: &Environment, folder: &Path) -> Result<PathBuf> {
    let Some(repository) = env::var_os(SOURCE) else {
        bail!("{SOURCE} is not set: it names a checkout of Temporal's Python SDK (GitHub: temporalio/sdk-python)");
    };
    let repository = std::path::absolute(repository)?;
    let git = |arguments: &[&str]| {
        let mut command = environment.command("git");
        command.arg("-C").arg(&repository).args(arguments);
        command
    };
    let head = quietly(&mut git(&["rev-parse", "HEAD"]))?;
    if !head.success {
        bail!("{} is no git repository: {}", repository.display(), head.text());
    }
    let commit = head.text();
    let source = folder.join("source");
    let stamp = folder.join("source.commit");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == commit) {
        return Ok(source);
    }
    if source.exists() {
        fs::remove_dir_all(&source).with_context(|| format!("removing {}", source.display()))?;
    }
    fs::create_dir_all(&source).with_context(|| format!("making {}", source.display()))?;
    let archive = folder.join("source.tar");
    let mut pack = git(&["archive", "--format=tar", "HEAD"]);
    pack.args(PARTS).arg("--output").arg(&archive);
    for mut command in [pack, unpack(environment, &archive, &source)] {
        let done = quietly(&mut command)?;
        if !done.success {
            bail!("copying the suite from {}: {}", repository.display(), done.text());
        }
    }
    fs::remove_file(&archive)?;
    fs::write(&stamp, commit)?;
    Ok(source)
}

fn unpack(environment: &Environment, archive: &Path, into: &Path) -> std::process::Command {
    let mut command = environment.command("tar");
    command.arg("-xf").arg(archive).arg("-C").arg(into);
    command
}

/// An environment with the SDK in the checkout's version: another one fails for reasons of its own.
fn suite_python(environment: &Environment, source: &Path) -> Result<Prepared> {
    let project = fs::read_to_string(source.join("pyproject.toml")).context("reading the SDK's pyproject.toml")?;
    let version = project
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .context("the SDK's pyproject.toml has no version")?;
    let fixed = fs::read_to_string(environment.root.join("tests/sdk-suite/requirements.txt"))?;
    let wanted = format!("{fixed}temporalio[grpc,opentelemetry,pydantic]=={version}\n");
    python::make(environment, "sdk-suite/python", &wanted, &["python"])
}
