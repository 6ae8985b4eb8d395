//! Numbers for overviews and charts: read from what is counted with every change, never from the findings.

use std::collections::BTreeMap;

use helve_db::rusqlite::Connection;
use helve_findings::{Counts, Severity};
use serde::Serialize;

use crate::{
    Cursor, Error, Ledger, Page, PageRequest, Time,
    findings::{
        ChangeCounts, Status, TimeRange, Triage,
        bucket::Bucket,
        changes,
        names::{self, Kind, Names},
        rows,
        tally::ALL_TARGETS,
    },
};

/// Days of a chart at most; the first ones are left out.
const MAX_DAYS: i64 = 3 * 366;
/// Names of a kind that are listed at most.
const MAX_FACETS: i64 = 10_000;
const RUNS: &str = "runs";

/// How the findings of a namespace, or of a target, stand at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Those that somebody has to do something about, by severity: they are there, and neither suppressed nor triaged away.
    pub open: Counts,
    /// All in the index, by what the runs say.
    pub by_status: BTreeMap<Status, u64>,
    /// Those that are there, by what people say.
    pub by_triage: BTreeMap<Triage, u64>,
    /// Those that are there and that the target says to leave out.
    pub suppressed: u64,
    /// All in the index.
    pub total: u64,
}

/// The findings of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayCounts {
    /// Midnight (UTC) at which the day begins.
    pub day: Time,
    /// To be done at the end of the day.
    pub open: Counts,
    /// Became something to do on it: new, reopened, or opened again by somebody.
    pub opened: Counts,
    /// Were done on it: fixed, or triaged away.
    pub closed: Counts,
}

/// A name that findings have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facet {
    /// The name.
    pub name: String,
    /// Findings that have it, fixed ones included.
    pub findings: u64,
}

/// What a facet is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FacetKind {
    /// Targets.
    Target,
    /// Rules.
    Rule,
    /// Modules, by the findings they reported last.
    Module,
    /// Workflows, by the findings they saw last.
    Workflow,
    /// Owners.
    Owner,
}

/// A run in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexedRun {
    /// The run.
    pub run_id: String,
    /// Name of its target.
    pub target: String,
    /// Its workflow.
    pub workflow: String,
    /// When it closed.
    pub at: Time,
    /// What it changed.
    pub changes: ChangeCounts,
    /// What it saw, by severity.
    pub findings: Counts,
}

fn no_counts() -> Counts {
    Severity::ALL.into_iter().map(|severity| (severity, 0)).collect()
}

/// The numbers of a namespace and of a target (all of them, if none is asked for); none if no finding has them.
fn place(db: &Connection, namespace: &str, target: Option<&str>) -> Result<Option<(i64, i64)>, Error> {
    let Some(namespace) = names::find_namespace(db, namespace)? else {
        return Ok(None);
    };
    let Some(target) = target else {
        return Ok(Some((namespace, ALL_TARGETS)));
    };
    let found = names::find(db, namespace, Kind::Target, target)?;
    Ok(found.map(|(target, _)| (namespace, target)))
}

impl Ledger {
    /// How the findings of a namespace stand, or those of one target.
    pub async fn overview(&self, namespace: &str, target: Option<&str>) -> Result<Overview, Error> {
        let (namespace, target) = (namespace.to_owned(), target.map(str::to_owned));
        self.read(move |db| {
            let mut overview = Overview {
                open: no_counts(),
                by_status: Status::ALL.iter().map(|status| (*status, 0)).collect(),
                by_triage: Triage::ALL.iter().map(|triage| (*triage, 0)).collect(),
                suppressed: 0,
                total: 0,
            };
            let Some(place) = place(db, &namespace, target.as_deref())? else {
                return Ok(overview);
            };
            let mut query =
                db.prepare_cached("SELECT bucket, findings FROM bucket_counts WHERE namespace = ?1 AND target = ?2")?;
            let mut rows = query.query(place)?;
            while let Some(row) = rows.next()? {
                let bucket: Bucket = rows::bucket_at(row, 0)?;
                let findings = row.get::<_, i64>(1)?.max(0).unsigned_abs();
                overview.add(bucket, findings);
            }
            Ok(overview)
        })
        .await
    }

    /// How many findings were to be done on each day, by severity: of a namespace, or of one target. From the first day that
    /// is asked for, or on which something happened, to the last one that is asked for, or today.
    pub async fn severity_over_time(
        &self,
        namespace: &str,
        target: Option<&str>,
        range: TimeRange,
    ) -> Result<Vec<DayCounts>, Error> {
        let (namespace, target) = (namespace.to_owned(), target.map(str::to_owned));
        let today = self.now().day();
        self.read(move |db| {
            let Some((namespace, target)) = place(db, &namespace, target.as_deref())? else {
                return Ok(Vec::new());
            };
            let changes = day_changes(db, namespace, target)?;
            let Some(began) = changes.keys().next().copied() else {
                return Ok(Vec::new());
            };
            // The end is not included, so the day before is the last one if it is midnight.
            let last = range
                .until
                .map_or(today, |until| Time::from_millis(until.millis().saturating_sub(1)).day());
            let first = range
                .since
                .map_or(began, Time::day)
                .max(last.saturating_sub(MAX_DAYS - 1));
            Ok(days(&changes, first, last))
        })
        .await
    }

    /// The names of a kind that findings of a namespace have, by name.
    pub async fn facets(&self, namespace: &str, kind: FacetKind) -> Result<Vec<Facet>, Error> {
        let namespace = namespace.to_owned();
        self.read(move |db| {
            let Some(namespace) = names::find_namespace(db, &namespace)? else {
                return Ok(Vec::new());
            };
            let mut query = db.prepare_cached(
                "SELECT name, findings FROM names WHERE namespace = ?1 AND kind = ?2 AND findings > 0 ORDER BY name LIMIT ?3",
            )?;
            let facets = query.query_map((namespace, Kind::from(kind) as i64, MAX_FACETS), |row| {
                Ok(Facet {
                    name: row.get(0)?,
                    findings: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?;
            Ok(facets.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The runs in the index, of a namespace or of one target, newest first.
    pub async fn indexed_runs(
        &self,
        namespace: &str,
        target: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<IndexedRun>, Error> {
        let (namespace, target) = (namespace.to_owned(), target.map(str::to_owned));
        let (at, before): (i64, String) = page.after(RUNS)?.unwrap_or((i64::MAX, String::new()));
        let limit = page.limit();
        self.read(move |db| {
            let mut items = Vec::new();
            let Some((namespace, target)) = place(db, &namespace, target.as_deref())? else {
                let next_cursor = None;
                return Ok(Page { items, next_cursor });
            };
            let (sql, within) = if target == ALL_TARGETS {
                (
                    "SELECT no, run_id, target, workflow, at, counts, not_looked FROM runs INDEXED BY runs_by_time
                     WHERE namespace = ?1 AND (at, run_id) < (?2, ?3) ORDER BY at DESC, run_id DESC LIMIT ?4",
                    namespace,
                )
            } else {
                (
                    "SELECT no, run_id, target, workflow, at, counts, not_looked FROM runs INDEXED BY runs_by_target
                     WHERE target = ?1 AND (at, run_id) < (?2, ?3) ORDER BY at DESC, run_id DESC LIMIT ?4",
                    target,
                )
            };
            let mut query = db.prepare_cached(sql)?;
            let mut rows = query.query((within, at, before, limit as i64 + 1))?;
            let mut names = Names::new(db);
            while let Some(row) = rows.next()? {
                let (counts, not_looked): (String, i64) = (row.get(5)?, row.get(6)?);
                let findings = changes::counts_of(&counts)?;
                items.push(IndexedRun {
                    run_id: row.get(1)?,
                    target: names.get(row.get(2)?)?,
                    workflow: names.get(row.get(3)?)?,
                    at: Time::from_millis(row.get(4)?),
                    changes: changes::counts_of_run(db, row.get(0)?, findings.values().sum(), not_looked)?,
                    findings,
                });
            }
            let is_more = items.len() > limit;
            items.truncate(limit);
            let last = items.last().filter(|_| is_more);
            Ok(Page {
                next_cursor: last.map(|last| Cursor::of(RUNS, &(last.at.millis(), &last.run_id))),
                items,
            })
        })
        .await
    }
}

impl Overview {
    fn add(&mut self, bucket: Bucket, findings: u64) {
        self.total += findings;
        *self.by_status.entry(bucket.status).or_default() += findings;
        if bucket.status.is_there() {
            *self.by_triage.entry(bucket.triage).or_default() += findings;
            if bucket.suppressed.is_some() {
                self.suppressed += findings;
            }
        }
        if bucket.is_due() {
            *self.open.entry(bucket.severity).or_default() += findings;
        }
    }
}

/// Opened and closed by day and severity.
type Days = BTreeMap<i64, BTreeMap<Severity, (i64, i64)>>;

fn day_changes(db: &Connection, namespace: i64, target: i64) -> Result<Days, Error> {
    let mut query =
        db.prepare_cached("SELECT day, severity, opened, closed FROM day_counts WHERE namespace = ?1 AND target = ?2")?;
    let mut rows = query.query((namespace, target))?;
    let mut days = Days::new();
    while let Some(row) = rows.next()? {
        let severity: u8 = row.get(1)?;
        let severity = *Severity::ALL
            .get(usize::from(severity))
            .ok_or_else(|| Error::corrupt("a severity of a day"))?;
        days.entry(row.get(0)?)
            .or_default()
            .insert(severity, (row.get(2)?, row.get(3)?));
    }
    Ok(days)
}

fn days(changes: &Days, first: i64, last: i64) -> Vec<DayCounts> {
    let count = |number: i64| number.max(0).unsigned_abs();
    let mut open: BTreeMap<Severity, i64> = BTreeMap::new();
    for day in changes.range(..first) {
        for (severity, (opened, closed)) in day.1 {
            *open.entry(*severity).or_default() += opened - closed;
        }
    }
    (first..=last)
        .map(|day| {
            let (mut opened, mut closed) = (no_counts(), no_counts());
            for (severity, (more, fewer)) in changes.get(&day).into_iter().flatten() {
                opened.insert(*severity, count(*more));
                closed.insert(*severity, count(*fewer));
                *open.entry(*severity).or_default() += more - fewer;
            }
            let mut now = no_counts();
            now.extend(open.iter().map(|(severity, number)| (*severity, count(*number))));
            DayCounts {
                day: Time::of_day(day),
                open: now,
                opened,
                closed,
            }
        })
        .collect()
}
