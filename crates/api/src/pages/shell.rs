//! What is around every handler of a page: who comes in, and how a problem looks.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use helve_ledger::{Asked, Principal, Role};
use helve_web::pages::{ErrorPage, error};
use helve_web::{HEADERS, HTML};

use super::visit::{ChosenNamespace, Cookies, frame, sign_in};
use crate::door::{Peer, SESSION_COOKIE, cookie};
use crate::problem::Problem;
use crate::state::Api;

/// The cookie of the namespace that a browser shows.
pub(super) const NAMESPACE_COOKIE: &str = "helve_namespace";

/// Pages that only who is logged in may see. Others are led to the login.
pub(super) async fn inside(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let cookies = Cookies::of(headers);
    let here = request
        .uri()
        .path_and_query()
        .map_or("/", |here| here.as_str())
        .to_owned();
    let session = cookie(headers, SESSION_COOKIE);
    let principal = session.and_then(|session| api.ledger.verify_session(session).ok());
    let peer = request.extensions().get::<Peer>().and_then(Peer::ip);
    let counted = match (&principal, peer) {
        (Some(principal), _) => api.rates.known(principal, Asked::Request),
        (None, Some(ip)) => api.rates.stranger(ip),
        (None, None) => Ok(()),
    };
    if let Err(too_often) = counted {
        return failed(&too_often.into(), &cookies, None, &api, &here);
    }
    let Some(principal) = principal else {
        return match *request.method() {
            Method::GET | Method::HEAD => super::to(&sign_in(&here)),
            _ => failed(
                &Problem::unauthenticated("sign in again: your session has ended"),
                &cookies,
                None,
                &api,
                &here,
            ),
        };
    };
    let principal = match peer {
        Some(ip) => Principal {
            actor: principal.actor.from_address(ip.to_string()),
            ..principal
        },
        None => principal,
    };
    if let Some(chosen) = cookie(headers, NAMESPACE_COOKIE)
        && principal.require(Role::Viewer, chosen).is_ok()
    {
        let chosen = ChosenNamespace(chosen.to_owned());
        request.extensions_mut().insert(chosen);
    }
    request.extensions_mut().insert(principal.clone());
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => failed(problem, &cookies, Some(&principal), &api, &here),
        None => response,
    }
}

/// The login.
pub(super) async fn outside(State(api): State<Api>, request: Request, next: Next) -> Response {
    let cookies = Cookies::of(request.headers());
    let here = request.uri().path().to_owned();
    let peer = request.extensions().get::<Peer>().and_then(Peer::ip);
    if let Some(too_often) = peer.and_then(|ip| api.rates.stranger(ip).err()) {
        return failed(&too_often.into(), &cookies, None, &api, &here);
    }
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => failed(problem, &cookies, None, &api, &here),
        None => response,
    }
}

/// A problem as a page.
fn failed(problem: &Problem, cookies: &Cookies, who: Option<&Principal>, api: &Api, here: &str) -> Response {
    let namespace = &api.client.namespace;
    let frame = frame(who, namespace, vec![namespace.clone()], cookies, here);
    let wrong: Vec<String> = problem
        .errors
        .iter()
        .map(|error| format!("{} {}", error.field, error.message))
        .collect();
    let detail = match wrong.is_empty() {
        true => problem.detail.clone(),
        false => format!("{}: {}", problem.detail, wrong.join("; ")),
    };
    let page = ErrorPage {
        status: problem.status,
        detail: Some(detail),
        request: None,
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content = [(axum::http::header::CONTENT_TYPE, HTML)];
    let mut response = (status, content, error(&frame, &page)).into_response();
    add_headers(&mut response);
    if let Some(seconds) = problem.retry_after {
        response
            .headers_mut()
            .insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    response
}

/// What browsers are told with every page.
pub(super) fn add_headers(response: &mut Response) {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}
