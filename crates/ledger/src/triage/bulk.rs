//! One decision about many findings: those that are named, or those that a filter shows.

use helve_db::{Batch, rusqlite::Connection};
use serde::Serialize;
use serde_json::json;

use super::{TriageChange, write};
use crate::{
    Actor, Error, FindingFilter, FindingOrder, Ledger, PageRequest,
    audit::{self, Act},
    findings::{detail, list, rows::Row, tally::Tally},
    ledger::MAX_TRIES,
    page::MAX_LIMIT,
    text,
};

/// Findings that are decided about at once, at most.
pub const MAX_BULK: usize = 1_000;

/// Findings that are decided about at once.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "made once a request, and never kept")]
pub enum Which {
    /// These, by their ids; at most [`MAX_BULK`].
    Ids(Vec<String>),
    /// Those that a list would show, [`MAX_BULK`] of them.
    Filter(FindingFilter),
}

/// What one decision about many findings changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkOutcome {
    /// So many findings.
    pub changed: u64,
    /// So many were in that state already.
    pub unchanged: u64,
    /// These are no findings of the namespace.
    pub missing: Vec<String>,
    /// More findings fit the filter: call again.
    pub is_more: bool,
}

impl Ledger {
    /// Decides about many findings at once: about all of them, or, on an error, about none.
    pub async fn triage_many(
        &self,
        actor: &Actor,
        namespace: &str,
        which: Which,
        change: TriageChange,
    ) -> Result<BulkOutcome, Error> {
        change.check(self.now())?;
        if change.state.is_none() {
            return Err(Error::invalid(
                "many findings are given a state, not only a comment: give one",
            ));
        }
        if let Which::Ids(ids) = &which
            && ids.len() > MAX_BULK
        {
            return Err(Error::Limit(format!(
                "{} findings are too many at once: send {MAX_BULK} at most, and the others after them",
                ids.len()
            )));
        }
        let mut tries = 0;
        loop {
            let (outcome, batch) = self.decide_many(actor, namespace, &which, &change).await?;
            tries += 1;
            match self.commit_unless_empty(batch).await {
                Ok(()) => return Ok(outcome),
                Err(error) if error.is_conflict() && tries < MAX_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn decide_many(
        &self,
        actor: &Actor,
        namespace: &str,
        which: &Which,
        change: &TriageChange,
    ) -> Result<(BulkOutcome, Batch), Error> {
        let (actor, namespace) = (actor.clone(), namespace.to_owned());
        let (which, change, now) = (which.clone(), change.clone(), self.now());
        self.read(move |db| {
            let mut outcome = BulkOutcome {
                changed: 0,
                unchanged: 0,
                missing: Vec::new(),
                is_more: false,
            };
            let rows = match &which {
                Which::Ids(ids) => named(db, &namespace, ids, &mut outcome)?,
                Which::Filter(filter) => filtered(db, &namespace, filter, &change, &mut outcome)?,
            };
            let (mut batch, mut tally) = (Batch::new(), Tally::default());
            for row in &rows {
                match change.apply(row, &actor, now) {
                    Some((new, events)) => {
                        write(db, row, &new, &events, &mut tally, &mut batch)?;
                        outcome.changed += 1;
                    }
                    None => outcome.unchanged += 1,
                }
            }
            if outcome.changed > 0 {
                tally.write(&mut batch);
                let subject = match &which {
                    Which::Ids(ids) => text::cut(&ids.join(","), text::MAX_NAME),
                    Which::Filter(_) => "*".to_owned(),
                };
                let act = Act::new("findings.triage", &subject)
                    .namespace(&namespace)
                    .detail(json!({
                        "changed": outcome.changed, "to": change.state, "until": change.until,
                    }));
                audit::push(&mut batch, now, &actor, &act);
            }
            Ok((outcome, batch))
        })
        .await
    }
}

fn named(db: &Connection, namespace: &str, ids: &[String], outcome: &mut BulkOutcome) -> Result<Vec<Row>, Error> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids.dedup();
    let mut rows = Vec::new();
    for id in ids {
        match detail::find(db, namespace, &id) {
            Ok(row) => rows.push(row),
            Err(Error::NotFound { .. }) => outcome.missing.push(id),
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// The first ones of the filter that are not in the new state yet: so calling again goes on.
fn filtered(
    db: &Connection,
    namespace: &str,
    filter: &FindingFilter,
    change: &TriageChange,
    outcome: &mut BulkOutcome,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let mut page = PageRequest {
        cursor: None,
        limit: Some(MAX_LIMIT),
    };
    // An empty page may have a cursor: it has looked at as much as a page may.
    for _ in 0..MAX_PAGES {
        let found = list::page_of_rows(db, namespace, filter, FindingOrder::Severity, &page)?;
        for row in found.items {
            let is_done = change.state == Some(row.life.bucket.triage) && change.until == row.life.until;
            if is_done {
                outcome.unchanged += 1;
            } else if rows.len() == MAX_BULK {
                outcome.is_more = true;
                return Ok(rows);
            } else {
                rows.push(row);
            }
        }
        if found.next_cursor.is_none() {
            return Ok(rows);
        }
        page.cursor = found.next_cursor;
    }
    outcome.is_more = true;
    Ok(rows)
}

/// Pages of a filter that are looked at, at most: a decision is not to read the whole index.
const MAX_PAGES: usize = 20;
