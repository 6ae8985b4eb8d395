//! Browsers: one-time login codes, and the sessions that come of them.

use std::time::Duration;

use helve_db::Batch;
use serde::Serialize;
use serde_json::json;

use crate::{
    access::{
        Actor, Holder, Principal, Refused, Role, Scope, Secret, Via,
        door::{SessionEntry, hash_at, role_at, scope_at},
        secret,
    },
    audit::{self, Act},
    error::Error,
    ledger::Ledger,
    text,
    time::Time,
};

/// How long a login code is valid at most.
const MAX_CODE: Duration = Duration::from_secs(60 * 60);
/// How long a session is valid at most.
const MAX_SESSION: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// Sessions that one token may have opened, or one person, at a time: all are kept in memory. There is no bound for all of them
/// together, with which one could shut out the others.
const MAX_SESSIONS: usize = 50;

/// What a browser session is to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// For people: who it is. It is the name in the audit log.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// How long it is valid; a month at most.
    pub lasts: Duration,
}

/// Whom an identity provider vouches for.
#[derive(Debug, Clone)]
pub struct Account {
    /// The provider.
    pub issuer: String,
    /// What it calls them for ever.
    pub subject: String,
}

/// What somebody opened a session with.
enum Proof<'a> {
    Token(&'a str),
    Account(&'a Account),
    Other,
}

/// A code for one login that was just made.
#[derive(Debug, Clone)]
pub struct LoginCode {
    /// What goes into the link. It is stored nowhere.
    pub secret: Secret,
    /// When it stops to be valid.
    pub expires_at: Time,
}

/// A session that was just opened.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// What goes into the cookie. It is stored nowhere.
    pub secret: Secret,
    /// Who it is.
    pub principal: Principal,
    /// When it ends.
    pub expires_at: Time,
}

/// A session as it may be shown to anybody who administrates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionInfo {
    /// Names it; no secret.
    pub id: String,
    /// Who it is.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it was opened.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// Id of the token it was opened with, if it was.
    pub token: Option<String>,
}

/// What a login code is good for, as it is stored.
struct StoredCode {
    hash: blake3::Hash,
    session: NewSession,
    expires_at: Time,
}

impl Ledger {
    /// Makes a code that opens one session, within so long (an hour at most).
    pub async fn create_login_code(
        &self,
        actor: &Actor,
        session: NewSession,
        valid: Duration,
    ) -> Result<LoginCode, Error> {
        let now = self.now();
        text::check_name("the name of a session", &session.name)?;
        let expires_at = now.after(valid.min(MAX_CODE));
        let minted = secret::mint(secret::Kind::LoginCode)?;
        let mut batch = Batch::new();
        batch.run_one(
            "INSERT INTO login_codes (id, hash, name, role, scope, session_ms, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            vec![
                minted.id.as_str().into(),
                minted.hash.as_bytes().to_vec().into(),
                session.name.as_str().into(),
                session.role.as_str().into(),
                text::json(&session.scope).into(),
                (session.lasts.min(MAX_SESSION).as_millis() as i64).into(),
                expires_at.millis().into(),
            ],
        );
        let detail = json!({"name": session.name, "role": session.role, "expires_at": expires_at});
        audit::push(
            &mut batch,
            now,
            actor,
            &Act::new("login_code.create", &minted.id).detail(detail),
        );
        self.commit(batch).await?;
        Ok(LoginCode {
            secret: minted.secret,
            expires_at,
        })
    }

    /// Opens the session that a login code is good for. The code is used up by it: of two that present it at once, one is
    /// refused. The outer error is the ledger's, the inner one the caller's.
    pub async fn redeem_login_code(
        &self,
        presented: &str,
        address: Option<&str>,
    ) -> Result<Result<OpenedSession, Refused>, Error> {
        let now = self.now();
        let Some((id, hash)) = secret::parse(secret::Kind::LoginCode, presented) else {
            return Ok(Err(Refused::Unknown));
        };
        let id = id.to_owned();
        let code = match self.login_code(&id).await? {
            Some(code) if code.hash == hash => code,
            _ => return Ok(Err(Refused::Unknown)),
        };
        if code.expires_at <= now {
            return Ok(Err(Refused::Expired));
        }
        let mut batch = Batch::new();
        batch.run_one("DELETE FROM login_codes WHERE id = ?1", vec![id.into()]);
        match self
            .write_session(batch, code.session, Proof::Other, address, now)
            .await
        {
            Ok(session) => Ok(Ok(session)),
            // Somebody else used it in this moment.
            Err(error) if error.is_conflict() => Ok(Err(Refused::Unknown)),
            Err(error) => Err(error),
        }
    }

    /// Opens a session for somebody who proved who they are in another way: by a token (then it ends with that token), or
    /// at an identity provider.
    pub async fn open_session(
        &self,
        session: NewSession,
        token: Option<&str>,
        address: Option<&str>,
    ) -> Result<OpenedSession, Error> {
        text::check_name("the name of a session", &session.name)?;
        let proof = token.map_or(Proof::Other, Proof::Token);
        self.write_session(Batch::new(), session, proof, address, self.now())
            .await
    }

    /// Opens a session for somebody whom an identity provider vouches for. The audit log names both.
    pub async fn open_account_session(
        &self,
        session: NewSession,
        account: &Account,
        address: Option<&str>,
    ) -> Result<OpenedSession, Error> {
        text::check_name("the name of a session", &session.name)?;
        self.write_session(Batch::new(), session, Proof::Account(account), address, self.now())
            .await
    }

    /// Writes down that a login at an identity provider led to no session: of whom, if that is known, and why.
    pub async fn refuse_account(
        &self,
        issuer: &str,
        who: Option<(&str, &Account)>,
        why: &str,
        address: Option<&str>,
    ) -> Result<(), Error> {
        let actor = Actor {
            address: address.map(str::to_owned),
            ..Actor::system("login")
        };
        let subject = who.map_or(issuer, |(name, _)| name);
        let detail = json!({
            "issuer": issuer,
            "subject": who.map(|(_, account)| &account.subject),
            "why": text::cut(why, text::MAX_NAME),
        });
        let mut batch = Batch::new();
        audit::push(
            &mut batch,
            self.now(),
            &actor,
            &Act::new("login.refuse", subject).detail(detail),
        );
        self.commit(batch).await
    }

    async fn write_session(
        &self,
        mut batch: Batch,
        session: NewSession,
        proof: Proof<'_>,
        address: Option<&str>,
        now: Time,
    ) -> Result<OpenedSession, Error> {
        let (token, account) = match proof {
            Proof::Other => (None, None),
            Proof::Token(token) => (Some(token), None),
            Proof::Account(account) => (None, Some(account)),
        };
        let holder = match token {
            Some(token) => Holder::Token(token.to_owned()),
            None => Holder::Person(session.name.clone()),
        };
        let leaving = self.door().read().leaving(&holder, MAX_SESSIONS, now);
        for id in &leaving {
            batch.run("DELETE FROM sessions WHERE id = ?1", vec![id.as_str().into()]);
        }
        let minted = secret::mint(secret::Kind::Session)?;
        let expires_at = now.after(session.lasts.min(MAX_SESSION));
        batch.run_one(
            "INSERT INTO sessions (id, hash, name, role, scope, token, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            vec![
                minted.id.as_str().into(),
                minted.hash.as_bytes().to_vec().into(),
                session.name.as_str().into(),
                session.role.as_str().into(),
                text::json(&session.scope).into(),
                token.into(),
                now.millis().into(),
                expires_at.millis().into(),
            ],
        );
        let actor = Actor {
            name: session.name.clone(),
            via: Via::Session(minted.id.clone()),
            address: address.map(str::to_owned),
        };
        let mut detail = json!({"role": session.role, "token": token, "expires_at": expires_at});
        if let Some(account) = account {
            detail["issuer"] = account.issuer.as_str().into();
            detail["subject"] = account.subject.as_str().into();
        }
        if !leaving.is_empty() {
            detail["ended"] = json!(leaving);
        }
        audit::push(
            &mut batch,
            now,
            &actor,
            &Act::new("session.open", &minted.id).detail(detail),
        );
        self.commit(batch).await?;
        let entry = SessionEntry {
            hash: minted.hash,
            name: session.name,
            role: session.role,
            scope: session.scope.clone(),
            token: token.map(str::to_owned),
            created_at: now,
            expires_at,
        };
        let mut entries = self.door().write();
        for id in leaving {
            entries.sessions.remove(&id);
        }
        entries.sessions.insert(minted.id, entry);
        drop(entries);
        Ok(OpenedSession {
            secret: minted.secret,
            principal: Principal {
                actor,
                role: session.role,
                scope: session.scope,
                expires_at: Some(expires_at),
                holder,
            },
            expires_at,
        })
    }

    async fn login_code(&self, id: &str) -> Result<Option<StoredCode>, Error> {
        let id = id.to_owned();
        self.read(move |db| {
            let mut query = db.prepare_cached(
                "SELECT hash, name, role, scope, session_ms, expires_at FROM login_codes WHERE id = ?1",
            )?;
            let mut rows = query.query([&id])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            Ok(Some(StoredCode {
                hash: hash_at(row, 0)?,
                session: NewSession {
                    name: row.get(1)?,
                    role: role_at(row, 2)?,
                    scope: scope_at(row, 3)?,
                    lasts: Duration::from_millis(row.get::<_, i64>(4)?.unsigned_abs()),
                },
                expires_at: Time::from_millis(row.get(5)?),
            }))
        })
        .await
    }

    /// Who presents this session's secret. Touches neither disk nor network.
    pub fn verify_session(&self, presented: &str) -> Result<Principal, Refused> {
        self.door().session(presented, self.now())
    }

    /// The sessions that are open, newest first.
    pub fn list_sessions(&self) -> Vec<SessionInfo> {
        let now = self.now();
        let entries = self.door().read();
        let mut sessions: Vec<SessionInfo> = entries
            .sessions
            .iter()
            .filter(|(_, session)| session.expires_at > now)
            .map(|(id, session)| SessionInfo {
                id: id.clone(),
                name: session.name.clone(),
                role: session.role,
                scope: session.scope.clone(),
                created_at: session.created_at,
                expires_at: session.expires_at,
                token: session.token.clone(),
            })
            .collect();
        sessions.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        sessions
    }

    /// Ends a session (a logout, or an administrator's word). No request is let in with it after this has returned.
    pub async fn end_session(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.run_one("DELETE FROM sessions WHERE id = ?1", vec![id.into()]);
        audit::push(&mut batch, self.now(), actor, &Act::new("session.end", id));
        self.commit(batch)
            .await
            .map_err(|error| error.conflict_is(Error::not_found("session", id)))?;
        self.door().write().sessions.remove(id);
        Ok(())
    }

    /// Forgets sessions and codes that have expired. No audit rows: nobody changes anything.
    pub(crate) async fn sweep_logins(&self, now: Time) -> Result<(), Error> {
        let codes: Vec<String> = self
            .read(move |db| {
                let mut query = db.prepare_cached("SELECT id FROM login_codes WHERE expires_at <= ?1 LIMIT 1000")?;
                let ids = query.query_map([now.millis()], |row| row.get(0))?;
                Ok(ids.collect::<Result<_, _>>()?)
            })
            .await?;
        let sessions: Vec<String> = self
            .door()
            .read()
            .sessions
            .iter()
            .filter(|(_, session)| session.expires_at <= now)
            .map(|(id, _)| id.clone())
            .collect();
        let mut batch = Batch::new();
        for id in codes {
            batch.run("DELETE FROM login_codes WHERE id = ?1", vec![id.into()]);
        }
        for id in &sessions {
            batch.run("DELETE FROM sessions WHERE id = ?1", vec![id.as_str().into()]);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(batch).await?;
        let mut entries = self.door().write();
        for id in sessions {
            entries.sessions.remove(&id);
        }
        Ok(())
    }
}
