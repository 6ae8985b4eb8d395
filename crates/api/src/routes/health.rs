//! Whether the process lives, and whether it is of use. The only questions that need no token.

use axum::extract::State;

use crate::problem::{Problem, Result};
use crate::state::Api;

/// Say that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain")))]
pub(crate) async fn alive() -> &'static str {
    "alive\n"
}

/// Say whether requests can be served: the engine answers, and the ledger.
#[utoipa::path(get, path = "/readyz", tag = "Health", security(()),
    responses((status = 200, description = "They can", body = String, content_type = "text/plain")))]
pub(crate) async fn ready(State(api): State<Api>) -> Result<&'static str> {
    let engine = api.client.check_namespace().await;
    engine.map_err(|_| Problem::unavailable("the engine does not answer"))?;
    let page = helve_ledger::PageRequest {
        cursor: None,
        limit: Some(1),
    };
    let ledger = api.ledger.list_tokens(page).await;
    ledger.map_err(|_| Problem::unavailable("the ledger does not answer"))?;
    Ok("ready\n")
}
