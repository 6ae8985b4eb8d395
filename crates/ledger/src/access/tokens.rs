//! Tokens: for programs, for the command line, for workers.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use helve_db::Batch;
use serde::Serialize;
use serde_json::json;

use crate::{
    access::{
        Actor, Names, Principal, Refused, Role, Scope, Secret,
        door::{TokenEntry, role_at, scope_at, time_at},
        principal::CERTIFICATE,
        secret,
    },
    audit::{self, Act},
    error::Error,
    ledger::Ledger,
    page::{Cursor, Page, PageRequest},
    text,
    time::Time,
};

/// Tokens that there are at most, those that are over included: all are kept in memory.
const MAX_TOKENS: usize = 10_000;
/// As many of them are left to administrators of all namespaces.
const RESERVE: usize = 1_000;
/// Valid tokens that name a namespace, beyond which administrators of some namespaces make no further ones of it.
const MAX_OF_NAMESPACE: usize = 1_000;
/// A token that expired or was revoked is listed for so long, as long as there is room.
const KEEP_DEAD: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const LIST: &str = "tokens";

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For people: whose it is or what for. It is the name in the audit log.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it stops to be valid; none: never.
    pub expires_at: Option<Time>,
}

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct CreatedToken {
    /// What its holder presents. It is shown this once and stored nowhere.
    pub secret: Secret,
    /// The rest.
    pub token: TokenInfo,
}

/// A token as it may be shown to anybody who administrates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenInfo {
    /// Names it; no secret.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
    /// When it stops to be valid.
    pub expires_at: Option<Time>,
    /// When it was taken back.
    pub revoked_at: Option<Time>,
    /// Who took it back.
    pub revoked_by: Option<String>,
    /// When it was last verified; after a crash, as it was written last (see [`Ledger::sweep`]).
    pub last_used_at: Option<Time>,
}

impl Ledger {
    /// Makes a token, if whoever wants it may ([`Principal::require_token`]). Of a client certificate there is one at a time.
    pub async fn create_token(&self, maker: &Principal, new: NewToken) -> Result<CreatedToken, Error> {
        maker.require_token(&new.name, &new.scope)?;
        let (actor, now) = (&maker.actor, self.now());
        text::check_name("the name of a token", &new.name)?;
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid(
                "the token would have expired already: give a time to come",
            ));
        }
        // It would belong to nobody, and be counted nowhere.
        if matches!(&new.scope.namespaces, Names::Only(names) if names.is_empty()) {
            return Err(Error::invalid(
                "the token would be good in no namespace: name one, or leave them out for all",
            ));
        }
        let forgotten = self.make_room(maker, &new.scope.namespaces, now)?;
        let minted = secret::mint(secret::Kind::Token)?;
        let token = TokenInfo {
            id: minted.id,
            name: new.name,
            role: new.role,
            scope: new.scope,
            created_at: now,
            created_by: actor.name.clone(),
            expires_at: new.expires_at,
            revoked_at: None,
            revoked_by: None,
            last_used_at: None,
        };
        let mut batch = Batch::new();
        for id in &forgotten {
            batch.run("DELETE FROM tokens WHERE id = ?1", vec![id.as_str().into()]);
        }
        let alone = token.name.starts_with(CERTIFICATE).then_some(token.name.as_str());
        batch.run_one(
            "INSERT INTO tokens (id, hash, name, role, scope, created_at, created_by, expires_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ?9 IS NULL OR NOT EXISTS (
                 SELECT 1 FROM tokens WHERE name = ?9 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?6)
             )",
            vec![
                token.id.as_str().into(),
                minted.hash.as_bytes().to_vec().into(),
                token.name.as_str().into(),
                token.role.as_str().into(),
                text::json(&token.scope).into(),
                now.millis().into(),
                token.created_by.as_str().into(),
                token.expires_at.map(Time::millis).into(),
                alone.into(),
            ],
        );
        let detail =
            json!({"name": token.name, "role": token.role, "scope": token.scope, "expires_at": token.expires_at});
        audit::push(
            &mut batch,
            now,
            actor,
            &Act::new("token.create", &token.id).detail(detail),
        );
        self.commit(batch).await.map_err(|error| {
            error.conflict_is(Error::Exists {
                what: "token",
                id: token.name.clone(),
            })
        })?;
        let entry = TokenEntry {
            hash: minted.hash,
            name: token.name.clone(),
            role: token.role,
            scope: token.scope.clone(),
            created_at: now,
            expires_at: token.expires_at,
            revoked_at: None,
            last_used: AtomicI64::new(0),
            last_used_stored: AtomicI64::new(0),
        };
        let mut entries = self.door().write();
        for id in forgotten {
            entries.tokens.remove(&id);
        }
        entries.tokens.insert(token.id.clone(), entry);
        drop(entries);
        Ok(CreatedToken {
            secret: minted.secret,
            token,
        })
    }

    /// Whether there is room for one more token of these namespaces; and which of those that are over have to be forgotten for
    /// it. Several that ask at once may each find the last place, so there may be a few more than the bounds say.
    fn make_room(&self, maker: &Principal, namespaces: &Names, now: Time) -> Result<Vec<String>, Error> {
        let entries = self.door().read();
        let mut valid = 0;
        let mut of_namespace: HashMap<&str, usize> = HashMap::new();
        for token in entries.tokens.values().filter(|token| token.check(now).is_ok()) {
            valid += 1;
            if let Names::Only(names) = &token.scope.namespaces {
                for name in names.iter().filter(|name| namespaces.contains(name)) {
                    *of_namespace.entry(name).or_default() += 1;
                }
            }
        }
        let is_limited = maker.scope.namespaces != Names::All;
        let full = of_namespace.into_iter().find(|(_, tokens)| *tokens >= MAX_OF_NAMESPACE);
        if let Some((namespace, tokens)) = full.filter(|_| is_limited) {
            return Err(Error::Limit(format!(
                "there are {tokens} tokens of the namespace `{namespace}` already: revoke some, or ask an administrator of all \
                 namespaces"
            )));
        }
        let most = if is_limited { MAX_TOKENS - RESERVE } else { MAX_TOKENS };
        if valid >= most {
            return Err(Error::Limit(format!(
                "there are {valid} valid tokens already: revoke some"
            )));
        }
        let too_many = (entries.tokens.len() + 1).saturating_sub(MAX_TOKENS);
        if too_many == 0 {
            return Ok(Vec::new());
        }
        let over = entries.tokens.iter().filter(|(_, token)| token.check(now).is_err());
        let mut over: Vec<_> = over.map(|(id, token)| (token.end(), id)).collect();
        over.sort_unstable();
        Ok(over.into_iter().take(too_many).map(|(_, id)| id.clone()).collect())
    }

    /// Who presents this token. Touches neither disk nor network.
    pub fn verify_token(&self, presented: &str) -> Result<Principal, Refused> {
        self.door().token(presented, self.now())
    }

    /// Who a verified certificate of this name is: the token that is called `cert:` and the name. Its role and scope hold,
    /// and taking it back shuts the certificate out.
    pub fn verify_certificate(&self, name: &str) -> Result<Principal, Refused> {
        self.door().token_named(&format!("cert:{name}"), self.now())
    }

    /// Takes a token back, and ends the sessions that were opened with it. No request is let in with it after this has
    /// returned.
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<(), Error> {
        let now = self.now();
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE tokens SET revoked_at = ?2, revoked_by = ?3 WHERE id = ?1 AND revoked_at IS NULL",
            vec![id.into(), now.millis().into(), actor.name.as_str().into()],
        );
        batch.run("DELETE FROM sessions WHERE token = ?1", vec![id.into()]);
        let name = self.door().read().tokens.get(id).map(|token| token.name.clone());
        audit::push(
            &mut batch,
            now,
            actor,
            &Act::new("token.revoke", id).detail(json!({ "name": name })),
        );
        self.commit(batch)
            .await
            .map_err(|error| error.conflict_is(Error::not_found("valid token", id)))?;
        let mut entries = self.door().write();
        if let Some(token) = entries.tokens.get_mut(id) {
            token.revoked_at = Some(now);
        }
        entries
            .sessions
            .retain(|_, session| session.token.as_deref() != Some(id));
        Ok(())
    }

    /// The token with this id.
    pub async fn token(&self, id: &str) -> Result<TokenInfo, Error> {
        let asked = id.to_owned();
        let found = self
            .read(move |db| {
                let mut query = db.prepare_cached(
                    "SELECT id, name, role, scope, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at
                     FROM tokens WHERE id = ?1",
                )?;
                let mut rows = query.query([&asked])?;
                rows.next()?.map(info).transpose()
            })
            .await?;
        let token = found.ok_or_else(|| Error::not_found("token", id))?;
        Ok(self.as_used(token))
    }

    /// All tokens, those that are over included, by their ids.
    pub async fn list_tokens(&self, page: PageRequest) -> Result<Page<TokenInfo>, Error> {
        let after: String = page.after(LIST)?.unwrap_or_default();
        let limit = page.limit();
        let mut items = self
            .read(move |db| {
                let mut query = db.prepare_cached(
                    "SELECT id, name, role, scope, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at
                     FROM tokens WHERE id > ?1 ORDER BY id LIMIT ?2",
                )?;
                let mut rows = query.query((&after, limit as i64 + 1))?;
                let mut items = Vec::new();
                while let Some(row) = rows.next()? {
                    items.push(info(row)?);
                }
                Ok(items)
            })
            .await?;
        let is_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| is_more).map(|last| Cursor::of(LIST, &last.id));
        Ok(Page {
            items: items.into_iter().map(|token| self.as_used(token)).collect(),
            next_cursor,
        })
    }

    fn as_used(&self, mut token: TokenInfo) -> TokenInfo {
        let entries = self.door().read();
        let used = entries
            .tokens
            .get(&token.id)
            .map_or(0, |entry| entry.last_used.load(Ordering::Relaxed));
        token.last_used_at = token.last_used_at.max((used > 0).then(|| Time::from_millis(used)));
        token
    }

    /// Writes when tokens were last used, and forgets those that are over for long. No audit rows: nobody changes anything.
    pub(crate) async fn sweep_tokens(&self, now: Time) -> Result<(), Error> {
        let used: Vec<(String, i64)> = self
            .door()
            .read()
            .tokens
            .iter()
            .map(|(id, token)| (id, token.last_used.load(Ordering::Relaxed), token))
            .filter(|(_, used, token)| *used > token.last_used_stored.load(Ordering::Relaxed))
            .map(|(id, used, _)| (id.clone(), used))
            .collect();
        let mut batch = Batch::new();
        for (id, used) in &used {
            batch.run(
                "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1",
                vec![id.as_str().into(), (*used).into()],
            );
        }
        let long_ago = now.before(KEEP_DEAD);
        let dead = self.dead_tokens(long_ago).await?;
        for id in &dead {
            batch.run("DELETE FROM tokens WHERE id = ?1", vec![id.as_str().into()]);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(batch).await?;
        let mut entries = self.door().write();
        for (id, used) in used {
            if let Some(token) = entries.tokens.get(&id) {
                token.last_used_stored.fetch_max(used, Ordering::Relaxed);
            }
        }
        for id in dead {
            entries.tokens.remove(&id);
        }
        Ok(())
    }

    async fn dead_tokens(&self, long_ago: Time) -> Result<Vec<String>, Error> {
        self.read(move |db| {
            let mut query =
                db.prepare_cached("SELECT id FROM tokens WHERE revoked_at < ?1 OR expires_at < ?1 LIMIT 1000")?;
            let ids = query.query_map([long_ago.millis()], |row| row.get(0))?;
            Ok(ids.collect::<Result<Vec<String>, _>>()?)
        })
        .await
    }
}

fn info(row: &helve_db::rusqlite::Row<'_>) -> Result<TokenInfo, Error> {
    Ok(TokenInfo {
        id: row.get(0)?,
        name: row.get(1)?,
        role: role_at(row, 2)?,
        scope: scope_at(row, 3)?,
        created_at: Time::from_millis(row.get(4)?),
        created_by: row.get(5)?,
        expires_at: time_at(row, 6)?,
        revoked_at: time_at(row, 7)?,
        revoked_by: row.get(8)?,
        last_used_at: time_at(row, 9)?,
    })
}
