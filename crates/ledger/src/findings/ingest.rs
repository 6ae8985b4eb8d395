//! A finished run goes into the index: read, decide, commit; once more if somebody was first.

use std::collections::{BTreeMap, HashMap, HashSet};

use helve_db::{Batch, rusqlite::Connection};
use helve_findings::{Confidence, Counts, Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Actor, Error, EventKind, Ledger, RunReport, Time,
    audit::{self, Act},
    findings::{
        FindingChange, Ingested, ReportedFinding, Status, Suppression, changes,
        life::{Event, Life, Look, Looks, Seen, What},
        names::{self, Interner, Kind},
        replay,
        rows::{self, Id, Row, SeenAs},
        seen::{self, Member},
        tally::Tally,
    },
    ledger::MAX_TRIES,
    numbers::Numbers,
    text, webhooks,
};

/// Findings of one run at most. A run with more is refused as a whole: a part of it would call the rest fixed.
pub const MAX_FINDINGS_OF_RUN: usize = 200_000;
/// Paths that a run or one of its modules skipped, at most. With more, the module did not look.
const MAX_SKIPPED: usize = 2_000;
/// Bytes of a message in the index at most; of a snippet or a remediation; of all of a finding.
const MAX_MESSAGE: usize = 1_000;
const MAX_TEXT: usize = 8 << 10;
const MAX_PATH: usize = 4 << 10;
const MAX_DETAIL: usize = 64 << 10;
/// Findings that the body of a webhook lists at most, worst first.
const MAX_TOLD: usize = 20;
/// Bytes of words of a finding that are searched.
const MAX_WORDS: usize = 4 << 10;

/// What the page of a finding shows, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Detail {
    pub(crate) finding: Finding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) suppression: Option<Suppression>,
}

/// A reported finding with the numbers of its names.
pub(crate) struct Reported<'a> {
    pub(crate) id: Id,
    pub(crate) rule: i64,
    pub(crate) seen_as: SeenAs,
    pub(crate) reported: &'a ReportedFinding,
}

/// A run with the numbers of its names.
pub(crate) struct NumberedRun<'a> {
    pub(crate) report: &'a RunReport,
    pub(crate) no: i64,
    pub(crate) namespace: i64,
    pub(crate) target: i64,
    pub(crate) workflow: i64,
    pub(crate) looks: Looks,
    pub(crate) findings: Vec<Reported<'a>>,
}

impl NumberedRun<'_> {
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            run: self.no,
            at: self.report.at,
        }
    }
}

/// What an ingest does to one finding.
pub(crate) struct Changed<'a> {
    pub(crate) old: Option<Row>,
    pub(crate) new: Row,
    /// All of them in place of those that are stored, or more of them.
    pub(crate) events: Events,
    /// What to show and search, if the run is the last one that saw it.
    pub(crate) reported: Option<&'a ReportedFinding>,
}

pub(crate) enum Events {
    More(Vec<Event>),
    All(Vec<Event>),
}

/// All that an ingest does.
pub(crate) struct Outcome<'a> {
    pub(crate) changed: Vec<Changed<'a>>,
    pub(crate) members: Vec<Member>,
    pub(crate) tally: Tally,
    pub(crate) not_looked: u64,
}

impl Ledger {
    /// Takes a finished run into the index. A run that is there already changes nothing. Runs may come in any order: what the
    /// index says depends on when they closed, not on when they came.
    pub async fn ingest(&self, actor: &Actor, run: RunReport) -> Result<Ingested, Error> {
        check(&run)?;
        let (findings, ended) = (run.findings.len(), run.at);
        let run = std::sync::Arc::new(run);
        let _only = self.ingesting().lock().await;
        let mut tries = 0;
        loop {
            let (ledger, run, actor) = (self.clone(), run.clone(), actor.clone());
            let decided = self.read(move |db| decide(db, &ledger, &run, &actor)).await?;
            let (batch, ingested) = match decided {
                Decided::Known(ingested) => return Ok(ingested),
                Decided::Write(batch, ingested) => (batch, ingested),
            };
            tries += 1;
            match self.commit(batch).await {
                Ok(()) => {
                    self.outbox().notify_one();
                    self.counts().ingested(findings, ended, self.now());
                    return Ok(ingested);
                }
                // Somebody triaged one of its findings meanwhile.
                Err(error) if error.is_conflict() && tries < MAX_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

enum Decided {
    Known(Ingested),
    Write(Batch, Ingested),
}

fn check(run: &RunReport) -> Result<(), Error> {
    for (what, name) in [
        ("the namespace of a run", &run.namespace),
        ("the target of a run", &run.target),
        ("the workflow of a run", &run.workflow),
        ("the id of a run", &run.run_id),
    ] {
        text::check_name(what, name)?;
    }
    if run.findings.len() > MAX_FINDINGS_OF_RUN {
        return Err(Error::Limit(format!(
            "the run `{}` has {} findings, and the index takes {MAX_FINDINGS_OF_RUN} of a run: leave out rules or paths",
            run.run_id,
            run.findings.len()
        )));
    }
    if let Some(reported) = run
        .findings
        .iter()
        .find(|reported| reported.finding.fingerprint.is_empty())
    {
        return Err(Error::invalid(format!(
            "a finding of rule `{}` has no fingerprint: merge the report first",
            reported.finding.rule_id
        )));
    }
    Ok(())
}

fn decide(db: &Connection, ledger: &Ledger, report: &RunReport, actor: &Actor) -> Result<Decided, Error> {
    if let Some(ingested) = changes::of_known_run(db, &report.namespace, &report.run_id)? {
        return Ok(Decided::Known(ingested));
    }
    let mut batch = Batch::new();
    let run = number(db, ledger.numbers(), report, &mut batch)?;
    let outcome = match in_order(db, ledger.numbers(), &run)? {
        Some(outcome) => outcome,
        None => replay::decide(db, ledger.numbers(), &run)?,
    };
    let ingested = write(db, ledger, &run, outcome, actor, &mut batch)?;
    Ok(Decided::Write(batch, ingested))
}

/// Finds the numbers of all names, and gives some to those that have none.
fn number<'a>(
    db: &Connection,
    numbers: &Numbers,
    report: &'a RunReport,
    batch: &mut Batch,
) -> Result<NumberedRun<'a>, Error> {
    let mut names = Interner::new(db, &numbers.names);
    let namespace = names.namespace(batch, &report.namespace)?;
    let target = names.number(batch, namespace, Kind::Target, &report.target)?;
    let workflow = names.number(batch, namespace, Kind::Workflow, &report.workflow)?;
    let mut looks = Looks {
        modules: Vec::new(),
        skipped: report.skipped.iter().take(MAX_SKIPPED).cloned().collect(),
    };
    // What is not remembered was not looked at.
    let is_vague = report.skipped.len() > MAX_SKIPPED;
    for look in &report.looks {
        looks.modules.push(Look {
            module: names.number(batch, namespace, Kind::Module, &text::cut(&look.module, text::MAX_NAME))?,
            could_look: look.could_look && !is_vague && look.skipped.len() <= MAX_SKIPPED,
            skipped: look.skipped.iter().take(MAX_SKIPPED).cloned().collect(),
        });
    }
    for rule in &report.rules {
        let no = names.number(batch, namespace, Kind::Rule, &text::cut(&rule.id, text::MAX_NAME))?;
        let body = text::json(rule);
        if body.len() <= MAX_DETAIL {
            batch.run(
                "INSERT INTO rules (no, at, body) VALUES (?1, ?2, ?3) ON CONFLICT (no)
                 DO UPDATE SET at = excluded.at, body = excluded.body
                 WHERE (excluded.at, excluded.body) > (at, body)",
                vec![no.into(), report.at.millis().into(), body.into()],
            );
        }
    }
    let mut findings = Vec::with_capacity(report.findings.len());
    let mut ids = HashSet::new();
    for reported in &report.findings {
        let finding = &reported.finding;
        let id = rows::id(&report.namespace, &report.target, &finding.fingerprint);
        if !ids.insert(id) {
            continue;
        }
        let mut named = |kind, name: &str| names.number(batch, namespace, kind, &text::cut(name, text::MAX_NAME));
        let owner = reported.owner.as_deref().filter(|owner| !owner.is_empty());
        let rule = named(Kind::Rule, &finding.rule_id)?;
        let seen_as = SeenAs {
            module: named(Kind::Module, &finding.module)?,
            workflow,
            owner: owner.map(|owner| named(Kind::Owner, owner)).transpose()?,
            confidence: match finding.confidence {
                Confidence::Low => 0,
                Confidence::Medium => 1,
                Confidence::High => 2,
            },
            line: finding.location.region.map(|region| i64::from(region.start_line)),
            message: text::cut(&finding.message, MAX_MESSAGE),
            is_crash: reported.is_crash,
            detail_hash: hash(&detail(reported)),
        };
        findings.push(Reported {
            id,
            rule,
            seen_as,
            reported,
        });
    }
    Ok(NumberedRun {
        report,
        no: numbers.runs.next(),
        namespace,
        target,
        workflow,
        looks,
        findings,
    })
}

/// The usual case: the run is the last fact about all findings that it touches. None if it is not.
fn in_order<'a>(db: &Connection, numbers: &Numbers, run: &NumberedRun<'a>) -> Result<Option<Outcome<'a>>, Error> {
    let at = run.report.at;
    if !is_last(db, run)? {
        return Ok(None);
    }
    let mut there: HashMap<Id, Row> = rows::there_of_target(db, run.target)?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let mut outcome = Outcome {
        changed: Vec::with_capacity(run.findings.len()),
        members: Vec::with_capacity(run.findings.len()),
        tally: Tally::default(),
        not_looked: 0,
    };
    for found in &run.findings {
        let old = match there.remove(&found.id) {
            Some(row) => Some(row),
            None => rows::by_id(db, &found.id)?,
        };
        if old.as_ref().is_some_and(|row| row.life.decided_at >= at) {
            return Ok(None);
        }
        let no = old.as_ref().map_or_else(|| numbers.findings.next(), |row| row.no);
        let member = member(no, found);
        let mut events = Vec::new();
        let life = match &old {
            None => Life::begin(run.seen(), member.sight(run.workflow), &mut events),
            Some(row) => {
                let mut life = row.life.clone();
                life.see(run.seen(), member.sight(run.workflow), &mut events);
                life
            }
        };
        let new = row_of(run, found, no, life, old.as_ref(), !events.is_empty());
        outcome.turned(run, at, old.as_ref(), &new);
        outcome.members.push(member);
        outcome.changed.push(Changed {
            old,
            new,
            events: Events::More(events),
            reported: Some(found.reported),
        });
    }
    for (_, row) in there {
        if !run.looks.looked_for(run.workflow, &row.life.lanes, &row.path) {
            outcome.not_looked += u64::from(row.life.lanes.iter().any(|(workflow, _)| *workflow == run.workflow));
            continue;
        }
        if row.life.decided_at >= at {
            return Ok(None);
        }
        let mut events = Vec::new();
        let mut new = row.clone();
        new.life.miss(run.seen(), &mut events);
        new.version += 1;
        outcome.turned(run, at, Some(&row), &new);
        outcome.changed.push(Changed {
            old: Some(row),
            new,
            events: Events::More(events),
            reported: None,
        });
    }
    Ok(Some(outcome))
}

impl Outcome<'_> {
    fn turned(&mut self, run: &NumberedRun<'_>, at: Time, old: Option<&Row>, new: &Row) {
        let (from, to) = (old.map(|row| row.life.bucket), Some(new.life.bucket));
        self.tally.turned(run.namespace, run.target, at, from, to, 1);
    }
}

/// Whether no run of the same target closed later.
fn is_last(db: &Connection, run: &NumberedRun<'_>) -> Result<bool, Error> {
    let mut query =
        db.prepare_cached("SELECT at, run_id FROM runs WHERE target = ?1 ORDER BY at DESC, run_id DESC LIMIT 1")?;
    let mut rows = query.query([run.target])?;
    let Some(row) = rows.next()? else {
        return Ok(true);
    };
    let last: (i64, String) = (row.get(0)?, row.get(1)?);
    Ok(last < (run.report.at.millis(), run.report.run_id.clone()))
}

pub(crate) fn member(no: i64, found: &Reported<'_>) -> Member {
    Member {
        finding: no,
        module: found.seen_as.module,
        severity: found.reported.finding.severity,
        suppressed: found.reported.suppression.as_ref().map(|suppression| suppression.by),
    }
}

/// The row of a finding that this run is the last one to see.
pub(crate) fn row_of(
    run: &NumberedRun<'_>,
    found: &Reported<'_>,
    no: i64,
    life: Life,
    old: Option<&Row>,
    has_moved: bool,
) -> Row {
    Row {
        no,
        id: found.id,
        fingerprint: found.reported.finding.fingerprint.clone(),
        namespace: run.namespace,
        target: run.target,
        rule: found.rule,
        path: text::cut(&found.reported.finding.location.path, MAX_PATH),
        seen_as: found.seen_as.clone(),
        life,
        version: old.map_or(0, |row| row.version) + i64::from(has_moved),
        rev: old.map_or(0, |row| row.rev),
    }
}

fn write(
    db: &Connection,
    ledger: &Ledger,
    run: &NumberedRun<'_>,
    mut outcome: Outcome<'_>,
    actor: &Actor,
    batch: &mut Batch,
) -> Result<Ingested, Error> {
    let now = ledger.now();
    let report = run.report;
    write_run(run, &mut outcome, batch);
    let rule_names: BTreeMap<&str, &str> = report
        .rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.name.as_str()))
        .collect();
    let (mut found, mut names) = (Vec::new(), names::Names::new(db));
    for changed in &outcome.changed {
        write_finding(db, run, changed, &rule_names, &mut outcome.tally, batch)?;
        found.extend(change(run, changed, &mut names)?);
    }
    outcome.tally.write(batch);
    let ingested = changes::ingested(found, outcome.members.len() as u64, outcome.not_looked);
    let counts = &ingested.counts;
    let act = Act::new("run.ingest", &report.run_id)
        .namespace(&report.namespace)
        .detail(json!({"target": report.target, "workflow": report.workflow, "counts": counts}));
    audit::push(batch, now, actor, &act);
    tell(ledger, report, &ingested, batch)?;
    Ok(ingested)
}

/// Tells whoever listens of the run and of what is new.
fn tell(ledger: &Ledger, report: &RunReport, ingested: &Ingested, batch: &mut Batch) -> Result<(), Error> {
    let run = json!({
        "run_id": report.run_id, "target": report.target, "workflow": report.workflow, "closed_at": report.at,
        "outcome": report.outcome, "counts": ingested.counts,
    });
    let mut push = |kind, more: serde_json::Value| {
        let mut body = run.clone();
        if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        webhooks::push(ledger, &report.namespace, &webhooks::Event { kind, body }, batch)
    };
    push(EventKind::RunFinished, json!({}))?;
    let is_new = |change: &&FindingChange| change.change != Status::Fixed && change.is_due;
    let new: Vec<&FindingChange> = ingested.changes.iter().filter(is_new).collect();
    let crashes: Vec<&FindingChange> = new.iter().copied().filter(|change| change.is_crash).collect();
    for (kind, findings) in [(EventKind::NewFinding, new), (EventKind::CrashFound, crashes)] {
        if !findings.is_empty() {
            let told = &findings[..findings.len().min(MAX_TOLD)];
            push(kind, json!({"count": findings.len(), "findings": told}))?;
        }
    }
    Ok(())
}

fn write_run(run: &NumberedRun<'_>, outcome: &mut Outcome<'_>, batch: &mut Batch) {
    let mut counts: Counts = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
    for member in &outcome.members {
        *counts.entry(member.severity).or_default() += 1;
    }
    batch.run_one(
        "INSERT OR IGNORE INTO runs (no, namespace, target, workflow, run_id, at, looks, seen, counts, not_looked)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        vec![
            run.no.into(),
            run.namespace.into(),
            run.target.into(),
            run.workflow.into(),
            run.report.run_id.as_str().into(),
            run.report.at.millis().into(),
            text::json(&run.looks).into(),
            seen::pack(&mut outcome.members).into(),
            text::json(&counts).into(),
            (outcome.not_looked as i64).into(),
        ],
    );
}

fn write_finding(
    db: &Connection,
    run: &NumberedRun<'_>,
    changed: &Changed<'_>,
    rule_names: &BTreeMap<&str, &str>,
    tally: &mut Tally,
    batch: &mut Batch,
) -> Result<(), Error> {
    let (old, new) = (changed.old.as_ref(), &changed.new);
    match old {
        None => rows::insert(batch, new),
        Some(old) if old == new => {}
        Some(old) => rows::update(batch, old, new),
    }
    match &changed.events {
        Events::More(events) if events.is_empty() => {}
        Events::More(events) => {
            let count = old.map_or(Ok(0), |row| rows::count_events(db, row.no))?;
            rows::insert_events(batch, new.no, count, events);
        }
        Events::All(events) => {
            rows::delete_events(batch, new.no);
            rows::insert_events(batch, new.no, 0, events);
        }
    }
    let words_changed = old.is_none_or(|old| {
        old.seen_as.detail_hash != new.seen_as.detail_hash || old.life.bucket.severity != new.life.bucket.severity
    });
    if let Some(reported) = changed.reported.filter(|_| words_changed) {
        let rule_name = rule_names
            .get(reported.finding.rule_id.as_str())
            .copied()
            .unwrap_or_default();
        rows::write_detail(batch, new, &detail(reported), words(&reported.finding, rule_name));
    }
    tally.moved(
        run.namespace,
        run.target,
        old.map(|row| row.life.bucket),
        Some(new.life.bucket),
    );
    if let Some(old) = old {
        tally.named(Some(old.seen_as.module), -1);
        tally.named(Some(old.seen_as.workflow), -1);
        tally.named(old.seen_as.owner, -1);
    } else {
        tally.named(Some(new.target), 1);
        tally.named(Some(new.rule), 1);
    }
    tally.named(Some(new.seen_as.module), 1);
    tally.named(Some(new.seen_as.workflow), 1);
    tally.named(new.seen_as.owner, 1);
    Ok(())
}

/// What the run changed of a finding, if it did.
fn change(
    run: &NumberedRun<'_>,
    changed: &Changed<'_>,
    names: &mut names::Names<'_>,
) -> Result<Option<FindingChange>, Error> {
    let (Events::More(events) | Events::All(events)) = &changed.events;
    let of_run = events
        .iter()
        .filter(|event| event.run == Some(run.no))
        .find_map(|event| match event.what {
            What::New => Some(Status::New),
            What::Fixed => Some(Status::Fixed),
            What::Reopened => Some(Status::Reopened),
            _ => None,
        });
    let Some(change) = of_run else {
        return Ok(None);
    };
    let rule = match changed.reported {
        Some(reported) => reported.finding.rule_id.clone(),
        None => names.get(changed.new.rule)?,
    };
    Ok(Some(changes::change(&changed.new, change, rule)))
}

/// What is shown of a finding: all that its module said, within bounds.
fn detail(reported: &ReportedFinding) -> Detail {
    let mut finding = bounded(&reported.finding);
    finding.duplicates = reported.finding.duplicates.iter().take(16).map(bounded).collect();
    let mut detail = Detail {
        finding,
        suppression: reported.suppression.clone(),
    };
    if text::json(&detail).len() > MAX_DETAIL {
        detail.finding.properties.clear();
        detail.finding.duplicates.clear();
    }
    detail
}

fn bounded(finding: &Finding) -> Finding {
    let mut finding = Finding {
        duplicates: Vec::new(),
        ..finding.clone()
    };
    finding.message = text::cut(&finding.message, MAX_TEXT);
    finding.location.snippet = finding.location.snippet.map(|snippet| text::cut(&snippet, MAX_TEXT));
    finding.remediation = finding.remediation.map(|advice| text::cut(&advice, MAX_TEXT));
    finding
}

fn hash(detail: &Detail) -> i64 {
    let hash = blake3::hash(text::json(detail).as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_le_bytes(bytes)
}

/// What a finding is found by.
fn words(finding: &Finding, rule_name: &str) -> String {
    let snippet = finding.location.snippet.as_deref().unwrap_or_default();
    let all = [
        finding.message.as_str(),
        &finding.rule_id,
        rule_name,
        &finding.location.path,
        snippet,
    ]
    .join("\n");
    text::cut(&all, MAX_WORDS)
}
