//! What people decide about findings: one by one, or many at once.

mod bulk;
mod expiry;

use helve_db::{Batch, rusqlite::Connection};
use serde_json::json;

use crate::{
    Actor, Error, FindingSummary, Ledger, Time, Triage,
    audit::{self, Act},
    findings::{
        detail,
        life::{Decision, Event},
        rows::{self, Row},
        summary::Summaries,
        tally::Tally,
    },
    ledger::MAX_TRIES,
};

pub use bulk::{BulkOutcome, MAX_BULK, Which};

/// Bytes of a comment at most.
const MAX_COMMENT: usize = 10_000;

/// What somebody decides about a finding, or says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriageChange {
    /// The new state; none: only a comment.
    pub state: Option<Triage>,
    /// For an accepted risk: when it is open again; none: never.
    pub until: Option<Time>,
    /// Why. May be empty if there is a state.
    pub comment: String,
}

impl TriageChange {
    fn check(&self, now: Time) -> Result<(), Error> {
        if self.comment.len() > MAX_COMMENT {
            return Err(Error::invalid(format!(
                "the comment has {} bytes, and {MAX_COMMENT} are the most",
                self.comment.len()
            )));
        }
        if self.state.is_none() && self.comment.trim().is_empty() {
            return Err(Error::invalid(
                "there is neither a state nor a comment: give one of them",
            ));
        }
        match self.until {
            Some(_) if self.state != Some(Triage::AcceptedRisk) => Err(Error::invalid(
                "only an accepted risk ends at a time: leave out `until`",
            )),
            Some(until) if until <= now => Err(Error::invalid(
                "the accepted risk would have ended already: give a time to come, or leave it out",
            )),
            _ => Ok(()),
        }
    }

    /// What becomes of a finding; none if it is in this state already and nothing is said.
    fn apply(&self, row: &Row, by: &Actor, now: Time) -> Option<(Row, Vec<Event>)> {
        let mut new = row.clone();
        let mut events = Vec::new();
        let at = row.life.not_before(now);
        let state = self
            .state
            .filter(|state| (*state, self.until) != (row.life.bucket.triage, row.life.until));
        match state {
            Some(to) => {
                let decision = Decision {
                    by: by.clone(),
                    to,
                    until: self.until,
                    comment: self.comment.clone(),
                };
                new.life.decide(at, decision, &mut events);
            }
            None if self.comment.trim().is_empty() => return None,
            None => new.life.comment(at, by.clone(), self.comment.clone(), &mut events),
        }
        new.version += 1;
        Some((new, events))
    }
}

impl Ledger {
    /// Decides about a finding. With a `version` only if it is still that one ([`Error::Changed`] if not).
    pub async fn triage(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        version: Option<i64>,
        change: TriageChange,
    ) -> Result<FindingSummary, Error> {
        change.check(self.now())?;
        let mut tries = 0;
        loop {
            let (row, batch) = self.decide_triage(actor, namespace, id, version, &change).await?;
            tries += 1;
            match self.commit_unless_empty(batch).await {
                Ok(()) => return self.read(move |db| Summaries::new(db).summary(&row)).await,
                // A run or somebody else wrote it meanwhile.
                Err(error) if error.is_conflict() && tries < MAX_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The finding as it will be, and what makes it so.
    async fn decide_triage(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        version: Option<i64>,
        change: &TriageChange,
    ) -> Result<(Row, Batch), Error> {
        let (actor, namespace, id) = (actor.clone(), namespace.to_owned(), id.to_owned());
        let (change, now) = (change.clone(), self.now());
        self.read(move |db| {
            let row = detail::find(db, &namespace, &id)?;
            if version.is_some_and(|version| version != row.version) {
                return Err(Error::Changed { what: "finding", id });
            }
            let mut batch = Batch::new();
            let Some((new, events)) = change.apply(&row, &actor, now) else {
                return Ok((row, batch));
            };
            let mut tally = Tally::default();
            write(db, &row, &new, &events, &mut tally, &mut batch)?;
            tally.write(&mut batch);
            let act = Act::new(change.action(), &id).namespace(&namespace).detail(json!({
                "from": row.life.bucket.triage, "to": change.state, "until": change.until,
            }));
            audit::push(&mut batch, now, &actor, &act);
            Ok((new, batch))
        })
        .await
    }

    pub(crate) async fn commit_unless_empty(&self, batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            Ok(())
        } else {
            self.commit(batch).await
        }
    }
}

impl TriageChange {
    fn action(&self) -> &'static str {
        if self.state.is_some() {
            "finding.triage"
        } else {
            "finding.comment"
        }
    }
}

/// Writes what a decision changes of a finding.
fn write(
    db: &Connection,
    old: &Row,
    new: &Row,
    events: &[Event],
    tally: &mut Tally,
    batch: &mut Batch,
) -> Result<(), Error> {
    rows::update(batch, old, new);
    rows::insert_events(batch, old.no, rows::count_events(db, old.no)?, events);
    let (from, to) = (Some(old.life.bucket), Some(new.life.bucket));
    tally.moved(old.namespace, old.target, from, to);
    for event in events {
        tally.turned(old.namespace, old.target, event.at, from, to, 1);
    }
    Ok(())
}
