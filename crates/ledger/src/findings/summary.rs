//! Rows as callers see them: numbers become names.

use std::collections::HashMap;

use helve_db::rusqlite::{Connection, OptionalExtension};
use helve_findings::{Confidence, Rule};

use crate::{
    Error,
    findings::{FindingSummary, Sighting, life::Seen, names::Names, rows::Row},
    hex,
};

/// Makes summaries; reads each name, rule and run once.
pub(crate) struct Summaries<'a> {
    db: &'a Connection,
    names: Names<'a>,
    runs: HashMap<i64, String>,
    rule_names: HashMap<i64, String>,
}

impl<'a> Summaries<'a> {
    pub(crate) fn new(db: &'a Connection) -> Self {
        Summaries {
            db,
            names: Names::new(db),
            runs: HashMap::new(),
            rule_names: HashMap::new(),
        }
    }

    pub(crate) fn summary(&mut self, row: &Row) -> Result<FindingSummary, Error> {
        let (seen_as, life) = (&row.seen_as, &row.life);
        let rule = self.names.get(row.rule)?;
        Ok(FindingSummary {
            id: hex(&row.id),
            fingerprint: row.fingerprint.clone(),
            target: self.names.get(row.target)?,
            workflow: self.names.get(seen_as.workflow)?,
            rule_name: self.rule_name(row.rule, &rule)?,
            rule,
            module: self.names.get(seen_as.module)?,
            severity: life.bucket.severity,
            confidence: Confidence::ALL[seen_as.confidence.clamp(0, 2) as usize],
            message: seen_as.message.clone(),
            path: row.path.clone(),
            line: seen_as.line.and_then(|line| u32::try_from(line).ok()),
            status: life.bucket.status,
            triage: life.bucket.triage,
            accepted_until: life.until,
            suppressed: life.bucket.suppressed,
            owner: seen_as.owner.map(|owner| self.names.get(owner)).transpose()?,
            first_seen: self.sighting(life.first)?,
            last_seen: self.sighting(life.last)?,
            version: row.version,
        })
    }

    pub(crate) fn sighting(&mut self, seen: Seen) -> Result<Sighting, Error> {
        Ok(Sighting {
            run_id: self.run_id(seen.run)?,
            at: seen.at,
        })
    }

    pub(crate) fn run_id(&mut self, no: i64) -> Result<String, Error> {
        if let Some(id) = self.runs.get(&no) {
            return Ok(id.clone());
        }
        let mut query = self.db.prepare_cached("SELECT run_id FROM runs WHERE no = ?1")?;
        let id: Option<String> = query.query_row([no], |row| row.get(0)).optional()?;
        let id = id.ok_or_else(|| Error::corrupt(format!("there is no run {no}")))?;
        self.runs.insert(no, id.clone());
        Ok(id)
    }

    fn rule_name(&mut self, no: i64, id: &str) -> Result<String, Error> {
        if let Some(name) = self.rule_names.get(&no) {
            return Ok(name.clone());
        }
        let name = rule(self.db, no)?.map_or_else(|| id.to_owned(), |rule| rule.name);
        self.rule_names.insert(no, name.clone());
        Ok(name)
    }
}

/// What a run told of a rule.
pub(crate) fn rule(db: &Connection, no: i64) -> Result<Option<Rule>, Error> {
    let mut query = db.prepare_cached("SELECT body FROM rules WHERE no = ?1")?;
    let body: Option<String> = query.query_row([no], |row| row.get(0)).optional()?;
    body.map(|body| serde_json::from_str(&body).map_err(|error| Error::corrupt(format!("a rule: {error}"))))
        .transpose()
}
