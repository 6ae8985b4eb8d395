//! Python environments for the official SDK and the real server, made under the target directory.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::environment::Environment;
use crate::process::{exists, quietly, show};

/// Whether Python is there with what the conformance tests need.
pub(crate) enum Prepared {
    Ready(Python),
    /// What is missing, in a phrase.
    Missing(String),
}

/// A virtual environment with the requirements installed.
pub(crate) struct Python {
    folder: PathBuf,
}

impl Python {
    pub(crate) fn program(&self) -> PathBuf {
        self.bin("python")
    }

    /// Temporal's command line, which is also its development server.
    pub(crate) fn temporal(&self) -> PathBuf {
        self.bin("temporal")
    }

    fn bin(&self, name: &str) -> PathBuf {
        let folder = if cfg!(windows) { "Scripts" } else { "bin" };
        self.folder
            .join(folder)
            .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

/// An S3 server for the tests of storage, pinned like everything that judges.
pub(crate) fn s3_server(environment: &Environment) -> Result<Result<PathBuf, String>> {
    Ok(
        match make(environment, "storage-python", "moto[server]==5.2.5\n", &["python"])? {
            Prepared::Ready(python) => Ok(python.bin("moto_server")),
            Prepared::Missing(what) => Err(what),
        },
    )
}

/// The program that asks an HTTP API everything that its description allows, and what it does not, in an environment of its own.
pub(crate) fn schemathesis(environment: &Environment) -> Result<Result<PathBuf, String>> {
    let wanted = "schemathesis==4.32.5\n";
    Ok(
        match make(environment, "schemathesis-python", wanted, &["python", "schemathesis"])? {
            Prepared::Ready(python) => Ok(python.bin("schemathesis")),
            Prepared::Missing(what) => Err(what),
        },
    )
}

/// The environment of the conformance tests, with the real server.
pub(crate) fn prepare(environment: &Environment) -> Result<Prepared> {
    let requirements = environment.root.join("tests/conformance/requirements.txt");
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    make(environment, "conformance-python", &wanted, &["python", "temporal"])
}

/// Makes an environment in a folder under the target directory, unless it is there already with these very requirements
/// and its programs work.
pub(crate) fn make(environment: &Environment, folder: &str, wanted: &str, programs: &[&str]) -> Result<Prepared> {
    let python = Python {
        folder: environment.target.join(folder),
    };
    let stamp = python.folder.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && works(&python, programs) {
        return Ok(Prepared::Ready(python));
    }
    let Some(system) = ["python3", "python"].into_iter().find(|name| exists(name, "--version")) else {
        return Ok(Prepared::Missing("python3 is missing (version 3.10 or newer)".into()));
    };
    println!("making a Python environment in {}", python.folder.display());
    if python.folder.exists() {
        fs::remove_dir_all(&python.folder).with_context(|| format!("removing {}", python.folder.display()))?;
    }
    let made = quietly(environment.command(system).args(["-m", "venv"]).arg(&python.folder))?;
    if !made.success {
        println!("{}", made.text());
        return Ok(Prepared::Missing(format!(
            "`{system} -m venv` does not work (on Debian: apt install python3-venv)"
        )));
    }
    let requirements = python.folder.join("requirements.txt");
    fs::write(&requirements, wanted).with_context(|| format!("writing {}", requirements.display()))?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ];
    let installed = show(environment.command(python.program()).args(install).arg(&requirements))?;
    if !installed.success {
        return Ok(Prepared::Missing(format!(
            "the packages in {} cannot be installed",
            requirements.display()
        )));
    }
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(Prepared::Ready(python))
}

/// An environment is tied to its own place and to the system's Python, and either may have changed.
fn works(python: &Python, programs: &[&str]) -> bool {
    programs
        .iter()
        .all(|program| exists(&python.bin(program).to_string_lossy(), "--version"))
}
