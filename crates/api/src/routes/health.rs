//! Whether the process lives, and whether it is of use. The only questions that need no token.

use std::time::{Duration, Instant};

use axum::extract::State;
use tokio::sync::Mutex;

use crate::problem::{Problem, Result};
use crate::state::{Api, Inner};

/// An answer is good for this long: whoever asks needs no token, and looking costs writes.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// What takes longer is of no use either.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What was found when it was last looked.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Vec<String>)>>);

/// Say that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain")))]
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// Say whether requests can be served: the engine and the ledger answer and can write, and the store of blobs is there. If not,
/// the problem says what is wrong.
#[utoipa::path(get, path = "/readyz", tag = "Health", security(()),
    responses((status = 200, description = "They can", body = String, content_type = "text/plain")))]
pub(crate) async fn ready(State(api): State<Api>) -> Result<&'static str> {
    let mut last = api.readiness.0.lock().await;
    let reasons = match &*last {
        Some((at, reasons)) if at.elapsed() < GOOD_FOR => reasons.clone(),
        _ => {
            let reasons = look(&api).await;
            *last = Some((Instant::now(), reasons.clone()));
            reasons
        }
    };
    match reasons.is_empty() {
        true => Ok("ready\n"),
        false => Err(Problem::unavailable(reasons.join("; "))),
    }
}

/// What is wrong.
async fn look(api: &Inner) -> Vec<String> {
    let (engine, ledger, blobs) = tokio::join!(
        in_time("the engine", engine(api)),
        in_time("the ledger", ledger(api)),
        in_time("the store of targets and results", blobs(api)),
    );
    [engine, ledger, blobs].into_iter().flatten().collect()
}

/// Errors name files and buckets, which are for the log and not for strangers.
async fn in_time(what: &str, check: impl Future<Output = std::result::Result<(), String>>) -> Option<String> {
    match tokio::time::timeout(ANSWERS_WITHIN, check).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => {
            tracing::warn!(what, reason, "not ready");
            Some(format!("{what} cannot be used; the server's log says why"))
        }
        Err(_) => Some(format!("{what} does not answer")),
    }
}

async fn engine(api: &Inner) -> std::result::Result<(), String> {
    let answer = api.client.check_namespace().await;
    answer.map_err(|status| format!("it does not answer ({})", status.code()))?;
    match &api.engine_check {
        Some(check) => check().await,
        None => Ok(()),
    }
}

async fn ledger(api: &Inner) -> std::result::Result<(), String> {
    api.ledger.check_writable().await.map_err(|error| error.to_string())
}

async fn blobs(api: &Inner) -> std::result::Result<(), String> {
    let blobs = api.blobs.clone();
    let checked = tokio::task::spawn_blocking(move || blobs.check()).await;
    checked
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}
