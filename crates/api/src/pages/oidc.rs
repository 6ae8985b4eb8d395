//! Signing in with an account of an identity provider.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use helve_ledger::{Account, NewSession};
use helve_web::pages::signed_in;
use helve_web::routes::{back_to, pages};

use super::html;
use super::login::{LASTS, SEED_COOKIE, set_cookie};
use super::visit::{Cookies, Pairs, frame, query_pairs};
use crate::door::{Peer, SESSION_COOKIE, cookie};
use crate::oidc::{Answer, Oidc, Refused};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// The cookie of a login that has begun. It comes back with the browser from another server, so it is not `Strict`; it is good
/// for nothing but to end the login that it is of.
const ASKED_COOKIE: &str = "helve_oidc";

fn oidc(api: &Api) -> Result<&Oidc> {
    let missing = || Problem::not_found("this server takes no accounts of an identity provider: use a token");
    api.oidc.as_ref().ok_or_else(missing)
}

/// Sends the browser to the provider.
pub(super) async fn begin(State(api): State<Api>, query: Pairs) -> Result<Response> {
    let next = back_to(query.get("next"));
    let begun = oidc(&api)?.begin(next).await.map_err(|refused| problem(&refused))?;
    let mut response = Redirect::to(&begun.location).into_response();
    set_asked(&api, &mut response, &format!("{}; Max-Age=600", begun.cookie))?;
    Ok(response)
}

/// Takes what the provider sent the browser back with, and opens a session.
pub(super) async fn end(State(api): State<Api>, request: Request) -> Result<Response> {
    let oidc = oidc(&api)?;
    let peer = request.extensions().get::<Peer>().and_then(Peer::ip);
    if let Some(ip) = peer {
        crate::door::check(&api.forgers, ip)?;
    }
    let address = peer.map(|ip| ip.to_string());
    let query = query_pairs(request.uri().query().unwrap_or_default());
    let headers = request.headers().clone();
    let sent = |name: &str| Some(query.get(name).to_owned()).filter(|value| !value.is_empty());
    let answer = Answer {
        state: sent("state"),
        code: sent("code"),
        error: sent("error"),
        iss: sent("iss"),
    };
    let account = match oidc.finish(answer, cookie(&headers, ASKED_COOKIE)).await {
        Ok(account) => account,
        Err(refused) => {
            if let Some(ip) = peer {
                api.forgers.strike(ip);
            }
            note(&api, oidc, &refused, address.as_deref()).await;
            return Err(problem(&refused));
        }
    };
    let session = NewSession {
        name: account.who.name,
        role: account.role,
        scope: account.scope,
        lasts: LASTS,
    };
    let of = Account {
        issuer: oidc.issuer().to_owned(),
        subject: account.who.subject,
    };
    let opened = api
        .ledger
        .open_account_session(session, &of, address.as_deref())
        .await?;
    let (cookies, namespace) = (Cookies::of(&headers), &api.client.namespace);
    let frame = frame(None, namespace, Vec::new(), &cookies, pages::LOGIN);
    let next = back_to(&account.next);
    let mut response = html(signed_in(&frame, next));
    let refresh = HeaderValue::try_from(format!("0; url={next}"));
    let refresh = refresh.map_err(|error| Problem::internal("the next page has an odd address", error))?;
    response.headers_mut().insert(header::REFRESH, refresh);
    set_cookie(&api, &mut response, SESSION_COOKIE, opened.secret.reveal(), "")?;
    set_cookie(&api, &mut response, SEED_COOKIE, "", "; Max-Age=0")?;
    set_asked(&api, &mut response, "; Max-Age=0")?;
    Ok(response)
}

fn set_asked(api: &Api, response: &mut Response, value: &str) -> Result<()> {
    let secure = if api.secure { "; Secure" } else { "" };
    let path = pages::LOGIN_ELSEWHERE;
    let text = format!("{ASKED_COOKIE}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::try_from(text).map_err(|error| Problem::internal("no cookie can be set", error))?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// Writes down what whoever runs the server should know of: a user whom no rule lets in, an answer that proves nothing.
async fn note(api: &Api, oidc: &Oidc, refused: &Refused, address: Option<&str>) {
    let who = match refused {
        Refused::NoRule { who, .. } => Some(who),
        Refused::Unproven { .. } => None,
        Refused::NotAsked | Refused::ByProvider { .. } | Refused::Provider(_) => {
            tracing::info!(%refused, "a login at the identity provider came to nothing");
            return;
        }
    };
    let account = who.map(|who| {
        let account = Account {
            issuer: oidc.issuer().to_owned(),
            subject: who.subject.clone(),
        };
        (who.name.as_str(), account)
    });
    let who = account.as_ref().map(|(name, account)| (*name, account));
    let written = api
        .ledger
        .refuse_account(oidc.issuer(), who, &refused.to_string(), address)
        .await;
    if let Err(error) = written {
        tracing::error!(%error, "a refused login could not be written down");
    }
}

fn problem(refused: &Refused) -> Problem {
    let why = refused.to_string();
    match refused {
        Refused::NotAsked => Problem::bad_request(why),
        Refused::ByProvider { .. } | Refused::Unproven { .. } | Refused::NoRule { .. } => Problem::forbidden(why),
        Refused::Provider(_) => Problem::unavailable(why),
    }
}
