//! `helve toolbox check`, `helve workflows new`, `helve modules new`.

use std::path::{Path, PathBuf};

use helve_toolbox::scaffold::{self, ScaffoldError};
use helve_worker::{check_components, check_modules};
use serde_json::json;

use super::catalog::say_problems;
use crate::app::App;
use crate::errors::{FAILED, Problem, Result};
use crate::render::count;
use crate::terminal::{eprint_line, print, print_json};

/// WebAssembly of this length brings an interpreter along, and is not compiled at once. Bytes.
const SLOW: usize = 4 << 20;

/// `helve toolbox check`, of the toolbox that was loaded.
pub(crate) fn check(app: &App) -> Result<u8> {
    let toolbox = &app.toolbox;
    let mut problems = app.problems.clone();
    // What is well-formed may still hold rules that do not compile.
    problems.extend(check_modules(toolbox));
    problems.extend(check_wasm(app)?);
    let counts = [
        (toolbox.workflows().count(), "workflow"),
        (toolbox.modules().count(), "module"),
        (toolbox.verticals().count(), "vertical"),
    ];
    if app.global.json {
        print_json(&json!({
            "workflows": counts[0].0,
            "modules": counts[1].0,
            "verticals": counts[2].0,
            "problems": problems,
        }));
    } else {
        say_problems(&problems);
        let whole: Vec<String> = counts.iter().map(|(n, what)| count(*n as u64, what)).collect();
        let wrong = match problems.len() {
            0 => "nothing is wrong".to_owned(),
            n => count(n as u64, "problem"),
        };
        print(&format!("{}: {wrong}\n", whole.join(", ")));
    }
    Ok(if problems.is_empty() { 0 } else { FAILED })
}

fn check_wasm(app: &App) -> Result<Vec<helve_toolbox::Problem>> {
    let toolbox = &app.toolbox;
    let is_code = toolbox.workflows().any(|workflow| workflow.code.is_some())
        || toolbox.modules().any(|module| module.bundle.component.is_some());
    if !is_code {
        return Ok(Vec::new());
    }
    let data = app.data_dir()?;
    Ok(check_components(toolbox, Some(&data.compiled()), |file, length| {
        if length >= SLOW {
            eprint_line(&format!(
                "{file}: compiling {} MiB, once, takes up to a minute",
                length >> 20
            ));
        }
    }))
}

/// `helve workflows new`.
pub(crate) fn new_workflow(app: &App, name: &str, dir: Option<PathBuf>, uses: Option<&str>) -> Result<u8> {
    if let Some(module) = uses {
        app.toolbox.module(module).map_err(super::catalog::not_found)?;
    }
    let dir = destination(app, dir);
    let files = scaffold::workflow(&dir, name, uses).map_err(refused)?;
    written(app, &files, &format!("helve run {name} . --toolbox {}", dir.display()));
    Ok(0)
}

/// `helve modules new`.
pub(crate) fn new_module(app: &App, name: &str, dir: Option<PathBuf>) -> Result<u8> {
    let dir = destination(app, dir);
    let files = scaffold::module(&dir, name).map_err(refused)?;
    let toolbox = dir.display();
    written(
        app,
        &files,
        &format!("helve workflows new {name}-scan --uses {name} --dir {toolbox} --toolbox {toolbox}"),
    );
    Ok(0)
}

/// `helve workflows new --code`.
pub(crate) fn new_code_workflow(app: &App, name: &str, dir: Option<PathBuf>) -> Result<u8> {
    let dir = destination(app, dir);
    let files = scaffold::code_workflow(&dir, name).map_err(refused)?;
    let project = dir.join("workflows").join(name);
    written(app, &files, &build(&project, name, "workflow.wasm"));
    Ok(0)
}

/// `helve modules new --wasm`.
pub(crate) fn new_code_module(app: &App, name: &str, dir: Option<PathBuf>) -> Result<u8> {
    let dir = destination(app, dir);
    let files = scaffold::code_module(&dir, name).map_err(refused)?;
    let project = dir.join("modules").join(name);
    written(app, &files, &build(&project, name, "module.wasm"));
    Ok(0)
}

/// The commands that build a project.
fn build(project: &Path, name: &str, file: &str) -> String {
    let made = match file {
        // Libraries are called like the name in code.
        "workflow.wasm" => name.replace('-', "_"),
        _ => name.to_owned(),
    };
    format!(
        "cd {} && cargo build --release --target wasm32-wasip2 && cp target/wasm32-wasip2/release/{made}.wasm {file}",
        project.display()
    )
}

fn destination(app: &App, dir: Option<PathBuf>) -> PathBuf {
    dir.or_else(|| app.global.toolbox.last().cloned())
        .unwrap_or_else(|| PathBuf::from("toolbox"))
}

fn written(app: &App, files: &[PathBuf], next: &str) {
    if app.global.json {
        print_json(&json!({"files": files, "next": next}));
        return;
    }
    for file in files {
        print(&format!("{}\n", file.display()));
    }
    eprint_line(&format!("next: {next}"));
}

fn refused(error: ScaffoldError) -> Problem {
    match &error {
        ScaffoldError::Write { path, source } => Problem::io("write", path, source),
        ScaffoldError::Exists(_) => Problem::new(error.to_string()).help("choose another name, or edit what is there"),
        ScaffoldError::Name(_) => Problem::new(error.to_string()),
    }
}
