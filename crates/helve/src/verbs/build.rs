//! `helve workflows build`: a workflow's code from its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use helve_worker::check_code;
use serde_json::json;

use crate::app::App;
use crate::build::{Build, Language, Tools};
use crate::errors::{Problem, Result};
use crate::terminal::{eprint_line, print, print_json};

/// The code in a workflow's folder.
const CODE: &str = "workflow.wasm";

/// `helve workflows build`.
pub(crate) fn build_workflow(app: &App, dir: Option<PathBuf>) -> Result<u8> {
    let folder = dir.unwrap_or_else(|| PathBuf::from("."));
    let folder = fs::canonicalize(&folder).map_err(|error| Problem::io("find", &folder, &error))?;
    let language = Language::of(&folder)?;
    let data = app.data_dir()?;
    // In the folder, so that the code is moved into its place and nobody reads half of it.
    let scratch = tempfile::Builder::new().prefix(".build-").tempdir_in(&folder);
    let scratch = scratch.map_err(|error| Problem::io("write to", &folder, &error))?;
    let began = Instant::now();
    let build = Build {
        folder: &folder,
        cache: data.root().join("build"),
        tools: Tools {
            search: app.search(&data)?,
            folder: app.tools_dir(&data)?,
            vertical: app.toolbox.vertical("wasm").ok(),
        },
        scratch: scratch.path(),
    };
    eprint_line(&format!("building {} ({language})", folder.display()));
    let made = build.run(language)?;
    let code = fs::read(&made).map_err(|error| Problem::io("read", &made, &error))?;
    check_code(&code, Some(&data.compiled())).map_err(|reason| {
        Problem::new(format!("what was built cannot be run: {reason}"))
            .help("docs/workflows-wasm-languages.md shows a workflow in each language")
    })?;
    let file = folder.join(CODE);
    replace(&file, &code, scratch.path())?;
    let (size, took) = (code.len().div_ceil(1024), began.elapsed().as_secs_f64());
    match app.global.json {
        true => print_json(&json!({"file": file, "bytes": code.len(), "seconds": took})),
        false => print(&format!("{}  {size} KiB  {took:.1} s\n", file.display())),
    }
    if !folder.join("metadata.yaml").is_file() {
        eprint_line("next: metadata.yaml with its name, version, description and parameters, beside it");
    }
    Ok(0)
}

fn replace(file: &Path, code: &[u8], scratch: &Path) -> Result<()> {
    let new = scratch.join("checked.wasm");
    let written = fs::write(&new, code).and_then(|()| fs::rename(&new, file));
    written.map_err(|error| Problem::io("write", file, &error))
}
