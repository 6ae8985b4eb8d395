//! JavaScript, with componentize-js, which brings an interpreter along.

use std::path::PathBuf;

use super::tools::run;
use super::{Build, Language, WORLD};
use crate::errors::Result;

pub(super) fn build(build: &Build<'_>) -> Result<PathBuf> {
    let program = build.tools.get("componentize-js")?;
    let component = build.scratch.join("workflow.wasm");
    let mut command = build.tools.command(&program);
    command
        .arg(build.folder.join(Language::JavaScript.file()))
        .arg("--wit")
        .arg(build.wit()?)
        .args(["--world-name", WORLD])
        .arg("--out")
        .arg(&component)
        // Workflows have no network. Clocks and random numbers stay: the host answers them from the history.
        .args(["--disable", "http", "fetch-event"])
        .current_dir(build.folder);
    run(&mut command, "the workflow")?;
    Ok(component)
}
