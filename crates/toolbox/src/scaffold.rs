//! New workflows and modules to begin with. Plans and modules that run a program of the machine pass the check and run as
//! they are; what is code has to be built first.

mod code;

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name cannot be one.
    #[error("`{0}` cannot be a name: use lowercase letters, digits, `-` and `_`, a letter first, 64 at most")]
    Name(String),
    /// There is something already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// It cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Makes `workflows/NAME` in a toolbox. It uses that module, or looks for secrets and flaws. Returns the files.
pub fn workflow(toolbox: &Path, name: &str, uses: Option<&str>) -> Result<Vec<PathBuf>, ScaffoldError> {
    let plan = match uses {
        Some(module) => format!("steps:\n  - id: scan\n    uses: {module}\n    timeout: 30m\n"),
        None => PLAN.to_owned(),
    };
    let metadata = METADATA.replace("NAME", name);
    write(
        toolbox,
        "workflows",
        name,
        &[("metadata.yaml", metadata), ("workflow.yaml", plan)],
    )
}

/// Makes `modules/NAME` in a toolbox: a module of kind `command` that runs on any machine. Returns the files.
pub fn module(toolbox: &Path, name: &str) -> Result<Vec<PathBuf>, ScaffoldError> {
    let text = MODULE.replace("NAME", name);
    write(toolbox, "modules", name, &[("module.yaml", text)])
}

/// Makes `workflows/NAME` in a toolbox: a project in Rust whose component is the workflow, with a copy of the SDK. Returns
/// the files.
pub fn code_workflow(toolbox: &Path, name: &str) -> Result<Vec<PathBuf>, ScaffoldError> {
    let mut files = vec![("metadata.yaml", METADATA.replace("NAME", name))];
    files.extend(code::workflow(name));
    write(toolbox, "workflows", name, &files)
}

/// Makes `modules/NAME` in a toolbox: a project in Rust whose component is a module of kind `wasm`. Returns the files.
pub fn code_module(toolbox: &Path, name: &str) -> Result<Vec<PathBuf>, ScaffoldError> {
    write(toolbox, "modules", name, &code::module(name))
}

fn write(toolbox: &Path, part: &str, name: &str, files: &[(&str, String)]) -> Result<Vec<PathBuf>, ScaffoldError> {
    let fine = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !fine {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    let folder = toolbox.join(part).join(name);
    if folder.exists() {
        return Err(ScaffoldError::Exists(folder));
    }
    fs::create_dir_all(&folder).map_err(|source| ScaffoldError::Write {
        path: folder.clone(),
        source,
    })?;
    let mut written = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .map_err(|source| ScaffoldError::Write {
                path: path.clone(),
                source,
            })?;
        written.push(path);
    }
    Ok(written)
}

const METADATA: &str = "\
name: NAME
version: \"0.1.0\"
description: Say here in a sentence what it looks for.
# The vertical whose workers run the steps; `builtin` needs no tools. `helve verticals` lists them.
vertical: builtin
workspace_isolation: isolated

# Parameters as JSON Schema; `helve run NAME . --param KEY=VALUE` gives them.
parameters:
  type: object
  additionalProperties: false
  properties: {}
";

const PLAN: &str = "\
# The plan: steps that need nothing from each other run at the same time. `helve modules` lists what there is to use.
steps:
  - id: secrets
    uses: secrets

  - id: code
    uses: sast
    # Only after `secrets`, and only if that found something:
    # needs: [secrets]
    # if: steps.secrets.findings > 0
    timeout: 30m
    retry: { max_attempts: 3 }

# What the run answers beside its findings.
output:
  total: \"{{ steps.secrets.findings + steps.code.findings }}\"
";

const MODULE: &str = "\
# A module of kind `command` runs a program and reads its output. This one looks for marks that were left in code.
name: NAME
version: \"0.1.0\"
description: Finds marks such as FIXME that were left in code.
kind: command

# The program. It is looked up in the tools that Helve installed and in PATH; a missing or unfit one makes the step
# inconclusive, never clean.
tool:
  program: grep
  probe: { args: [--version], pattern: '(\\d+\\.[\\d.]+)' }

# Its arguments, without a shell. Templates know `config`, `workspace` (what is looked at, also the working directory),
# `out` (a private folder for files) and `files` (this folder).
args: [--recursive, --line-number, --binary-files=without-match, --extended-regexp, \"{{ config.marks | join('|') }}\", .]

# 0: something was found, 1: nothing was. Any other code makes the step inconclusive.
exit_codes: [0, 1]

# How the output becomes findings. Formats: sarif, json, lines, junit.
output:
  from: stdout
  format: lines
  pattern: '^(?:\\./)?(?P<path>[^:]+):(?P<line>\\d+):\\s*(?P<message>.*)$'

rules:
  - id: NAME
    name: A mark was left in the code
    description: Somebody wanted to come back to this place.
    severity: note

limits: { time: 5m, memory: 512Mi }

config_schema:
  type: object
  additionalProperties: false
  properties:
    marks:
      description: What to look for, as regular expressions.
      type: array
      items: { type: string }
      default: [FIXME, XXX]
";
