//! Which findings a list shows.

use helve_db::rusqlite::Connection;
use helve_findings::Severity;

use crate::{
    Error, Time,
    findings::{
        Status, Triage,
        bucket::Bucket,
        names::{self, Kind},
        rows::Row,
        words,
    },
};

/// Which findings. All that is given must hold; of a list, one of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// One of these severities; empty: any.
    pub severities: Vec<Severity>,
    /// What the runs say; empty: anything.
    pub statuses: Vec<Status>,
    /// What people say; empty: anything.
    pub triages: Vec<Triage>,
    /// Whether the target says to leave it out.
    pub is_suppressed: Option<bool>,
    /// Id of the rule.
    pub rule: Option<String>,
    /// The module that reported it last.
    pub module: Option<String>,
    /// Name of the target.
    pub target: Option<String>,
    /// The workflow that saw it last.
    pub workflow: Option<String>,
    /// Who is to look after it.
    pub owner: Option<String>,
    /// How the path begins.
    pub path_prefix: Option<String>,
    /// When a run first saw it.
    pub first_seen: TimeRange,
    /// When a run last saw it.
    pub last_seen: TimeRange,
    /// Words that all occur in message, rule, path or snippet; a `"quoted phrase"`; `word*` for a beginning.
    pub text: Option<String>,
}

/// From one time to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Not before this.
    pub since: Option<Time>,
    /// Before this.
    pub until: Option<Time>,
}

impl TimeRange {
    fn contains(&self, time: Time) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// As a range of milliseconds, the end not included.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        (
            self.since.map_or(i64::MIN, Time::millis),
            self.until.map_or(i64::MAX, Time::millis),
        )
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FindingOrder {
    /// Worst first, then the newest in the index first.
    #[default]
    Severity,
    /// The newest in the index first.
    Newest,
    /// Last seen first.
    LastSeen,
    /// By the path.
    Path,
}

/// A filter with the numbers of its names.
pub(crate) struct Sieve {
    pub(crate) namespace: i64,
    /// Worst first.
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) rule: Option<Name>,
    pub(crate) module: Option<Name>,
    pub(crate) target: Option<Name>,
    pub(crate) workflow: Option<Name>,
    pub(crate) owner: Option<Name>,
    pub(crate) path_prefix: Option<String>,
    pub(crate) first_seen: TimeRange,
    pub(crate) last_seen: TimeRange,
    /// The question to the words, without namespace and severity.
    pub(crate) words: Option<String>,
}

/// The number of a name, and how many findings have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub(crate) no: i64,
    pub(crate) findings: i64,
}

impl Sieve {
    /// None if nothing can fit, because no finding has a name that is asked for.
    pub(crate) fn new(db: &Connection, namespace: &str, filter: &FindingFilter) -> Result<Option<Self>, Error> {
        let Some(namespace) = names::find_namespace(db, namespace)? else {
            return Ok(None);
        };
        let mut is_empty = false;
        let mut named = |kind, name: &Option<String>| -> Result<Option<Name>, Error> {
            let Some(name) = name else {
                return Ok(None);
            };
            let found = names::find(db, namespace, kind, name)?;
            is_empty |= found.is_none();
            Ok(found.map(|(no, findings)| Name { no, findings }))
        };
        let sieve = Sieve {
            namespace,
            buckets: buckets(filter),
            rule: named(Kind::Rule, &filter.rule)?,
            module: named(Kind::Module, &filter.module)?,
            target: named(Kind::Target, &filter.target)?,
            workflow: named(Kind::Workflow, &filter.workflow)?,
            owner: named(Kind::Owner, &filter.owner)?,
            path_prefix: filter.path_prefix.clone().filter(|prefix| !prefix.is_empty()),
            first_seen: filter.first_seen,
            last_seen: filter.last_seen,
            words: filter.text.as_deref().map(words::question).transpose()?.flatten(),
        };
        Ok((!is_empty).then_some(sieve))
    }

    /// Whether a finding fits, but for its words.
    pub(crate) fn fits(&self, row: &Row) -> bool {
        let is = |asked: Option<Name>, no: i64| asked.is_none_or(|asked| asked.no == no);
        row.namespace == self.namespace
            && self.buckets.contains(&row.life.bucket)
            && is(self.rule, row.rule)
            && is(self.module, row.seen_as.module)
            && is(self.target, row.target)
            && is(self.workflow, row.seen_as.workflow)
            && self.owner.is_none_or(|asked| row.seen_as.owner == Some(asked.no))
            && self
                .path_prefix
                .as_ref()
                .is_none_or(|prefix| row.path.starts_with(prefix))
            && self.first_seen.contains(row.life.first.at)
            && self.last_seen.contains(row.life.last.at)
    }
}

fn buckets(filter: &FindingFilter) -> Vec<Bucket> {
    fn is<T: PartialEq>(asked: &[T], value: &T) -> bool {
        asked.is_empty() || asked.contains(value)
    }
    Bucket::all()
        .filter(|bucket| {
            is(&filter.severities, &bucket.severity)
                && is(&filter.statuses, &bucket.status)
                && is(&filter.triages, &bucket.triage)
                && filter
                    .is_suppressed
                    .is_none_or(|asked| asked == bucket.suppressed.is_some())
        })
        .collect()
}
