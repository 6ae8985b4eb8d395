//! The mesh: tickets, and the endpoints that joined with them. Administrators only.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use helve_ledger::{Names, NewTicket, PeerInfo, PeerState, Principal, Role, Scope, TicketInfo, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::door::Anyone;
use crate::extract::{Json, Path, Reply, created};
use crate::problem::{FieldError, Problem, Result, shown};
use crate::state::{Api, Mesh};

/// How long a ticket is good when nothing is said.
const LASTS: u64 = 24 * 60 * 60;

/// How this server is reached over the mesh.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeshView {
    /// The key of this node.
    id: String,
    /// A ticket for those who are known already: it holds no secret.
    ticket: String,
}

/// A ticket that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedTicket {
    /// What it is for.
    name: String,
    /// What whoever joins with it may do: `worker` when nothing is said, or `viewer`, `analyst`, `operator`, `admin`.
    #[serde(default)]
    role: Option<String>,
    /// Where; in all namespaces when nothing is said.
    #[serde(default)]
    namespaces: Option<Vec<String>>,
    /// The verticals that workers may work for; all when nothing is said.
    #[serde(default)]
    verticals: Option<Vec<String>>,
    /// How many endpoints may join with it; any number when nothing is said.
    #[serde(default)]
    uses: Option<u32>,
    /// Whether somebody has to approve of each.
    #[serde(default)]
    needs_approval: bool,
    /// How long it is good; a day when nothing is said.
    #[serde(default)]
    lasts_seconds: Option<u64>,
}

/// A ticket as it may be shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketView {
    /// Names it; no secret.
    id: String,
    /// What it is for.
    name: String,
    /// What whoever joins with it may do.
    role: &'static str,
    /// Where; null: everywhere.
    namespaces: Option<Vec<String>>,
    /// The verticals; null: all.
    verticals: Option<Vec<String>>,
    /// How many more endpoints may join; null: any number.
    uses_left: Option<u32>,
    /// Whether somebody has to approve of each.
    needs_approval: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Who made it.
    created_by: String,
    /// When it stops to be good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    /// Whether somebody can join with it now.
    is_good: bool,
}

/// A ticket that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeTicket {
    /// What to give away: `helve worker join TICKET`. It is shown this once.
    ticket: String,
    /// The rest.
    info: TicketView,
}

/// An endpoint that joined.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointView {
    /// Its key.
    id: String,
    /// What it calls itself.
    name: String,
    /// What it may do.
    role: &'static str,
    /// Where; null: everywhere.
    namespaces: Option<Vec<String>>,
    /// For which verticals; null: for all.
    verticals: Option<Vec<String>>,
    /// The ticket that it joined with.
    ticket: String,
    /// `pending`, `approved`, `revoked`.
    state: &'static str,
    /// When it joined.
    #[schema(value_type = String, format = DateTime)]
    joined_at: Time,
    /// Who decided about it last.
    decided_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    decided_at: Time,
    /// Since when it is connected.
    #[schema(value_type = Option<String>, format = DateTime)]
    connected_since: Option<Time>,
}

fn list(names: Names) -> Option<Vec<String>> {
    match names {
        Names::All => None,
        Names::Only(names) => Some(names.into_iter().collect()),
    }
}

fn ticket_view(ticket: TicketInfo, now: Time) -> TicketView {
    TicketView {
        is_good: ticket.is_good(now),
        id: ticket.id,
        name: ticket.name,
        role: ticket.role.as_str(),
        namespaces: list(ticket.scope.namespaces),
        verticals: list(ticket.scope.queues),
        uses_left: ticket.uses_left,
        needs_approval: ticket.needs_approval,
        created_at: ticket.created_at,
        created_by: ticket.created_by,
        expires_at: ticket.expires_at,
    }
}

fn endpoint_view(peer: PeerInfo, present: &HashMap<String, Time>) -> EndpointView {
    EndpointView {
        connected_since: present.get(&peer.id).copied(),
        id: peer.id,
        name: peer.name,
        role: peer.role.as_str(),
        namespaces: list(peer.scope.namespaces),
        verticals: list(peer.scope.queues),
        ticket: peer.ticket,
        state: peer.state.as_str(),
        joined_at: peer.joined_at,
        decided_by: peer.decided_by,
        decided_at: peer.decided_at,
    }
}

fn mesh(api: &Api) -> Result<&dyn Mesh> {
    api.mesh
        .as_deref()
        .ok_or_else(|| Problem::not_found("this server has no mesh: start it with `helve up --mesh`"))
}

/// Say how this server is reached over the mesh.
#[utoipa::path(get, path = "/mesh", tag = "Mesh",
    responses((status = 200, description = "How it is reached", body = MeshView)))]
pub(crate) async fn show(Anyone(who): Anyone, State(api): State<Api>) -> Result<Reply<MeshView>> {
    who.require_everywhere(Role::Viewer)?;
    let mesh = mesh(&api)?;
    Ok(Reply(MeshView {
        id: mesh.id(),
        ticket: mesh.ticket(None),
    }))
}

/// List the tickets.
#[utoipa::path(get, path = "/mesh/tickets", tag = "Mesh",
    responses((status = 200, description = "Tickets, the newest first", body = inline(Vec<TicketView>))))]
pub(crate) async fn tickets(Anyone(who): Anyone, State(api): State<Api>) -> Result<Reply<Vec<TicketView>>> {
    who.require_everywhere(Role::Admin)?;
    let (tickets, now) = (api.ledger.tickets().await?, api.ledger.now());
    Ok(Reply(
        tickets.into_iter().map(|ticket| ticket_view(ticket, now)).collect(),
    ))
}

/// Make a ticket, with which endpoints join that nobody knows yet.
#[utoipa::path(post, path = "/mesh/tickets", tag = "Mesh", request_body = WantedTicket,
    responses((status = 201, description = "The ticket", body = MadeTicket)))]
pub(crate) async fn make(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Json(wanted): Json<WantedTicket>,
) -> Result<Response> {
    let mesh = mesh(&api)?;
    let role = match wanted.role.as_deref() {
        None => Role::Worker,
        Some(role) => role.parse().map_err(|error: helve_ledger::Error| {
            Problem::unprocessable("there is no such role").with_errors([FieldError {
                field: "role".to_owned(),
                message: error.to_string(),
            }])
        })?,
    };
    let new = NewTicket {
        name: wanted.name,
        role,
        scope: Scope {
            namespaces: wanted.namespaces.map_or(Names::All, Names::only),
            queues: wanted.verticals.map_or(Names::All, Names::only),
        },
        uses: wanted.uses,
        needs_approval: wanted.needs_approval,
        lasts: Duration::from_secs(wanted.lasts_seconds.unwrap_or(LASTS)),
    };
    let made = api.ledger.create_ticket(&who, new).await?;
    created(
        &format!("/api/v1/mesh/tickets/{}", made.ticket.id),
        &MadeTicket {
            ticket: mesh.ticket(Some(made.secret.reveal())),
            info: ticket_view(made.ticket, api.ledger.now()),
        },
    )
}

/// Take a ticket back. Whoever joined with it stays.
#[utoipa::path(delete, path = "/mesh/tickets/{id}", tag = "Mesh", params(("id" = String, Path, description = "The ticket")),
    responses((status = 204, description = "It is taken back")))]
pub(crate) async fn revoke_ticket(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    who.require_everywhere(Role::Admin)?;
    api.ledger.revoke_ticket(&who.actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the endpoints that joined.
#[utoipa::path(get, path = "/mesh/endpoints", tag = "Mesh",
    responses((status = 200, description = "Endpoints", body = inline(Vec<EndpointView>))))]
pub(crate) async fn endpoints(Anyone(who): Anyone, State(api): State<Api>) -> Result<Reply<Vec<EndpointView>>> {
    who.require_everywhere(Role::Operator)?;
    let present = api.mesh.as_deref().map(Mesh::present).unwrap_or_default();
    let peers = api.ledger.peers().into_iter();
    Ok(Reply(peers.map(|peer| endpoint_view(peer, &present)).collect()))
}

/// Let an endpoint in that waits for it, or that was revoked.
#[utoipa::path(post, path = "/mesh/endpoints/{id}/approve", tag = "Mesh",
    params(("id" = String, Path, description = "Its key, or the beginning of it")),
    responses((status = 200, description = "The endpoint", body = EndpointView)))]
pub(crate) async fn approve(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Reply<EndpointView>> {
    decide(&api, &who, &id, PeerState::Approved).await
}

/// Shut an endpoint out, whatever ticket it has. Nothing of it is let in after the answer has come.
#[utoipa::path(post, path = "/mesh/endpoints/{id}/revoke", tag = "Mesh",
    params(("id" = String, Path, description = "Its key, or the beginning of it")),
    responses((status = 200, description = "The endpoint", body = EndpointView)))]
pub(crate) async fn revoke(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Reply<EndpointView>> {
    decide(&api, &who, &id, PeerState::Revoked).await
}

async fn decide(api: &Api, who: &Principal, id: &str, state: PeerState) -> Result<Reply<EndpointView>> {
    who.require_everywhere(Role::Admin)?;
    let peers = api.ledger.peers();
    let mut found = peers.iter().filter(|peer| !id.is_empty() && peer.id.starts_with(id));
    let peer = match (found.next(), found.next()) {
        (Some(peer), None) => peer,
        (Some(_), Some(_)) => {
            return Err(Problem::unprocessable(format!(
                "several endpoints begin with `{}`: write more of it",
                shown(id)
            )));
        }
        (None, _) => return Err(Problem::not_found(format!("there is no endpoint `{}`", shown(id)))),
    };
    let peer = match state {
        PeerState::Revoked => api.ledger.revoke_peer(who, &peer.id).await?,
        PeerState::Approved | PeerState::Pending => api.ledger.approve_peer(who, &peer.id).await?,
    };
    let present = api.mesh.as_deref().map(Mesh::present).unwrap_or_default();
    Ok(Reply(endpoint_view(peer, &present)))
}
