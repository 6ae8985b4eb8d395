//! Python, with componentize-py, which brings an interpreter along.

use std::path::PathBuf;

use super::tools::run;
use super::{Build, Language, WORLD};
use crate::errors::Result;

pub(super) fn build(build: &Build<'_>) -> Result<PathBuf> {
    let program = build.tools.get("componentize-py")?;
    let component = build.scratch.join("workflow.wasm");
    let module = Language::Python.file().trim_end_matches(".py");
    let mut command = build.tools.command(&program);
    command
        .arg("--wit-path")
        .arg(build.wit()?)
        .args(["--world", WORLD, "componentize", "--python-path"])
        .arg(build.folder)
        .arg("--output")
        .arg(&component)
        .arg(module)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("VIRTUAL_ENV")
        .current_dir(build.folder);
    run(&mut command, "the workflow")?;
    Ok(component)
}
