//! What a run changed, for its answer and for webhooks.

use helve_db::rusqlite::Connection;
use helve_findings::Severity;
use serde::Serialize;

use crate::{
    Error,
    findings::{
        Status,
        names::{self, Names},
        rows::{self, Row},
    },
    hex,
};

/// Changes that an answer lists at most; all are counted.
pub const MAX_CHANGES: usize = 1_000;

/// What an ingest changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ingested {
    /// Whether this run was in the index already. Then nothing was changed, and this is what it changed then.
    pub was_known: bool,
    /// How many findings of each kind.
    pub counts: ChangeCounts,
    /// New, reopened and fixed findings, worst first; at most [`MAX_CHANGES`].
    pub changes: Vec<FindingChange>,
}

/// What a run says of the findings of its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// Seen for the first time.
    pub new: u64,
    /// Seen again.
    pub still_there: u64,
    /// Gone.
    pub fixed: u64,
    /// Seen again after they were gone.
    pub reopened: u64,
    /// Missing, but the run could not look there. (As it was when the run was ingested.)
    pub not_looked: u64,
}

/// A finding that is new, fixed or reopened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// Id of the finding.
    pub id: String,
    /// What changed.
    pub change: Status,
    /// How bad it is.
    pub severity: Severity,
    /// Id of its rule.
    pub rule: String,
    /// For people.
    pub message: String,
    /// The file, relative to the target.
    pub path: String,
    /// First line.
    pub line: Option<u32>,
    /// Whether it is a crash that a fuzzer found.
    pub is_crash: bool,
    /// Whether somebody has something to do about it: it is neither suppressed nor triaged away.
    pub is_due: bool,
}

pub(crate) fn change(row: &Row, change: Status, rule: String) -> FindingChange {
    FindingChange {
        id: hex(&row.id),
        change,
        severity: row.life.bucket.severity,
        rule,
        message: row.seen_as.message.clone(),
        path: row.path.clone(),
        line: row.seen_as.line.and_then(|line| u32::try_from(line).ok()),
        is_crash: row.seen_as.is_crash,
        is_due: row.life.bucket.is_due(),
    }
}

pub(crate) fn ingested(mut changes: Vec<FindingChange>, seen: u64, not_looked: u64) -> Ingested {
    let count = |status| changes.iter().filter(|change| change.change == status).count() as u64;
    let (new, fixed, reopened) = (count(Status::New), count(Status::Fixed), count(Status::Reopened));
    changes.sort_by(|a, b| {
        let rank = |change: &FindingChange| match change.change {
            Status::New => 0,
            Status::Reopened => 1,
            Status::Fixed | Status::StillThere => 2,
        };
        let by_place = (&a.path, a.line, &a.id).cmp(&(&b.path, b.line, &b.id));
        (b.severity, rank(a)).cmp(&(a.severity, rank(b))).then(by_place)
    });
    changes.truncate(MAX_CHANGES);
    Ingested {
        was_known: false,
        counts: ChangeCounts {
            new,
            still_there: seen.saturating_sub(new + reopened),
            fixed,
            reopened,
            not_looked,
        },
        changes,
    }
}

/// What a run that is in the index changed; none if it is not.
pub(crate) fn of_known_run(db: &Connection, namespace: &str, run_id: &str) -> Result<Option<Ingested>, Error> {
    let Some(namespace) = names::find_namespace(db, namespace)? else {
        return Ok(None);
    };
    let mut query =
        db.prepare_cached("SELECT no, counts, not_looked FROM runs WHERE namespace = ?1 AND run_id = ?2")?;
    let mut found = query.query((namespace, run_id))?;
    let Some(run) = found.next()? else {
        return Ok(None);
    };
    let (no, counts, not_looked): (i64, String, i64) = (run.get(0)?, run.get(1)?, run.get(2)?);
    let seen: u64 = counts_of(&counts)?.values().sum();
    let changes = of_run(db, no)?;
    Ok(Some(Ingested {
        was_known: true,
        ..ingested(changes, seen, not_looked.unsigned_abs())
    }))
}

pub(crate) fn counts_of(text: &str) -> Result<helve_findings::Counts, Error> {
    serde_json::from_str(text).map_err(|error| Error::corrupt(format!("the counts of a run: {error}")))
}

fn of_run(db: &Connection, run: i64) -> Result<Vec<FindingChange>, Error> {
    let mut query = db.prepare_cached(
        "SELECT finding, kind FROM finding_events INDEXED BY finding_events_by_run WHERE run = ?1 AND kind IN (0, 1, 2)",
    )?;
    let mut found = query.query([run])?;
    let mut names = Names::new(db);
    let mut changes = Vec::new();
    while let Some(event) = found.next()? {
        let status = match event.get(1)? {
            rows::NEW => Status::New,
            rows::FIXED => Status::Fixed,
            _ => Status::Reopened,
        };
        if let Some(row) = rows::by_no(db, event.get(0)?)? {
            changes.push(change(&row, status, names.get(row.rule)?));
        }
    }
    Ok(changes)
}

/// How much a run changed.
pub(crate) fn counts_of_run(db: &Connection, run: i64, seen: u64, not_looked: i64) -> Result<ChangeCounts, Error> {
    let mut query = db.prepare_cached(
        "SELECT kind, count(*) FROM finding_events INDEXED BY finding_events_by_run WHERE run = ?1 GROUP BY kind",
    )?;
    let mut rows = query.query([run])?;
    let mut counts = ChangeCounts {
        not_looked: not_looked.unsigned_abs(),
        ..ChangeCounts::default()
    };
    while let Some(row) = rows.next()? {
        let count = row.get::<_, i64>(1)?.unsigned_abs();
        match row.get(0)? {
            rows::NEW => counts.new = count,
            rows::FIXED => counts.fixed = count,
            rows::REOPENED => counts.reopened = count,
            _ => {}
        }
    }
    counts.still_there = seen.saturating_sub(counts.new + counts.reopened);
    Ok(counts)
}
