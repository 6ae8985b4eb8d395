//! What `helve up` and `helve worker` do while they stay: the worker serves, and the toolbox is followed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use helve_runs::verticals;
use helve_toolbox::{Change, Keeper};
use helve_worker::WorkerHandle;

use super::catalog::say_problems;
use crate::app::App;
use crate::cli::{Role, WorkerChoice};
use crate::errors::{Problem, Result, plain};
use crate::health::Health;
use crate::terminal::eprint_line;

/// How often the directories are looked at. A change serves new runs after two looks, so within a second.
const LOOK: Duration = Duration::from_millis(400);

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

/// The health endpoint, if one was asked for.
pub(crate) async fn health(app: &App, choice: &WorkerChoice, worker: &WorkerHandle) -> Result<Option<Health>> {
    let Some(address) = choice.health else { return Ok(None) };
    let health = Health::serve(address, "--health", Some(worker.pulse()), app.metrics.clone()).await?;
    eprint_line(&format!("health   http://{}/readyz", health.address));
    Ok(Some(health))
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
