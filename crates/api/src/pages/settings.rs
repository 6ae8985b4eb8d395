//! Tokens and the audit log.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use helve_ledger::{AuditFilter, Cursor, Names, NewToken, PageRequest, Principal, Role, Scope, Time, TokenInfo, Via};
use helve_web::pages::{self, Audit, AuditRow, Settings, Token};
use helve_web::routes;

use super::visit::{Pairs, Sent, Visit};
use super::{html, to, words};
use crate::door::Anyone;
use crate::extract::Path;
use crate::problem::{Problem, Result};
use crate::routes::tokens as api_tokens;
use crate::state::Api;

/// Tokens that are shown.
const TOKENS: usize = 500;
/// Entries of a page of the audit log.
const ENTRIES: usize = 100;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn tokens(State(api): State<Api>, visit: Visit) -> Result<Response> {
    draw(&api, &visit, None).await
}

async fn draw(api: &Api, visit: &Visit, made: Option<pages::NewToken>) -> Result<Response> {
    let who = &visit.caller.principal;
    // Who administrates some namespaces sees the tokens of these.
    let mut tokens = match who.role {
        Role::Admin => all(api, who).await?,
        _ => Vec::new(),
    };
    let now = Time::now().millis();
    let is_over = |token: &Token| token.revoked || token.expires.is_some_and(|end| end <= now);
    tokens.sort_by_key(|token| (is_over(token), std::cmp::Reverse(token.made)));
    Ok(html(pages::settings(&visit.frame, &Settings { tokens, made })))
}

async fn all(api: &Api, who: &Principal) -> Result<Vec<Token>> {
    let request = PageRequest {
        cursor: None,
        limit: Some(TOKENS),
    };
    let page = api.ledger.list_tokens(request).await?;
    let mine = page.items.into_iter().filter(|token| who.scope.covers(&token.scope));
    Ok(mine.map(shown).collect())
}

fn shown(token: TokenInfo) -> Token {
    Token {
        id: token.id,
        name: token.name,
        role: words::role(token.role),
        namespaces: match token.scope.namespaces {
            Names::All => Vec::new(),
            Names::Only(names) => names.into_iter().collect(),
        },
        made: token.created_at.millis(),
        expires: token.expires_at.map(Time::millis),
        used: token.last_used_at.map(Time::millis),
        revoked: token.revoked_at.is_some(),
    }
}

/// Its text is in this answer, and nowhere else.
pub(super) async fn make_token(State(api): State<Api>, visit: Visit, sent: Sent) -> Result<Response> {
    let who = &visit.caller.principal;
    let names: Vec<&str> = sent.all("namespaces").filter(|name| !name.is_empty()).collect();
    let scope = Scope {
        namespaces: match names.is_empty() {
            true => Names::All,
            false => Names::only(names),
        },
        queues: Names::All,
    };
    let expires_at = match sent.get("days") {
        "" | "0" => None,
        days => {
            let days: u32 = days
                .parse()
                .map_err(|_| Problem::unprocessable("the days of a token are a whole number"))?;
            Some(Time::now().after(DAY * days))
        }
    };
    let new = NewToken {
        name: sent.get("name").to_owned(),
        role: sent.get("role").parse()?,
        scope,
        expires_at,
    };
    let made = api.ledger.create_token(who, new).await?;
    let made = pages::NewToken {
        name: made.token.name,
        text: made.secret.reveal().to_owned(),
    };
    draw(&api, &visit, Some(made)).await
}

pub(super) async fn revoke_token(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
    _sent: Sent,
) -> Result<Response> {
    api_tokens::revoke(Anyone(visit.caller.principal), State(api), Path(id)).await?;
    Ok(to(routes::pages::SETTINGS))
}

pub(super) async fn audit(State(api): State<Api>, visit: Visit, query: Pairs) -> Result<Response> {
    let caller = &visit.caller;
    caller.require(Role::Admin)?;
    // Who administrates all namespaces sees what is about none of them, too.
    let everywhere = caller.principal.require_everywhere(Role::Admin).is_ok();
    let filter = AuditFilter {
        namespace: (!everywhere).then(|| caller.namespace.clone()),
        ..AuditFilter::default()
    };
    let request = PageRequest {
        cursor: query.cursor().map(Cursor::new),
        limit: Some(ENTRIES),
    };
    let further = request.cursor.is_some();
    let page = api.ledger.list_audit(filter, request).await?;
    let rows = page.items.into_iter().map(|entry| AuditRow {
        at: entry.at.millis(),
        from: entry.actor.address.unwrap_or_else(|| via(&entry.actor.via).to_owned()),
        actor: entry.actor.name,
        action: entry.action,
        object: entry.subject,
        detail: (!entry.detail.is_null()).then(|| entry.detail.to_string()),
    });
    let model = Audit {
        rows: rows.collect(),
        further,
        next: page.next_cursor.map(|cursor| cursor.as_str().to_owned()),
    };
    Ok(html(pages::audit(&visit.frame, &model)))
}

fn via(via: &Via) -> &'static str {
    match via {
        Via::System => "Helve itself",
        Via::Token(_) => "a token",
        Via::Session(_) => "a browser",
        Via::Peer(_) => "the mesh",
    }
}
