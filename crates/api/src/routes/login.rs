//! The end of a session; the pages have its beginning.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::Via;

use crate::door::{Anyone, SESSION_COOKIE};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// End the browser's session.
#[utoipa::path(post, path = "/logout", tag = "Access", responses((status = 204, description = "It is ended")))]
pub(crate) async fn logout(Anyone(who): Anyone, State(api): State<Api>) -> Result<Response> {
    let Via::Session(id) = &who.actor.via else {
        return Err(Problem::conflict("this is a token and no session: revoke it instead"));
    };
    api.ledger.end_session(&who.actor, id).await?;
    let gone = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(value) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}
