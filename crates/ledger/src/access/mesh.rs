//! Endpoints of the mesh: who joined by which ticket, and what they may do.

use std::time::Duration;

use helve_db::{
    Batch,
    rusqlite::{Connection, Row},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    access::{
        Actor, Holder, Principal, Refused, Role, Scope, Secret, Via,
        door::{hash_at, role_at, scope_at, time_at},
        secret,
    },
    audit::{self, Act},
    error::Error,
    ledger::Ledger,
    text,
    time::Time,
};

/// How long a ticket is good at most.
const MAX_TICKET: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Tickets that are good at a time.
const MAX_TICKETS: usize = 1_000;
/// Endpoints that are known, those that were revoked included: all are kept in memory.
const MAX_PEERS: usize = 10_000;
/// Tickets that are over are listed for so long.
const KEEP_DEAD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a ticket is to be good for.
#[derive(Debug, Clone)]
pub struct NewTicket {
    /// For people: what it is for.
    pub name: String,
    /// What whoever joins with it may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// How many endpoints may join; none: any number.
    pub uses: Option<u32>,
    /// Whether somebody has to approve of each.
    pub needs_approval: bool,
    /// How long it is good; a year at most. Whoever joined until then stays.
    pub lasts: Duration,
}

/// A ticket that was just made.
#[derive(Debug, Clone)]
pub struct CreatedTicket {
    /// What it is redeemed with. It is shown this once and stored nowhere.
    pub secret: Secret,
    /// The rest.
    pub ticket: TicketInfo,
}

/// A ticket as it may be shown to anybody who administrates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TicketInfo {
    /// Names it; no secret.
    pub id: String,
    /// For people.
    pub name: String,
    /// What whoever joins with it may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// How many more endpoints may join; none: any number.
    pub uses_left: Option<u32>,
    /// Whether somebody has to approve of each.
    pub needs_approval: bool,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
    /// When it stops to be good.
    pub expires_at: Time,
    /// When it was taken back.
    pub revoked_at: Option<Time>,
}

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// It joined, and somebody has to approve of it.
    Pending,
    /// It may come in.
    Approved,
    /// It may not any more, whatever ticket it has.
    Revoked,
}

impl PeerState {
    const ALL: [PeerState; 3] = [PeerState::Pending, PeerState::Approved, PeerState::Revoked];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            PeerState::Pending => "pending",
            PeerState::Approved => "approved",
            PeerState::Revoked => "revoked",
        }
    }
}

/// An endpoint of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerInfo {
    /// Its key.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// The ticket that it joined with.
    pub ticket: String,
    /// How it stands.
    pub state: PeerState,
    /// When it joined.
    pub joined_at: Time,
    /// When somebody decided about it last.
    pub decided_at: Time,
    /// Who.
    pub decided_by: String,
}

impl PeerInfo {
    fn principal(&self) -> Result<Principal, Refused> {
        match self.state {
            PeerState::Approved => Ok(Principal {
                actor: self.actor(),
                role: self.role,
                scope: self.scope.clone(),
                expires_at: None,
                holder: Holder::Peer(self.id.clone()),
            }),
            PeerState::Pending => Err(Refused::Pending),
            PeerState::Revoked => Err(Refused::Revoked),
        }
    }

    fn actor(&self) -> Actor {
        Actor {
            name: self.name.clone(),
            via: Via::Peer(self.id.clone()),
            address: None,
        }
    }
}

impl Ledger {
    /// Makes a ticket, if whoever wants it may give that away.
    pub async fn create_ticket(&self, maker: &Principal, new: NewTicket) -> Result<CreatedTicket, Error> {
        maker.require_grant(&new.scope)?;
        text::check_name("the name of a ticket", &new.name)?;
        let now = self.now();
        if new.uses == Some(0) || new.lasts.is_zero() || new.lasts > MAX_TICKET {
            return Err(Error::invalid(
                "nobody could join with this ticket: let it be good for at least one endpoint, and for a time of at most a year",
            ));
        }
        let good = self
            .tickets()
            .await?
            .into_iter()
            .filter(|ticket| ticket.is_good(now))
            .count();
        if good >= MAX_TICKETS {
            return Err(Error::Limit(format!(
                "there are {good} good tickets already: revoke some"
            )));
        }
        let minted = secret::mint(secret::Kind::Ticket)?;
        let ticket = TicketInfo {
            id: minted.id,
            name: new.name,
            role: new.role,
            scope: new.scope,
            uses_left: new.uses,
            needs_approval: new.needs_approval,
            created_at: now,
            created_by: maker.actor.name.clone(),
            expires_at: now.after(new.lasts),
            revoked_at: None,
        };
        let mut batch = Batch::new();
        batch.run_one(
            "INSERT INTO mesh_tickets
                 (id, hash, name, role, scope, uses_left, needs_approval, created_at, created_by, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            vec![
                ticket.id.as_str().into(),
                minted.hash.as_bytes().to_vec().into(),
                ticket.name.as_str().into(),
                ticket.role.as_str().into(),
                text::json(&ticket.scope).into(),
                ticket.uses_left.map(i64::from).into(),
                i64::from(ticket.needs_approval).into(),
                now.millis().into(),
                ticket.created_by.as_str().into(),
                ticket.expires_at.millis().into(),
            ],
        );
        batch.run(
            "DELETE FROM mesh_tickets WHERE expires_at < ?1 OR revoked_at < ?1",
            vec![now.before(KEEP_DEAD).millis().into()],
        );
        let detail = json!({
            "name": ticket.name, "role": ticket.role, "scope": ticket.scope, "uses": ticket.uses_left,
            "needs_approval": ticket.needs_approval, "expires_at": ticket.expires_at,
        });
        let act = Act::new("mesh.ticket", &ticket.id).detail(detail);
        audit::push(&mut batch, now, &maker.actor, &act);
        self.commit(batch).await?;
        Ok(CreatedTicket {
            secret: minted.secret,
            ticket,
        })
    }

    /// All tickets, those that are over for a while included, the newest first.
    pub async fn tickets(&self) -> Result<Vec<TicketInfo>, Error> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT id, name, role, scope, uses_left, needs_approval, created_at, created_by, expires_at, revoked_at
                 FROM mesh_tickets",
            )?;
            let mut rows = query.query([])?;
            let mut tickets = Vec::new();
            while let Some(row) = rows.next()? {
                tickets.push(ticket_at(row)?);
            }
            tickets.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
            Ok(tickets)
        })
        .await
    }

    /// Takes a ticket back. Whoever joined with it stays.
    pub async fn revoke_ticket(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        let now = self.now();
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE mesh_tickets SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
            vec![id.into(), now.millis().into()],
        );
        audit::push(&mut batch, now, actor, &Act::new("mesh.ticket.revoke", id));
        let committed = self.commit(batch).await;
        committed.map_err(|error| error.conflict_is(Error::not_found("good ticket", id)))
    }

    /// Who the endpoint is whose key was proven to be this one. Touches neither disk nor network.
    pub fn verify_peer(&self, id: &str) -> Result<Principal, Refused> {
        let entries = self.door().read();
        entries.peers.get(id).ok_or(Refused::Unknown)?.principal()
    }

    /// An endpoint asks to be known. One that is known hears how it stands, and uses nothing up.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the ticket is not good, or the endpoint was revoked.
    pub async fn join(&self, id: &str, name: &str, secret: Option<&str>) -> Result<PeerInfo, Error> {
        if let Some(known) = self.peer(id) {
            return match known.state {
                PeerState::Revoked => Err(Error::Refused(Refused::Revoked)),
                PeerState::Pending | PeerState::Approved => Ok(known),
            };
        }
        let now = self.now();
        let unknown = || Error::Refused(Refused::Unknown);
        let (ticket, hash) = secret
            .and_then(|secret| secret::parse(secret::Kind::Ticket, secret))
            .ok_or_else(unknown)?;
        let asked = ticket.to_owned();
        let found = self.read(move |db| find_ticket(db, &asked)).await?;
        // Compares in constant time.
        let (ticket, _) = found.filter(|(_, known)| *known == hash).ok_or_else(unknown)?;
        if !ticket.is_good(now) {
            return Err(Error::Refused(match ticket.revoked_at {
                Some(_) => Refused::Revoked,
                None => Refused::Expired,
            }));
        }
        let peer = PeerInfo {
            id: id.to_owned(),
            name: text::printable(name),
            role: ticket.role,
            scope: ticket.scope,
            state: if ticket.needs_approval {
                PeerState::Pending
            } else {
                PeerState::Approved
            },
            joined_at: now,
            decided_at: now,
            decided_by: ticket.created_by,
            ticket: ticket.id,
        };
        self.check_room()?;
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE mesh_tickets SET uses_left = uses_left - 1
             WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2 AND (uses_left IS NULL OR uses_left > 0)",
            vec![peer.ticket.as_str().into(), now.millis().into()],
        );
        batch.run_one(
            "INSERT OR IGNORE INTO mesh_peers (id, name, role, scope, ticket, state, joined_at, decided_at, decided_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
            vec![
                peer.id.as_str().into(),
                peer.name.as_str().into(),
                peer.role.as_str().into(),
                text::json(&peer.scope).into(),
                peer.ticket.as_str().into(),
                peer.state.as_str().into(),
                now.millis().into(),
                peer.decided_by.as_str().into(),
            ],
        );
        let detail = json!({"name": peer.name, "ticket": peer.ticket, "role": peer.role, "scope": peer.scope});
        let act = Act::new("mesh.join", &peer.id).detail(detail);
        audit::push(&mut batch, now, &peer.actor(), &act);
        let committed = self.commit(batch).await;
        // It asked twice at once, or somebody else was the last one.
        committed.map_err(|error| error.conflict_is(Error::Refused(Refused::Expired)))?;
        self.door().write().peers.insert(peer.id.clone(), peer.clone());
        Ok(peer)
    }

    fn check_room(&self) -> Result<(), Error> {
        let peers = self.door().read().peers.len();
        match peers >= MAX_PEERS {
            true => Err(Error::Limit(format!(
                "{peers} endpoints are known already: forget those that are gone"
            ))),
            false => Ok(()),
        }
    }

    /// The endpoint with this key.
    pub fn peer(&self, id: &str) -> Option<PeerInfo> {
        self.door().read().peers.get(id).cloned()
    }

    /// All endpoints, by their keys.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let mut peers: Vec<_> = self.door().read().peers.values().cloned().collect();
        peers.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        peers
    }

    /// Approves of an endpoint that waits for it, or that was revoked.
    pub async fn approve_peer(&self, who: &Principal, id: &str) -> Result<PeerInfo, Error> {
        let known = self.peer(id).ok_or_else(|| Error::not_found("endpoint", id))?;
        who.require_grant(&known.scope)?;
        self.decide(who, known, PeerState::Approved, "mesh.approve").await
    }

    /// Shuts an endpoint out, whatever ticket it has. No call of it is let in after this has returned.
    pub async fn revoke_peer(&self, who: &Principal, id: &str) -> Result<PeerInfo, Error> {
        let known = self.peer(id).ok_or_else(|| Error::not_found("endpoint", id))?;
        who.require_grant(&known.scope)?;
        self.decide(who, known, PeerState::Revoked, "mesh.revoke").await
    }

    async fn decide(
        &self,
        who: &Principal,
        mut peer: PeerInfo,
        state: PeerState,
        action: &'static str,
    ) -> Result<PeerInfo, Error> {
        if peer.state == state {
            return Ok(peer);
        }
        let now = self.now();
        (peer.state, peer.decided_at, peer.decided_by) = (state, now, who.actor.name.clone());
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE mesh_peers SET state = ?2, decided_at = ?3, decided_by = ?4 WHERE id = ?1",
            vec![
                peer.id.as_str().into(),
                state.as_str().into(),
                now.millis().into(),
                peer.decided_by.as_str().into(),
            ],
        );
        let act = Act::new(action, &peer.id).detail(json!({"name": peer.name}));
        audit::push(&mut batch, now, &who.actor, &act);
        self.commit(batch).await?;
        self.door().write().peers.insert(peer.id.clone(), peer.clone());
        Ok(peer)
    }
}

impl TicketInfo {
    /// Whether somebody could join with it.
    pub fn is_good(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at > now && self.uses_left != Some(0)
    }
}

fn ticket_at(row: &Row<'_>) -> Result<TicketInfo, Error> {
    let uses: Option<i64> = row.get(4)?;
    Ok(TicketInfo {
        id: row.get(0)?,
        name: row.get(1)?,
        role: role_at(row, 2)?,
        scope: scope_at(row, 3)?,
        uses_left: uses.map(|uses| u32::try_from(uses).unwrap_or_default()),
        needs_approval: row.get::<_, i64>(5)? != 0,
        created_at: Time::from_millis(row.get(6)?),
        created_by: row.get(7)?,
        expires_at: Time::from_millis(row.get(8)?),
        revoked_at: time_at(row, 9)?,
    })
}

fn find_ticket(db: &Connection, id: &str) -> Result<Option<(TicketInfo, blake3::Hash)>, Error> {
    let mut query = db.prepare_cached(
        "SELECT id, name, role, scope, uses_left, needs_approval, created_at, created_by, expires_at, revoked_at, hash
         FROM mesh_tickets WHERE id = ?1",
    )?;
    let mut rows = query.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((ticket_at(row)?, hash_at(row, 10)?)))
}

/// What is in memory of them.
pub(crate) fn load(db: &Connection) -> Result<std::collections::HashMap<String, PeerInfo>, Error> {
    let mut query =
        db.prepare("SELECT id, name, role, scope, ticket, state, joined_at, decided_at, decided_by FROM mesh_peers")?;
    let mut rows = query.query([])?;
    let mut peers = std::collections::HashMap::new();
    while let Some(row) = rows.next()? {
        let state: String = row.get(5)?;
        let state = PeerState::ALL.into_iter().find(|known| known.as_str() == state);
        let peer = PeerInfo {
            id: row.get(0)?,
            name: row.get(1)?,
            role: role_at(row, 2)?,
            scope: scope_at(row, 3)?,
            ticket: row.get(4)?,
            state: state.ok_or_else(|| Error::corrupt("the state of an endpoint"))?,
            joined_at: Time::from_millis(row.get(6)?),
            decided_at: Time::from_millis(row.get(7)?),
            decided_by: row.get(8)?,
        };
        peers.insert(peer.id.clone(), peer);
    }
    Ok(peers)
}
