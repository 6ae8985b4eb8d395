//! Browsers: a one-time link opens a session, and a button ends it.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::Via;
use serde::Deserialize;

use crate::door::{Anyone, Peer, SESSION_COOKIE};
use crate::extract::Query;
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Where a browser goes when it is in.
const HOME: &str = "/";

/// What a login link holds.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    code: String,
}

/// Opens the session that a link is good for, once.
pub(crate) async fn login(
    State(api): State<Api>,
    peer: Option<axum::Extension<Peer>>,
    Query(link): Query<Link>,
) -> Result<Response> {
    let address = peer.map(|axum::Extension(peer)| peer.0.ip().to_string());
    let opened = api.ledger.redeem_login_code(&link.code, address.as_deref()).await?;
    let session = opened.map_err(|_| {
        Problem::unauthenticated(
            "this login link was used already, or is too old: `helve up` prints a new one when it starts",
        )
    })?;
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict",
        session.secret.reveal()
    );
    let mut cookie =
        HeaderValue::from_str(&cookie).map_err(|error| Problem::internal("no session can be opened", error))?;
    cookie.set_sensitive(true);
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static(HOME));
    Ok(response)
}

/// End the browser's session.
#[utoipa::path(post, path = "/logout", tag = "Access", responses((status = 204, description = "It is ended")))]
pub(crate) async fn logout(Anyone(who): Anyone, State(api): State<Api>, _headers: HeaderMap) -> Result<Response> {
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
