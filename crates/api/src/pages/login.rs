//! Signing in and out.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use helve_ledger::{NewSession, OpenedSession, Role, Time, Via};
use helve_web::pages::{Login, login as page};
use helve_web::routes::{back_to, login_elsewhere};

use super::shell::NAMESPACE_COOKIE;
use super::visit::{Cookies, Pairs, Sent, Visit, check, csrf, frame};
use super::{html, to};
use crate::door::{Peer, SESSION_COOKIE, cookie};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// What the token of the login's form is made of.
pub(super) const SEED_COOKIE: &str = "helve_login";
/// How long who signs in with a token stays in, unless the token ends before.
pub(super) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// The form. A one-time link is redeemed by sending it: to look at the link does not use it up.
pub(super) async fn show(State(api): State<Api>, query: Pairs, headers: HeaderMap) -> Result<Response> {
    let code = Some(query.get("code").to_owned()).filter(|code| !code.is_empty());
    draw(&api, &headers, code, query.get("next"), None, StatusCode::OK)
}

fn draw(
    api: &Api,
    headers: &HeaderMap,
    code: Option<String>,
    next: &str,
    problem: Option<String>,
    status: StatusCode,
) -> Result<Response> {
    let (seed, fresh) = match cookie(headers, SEED_COOKIE).filter(|seed| seed.len() >= 32) {
        Some(seed) => (seed.to_owned(), false),
        None => (uuid::Uuid::new_v4().simple().to_string(), true),
    };
    let namespace = &api.client.namespace;
    let cookies = Cookies::of(headers).with_seed(&seed);
    let model = Login {
        code,
        elsewhere: api
            .oidc
            .as_ref()
            .map(|oidc| (login_elsewhere(next), oidc.place().to_owned())),
        problem,
        next: back_to(next).to_owned(),
    };
    let mut response = html(page(&frame(None, namespace, Vec::new(), &cookies, "/login"), &model));
    *response.status_mut() = status;
    if fresh {
        set_cookie(api, &mut response, SEED_COOKIE, &seed, "")?;
    }
    Ok(response)
}

/// Opens a session for a token, or for the code of a link.
pub(super) async fn login(State(api): State<Api>, request: Request) -> Result<Response> {
    let headers = request.headers().clone();
    let peer = request.extensions().get::<Peer>().and_then(Peer::ip);
    let sent = Sent::unchecked(request, &api).await?;
    check(cookie(&headers, SEED_COOKIE).map(csrf).as_deref(), sent.token())?;
    let address = peer.map(|ip| ip.to_string());
    let opened = match sent.get("code") {
        "" => with_token(&api, sent.get("token"), address.as_deref()).await?,
        code => {
            let opened = api.ledger.redeem_login_code(code, address.as_deref()).await?;
            opened.map_err(|_| {
                "This link was used already, or is too old: `helve up` prints a new one when it starts.".to_owned()
            })
        }
    };
    let session = match opened {
        Ok(session) => session,
        Err(problem) => {
            // What is right opens a session whatever others at the same address have tried.
            if let Some(ip) = peer {
                crate::door::check(&api.strangers, ip)?;
                api.strangers.strike(ip);
            }
            let next = sent.get("next");
            return draw(&api, &headers, None, next, Some(problem), StatusCode::UNAUTHORIZED);
        }
    };
    let mut response = to(back_to(sent.get("next")));
    set_cookie(&api, &mut response, SESSION_COOKIE, session.secret.reveal(), "")?;
    set_cookie(&api, &mut response, SEED_COOKIE, "", "; Max-Age=0")?;
    Ok(response)
}

async fn with_token(api: &Api, token: &str, address: Option<&str>) -> Result<Result<OpenedSession, String>> {
    let principal = match api.ledger.verify_token(token) {
        Ok(principal) if principal.role == Role::Worker => {
            return Ok(Err("The token of a worker is no way into the pages.".to_owned()));
        }
        Ok(principal) => principal,
        Err(refused) => return Ok(Err(refused.to_string())),
    };
    let Via::Token(id) = &principal.actor.via else {
        return Ok(Err("This is no token.".to_owned()));
    };
    let left = principal
        .expires_at
        .map(|end| Duration::from_millis(u64::try_from(end.millis() - Time::now().millis()).unwrap_or(0)));
    let session = NewSession {
        name: principal.actor.name.clone(),
        role: principal.role,
        scope: principal.scope.clone(),
        lasts: left.map_or(LASTS, |left| left.min(LASTS)),
    };
    Ok(Ok(api.ledger.open_session(session, Some(id), address).await?))
}

/// Ends the session.
pub(super) async fn logout(State(api): State<Api>, visit: Visit, _sent: Sent) -> Result<Response> {
    let actor = &visit.caller.principal.actor;
    if let Via::Session(id) = &actor.via {
        api.ledger.end_session(actor, id).await?;
    }
    let mut response = to("/login");
    set_cookie(&api, &mut response, SESSION_COOKIE, "", "; Max-Age=0")?;
    Ok(response)
}

/// Chooses the namespace that the pages show.
pub(super) async fn namespace(State(api): State<Api>, visit: Visit, sent: Sent) -> Result<Response> {
    let chosen = sent.get("namespace");
    if !visit.frame.namespaces.iter().any(|known| known == chosen) {
        return Err(Problem::no_namespace(chosen));
    }
    let mut response = to(back_to(sent.get("next")));
    set_cookie(&api, &mut response, NAMESPACE_COOKIE, chosen, "")?;
    Ok(response)
}

pub(super) fn set_cookie(api: &Api, response: &mut Response, name: &str, value: &str, more: &str) -> Result<()> {
    let secure = if api.secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    let mut value = HeaderValue::from_str(&text).map_err(|error| Problem::internal("no cookie can be set", error))?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}
