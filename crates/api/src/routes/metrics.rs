//! All figures of the process, for programs of monitoring.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use helve_ledger::Role;

use crate::door::Anyone;
use crate::problem::Result;
use crate::state::Api;

/// Prometheus' text format. They tell of all namespaces, so whoever reads them must be allowed to see all.
pub(crate) async fn metrics(Anyone(principal): Anyone, State(api): State<Api>) -> Result<Response> {
    principal.require_everywhere(Role::Viewer)?;
    let (looks, within) = api.metrics.looks();
    // What could not be looked up in time is as it was.
    let _ = tokio::time::timeout(within, looks).await;
    let registry = api.metrics.clone();
    let text = tokio::task::spawn_blocking(move || registry.text()).await;
    let text = text.map_err(|error| crate::problem::Problem::unavailable(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, helve_metrics::MEDIA_TYPE)], text).into_response())
}
