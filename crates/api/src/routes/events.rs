//! Live events of a run, as Server-Sent Events.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use helve_runs::EventId;

use crate::door::{Caller, Peer, shut_out};
use crate::extract::Path;
use crate::problem::{Problem, Result, shown};
use crate::state::Api;

/// Proxies and browsers give up a connection that says nothing for long.
const STILL_THERE: Duration = Duration::from_secs(15);

/// Follow a run: its steps, their progress, findings and log lines as they come, until it has ended.
///
/// What lasts has an id: with the header `Last-Event-ID` (browsers send it by themselves) the stream goes on after that event.
/// What passes (`step_started`, `step_progress`) has none and is not repeated. After the last event the answer is `204`.
/// The stream ends, too, when the token is revoked or expires, or the session ends.
#[utoipa::path(get, path = "/runs/{run_id}/events", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "Events; `data` is a RunEvent as JSON", body = crate::openapi::RunEvent,
            content_type = "text/event-stream"),
        (status = 204, description = "There are no more events after that one")))]
pub(crate) async fn events(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    from: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response> {
    let after = match headers.get("last-event-id").map(HeaderValue::to_str) {
        None => None,
        Some(Ok("")) => None,
        Some(Ok(text)) => Some(
            text.parse::<EventId>()
                .map_err(|error| Problem::unprocessable(error.to_string()))?,
        ),
        Some(Err(_)) => return Err(Problem::unprocessable("the header Last-Event-ID cannot be read")),
    };
    let described = caller.client.describe(&run_id).await;
    let described = described.map_err(|status| helve_runs::Error::of_run(&shown(&run_id), status))?;
    let info = described.workflow_execution_info.unwrap_or_default();
    // The last entry of a history is the end of its run, which gives rise to one event.
    if info.close_time.is_some() && after.is_some_and(|after| after.entry() >= info.history_length) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let listener = api.feeds.listen(&caller.client, &api.blobs, &run_id, after)?;
    let shut_out = shut_out(
        api.ledger.clone(),
        headers,
        from.map(|Extension(from)| from),
        caller.namespace,
    );
    let events = listener.stream(after).take_until(Box::pin(shut_out));
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(STILL_THERE));
    let mut response = stream.into_response();
    // Proxies must not collect what is meant to come at once.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
