//! Whom to tell. All of them are in memory too: every event asks.

use std::sync::{PoisonError, RwLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use helve_db::{
    Batch,
    rusqlite::{Connection, Row},
};
use serde::Serialize;
use serde_json::json;

use super::EventKind;
use crate::{
    Actor, Error, Ledger, Secret, Time,
    access::{hex, random},
    audit::{self, Act},
    text,
};

/// Webhooks of a namespace at most.
const MAX_WEBHOOKS: usize = 100;
/// Bytes of an address at most.
const MAX_URL: usize = 2_048;
/// Bytes of a secret that somebody brings.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// What a webhook is to be.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Events of this namespace.
    pub namespace: String,
    /// Where to: http or https. Whether that is an address that may be asked is for whoever delivers to check, each time.
    pub url: String,
    /// Which events.
    pub events: Vec<EventKind>,
    /// What bodies are signed with; none: one is made.
    pub secret: Option<String>,
}

/// What changes of a webhook; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// Which events.
    pub events: Option<Vec<EventKind>>,
    /// Whether it is told anything. What is in the outbox when it is disabled is told when it is enabled again.
    pub is_enabled: Option<bool>,
}

/// A webhook, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// Names it.
    pub id: String,
    /// Events of this namespace.
    pub namespace: String,
    /// Where to.
    pub url: String,
    /// Which events.
    pub events: Vec<EventKind>,
    /// Whether it is told anything.
    pub is_enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
    /// Counts changes.
    pub version: i64,
}

/// A webhook with what signs its bodies.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) webhook: Webhook,
    pub(crate) secret: Secret,
}

/// All webhooks.
#[derive(Default)]
pub(crate) struct Endpoints(RwLock<Vec<Endpoint>>);

impl Endpoints {
    pub(crate) fn load(db: &Connection) -> Result<Self, Error> {
        let mut query = db.prepare(
            "SELECT id, namespace, url, secret, events, is_enabled, created_at, created_by, version FROM webhooks",
        )?;
        let mut rows = query.query([])?;
        let mut endpoints = Vec::new();
        while let Some(row) = rows.next()? {
            endpoints.push(endpoint(row)?);
        }
        Ok(Endpoints(RwLock::new(endpoints)))
    }

    pub(crate) fn get(&self, id: &str) -> Option<Endpoint> {
        self.find(|webhook| webhook.id == id).pop()
    }

    /// Those that are to be told of an event.
    pub(crate) fn listening(&self, namespace: &str, event: EventKind) -> Vec<Endpoint> {
        self.find(|webhook| webhook.is_enabled && webhook.namespace == namespace && webhook.events.contains(&event))
    }

    fn find(&self, fits: impl Fn(&Webhook) -> bool) -> Vec<Endpoint> {
        let endpoints = self.0.read().unwrap_or_else(PoisonError::into_inner);
        endpoints
            .iter()
            .filter(|endpoint| fits(&endpoint.webhook))
            .cloned()
            .collect()
    }

    /// Puts one in the place of the one with this id, or takes that away.
    fn replace(&self, id: &str, endpoint: Option<Endpoint>) {
        let mut endpoints = self.0.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|endpoint| endpoint.webhook.id != id);
        endpoints.extend(endpoint);
    }
}

fn endpoint(row: &Row<'_>) -> Result<Endpoint, Error> {
    let events: String = row.get(4)?;
    Ok(Endpoint {
        webhook: Webhook {
            id: row.get(0)?,
            namespace: row.get(1)?,
            url: row.get(2)?,
            events: serde_json::from_str(&events)
                .map_err(|error| Error::corrupt(format!("the events of a webhook: {error}")))?,
            is_enabled: row.get(5)?,
            created_at: Time::from_millis(row.get(6)?),
            created_by: row.get(7)?,
            version: row.get(8)?,
        },
        secret: Secret::new(row.get(3)?),
    })
}

fn check(url: &str, events: &[EventKind]) -> Result<(), Error> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
    if !is_web || url.len() > MAX_URL || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::invalid(format!(
            "the address of a webhook must begin with http:// or https:// and have {MAX_URL} bytes at most"
        )));
    }
    if events.is_empty() || events.contains(&EventKind::Test) {
        return Err(Error::invalid(
            "a webhook listens to one event at least: give run.finished, finding.new or crash.found",
        ));
    }
    Ok(())
}

impl Ledger {
    /// Makes a webhook. What signs its bodies is shown this once.
    pub async fn create_webhook(&self, actor: &Actor, new: NewWebhook) -> Result<(Webhook, Secret), Error> {
        text::check_name("the namespace of a webhook", &new.namespace)?;
        check(&new.url, &new.events)?;
        if self.webhooks(&new.namespace).len() >= MAX_WEBHOOKS {
            return Err(Error::Limit(format!(
                "the namespace `{}` has {MAX_WEBHOOKS} webhooks already: delete some",
                new.namespace
            )));
        }
        let secret = secret(new.secret)?;
        let webhook = Webhook {
            id: hex(&random::<8>()?),
            namespace: new.namespace,
            url: new.url,
            events: sorted(new.events),
            is_enabled: true,
            created_at: self.now(),
            created_by: actor.name.clone(),
            version: 1,
        };
        let mut batch = Batch::new();
        batch.run_one(
            "INSERT INTO webhooks (id, namespace, url, secret, events, is_enabled, created_at, created_by, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            vec![
                webhook.id.as_str().into(),
                webhook.namespace.as_str().into(),
                webhook.url.as_str().into(),
                secret.as_str().into(),
                text::json(&webhook.events).into(),
                true.into(),
                webhook.created_at.millis().into(),
                webhook.created_by.as_str().into(),
                webhook.version.into(),
            ],
        );
        audit::push(&mut batch, webhook.created_at, actor, &act("webhook.create", &webhook));
        self.commit(batch).await?;
        let secret = Secret::new(secret);
        let endpoint = Endpoint {
            webhook: webhook.clone(),
            secret: secret.clone(),
        };
        self.endpoints().replace(&webhook.id, Some(endpoint));
        Ok((webhook, secret))
    }

    /// The webhooks of a namespace, oldest first.
    pub fn webhooks(&self, namespace: &str) -> Vec<Webhook> {
        let found = self.endpoints().find(|webhook| webhook.namespace == namespace);
        let mut webhooks: Vec<Webhook> = found.into_iter().map(|endpoint| endpoint.webhook).collect();
        webhooks.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        webhooks
    }

    /// Changes a webhook. With a `version` only if it is still that one.
    pub async fn update_webhook(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        version: Option<i64>,
        change: WebhookChange,
    ) -> Result<Webhook, Error> {
        let old = self.endpoint(namespace, id)?;
        let mut webhook = old.webhook.clone();
        if version.is_some_and(|version| version != webhook.version) {
            return Err(changed(id));
        }
        webhook.url = change.url.unwrap_or(webhook.url);
        webhook.events = change.events.map_or(webhook.events, sorted);
        webhook.is_enabled = change.is_enabled.unwrap_or(webhook.is_enabled);
        webhook.version += 1;
        check(&webhook.url, &webhook.events)?;
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE webhooks SET url = ?3, events = ?4, is_enabled = ?5, version = version + 1
             WHERE id = ?1 AND version = ?2",
            vec![
                id.into(),
                old.webhook.version.into(),
                webhook.url.as_str().into(),
                text::json(&webhook.events).into(),
                webhook.is_enabled.into(),
            ],
        );
        audit::push(&mut batch, self.now(), actor, &act("webhook.update", &webhook));
        let is_news = webhook.url != old.webhook.url || !old.webhook.is_enabled;
        if webhook.is_enabled && is_news {
            // What waits need not wait for its time: there is a reason to try it now.
            batch.run(
                "UPDATE deliveries SET next_at = ?2 WHERE webhook = ?1 AND state = 'pending'",
                vec![id.into(), self.now().millis().into()],
            );
        }
        self.commit(batch)
            .await
            .map_err(|error| error.conflict_is(changed(id)))?;
        let endpoint = Endpoint {
            webhook: webhook.clone(),
            secret: old.secret,
        };
        self.endpoints().replace(id, Some(endpoint));
        self.outbox().notify_one();
        Ok(webhook)
    }

    /// Gives a webhook another secret, which is shown this once: the given one, or one that is made. Whatever is sent from now
    /// on is signed with it, also what is sent again.
    pub async fn change_webhook_secret(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        version: Option<i64>,
        given: Option<String>,
    ) -> Result<(Webhook, Secret), Error> {
        let mut webhook = self.endpoint(namespace, id)?.webhook;
        if version.is_some_and(|version| version != webhook.version) {
            return Err(changed(id));
        }
        let secret = secret(given)?;
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE webhooks SET secret = ?3, version = version + 1 WHERE id = ?1 AND version = ?2",
            vec![id.into(), webhook.version.into(), secret.as_str().into()],
        );
        audit::push(&mut batch, self.now(), actor, &act("webhook.rotate", &webhook));
        self.commit(batch)
            .await
            .map_err(|error| error.conflict_is(changed(id)))?;
        webhook.version += 1;
        let endpoint = Endpoint {
            webhook: webhook.clone(),
            secret: Secret::new(secret),
        };
        self.endpoints().replace(id, Some(endpoint.clone()));
        Ok((webhook, endpoint.secret))
    }

    /// A webhook of the namespace.
    pub fn webhook(&self, namespace: &str, id: &str) -> Result<Webhook, Error> {
        Ok(self.endpoint(namespace, id)?.webhook)
    }

    /// Forgets a webhook, and what is still to be told to it.
    pub async fn delete_webhook(&self, actor: &Actor, namespace: &str, id: &str) -> Result<(), Error> {
        let old = self.endpoint(namespace, id)?;
        let mut batch = Batch::new();
        batch.run_one("DELETE FROM webhooks WHERE id = ?1", vec![id.into()]);
        batch.run("DELETE FROM deliveries WHERE webhook = ?1", vec![id.into()]);
        audit::push(&mut batch, self.now(), actor, &act("webhook.delete", &old.webhook));
        let none = Error::not_found("webhook", id);
        self.commit(batch).await.map_err(|error| error.conflict_is(none))?;
        self.endpoints().replace(id, None);
        Ok(())
    }

    pub(super) fn endpoint(&self, namespace: &str, id: &str) -> Result<Endpoint, Error> {
        self.endpoints()
            .get(id)
            .filter(|endpoint| endpoint.webhook.namespace == namespace)
            .ok_or_else(|| Error::not_found("webhook", id))
    }
}

/// As the standard for webhooks has them: receivers read it with what they have.
fn secret(given: Option<String>) -> Result<String, Error> {
    match given {
        Some(secret) if SECRET_BYTES.contains(&secret.len()) => Ok(secret),
        Some(_) => Err(Error::invalid(
            "the secret of a webhook must have 16 to 256 bytes, or be left out",
        )),
        None => Ok(format!("whsec_{}", BASE64_STANDARD.encode(random::<32>()?))),
    }
}

fn changed(id: &str) -> Error {
    Error::Changed {
        what: "webhook",
        id: id.to_owned(),
    }
}

fn sorted(mut events: Vec<EventKind>) -> Vec<EventKind> {
    events.sort();
    events.dedup();
    events
}

/// Without the address's path and query: some services put their secret there.
fn act<'a>(action: &'static str, webhook: &'a Webhook) -> Act<'a> {
    let (scheme, rest) = webhook.url.split_once("://").unwrap_or(("", &webhook.url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    Act::new(action, &webhook.id)
        .namespace(&webhook.namespace)
        .detail(json!({"to": format!("{scheme}://{host}"), "events": webhook.events, "is_enabled": webhook.is_enabled}))
}
