//! What is valid at this moment, in memory: tokens and sessions by their ids, endpoints of the mesh by their keys.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use blake3::Hash;
use helve_db::rusqlite::{self, Connection, Row};

use crate::{
    access::{Actor, Holder, PeerInfo, Principal, Role, Scope, Via, mesh, secret},
    error::Error,
    time::Time,
};

/// Why somebody was not let in. Which part of a secret was wrong is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such token, session or code, or a wrong one.
    #[error("this token is not known: check that all of it was given, or ask an administrator for one")]
    Unknown,
    /// It was valid once.
    #[error("this token has expired: ask an administrator for a new one, or log in again")]
    Expired,
    /// Somebody took it back.
    #[error("this token was revoked: ask an administrator for a new one")]
    Revoked,
    /// Nobody has said yes yet.
    #[error("an administrator has to approve of this endpoint first: `helve mesh approve`")]
    Pending,
}

/// A token as the door knows it.
pub(crate) struct TokenEntry {
    pub(crate) hash: Hash,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) created_at: Time,
    pub(crate) expires_at: Option<Time>,
    pub(crate) revoked_at: Option<Time>,
    /// Unix milliseconds; 0: never. Written to the database now and then.
    pub(crate) last_used: AtomicI64,
    /// What of that is in the database.
    pub(crate) last_used_stored: AtomicI64,
}

/// A browser session as the door knows it.
pub(crate) struct SessionEntry {
    pub(crate) hash: Hash,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) token: Option<String>,
    pub(crate) created_at: Time,
    pub(crate) expires_at: Time,
}

#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) tokens: HashMap<String, TokenEntry>,
    pub(crate) sessions: HashMap<String, SessionEntry>,
    /// Endpoints of the mesh, by their keys.
    pub(crate) peers: HashMap<String, PeerInfo>,
}

#[derive(Default)]
pub(crate) struct Door(RwLock<Entries>);

impl Door {
    pub(crate) fn load(db: &Connection) -> Result<Self, Error> {
        let mut entries = Entries::default();
        let mut query = db.prepare(
            "SELECT id, hash, name, role, scope, expires_at, revoked_at, last_used_at, created_at FROM tokens",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let used: Option<i64> = row.get(7)?;
            let entry = TokenEntry {
                hash: hash_at(row, 1)?,
                name: row.get(2)?,
                role: role_at(row, 3)?,
                scope: scope_at(row, 4)?,
                created_at: Time::from_millis(row.get(8)?),
                expires_at: time_at(row, 5)?,
                revoked_at: time_at(row, 6)?,
                last_used: AtomicI64::new(used.unwrap_or_default()),
                last_used_stored: AtomicI64::new(used.unwrap_or_default()),
            };
            entries.tokens.insert(row.get(0)?, entry);
        }
        let mut query =
            db.prepare("SELECT id, hash, name, role, scope, token, created_at, expires_at FROM sessions")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let entry = SessionEntry {
                hash: hash_at(row, 1)?,
                name: row.get(2)?,
                role: role_at(row, 3)?,
                scope: scope_at(row, 4)?,
                token: row.get(5)?,
                created_at: Time::from_millis(row.get(6)?),
                expires_at: Time::from_millis(row.get(7)?),
            };
            entries.sessions.insert(row.get(0)?, entry);
        }
        entries.peers = mesh::load(db)?;
        Ok(Door(RwLock::new(entries)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn token(&self, presented: &str, now: Time) -> Result<Principal, Refused> {
        let (id, hash) = secret::parse(secret::Kind::Token, presented).ok_or(Refused::Unknown)?;
        let entries = self.read();
        let token = entries.tokens.get(id).ok_or(Refused::Unknown)?;
        // Compares in constant time.
        if token.hash != hash {
            return Err(Refused::Unknown);
        }
        token.principal(id, now)
    }

    /// The token of this name, which somebody proved to be by other means than its secret. Of several that are valid, which
    /// only an earlier version made, the oldest.
    pub(crate) fn token_named(&self, name: &str, now: Time) -> Result<Principal, Refused> {
        let entries = self.read();
        let named = entries.tokens.iter().filter(|(_, token)| token.name == name);
        let first = named.min_by_key(|(id, token)| (token.check(now).is_err(), token.created_at, *id));
        let (id, token) = first.ok_or(Refused::Unknown)?;
        token.principal(id, now)
    }

    pub(crate) fn session(&self, presented: &str, now: Time) -> Result<Principal, Refused> {
        let (id, hash) = secret::parse(secret::Kind::Session, presented).ok_or(Refused::Unknown)?;
        let entries = self.read();
        let session = entries.sessions.get(id).ok_or(Refused::Unknown)?;
        if session.hash != hash {
            return Err(Refused::Unknown);
        }
        if session.expires_at <= now {
            return Err(Refused::Expired);
        }
        if let Some(token) = &session.token {
            entries.tokens.get(token).ok_or(Refused::Revoked)?.check(now)?;
        }
        Ok(Principal {
            actor: Actor {
                name: session.name.clone(),
                via: Via::Session(id.to_owned()),
                address: None,
            },
            role: session.role,
            scope: session.scope.clone(),
            expires_at: Some(session.expires_at),
            holder: session.holder(),
        })
    }
}

impl Entries {
    /// The sessions that make room for one more of the same holder, when there are as many as one may have: those that are
    /// over, and then the oldest.
    pub(crate) fn leaving(&self, holder: &Holder, most: usize, now: Time) -> Vec<String> {
        let theirs = self.sessions.iter().filter(|(_, session)| session.holder() == *holder);
        let mut theirs: Vec<_> = theirs
            .map(|(id, session)| (session.expires_at > now, session.created_at, id))
            .collect();
        theirs.sort_unstable();
        let too_many = (theirs.len() + 1).saturating_sub(most);
        theirs[..too_many].iter().map(|(.., id)| (*id).clone()).collect()
    }
}

impl SessionEntry {
    pub(crate) fn holder(&self) -> Holder {
        match &self.token {
            Some(token) => Holder::Token(token.clone()),
            None => Holder::Person(self.name.clone()),
        }
    }
}

impl TokenEntry {
    fn principal(&self, id: &str, now: Time) -> Result<Principal, Refused> {
        self.check(now)?;
        self.last_used.fetch_max(now.millis(), Ordering::Relaxed);
        Ok(Principal {
            actor: Actor {
                name: self.name.clone(),
                via: Via::Token(id.to_owned()),
                address: None,
            },
            role: self.role,
            scope: self.scope.clone(),
            expires_at: self.expires_at,
            holder: Holder::Token(id.to_owned()),
        })
    }

    /// Since when it has been over, or until when it is good.
    pub(crate) fn end(&self) -> Option<Time> {
        self.revoked_at.or(self.expires_at)
    }

    pub(crate) fn check(&self, now: Time) -> Result<(), Refused> {
        if self.revoked_at.is_some() {
            return Err(Refused::Revoked);
        }
        match self.expires_at {
            Some(end) if end <= now => Err(Refused::Expired),
            _ => Ok(()),
        }
    }
}

pub(crate) fn hash_at(row: &Row<'_>, index: usize) -> Result<Hash, Error> {
    let bytes: Vec<u8> = row.get(index)?;
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| Error::corrupt("a hash has another length"))?;
    Ok(Hash::from_bytes(bytes))
}

pub(crate) fn role_at(row: &Row<'_>, index: usize) -> Result<Role, Error> {
    let text: String = row.get(index)?;
    text.parse().map_err(|_| Error::corrupt(format!("`{text}` is no role")))
}

pub(crate) fn scope_at(row: &Row<'_>, index: usize) -> Result<Scope, Error> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text).map_err(|error| Error::corrupt(format!("a scope: {error}")))
}

pub(crate) fn time_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Time>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(Time::from_millis))
}
