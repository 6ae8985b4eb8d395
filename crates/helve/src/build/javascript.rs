//! JavaScript, with componentize-js, which brings an interpreter along.

use std::fs;
use std::path::PathBuf;

use super::tools::run;
use super::{Build, Language, WORLD};
use crate::errors::{Problem, Result};

/// What calls the workflow. The bindings take whatever was thrown for a `failure` of the interface; of an error that nobody
/// caught they would only say that it is none.
const ENTRY: &str = r#"import { run as workflow } from '../WORKFLOW';

export async function run(input) {
  try {
    return await workflow(input);
  } catch (error) {
    throw isFailure(error) ? error : uncaught(error);
  }
}

function isFailure(error) {
  return typeof error === 'object' && error !== null && ('payload' in error || 'kind' in error);
}

// Looked at as a failure, it is thrown once more where nobody catches it: the interpreter writes its message and where it
// comes from to standard error, and the workflow traps.
function uncaught(error) {
  if (error instanceof Error) error.message = String(error);
  return { get kind() { throw error; } };
}
"#;

pub(super) fn build(build: &Build<'_>) -> Result<PathBuf> {
    let program = build.tools.get("componentize-js")?;
    let component = build.scratch.join("workflow.wasm");
    // The scratch folder is in the workflow's.
    let entry = build.scratch.join("entry.js");
    fs::write(&entry, ENTRY.replace("WORKFLOW", Language::JavaScript.file()))
        .map_err(|error| Problem::io("write", &entry, &error))?;
    let mut command = build.tools.command(&program);
    command
        .arg(&entry)
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
