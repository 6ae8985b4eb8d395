//! Tokens: for programs, for the command line, for workers. Administrators only.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_ledger::{Denied, Names, NewToken, Principal, Role, Scope, Time, TokenInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::door::Anyone;
use crate::extract::{Json, Path, Query, Reply, created, tagged};
use crate::page::{Page, Paging};
use crate::problem::{FieldError, Problem, Result, shown};
use crate::state::Api;

/// A token that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedToken {
    /// Whose it is, or what for. It is the name in the audit log.
    name: String,
    /// `viewer`, `analyst`, `operator`, `admin` or `worker`; each of the first four may do what the ones before it may.
    role: String,
    /// The namespaces that it is good for; all when nothing is said.
    #[serde(default)]
    namespaces: Option<Vec<String>>,
    /// The task queues that it is good for, which only matters to workers; all when nothing is said.
    #[serde(default)]
    queues: Option<Vec<String>>,
    /// When it ends; never when nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// A token as it may be shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    /// Names it; no secret.
    id: String,
    /// Whose it is, or what for.
    name: String,
    /// What it allows.
    role: &'static str,
    /// The namespaces that it is good for; null: all.
    namespaces: Option<Vec<String>>,
    /// The task queues that it is good for; null: all.
    queues: Option<Vec<String>>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Who made it.
    created_by: String,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// When it was taken back.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
    /// When it was last presented.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// What its holder presents. It is shown this once and stored nowhere.
    secret: String,
    /// The rest.
    token: TokenView,
}

impl From<TokenInfo> for TokenView {
    fn from(token: TokenInfo) -> Self {
        let list = |names: Names| match names {
            Names::All => None,
            Names::Only(names) => Some(names.into_iter().collect()),
        };
        Self {
            id: token.id,
            name: token.name,
            role: token.role.as_str(),
            namespaces: list(token.scope.namespaces),
            queues: list(token.scope.queues),
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// List the tokens.
#[utoipa::path(get, path = "/tokens", tag = "Access", params(Paging),
    responses((status = 200, description = "Tokens, those that are over included", body = inline(Page<TokenView>))))]
pub(crate) async fn list(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    who.require_everywhere(Role::Admin)?;
    let page = api.ledger.list_tokens(paging.request()).await?;
    tagged(&headers, &Page::from(page.map(TokenView::from)))
}

/// Make a token. Its secret is in the answer, and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "Access", request_body = WantedToken,
    responses((status = 201, description = "The token", body = MadeToken)))]
pub(crate) async fn make(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Json(wanted): Json<WantedToken>,
) -> Result<Response> {
    let role: Role = wanted.role.parse().map_err(|error: helve_ledger::Error| {
        Problem::unprocessable("there is no such role").with_errors([FieldError {
            field: "role".to_owned(),
            message: error.to_string(),
        }])
    })?;
    let scope = Scope {
        namespaces: wanted.namespaces.map_or(Names::All, Names::only),
        queues: wanted.queues.map_or(Names::All, Names::only),
    };
    let new = NewToken {
        name: wanted.name,
        role,
        scope,
        expires_at: wanted.expires_at,
    };
    let made = api.ledger.create_token(&who, new).await?;
    created(
        &format!("/api/v1/tokens/{}", made.token.id),
        &MadeToken {
            secret: made.secret.reveal().to_owned(),
            token: made.token.into(),
        },
    )
}

/// Show a token.
#[utoipa::path(get, path = "/tokens/{id}", tag = "Access", params(("id" = String, Path, description = "The token")),
    responses((status = 200, description = "The token", body = TokenView)))]
pub(crate) async fn show(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = mine(&api, &who, &id).await?;
    tagged(&headers, &TokenView::from(token))
}

/// Take a token back. No request is let in with it after the answer has come.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "Access", params(("id" = String, Path, description = "The token")),
    responses((status = 204, description = "It is taken back")))]
pub(crate) async fn revoke(Anyone(who): Anyone, State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode> {
    let token = mine(&api, &who, &id).await?;
    api.ledger.revoke_token(&who.actor, &token.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token that this administrator could have given.
async fn mine(api: &Api, who: &Principal, id: &str) -> Result<TokenInfo> {
    // Who administrates some namespaces has the tokens of these.
    if let Err(denied @ Denied::Role { .. }) = who.require_everywhere(Role::Admin) {
        return Err(denied.into());
    }
    let missing = || Problem::not_found(format!("there is no token `{}`", shown(id)));
    let token = api.ledger.token(id).await?;
    match who.scope.covers(&token.scope) {
        true => Ok(token),
        false => Err(missing()),
    }
}

/// Who the presented token or session belongs to, and what it allows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// As the audit log names them.
    name: String,
    /// What they may do.
    role: &'static str,
    /// Where; null: everywhere.
    namespaces: Option<Vec<String>>,
    /// When they have to come in again.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Say who asks.
#[utoipa::path(get, path = "/me", tag = "Access", responses((status = 200, description = "Who asks", body = Me)))]
pub(crate) async fn me(Anyone(who): Anyone) -> Reply<Me> {
    Reply(Me {
        name: who.actor.name,
        role: who.role.as_str(),
        namespaces: match who.scope.namespaces {
            Names::All => None,
            Names::Only(names) => Some(names.into_iter().collect()),
        },
        expires_at: who.expires_at,
    })
}
