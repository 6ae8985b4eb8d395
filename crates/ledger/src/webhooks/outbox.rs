//! What is to be told, until it was told or given up.

use std::collections::HashMap;
use std::time::Duration;

use helve_db::{
    Batch,
    rusqlite::{Connection, OptionalExtension, Row},
};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{EventKind, Webhook};
use crate::{
    Actor, Cursor, Error, Ledger, Page, PageRequest, Secret, Time,
    access::{hex, random},
    audit::{self, Act},
    ledger::MAX_TRIES,
    text,
};

/// Attempts before a delivery is dead. With the times between them that takes about two days.
pub const MAX_ATTEMPTS: u32 = 20;
/// Time after the first failure; it doubles with each, up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);
const MAX_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// What was told or given up is listed for so long.
const KEEP_DONE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Deliveries that one claim gives at most.
const MAX_CLAIM: usize = 100;
/// Bytes of a body at most.
const MAX_BODY: usize = 256 << 10;
/// Bytes that are kept of what an attempt came to.
const MAX_ANSWER: usize = 500;
/// Rows that one claim looks at, most of which may be of webhooks that have enough to do.
const MAX_SCAN: usize = 20_000;
const LIST: &str = "deliveries";

/// Something to tell.
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// What it tells of, but for what every body has (`id`, `event`, `namespace`, `at`).
    pub(crate) body: Json,
}

/// A delivery that was claimed: to be made now.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Names it, on every attempt the same: the receiver knows by it what it has been told already. It is in the body too.
    pub id: String,
    /// Names this claim.
    claim: i64,
    /// The webhook it goes to.
    pub webhook: String,
    /// Where to, as it is now.
    pub url: String,
    /// What the body is signed with.
    pub secret: Secret,
    /// What it tells of.
    pub event: EventKind,
    /// JSON, to be sent and signed as it is.
    pub body: String,
    /// Counts from 1.
    pub attempt: u32,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// To be told.
    Pending,
    /// Told.
    Delivered,
    /// Given up after [`MAX_ATTEMPTS`].
    Dead,
}

/// A delivery as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryInfo {
    /// Names it.
    pub id: String,
    /// What it tells of.
    pub event: EventKind,
    /// How it stands.
    pub state: DeliveryState,
    /// When that happened.
    pub created_at: Time,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried again.
    pub next_at: Option<Time>,
    /// What the last attempt came to.
    pub answer: Option<String>,
    /// When it was told or given up.
    pub done_at: Option<Time>,
}

/// Writes an event for all who listen, into the batch that makes it happen.
pub(crate) fn push(ledger: &Ledger, namespace: &str, event: &Event, batch: &mut Batch) -> Result<(), Error> {
    let now = ledger.now();
    for endpoint in ledger.endpoints().listening(namespace, event.kind) {
        push_to(&endpoint.webhook.id, namespace, now, event, batch)?;
    }
    Ok(())
}

/// The same for one webhook, whatever it listens to. Returns the delivery's id.
fn push_to(webhook: &str, namespace: &str, now: Time, event: &Event, batch: &mut Batch) -> Result<String, Error> {
    let id = hex(&random::<16>()?);
    let mut body = json!({"id": id, "event": event.kind, "namespace": namespace, "at": now});
    if let (Json::Object(body), Json::Object(more)) = (&mut body, &event.body) {
        body.extend(more.clone());
    }
    let body = body.to_string();
    if body.len() > MAX_BODY {
        return Err(Error::Limit(format!(
            "the body of a webhook has {} bytes, and {MAX_BODY} are the most",
            body.len()
        )));
    }
    batch.run(
        "INSERT INTO deliveries (id, webhook, event, body, created_at, state, attempts, next_at, claim)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, ?5, 0)",
        vec![
            id.as_str().into(),
            webhook.into(),
            event.kind.as_str().into(),
            body.into(),
            now.millis().into(),
        ],
    );
    Ok(id)
}

/// How many deliveries a claim may give of each webhook, so that one that is slow does not take the place of others.
#[derive(Debug, Clone)]
pub struct Room {
    /// At a time, of each.
    pub of_each: usize,
    /// Those that are being made, by webhook.
    pub taken: HashMap<String, usize>,
}

impl Room {
    /// As many as there are.
    pub fn unlimited() -> Self {
        Self {
            of_each: usize::MAX,
            taken: HashMap::new(),
        }
    }

    fn take(&mut self, webhook: &str) -> bool {
        match self.taken.get_mut(webhook) {
            Some(taken) if *taken >= self.of_each => false,
            Some(taken) => {
                *taken += 1;
                true
            }
            None => {
                self.taken.insert(webhook.to_owned(), 1);
                true
            }
        }
    }
}

/// A row that may be claimed.
struct Due {
    no: i64,
    claim: i64,
    id: String,
    webhook: String,
    event: EventKind,
    body: String,
    attempts: u32,
}

impl Ledger {
    /// Tells of something that no ingest tells of (a run that ended without a report).
    pub async fn announce(&self, namespace: &str, kind: EventKind, body: Json) -> Result<(), Error> {
        let mut batch = Batch::new();
        push(self, namespace, &Event { kind, body }, &mut batch)?;
        self.commit_unless_empty(batch).await?;
        self.outbox().notify_one();
        Ok(())
    }

    /// Tells a webhook something that means nothing, for its owner to see whether it is heard. Returns the delivery's id.
    pub async fn test_webhook(&self, actor: &Actor, namespace: &str, webhook: &str) -> Result<String, Error> {
        let webhook = self.endpoint(namespace, webhook)?.webhook;
        if !webhook.is_enabled {
            return Err(Error::invalid("the webhook is disabled: enable it first"));
        }
        let now = self.now();
        let event = Event {
            kind: EventKind::Test,
            body: json!({"webhook": webhook.id, "by": actor.name}),
        };
        let mut batch = Batch::new();
        let delivery = push_to(&webhook.id, namespace, now, &event, &mut batch)?;
        let act = Act::new("webhook.test", &webhook.id)
            .namespace(namespace)
            .detail(json!({ "delivery": delivery }));
        audit::push(&mut batch, now, actor, &act);
        self.commit(batch).await?;
        self.outbox().notify_one();
        Ok(delivery)
    }

    /// Ready when there may be something new to claim. One caller is told; what happens while none waits is told to the next.
    pub async fn outbox_changed(&self) {
        self.outbox().notified().await;
    }

    /// Claims deliveries that are due, oldest first: each is given to nobody else for so long. Its end is said by
    /// [`delivered`](Ledger::delivered) or [`delivery_failed`](Ledger::delivery_failed); if nobody says it in time, it is due
    /// again. May give fewer than there are.
    pub async fn claim_deliveries(&self, limit: usize, lease: Duration, room: &Room) -> Result<Vec<Delivery>, Error> {
        let limit = limit.min(MAX_CLAIM);
        for _ in 0..MAX_TRIES {
            let now = self.now();
            let room = room.clone();
            let due = self.read(move |db| due(db, now, limit, room)).await?;
            if due.is_empty() {
                return Ok(Vec::new());
            }
            let until = now.after(lease);
            let mut batch = Batch::new();
            let mut claimed = Vec::new();
            for row in due {
                let endpoint = self.endpoints().get(&row.webhook);
                let Some(endpoint) = endpoint.filter(|endpoint| endpoint.webhook.is_enabled) else {
                    // It waits for the webhook to be enabled, and is looked at now and then.
                    batch.run(
                        "UPDATE deliveries SET next_at = ?3 WHERE no = ?1 AND claim = ?2 AND state = 'pending'",
                        vec![row.no.into(), row.claim.into(), now.after(MAX_WAIT).millis().into()],
                    );
                    continue;
                };
                batch.run_one(
                    "UPDATE deliveries SET next_at = ?3, claim = claim + 1, attempts = attempts + 1
                     WHERE no = ?1 AND claim = ?2 AND state = 'pending'",
                    vec![row.no.into(), row.claim.into(), until.millis().into()],
                );
                claimed.push(Delivery {
                    id: row.id,
                    claim: row.claim + 1,
                    webhook: row.webhook,
                    url: endpoint.webhook.url,
                    secret: endpoint.secret,
                    event: row.event,
                    body: row.body,
                    attempt: row.attempts + 1,
                });
            }
            match self.commit(batch).await {
                Ok(()) => return Ok(claimed),
                // Somebody else claimed one of them.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Vec::new())
    }

    /// The receiver took it. Changes nothing if the claim was lost meanwhile.
    pub async fn delivered(&self, delivery: &Delivery, answer: &str) -> Result<(), Error> {
        self.end_attempt(delivery, "delivered", None, answer).await
    }

    /// The receiver did not take it: it is tried again, after more and more time (or after what the receiver asked for), until
    /// it is dead.
    pub async fn delivery_failed(
        &self,
        delivery: &Delivery,
        why: &str,
        retry_after: Option<Duration>,
    ) -> Result<(), Error> {
        if delivery.attempt >= MAX_ATTEMPTS {
            return self.end_attempt(delivery, "dead", None, why).await;
        }
        let wait = wait(delivery.attempt, random::<1>()?[0]).max(retry_after.unwrap_or_default().min(MAX_WAIT));
        self.end_attempt(delivery, "pending", Some(self.now().after(wait)), why)
            .await
    }

    async fn end_attempt(
        &self,
        delivery: &Delivery,
        state: &str,
        next_at: Option<Time>,
        answer: &str,
    ) -> Result<(), Error> {
        let done_at = next_at.is_none().then(|| self.now().millis());
        let mut batch = Batch::new();
        batch.run(
            "UPDATE deliveries SET state = ?3, next_at = ?4, answer = ?5, done_at = ?6
             WHERE id = ?1 AND claim = ?2 AND state = 'pending'",
            vec![
                delivery.id.as_str().into(),
                delivery.claim.into(),
                state.into(),
                next_at.map(Time::millis).into(),
                text::cut(answer, MAX_ANSWER).into(),
                done_at.into(),
            ],
        );
        self.commit(batch).await?;
        self.counts().attempted(state);
        Ok(())
    }

    /// When the next delivery is due; none: there is none. For whoever delivers to know how long to sleep.
    pub async fn next_delivery(&self) -> Result<Option<Time>, Error> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT next_at FROM deliveries INDEXED BY deliveries_due WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1",
            )?;
            let next: Option<i64> = query.query_row([], |row| row.get(0)).optional()?;
            Ok(next.map(Time::from_millis))
        })
        .await
    }

    /// The deliveries of a webhook, newest first. Those that are done are forgotten after a week.
    pub async fn list_deliveries(
        &self,
        namespace: &str,
        webhook: &str,
        page: PageRequest,
    ) -> Result<Page<DeliveryInfo>, Error> {
        let webhook = self.endpoint(namespace, webhook)?.webhook.id;
        let before: i64 = page.after(LIST)?.unwrap_or(i64::MAX);
        let limit = page.limit();
        self.read(move |db| {
            let mut query = db.prepare_cached(
                "SELECT no, id, event, state, created_at, attempts, next_at, answer, done_at
                 FROM deliveries INDEXED BY deliveries_by_webhook WHERE webhook = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3",
            )?;
            let mut rows = query.query((webhook, before, limit as i64 + 1))?;
            let (mut items, mut last) = (Vec::new(), before);
            while let Some(row) = rows.next()? {
                if items.len() == limit {
                    let next_cursor = Some(Cursor::of(LIST, &last));
                    return Ok(Page { items, next_cursor });
                }
                last = row.get(0)?;
                items.push(info(row)?);
            }
            let next_cursor = None;
            Ok(Page { items, next_cursor })
        })
        .await
    }

    /// Tells it once more, also if it is dead or was told: it is due now, with all attempts before it.
    pub async fn redeliver(&self, actor: &Actor, namespace: &str, webhook: &str, delivery: &str) -> Result<(), Error> {
        let webhook = self.endpoint(namespace, webhook)?.webhook.id;
        let now = self.now();
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ?3, claim = claim + 1, done_at = NULL
             WHERE id = ?1 AND webhook = ?2",
            vec![delivery.into(), webhook.as_str().into(), now.millis().into()],
        );
        let act = Act::new("webhook.redeliver", delivery)
            .namespace(namespace)
            .detail(json!({ "webhook": webhook }));
        audit::push(&mut batch, now, actor, &act);
        let none = Error::not_found("delivery", delivery);
        self.commit(batch).await.map_err(|error| error.conflict_is(none))?;
        self.outbox().notify_one();
        Ok(())
    }

    /// The webhook of the namespace that a delivery goes to.
    pub async fn webhook_of_delivery(&self, namespace: &str, delivery: &str) -> Result<Webhook, Error> {
        let none = Error::not_found("delivery", delivery);
        let id = delivery.to_owned();
        let found: Option<String> = self
            .read(move |db| {
                let mut query = db.prepare_cached("SELECT webhook FROM deliveries WHERE id = ?1")?;
                Ok(query.query_row([id], |row| row.get(0)).optional()?)
            })
            .await?;
        let endpoint = found.and_then(|webhook| self.endpoint(namespace, &webhook).ok());
        endpoint.map(|endpoint| endpoint.webhook).ok_or(none)
    }

    /// Forgets what was told or given up long ago.
    pub(crate) async fn sweep_deliveries(&self, now: Time) -> Result<(), Error> {
        let long_ago = now.before(KEEP_DONE).millis();
        let done: Vec<i64> = self
            .read(move |db| {
                let mut query = db.prepare_cached(
                    "SELECT no FROM deliveries INDEXED BY deliveries_done WHERE done_at IS NOT NULL AND done_at < ?1 LIMIT 10000",
                )?;
                let numbers = query.query_map([long_ago], |row| row.get(0))?;
                Ok(numbers.collect::<Result<_, _>>()?)
            })
            .await?;
        let mut batch = Batch::new();
        for no in done {
            batch.run("DELETE FROM deliveries WHERE no = ?1", vec![no.into()]);
        }
        self.commit_unless_empty(batch).await
    }
}

/// Time until the next attempt after so many: doubled each time, up to a quarter of it more or less, so that what failed
/// together is not tried together.
fn wait(attempts: u32, random: u8) -> Duration {
    let doubled = FIRST_WAIT
        .saturating_mul(1 << attempts.saturating_sub(1).min(20))
        .min(MAX_WAIT);
    doubled.mul_f64(0.75 + f64::from(random) / 255.0 / 2.0)
}

fn due(db: &Connection, now: Time, limit: usize, mut room: Room) -> Result<Vec<Due>, Error> {
    let mut query = db.prepare_cached(
        "SELECT no, webhook FROM deliveries INDEXED BY deliveries_due
         WHERE next_at IS NOT NULL AND next_at <= ?1 ORDER BY next_at LIMIT ?2",
    )?;
    let mut rows = query.query((now.millis(), MAX_SCAN as i64))?;
    let mut numbers: Vec<i64> = Vec::new();
    while numbers.len() < limit
        && let Some(row) = rows.next()?
    {
        let webhook: String = row.get(1)?;
        if room.take(&webhook) {
            numbers.push(row.get(0)?);
        }
    }
    let mut query =
        db.prepare_cached("SELECT no, claim, id, webhook, event, body, attempts FROM deliveries WHERE no = ?1")?;
    let mut due = Vec::new();
    for no in numbers {
        let mut rows = query.query([no])?;
        let Some(row) = rows.next()? else { continue };
        due.push(Due {
            no: row.get(0)?,
            claim: row.get(1)?,
            id: row.get(2)?,
            webhook: row.get(3)?,
            event: event_at(row, 4)?,
            body: row.get(5)?,
            attempts: row.get(6)?,
        });
    }
    Ok(due)
}

fn event_at(row: &Row<'_>, column: usize) -> Result<EventKind, Error> {
    let name: String = row.get(column)?;
    match name.as_str() {
        "webhook.test" => Ok(EventKind::Test),
        name => name
            .parse()
            .map_err(|_| Error::corrupt(format!("`{name}` is no event"))),
    }
}

fn info(row: &Row<'_>) -> Result<DeliveryInfo, Error> {
    let state: String = row.get(3)?;
    let time =
        |column| -> Result<Option<Time>, Error> { Ok(row.get::<_, Option<i64>>(column)?.map(Time::from_millis)) };
    Ok(DeliveryInfo {
        id: row.get(1)?,
        event: event_at(row, 2)?,
        state: match state.as_str() {
            "pending" => DeliveryState::Pending,
            "delivered" => DeliveryState::Delivered,
            "dead" => DeliveryState::Dead,
            other => return Err(Error::corrupt(format!("`{other}` is no state of a delivery"))),
        },
        created_at: Time::from_millis(row.get(4)?),
        attempts: row.get(5)?,
        next_at: time(6)?,
        answer: row.get(7)?,
        done_at: time(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_attempts_doubles_up_to_six_hours() {
        let seconds = |attempts| wait(attempts, 127).as_secs();
        assert_eq!((seconds(1), seconds(2), seconds(5)), (4, 9, 79));
        assert_eq!(seconds(MAX_ATTEMPTS), seconds(60));
        let all: Duration = (1..MAX_ATTEMPTS).map(|attempts| wait(attempts, 127)).sum();
        assert!((46..=48).contains(&(all.as_secs() / 3600)), "{all:?}");
    }
}
