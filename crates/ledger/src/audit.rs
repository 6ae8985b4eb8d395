//! The audit log: who changed what, when, from where. A row is written by the batch that makes the change.

use helve_db::{Batch, rusqlite::Row};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    access::{Actor, Via},
    error::Error,
    ledger::Ledger,
    page::{Cursor, Page, PageRequest},
    text,
    time::Time,
};

const LIST: &str = "audit";
/// Rows that a page looks at, at most.
const MAX_EXAMINED: usize = 20_000;
/// Bytes of detail at most; a longer one is left out.
const MAX_DETAIL: usize = 4096;
/// Bytes of a subject at most, more than any id may have; of a longer one the beginning is kept.
const MAX_SUBJECT: usize = 1024;

/// What was done.
pub(crate) struct Act<'a> {
    action: &'a str,
    namespace: Option<&'a str>,
    subject: &'a str,
    detail: Json,
}

impl<'a> Act<'a> {
    pub(crate) fn new(action: &'a str, subject: &'a str) -> Self {
        Act {
            action,
            namespace: None,
            subject,
            detail: Json::Null,
        }
    }

    pub(crate) fn namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = Some(namespace);
        self
    }

    pub(crate) fn detail(mut self, detail: Json) -> Self {
        self.detail = detail;
        self
    }
}

/// Appends the row to the batch that makes the change.
pub(crate) fn push(batch: &mut Batch, now: Time, actor: &Actor, act: &Act<'_>) {
    let mut detail = act.detail.to_string();
    if detail.len() > MAX_DETAIL {
        "null".clone_into(&mut detail);
    }
    batch.run(
        "INSERT INTO audit (at, actor, via, address, action, namespace, subject, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        vec![
            now.millis().into(),
            actor.name.as_str().into(),
            text::json(&actor.via).into(),
            actor.address.as_deref().into(),
            act.action.into(),
            act.namespace.into(),
            act.subject.into(),
            detail.into(),
        ],
    );
}

impl Ledger {
    /// Writes a row about a change that is made elsewhere. To be called before the change: then none is without its row, and
    /// a row of a change that failed says that somebody wanted it.
    pub async fn record(
        &self,
        actor: &Actor,
        action: &str,
        namespace: Option<&str>,
        subject: &str,
        detail: Json,
    ) -> Result<(), Error> {
        // Nobody has looked at them yet: a change that is refused for the length of its names has a row, too.
        let (subject, namespace) = (
            text::cut(subject, MAX_SUBJECT),
            namespace.map(|name| text::cut(name, MAX_SUBJECT)),
        );
        let mut act = Act::new(action, &subject).detail(detail);
        act.namespace = namespace.as_deref();
        let mut batch = Batch::new();
        push(&mut batch, self.now(), actor, &act);
        self.commit(batch).await
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Counts up from 1.
    pub no: i64,
    /// When.
    pub at: Time,
    /// Who.
    pub actor: Actor,
    /// What: `token.create`, `finding.triage`.
    pub action: String,
    /// In which namespace; none: it is about all of them.
    pub namespace: Option<String>,
    /// To what: an id or a name.
    pub subject: String,
    /// More, as far as it is small. Never a secret.
    pub detail: Json,
}

/// Which entries. All that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// This action, or all of an area (`token.` for `token.create` and `token.revoke`).
    pub action: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// To this subject.
    pub subject: Option<String>,
    /// Not before this.
    pub since: Option<Time>,
    /// Before this.
    pub until: Option<Time>,
}

impl AuditFilter {
    fn fits(&self, entry: &AuditEntry) -> bool {
        let is = |asked: &Option<String>, text: &str| asked.as_deref().is_none_or(|asked| asked == text);
        is(&self.actor, &entry.actor.name)
            && is(&self.subject, &entry.subject)
            && is(&self.namespace, entry.namespace.as_deref().unwrap_or_default())
            && self
                .action
                .as_deref()
                .is_none_or(|asked| entry.action == asked || (asked.ends_with('.') && entry.action.starts_with(asked)))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }

    /// The narrowest index: its statement, and what is bound to `?1`.
    fn driver(&self) -> (&'static str, Option<&str>) {
        if let Some(subject) = &self.subject {
            (BY_SUBJECT, Some(subject))
        } else if let Some(actor) = &self.actor {
            (BY_ACTOR, Some(actor))
        } else if let Some(action) = self.action.as_ref().filter(|action| !action.ends_with('.')) {
            (BY_ACTION, Some(action))
        } else if let Some(namespace) = &self.namespace {
            (BY_NAMESPACE, Some(namespace))
        } else {
            (BY_TIME, None)
        }
    }
}

const BY_SUBJECT: &str =
    "SELECT no, at, actor, via, address, action, namespace, subject, detail FROM audit INDEXED BY audit_subject
     WHERE subject = ?1 AND (at, no) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, no DESC";
const BY_ACTOR: &str =
    "SELECT no, at, actor, via, address, action, namespace, subject, detail FROM audit INDEXED BY audit_actor
     WHERE actor = ?1 AND (at, no) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, no DESC";
const BY_ACTION: &str =
    "SELECT no, at, actor, via, address, action, namespace, subject, detail FROM audit INDEXED BY audit_action
     WHERE action = ?1 AND (at, no) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, no DESC";
const BY_NAMESPACE: &str =
    "SELECT no, at, actor, via, address, action, namespace, subject, detail FROM audit INDEXED BY audit_namespace
     WHERE namespace = ?1 AND (at, no) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, no DESC";
const BY_TIME: &str =
    "SELECT no, at, actor, via, address, action, namespace, subject, detail FROM audit INDEXED BY audit_at
     WHERE ?1 IS NULL AND (at, no) < (?2, ?3) AND at >= ?4 ORDER BY at DESC, no DESC";

impl Ledger {
    /// The audit log, newest first.
    pub async fn list_audit(&self, filter: AuditFilter, page: PageRequest) -> Result<Page<AuditEntry>, Error> {
        let after: Option<(i64, i64)> = page.after(LIST)?;
        let end = (filter.until.map_or(i64::MAX, Time::millis), i64::MIN);
        let (at, no) = after.map_or(end, |after| after.min(end));
        let since = filter.since.map_or(i64::MIN, Time::millis);
        let limit = page.limit();
        self.read(move |db| {
            let (sql, bound) = filter.driver();
            let mut query = db.prepare_cached(sql)?;
            let mut rows = query.query((bound, at, no, since))?;
            let mut items: Vec<AuditEntry> = Vec::new();
            let mut last = None;
            for _ in 0..MAX_EXAMINED {
                let Some(row) = rows.next()? else {
                    let next_cursor = None;
                    return Ok(Page { items, next_cursor });
                };
                let entry = entry(row)?;
                let fits = filter.fits(&entry);
                if fits && items.len() == limit {
                    break;
                }
                last = Some((entry.at.millis(), entry.no));
                items.extend(fits.then_some(entry));
            }
            Ok(Page {
                items,
                next_cursor: last.map(|last| Cursor::of(LIST, &last)),
            })
        })
        .await
    }
}

fn entry(row: &Row<'_>) -> Result<AuditEntry, Error> {
    let via: String = row.get(3)?;
    let detail: String = row.get(8)?;
    let via: Via = serde_json::from_str(&via).map_err(|error| Error::corrupt(format!("an audit entry: {error}")))?;
    Ok(AuditEntry {
        no: row.get(0)?,
        at: Time::from_millis(row.get(1)?),
        actor: Actor {
            name: row.get(2)?,
            via,
            address: row.get(4)?,
        },
        action: row.get(5)?,
        namespace: row.get(6)?,
        subject: row.get(7)?,
        detail: serde_json::from_str(&detail)
            .map_err(|error| Error::corrupt(format!("the detail of an audit entry: {error}")))?,
    })
}
