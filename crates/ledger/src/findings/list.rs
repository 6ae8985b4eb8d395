//! Lists of findings: a page costs about the same, however many findings there are.
//!
//! Every way to a page walks an index in the order of the list, or collects what a narrow index gives and sorts it. In the order
//! of severity the walk is a merge of one stream for each bucket (severity, suppression, triage, status) that is asked for. A
//! page looks at so many rows at most; then it ends early and says where it goes on.

use std::{cmp::Reverse, collections::BinaryHeap};

use helve_db::rusqlite::{CachedStatement, Connection, Rows, Statement, types::Value};
use serde::{Deserialize, Serialize};

use crate::{
    Cursor, Error, Ledger, Page, PageRequest,
    findings::{
        FindingFilter, FindingOrder, FindingSummary,
        filter::{Name, Sieve},
        rows::{self, Row},
        summary::Summaries,
    },
};

const LIST: &str = "findings";
/// Rows that a page looks at, at most.
const MAX_EXAMINED: usize = 10_000;
/// What a narrow index gives is collected and sorted up to so many.
const MAX_COLLECTED: usize = 10_000;

/// Where a finding stands in a list: what it is sorted by, and its number (negative where the newest come first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place(Key, i64);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Severity(Reverse<u8>),
    Newest,
    LastSeen(Reverse<i64>),
    Path(String),
}

impl Place {
    fn of(order: FindingOrder, row: &Row) -> Self {
        let key = match order {
            FindingOrder::Severity => Key::Severity(Reverse(row.life.bucket.severity as u8)),
            FindingOrder::Newest => Key::Newest,
            FindingOrder::LastSeen => Key::LastSeen(Reverse(row.life.last.at.millis())),
            FindingOrder::Path => Key::Path(row.path.clone()),
        };
        let rank = if order == FindingOrder::Path { row.no } else { -row.no };
        Place(key, rank)
    }

    fn is_of(&self, order: FindingOrder) -> bool {
        matches!(
            (&self.0, order),
            (Key::Severity(_), FindingOrder::Severity)
                | (Key::Newest, FindingOrder::Newest)
                | (Key::LastSeen(_), FindingOrder::LastSeen)
                | (Key::Path(_), FindingOrder::Path)
        )
    }
}

impl Ledger {
    /// A page of the findings of a namespace. A finding that changes its place meanwhile may be on two pages or on none.
    pub async fn list_findings(
        &self,
        namespace: &str,
        filter: FindingFilter,
        order: FindingOrder,
        page: PageRequest,
    ) -> Result<Page<FindingSummary>, Error> {
        let namespace = namespace.to_owned();
        self.read(move |db| {
            let rows = page_of_rows(db, &namespace, &filter, order, &page)?;
            let mut summaries = Summaries::new(db);
            let items = rows
                .items
                .iter()
                .map(|row| summaries.summary(row))
                .collect::<Result<_, _>>()?;
            Ok(Page {
                items,
                next_cursor: rows.next_cursor,
            })
        })
        .await
    }
}

pub(crate) fn page_of_rows(
    db: &Connection,
    namespace: &str,
    filter: &FindingFilter,
    order: FindingOrder,
    page: &PageRequest,
) -> Result<Page<Row>, Error> {
    let after: Option<Place> = page.after(LIST)?;
    if after.as_ref().is_some_and(|after| !after.is_of(order)) {
        return Err(Error::invalid("the cursor is of a list in another order: begin anew"));
    }
    let Some(sieve) = Sieve::new(db, namespace, filter)? else {
        return Ok(Page {
            items: Vec::new(),
            next_cursor: None,
        });
    };
    let mut picked = Picked {
        sieve: &sieve,
        order,
        after,
        limit: page.limit(),
        rows: Vec::new(),
        examined: 0,
        last: None,
        is_more: false,
    };
    match collect(db, &sieve, order)? {
        Some(numbers) => picked.sort(db, numbers)?,
        None => picked.walk(db)?,
    }
    Ok(picked.page())
}

/// The numbers of all that may fit, if an index says that they are few.
fn collect(db: &Connection, sieve: &Sieve, order: FindingOrder) -> Result<Option<Vec<i64>>, Error> {
    if let Some(words) = &sieve.words {
        let question = keyed(sieve, words, None);
        let found = few(
            db,
            "SELECT rowid FROM words WHERE words MATCH ?1 LIMIT ?2",
            [question.into()],
        )?;
        if found.is_some() || matches!(order, FindingOrder::Severity | FindingOrder::Newest) {
            return Ok(found);
        }
        return Err(Error::invalid(format!(
            "more than {MAX_COLLECTED} findings have these words: sort them by severity or by age, or use more words"
        )));
    }
    let narrowest = narrowest(sieve);
    if let Some((column, name)) = narrowest.filter(|(_, name)| name.findings as usize <= MAX_COLLECTED) {
        if matches!(order, FindingOrder::Severity | FindingOrder::Newest) {
            // The streams of that index are short.
            return Ok(None);
        }
        return few(db, column.numbers(), [name.no.into()]);
    }
    if let Some(prefix) = sieve.path_prefix.as_ref().filter(|_| order != FindingOrder::Path) {
        let sql = "SELECT no FROM findings INDEXED BY findings_by_path
                   WHERE namespace = ?1 AND path >= ?2 AND path < ?2 || char(1114111) LIMIT ?3";
        if let Some(found) = few(db, sql, [sieve.namespace.into(), prefix.clone().into()])? {
            return Ok(Some(found));
        }
    }
    if !sieve.first_seen.is_open() {
        let sql = "SELECT no FROM findings INDEXED BY findings_by_first_seen
                   WHERE namespace = ?1 AND first_at >= ?2 AND first_at < ?3 LIMIT ?4";
        let (since, until) = sieve.first_seen.bounds();
        if let Some(found) = few(db, sql, [sieve.namespace.into(), since.into(), until.into()])? {
            return Ok(Some(found));
        }
    }
    if !sieve.last_seen.is_open() && order != FindingOrder::LastSeen {
        let sql = "SELECT no FROM findings INDEXED BY findings_by_last_seen
                   WHERE namespace = ?1 AND last_at >= ?2 AND last_at < ?3 LIMIT ?4";
        let (since, until) = sieve.last_seen.bounds();
        return few(db, sql, [sieve.namespace.into(), since.into(), until.into()]);
    }
    Ok(None)
}

/// What a statement gives, whose last parameter is its limit; none if that is much.
fn few<const N: usize>(db: &Connection, sql: &str, params: [Value; N]) -> Result<Option<Vec<i64>>, Error> {
    let mut query = db.prepare_cached(sql)?;
    let limit = Value::from(MAX_COLLECTED as i64 + 1);
    let params = params.into_iter().chain([limit]);
    let numbers = query.query_map(helve_db::rusqlite::params_from_iter(params), |row| row.get(0))?;
    let numbers: Vec<i64> = numbers.collect::<Result<_, _>>()?;
    Ok((numbers.len() <= MAX_COLLECTED).then_some(numbers))
}

/// An index that begins with a name, or with the namespace.
#[derive(Debug, Clone, Copy)]
enum Column {
    Namespace,
    Target,
    Rule,
    Module,
    Workflow,
    Owner,
}

impl Column {
    /// All with this name.
    const fn numbers(self) -> &'static str {
        match self {
            Column::Namespace => {
                "SELECT no FROM findings INDEXED BY findings_by_namespace WHERE namespace = ?1 LIMIT ?2"
            }
            Column::Target => "SELECT no FROM findings INDEXED BY findings_by_target WHERE target = ?1 LIMIT ?2",
            Column::Rule => "SELECT no FROM findings INDEXED BY findings_by_rule WHERE rule = ?1 LIMIT ?2",
            Column::Module => "SELECT no FROM findings INDEXED BY findings_by_module WHERE module = ?1 LIMIT ?2",
            Column::Workflow => "SELECT no FROM findings INDEXED BY findings_by_workflow WHERE workflow = ?1 LIMIT ?2",
            Column::Owner => "SELECT no FROM findings INDEXED BY findings_by_owner WHERE owner = ?1 LIMIT ?2",
        }
    }

    /// Those of one bucket, newest first.
    const fn stream(self) -> &'static str {
        match self {
            Column::Namespace => {
                "SELECT no FROM findings INDEXED BY findings_by_namespace
                 WHERE namespace = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
            Column::Target => {
                "SELECT no FROM findings INDEXED BY findings_by_target
                 WHERE target = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
            Column::Rule => {
                "SELECT no FROM findings INDEXED BY findings_by_rule
                 WHERE rule = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
            Column::Module => {
                "SELECT no FROM findings INDEXED BY findings_by_module
                 WHERE module = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
            Column::Workflow => {
                "SELECT no FROM findings INDEXED BY findings_by_workflow
                 WHERE workflow = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
            Column::Owner => {
                "SELECT no FROM findings INDEXED BY findings_by_owner
                 WHERE owner = ?1 AND bucket = ?2 AND no < ?3 ORDER BY no DESC"
            }
        }
    }
}

/// The name that the fewest findings have, of those that are asked for.
fn narrowest(sieve: &Sieve) -> Option<(Column, Name)> {
    [
        (Column::Target, sieve.target),
        (Column::Rule, sieve.rule),
        (Column::Module, sieve.module),
        (Column::Workflow, sieve.workflow),
        (Column::Owner, sieve.owner),
    ]
    .into_iter()
    .filter_map(|(column, name)| Some((column, name?)))
    .min_by_key(|(_, name)| name.findings)
}

/// A question to the words of one namespace, and of one severity.
fn keyed(sieve: &Sieve, words: &str, severity: Option<u8>) -> String {
    let mut keys = vec![format!("n{}", sieve.namespace)];
    keys.extend(severity.map(|severity| format!("s{severity}")));
    keys.extend(sieve.target.map(|name| format!("t{}", name.no)));
    keys.extend(sieve.rule.map(|name| format!("r{}", name.no)));
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!("keys : ({}) AND {words}", keys.join(" AND "))
}

/// A page while it is put together.
struct Picked<'a> {
    sieve: &'a Sieve,
    order: FindingOrder,
    after: Option<Place>,
    limit: usize,
    rows: Vec<Row>,
    examined: usize,
    /// The last one that was looked at.
    last: Option<Place>,
    is_more: bool,
}

impl Picked<'_> {
    /// Looks at the next one in the order of the list. False: the page ends before it.
    fn look(&mut self, row: Row) -> bool {
        let fits = self.sieve.fits(&row);
        if self.examined == MAX_EXAMINED || (fits && self.rows.len() == self.limit) {
            self.is_more = true;
            return false;
        }
        self.examined += 1;
        self.last = Some(Place::of(self.order, &row));
        if fits {
            self.rows.push(row);
        }
        true
    }

    fn page(self) -> Page<Row> {
        Page {
            next_cursor: self.last.filter(|_| self.is_more).map(|last| Cursor::of(LIST, &last)),
            items: self.rows,
        }
    }

    /// The page of what was collected.
    fn sort(&mut self, db: &Connection, numbers: Vec<i64>) -> Result<(), Error> {
        let mut fitting = Vec::new();
        for no in numbers {
            let Some(row) = rows::by_no(db, no)?.filter(|row| self.sieve.fits(row)) else {
                continue;
            };
            let place = Place::of(self.order, &row);
            if self.after.as_ref().is_none_or(|after| place > *after) {
                fitting.push((place, row));
            }
        }
        fitting.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, row) in fitting {
            if !self.look(row) {
                break;
            }
        }
        Ok(())
    }

    /// The page along an index.
    fn walk(&mut self, db: &Connection) -> Result<(), Error> {
        match (&self.after, self.order) {
            (_, FindingOrder::Severity | FindingOrder::Newest) => self.merge(db),
            (after, FindingOrder::LastSeen) => {
                let (since, until) = self.sieve.last_seen.bounds();
                let (at, no) = match after {
                    Some(Place(Key::LastSeen(Reverse(at)), rank)) => (*at, -rank),
                    _ => (until, i64::MIN),
                };
                let sql = concat!(
                    "SELECT ",
                    rows::columns!(),
                    " FROM findings INDEXED BY findings_by_last_seen
                     WHERE namespace = ?1 AND (last_at, no) < (?2, ?3) AND last_at >= ?4 ORDER BY last_at DESC, no DESC"
                );
                let mut query = db.prepare_cached(sql)?;
                let rows = query.query((self.sieve.namespace, at, no, since))?;
                self.along(rows)
            }
            (after, FindingOrder::Path) => {
                let prefix = self.sieve.path_prefix.clone().unwrap_or_default();
                let (path, no) = match after {
                    Some(Place(Key::Path(path), rank)) => (path.clone(), *rank),
                    _ => (prefix.clone(), 0),
                };
                let sql = concat!(
                    "SELECT ",
                    rows::columns!(),
                    " FROM findings INDEXED BY findings_by_path
                     WHERE namespace = ?1 AND (path, no) > (?2, ?3) AND path < ?4 || char(1114111) ORDER BY path, no"
                );
                let mut query = db.prepare_cached(sql)?;
                let rows = query.query((self.sieve.namespace, path, no, prefix))?;
                self.along(rows)
            }
        }
    }

    fn along(&mut self, mut rows: Rows<'_>) -> Result<(), Error> {
        while let Some(row) = rows.next()? {
            if !self.look(rows::read_row(row)?) {
                break;
            }
        }
        Ok(())
    }

    /// Merges streams that are each in the order of numbers: all of them for the newest, those of one severity after the other
    /// for the worst.
    fn merge(&mut self, db: &Connection) -> Result<(), Error> {
        if self.order == FindingOrder::Newest {
            let before = self.after.as_ref().map_or(i64::MAX, |Place(_, rank)| -rank);
            return self.merge_some(db, None, before);
        }
        let first = match &self.after {
            Some(Place(Key::Severity(Reverse(severity)), rank)) => Some((*severity, -rank)),
            _ => None,
        };
        let mut severities: Vec<u8> = self.sieve.buckets.iter().map(|bucket| bucket.severity as u8).collect();
        severities.dedup();
        for severity in severities {
            let before = match first {
                Some((first, _)) if severity > first => continue,
                Some((first, no)) if severity == first => no,
                _ => i64::MAX,
            };
            self.merge_some(db, Some(severity), before)?;
            if self.is_more {
                break;
            }
        }
        Ok(())
    }

    fn merge_some(&mut self, db: &Connection, severity: Option<u8>, before: i64) -> Result<(), Error> {
        if let Some(words) = &self.sieve.words {
            let question = keyed(self.sieve, words, severity);
            let sql = "SELECT rowid FROM words WHERE words MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC";
            let mut query = db.prepare_cached(sql)?;
            let stream = query.query((question, before))?;
            return self.merge_streams(db, vec![stream]);
        }
        let (column, no) = match narrowest(self.sieve) {
            Some((column, name)) => (column, name.no),
            None => (Column::Namespace, self.sieve.namespace),
        };
        let buckets: Vec<i64> = self
            .sieve
            .buckets
            .iter()
            .filter(|bucket| severity.is_none_or(|severity| bucket.severity as u8 == severity))
            .map(|bucket| bucket.number())
            .collect();
        // Each stream needs a statement of its own: the first comes from the cache, and the others go there after it.
        let mut statements: Vec<CachedStatement<'_>> = buckets
            .iter()
            .map(|_| db.prepare_cached(column.stream()))
            .collect::<Result<_, _>>()?;
        let streams = statements
            .iter_mut()
            .zip(buckets)
            .map(|(statement, bucket)| Statement::query(statement, (no, bucket, before)))
            .collect::<Result<Vec<_>, _>>()?;
        self.merge_streams(db, streams)
    }

    fn merge_streams(&mut self, db: &Connection, mut streams: Vec<Rows<'_>>) -> Result<(), Error> {
        let mut heads = BinaryHeap::new();
        for (index, stream) in streams.iter_mut().enumerate() {
            if let Some(row) = stream.next()? {
                heads.push((row.get::<_, i64>(0)?, index));
            }
        }
        while let Some((no, index)) = heads.pop() {
            let Some(row) = rows::by_no(db, no)? else {
                return Err(Error::corrupt(format!(
                    "an index names a finding {no} that there is not"
                )));
            };
            if !self.look(row) {
                break;
            }
            if let Some(row) = streams[index].next()? {
                heads.push((row.get(0)?, index));
            }
        }
        Ok(())
    }
}
