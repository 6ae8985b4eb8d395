//! `helve toolbox check`, `helve workflows new`, `helve modules new`, and following the toolbox while `helve up` runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use helve_toolbox::scaffold::{self, ScaffoldError};
use helve_toolbox::{Change, Keeper, Layer, Loaded, Toolbox};
use helve_worker::{WorkerHandle, check_modules};
use serde_json::json;

use super::catalog::say_problems;
use crate::app::{App, verticals};
use crate::cli::{Role, WorkerChoice};
use crate::errors::{FAILED, Problem, Result, plain};
use crate::render::count;
use crate::terminal::{eprint_line, print, print_json};

/// How often the directories are looked at. A change serves new runs after two looks, so within a second.
const LOOK: Duration = Duration::from_millis(400);

/// `helve toolbox check`.
pub(crate) fn check(app: &App, dirs: &[PathBuf], json: bool) -> Result<u8> {
    let mut layers = vec![Layer::embedded()];
    for dir in app.global.toolbox.iter().chain(dirs) {
        layers.push(Layer::dir(dir).map_err(|error| Problem::new(error.to_string()))?);
    }
    let Loaded { toolbox, mut problems } = Toolbox::load(&layers);
    // What is well-formed may still hold rules that do not compile.
    problems.extend(check_modules(&toolbox));
    let counts = [
        (toolbox.workflows().count(), "workflow"),
        (toolbox.modules().count(), "module"),
        (toolbox.verticals().count(), "vertical"),
    ];
    if json {
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

/// `helve workflows new`.
pub(crate) fn new_workflow(app: &App, name: &str, dir: Option<PathBuf>, uses: Option<&str>) -> Result<u8> {
    if let Some(module) = uses {
        app.toolbox.module(module).map_err(super::catalog::not_found)?;
    }
    let dir = destination(app, dir);
    let files = scaffold::workflow(&dir, name, uses).map_err(refused)?;
    written(&files, &format!("helve run {name} . --toolbox {}", dir.display()));
    Ok(0)
}

/// `helve modules new`.
pub(crate) fn new_module(app: &App, name: &str, dir: Option<PathBuf>) -> Result<u8> {
    let dir = destination(app, dir);
    let files = scaffold::module(&dir, name).map_err(refused)?;
    let toolbox = dir.display();
    written(
        &files,
        &format!("helve workflows new {name}-scan --uses {name} --dir {toolbox} --toolbox {toolbox}"),
    );
    Ok(0)
}

fn destination(app: &App, dir: Option<PathBuf>) -> PathBuf {
    dir.or_else(|| app.global.toolbox.last().cloned())
        .unwrap_or_else(|| PathBuf::from("toolbox"))
}

fn written(files: &[PathBuf], next: &str) {
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

/// Follows the toolbox until `end`.
///
/// # Errors
///
/// When the engine has not been reached for so long that the worker has given up.
pub(crate) async fn serve(
    app: &App,
    choice: &WorkerChoice,
    worker: &mut WorkerHandle,
    end: impl Future<Output = ()>,
) -> Result<()> {
    // Whoever named verticals gets these, and no others that come along.
    let serves_all = choice.verticals.is_empty() && choice.roles.contains(&Role::Activities);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            () = worker.lost() => {
                return Err(Problem::new("the engine cannot be reached any more")
                    .help("start this again when it is back; what was running is tried again"));
            }
            change = next_change(&app.keeper) => {
                say(&change);
                if serves_all {
                    serve_new_verticals(&app.keeper, worker).await;
                }
            }
        }
    }
}

/// Waits until the toolbox changes, or an edit is found that broke something.
async fn next_change(keeper: &Arc<Mutex<Keeper>>) -> Change {
    loop {
        tokio::time::sleep(LOOK).await;
        let keeper = Arc::clone(keeper);
        let look = move || keeper.lock().unwrap_or_else(PoisonError::into_inner).look();
        if let Ok(Some(change)) = tokio::task::spawn_blocking(look).await {
            return change;
        }
    }
}

/// Says what changed.
fn say(change: &Change) {
    if let Some(error) = &change.error {
        eprint_line(&format!("toolbox  unchanged: {}", plain(&error.to_string())));
        return;
    }
    say_problems(&change.problems);
    for name in &change.kept {
        eprint_line(&format!(
            "toolbox  {name} is broken: its last good version goes on serving new runs"
        ));
    }
    if !change.changed.is_empty() {
        eprint_line(&format!("toolbox  new runs use the new {}", change.changed.join(", ")));
    }
}

/// Polls for verticals that are new.
async fn serve_new_verticals(keeper: &Arc<Mutex<Keeper>>, worker: &mut WorkerHandle) {
    let shelf = keeper.lock().unwrap_or_else(PoisonError::into_inner).shelf();
    for vertical in verticals(&shelf.current()) {
        if let Err(error) = worker.serve_vertical(&vertical).await {
            eprint_line(&format!(
                "toolbox  steps of the vertical `{vertical}` are not served: {error}"
            ));
        }
    }
}
