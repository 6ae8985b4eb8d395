//! The audit log: who changed what. Administrators only.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_ledger::{AuditFilter, Role, Time};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::door::Anyone;
use crate::extract::{Query, tagged};
use crate::page::{Page, Paging};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Which entries. All that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// By this actor.
    actor: Option<String>,
    /// This action, or all of an area: `token.` for `token.create` and `token.revoke`.
    action: Option<String>,
    /// In this namespace.
    namespace: Option<String>,
    /// To this subject.
    subject: Option<String>,
    /// Not before this.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Before this.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
}

/// List changes, newest first.
///
/// Who administrates some namespaces only must name one of them.
#[utoipa::path(get, path = "/audit", tag = "Access", params(AuditQuery, Paging),
    responses((status = 200, description = "Changes", body = crate::openapi::Listing)))]
pub(crate) async fn list(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Query(query): Query<AuditQuery>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    match &query.namespace {
        Some(namespace) => who.require(Role::Admin, namespace)?,
        None => who.require_everywhere(Role::Admin)?,
    }
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        namespace: query.namespace,
        subject: query.subject,
        since: query.since,
        until: query.until,
    };
    let page = api.ledger.list_audit(filter, paging.request()).await;
    let page = page.map_err(Problem::from)?;
    tagged(&headers, &Page::from(page))
}
