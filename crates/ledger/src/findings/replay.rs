//! A run that is not the last fact about its findings: a run of its target closed later, or somebody decided meanwhile. All
//! facts about the target are put in their order again, once without the run and once with it, and the difference is written.
//!
//! This reads all runs and findings of the target. It is rare: runs come in when they close.

use std::collections::{BTreeMap, HashMap};

use helve_db::rusqlite::Connection;

use crate::{
    Error, Time,
    findings::{
        ingest::{Changed, Events, NumberedRun, Outcome, Reported, member, row_of},
        life::{Event, Life, Looks, Seen, What},
        rows::{self, Id, Row},
        seen::{self, Member},
        tally::Tally,
    },
    numbers::Numbers,
};

/// A run as a fact.
struct Past {
    run: Seen,
    run_id: String,
    workflow: i64,
    looks: Looks,
    members: Vec<Member>,
}

/// What became of a finding, and what happened on the way.
type Told = (Life, Vec<Event>);

/// The facts about a target.
struct Facts {
    namespace: i64,
    target: i64,
    /// By their numbers.
    paths: HashMap<i64, String>,
    /// What people decided of each finding, in order.
    decisions: HashMap<i64, Vec<Event>>,
}

pub(crate) fn decide<'a>(db: &Connection, numbers: &Numbers, run: &NumberedRun<'a>) -> Result<Outcome<'a>, Error> {
    let rows = rows::of_target(db, run.target)?;
    let mut known: HashMap<Id, i64> = rows.iter().map(|row| (row.id, row.no)).collect();
    let mut facts = Facts {
        namespace: run.namespace,
        target: run.target,
        paths: rows.iter().map(|row| (row.no, row.path.clone())).collect(),
        decisions: decisions(db, run.target)?,
    };
    let mut found: HashMap<i64, &Reported<'a>> = HashMap::new();
    for reported in &run.findings {
        let no = *known.entry(reported.id).or_insert_with(|| numbers.findings.next());
        facts
            .paths
            .entry(no)
            .or_insert_with(|| reported.reported.finding.location.path.clone());
        found.insert(no, reported);
    }
    let mut runs = past_runs(db, run.target)?;
    let mut tally = Tally::default();
    let before = facts.fold(&runs, &mut tally, -1);
    let past = Past {
        run: run.seen(),
        run_id: run.report.run_id.clone(),
        workflow: run.workflow,
        looks: run.looks.clone(),
        members: found.iter().map(|(no, reported)| member(*no, reported)).collect(),
    };
    let key = |past: &Past| (past.run.at, past.run_id.clone());
    let place = runs.partition_point(|other| key(other) < key(&past));
    let members = past.members.clone();
    let not_looked = not_looked(&past, &before, &facts);
    runs.insert(place, past);
    let after = facts.fold(&runs, &mut tally, 1);
    Ok(Outcome {
        changed: differences(run, rows, &found, &before, after),
        members,
        tally,
        not_looked,
    })
}

/// Findings of other runs of the workflow that this one neither saw nor could look for.
fn not_looked(past: &Past, before: &BTreeMap<i64, Told>, facts: &Facts) -> u64 {
    let is_seen = |no: &i64| past.members.iter().any(|member| member.finding == *no);
    let missing = before.iter().filter(|(no, (life, _))| {
        life.bucket.status.is_there()
            && life.lanes.iter().any(|(workflow, _)| *workflow == past.workflow)
            && !past.looks.looked_for(past.workflow, &life.lanes, &facts.paths[*no])
            && !is_seen(no)
    });
    missing.count() as u64
}

fn differences<'a>(
    run: &NumberedRun<'a>,
    rows: Vec<Row>,
    found: &HashMap<i64, &Reported<'a>>,
    before: &BTreeMap<i64, Told>,
    after: BTreeMap<i64, Told>,
) -> Vec<Changed<'a>> {
    let mut rows: HashMap<i64, Row> = rows.into_iter().map(|row| (row.no, row)).collect();
    let mut changed = Vec::new();
    for (no, (life, events)) in after {
        let old = rows.remove(&no);
        let has_moved = before.get(&no).is_none_or(|(_, before)| *before != events);
        // What lists show is what the last run says that saw it.
        let reported = found.get(&no).filter(|_| life.last.run == run.no);
        let new = match (reported, &old) {
            (Some(reported), old) => row_of(run, reported, no, life, old.as_ref(), has_moved),
            (None, Some(row)) => Row {
                life,
                version: row.version + i64::from(has_moved),
                ..row.clone()
            },
            // Only a run that saw it can have brought it into the index.
            (None, None) => continue,
        };
        if has_moved || old.as_ref() != Some(&new) {
            changed.push(Changed {
                old,
                new,
                events: if has_moved {
                    Events::All(events)
                } else {
                    Events::More(Vec::new())
                },
                reported: reported.map(|reported| reported.reported),
            });
        }
    }
    changed
}

impl Facts {
    /// Tells the lives of all findings; counts what that opens and closes on which day, with this sign.
    fn fold(&self, runs: &[Past], tally: &mut Tally, sign: i64) -> BTreeMap<i64, Told> {
        let mut lives: BTreeMap<i64, Told> = BTreeMap::new();
        let mut decided: HashMap<i64, usize> = HashMap::new();
        for past in runs {
            for (no, told) in &mut lives {
                self.decide(*no, told, &mut decided, Some(past.run.at), tally, sign);
            }
            let seen: HashMap<i64, &Member> = past.members.iter().map(|member| (member.finding, member)).collect();
            for (no, (life, events)) in &mut lives {
                let from = Some(life.bucket);
                if let Some(member) = seen.get(no) {
                    life.see(past.run, member.sight(past.workflow), events);
                } else if past.looks.looked_for(past.workflow, &life.lanes, &self.paths[no]) {
                    life.miss(past.run, events);
                }
                tally.turned(self.namespace, self.target, past.run.at, from, Some(life.bucket), sign);
            }
            for member in &past.members {
                lives.entry(member.finding).or_insert_with(|| {
                    let mut events = Vec::new();
                    let life = Life::begin(past.run, member.sight(past.workflow), &mut events);
                    tally.turned(self.namespace, self.target, past.run.at, None, Some(life.bucket), sign);
                    (life, events)
                });
            }
        }
        for (no, told) in &mut lives {
            self.decide(*no, told, &mut decided, None, tally, sign);
        }
        lives
    }

    /// Applies what people decided before this time: a run comes before a decision of the same millisecond.
    fn decide(
        &self,
        no: i64,
        (life, events): &mut Told,
        decided: &mut HashMap<i64, usize>,
        before: Option<Time>,
        tally: &mut Tally,
        sign: i64,
    ) {
        let Some(decisions) = self.decisions.get(&no) else {
            return;
        };
        let next = decided.entry(no).or_default();
        while let Some(decision) = decisions
            .get(*next)
            .filter(|event| before.is_none_or(|before| event.at < before))
        {
            let from = Some(life.bucket);
            let at = decision.at;
            match decision.what.clone() {
                What::Triaged { decision, .. } => life.decide(at, decision, events),
                What::Commented { by, comment } => life.comment(at, by, comment, events),
                What::Expired => life.expire(at, events),
                // Derived, and so not among the facts.
                What::New | What::Fixed | What::Reopened | What::Severity { .. } | What::Suppression(_) => {}
            }
            tally.turned(self.namespace, self.target, at, from, Some(life.bucket), sign);
            *next += 1;
        }
    }
}

fn past_runs(db: &Connection, target: i64) -> Result<Vec<Past>, Error> {
    let mut query = db.prepare_cached(
        "SELECT no, at, run_id, workflow, looks, seen FROM runs WHERE target = ?1 ORDER BY at, run_id",
    )?;
    let mut rows = query.query([target])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let (looks, packed): (String, Vec<u8>) = (row.get(4)?, row.get(5)?);
        runs.push(Past {
            run: Seen {
                run: row.get(0)?,
                at: Time::from_millis(row.get(1)?),
            },
            run_id: row.get(2)?,
            workflow: row.get(3)?,
            looks: serde_json::from_str(&looks)
                .map_err(|error| Error::corrupt(format!("what a run looked at: {error}")))?,
            members: seen::unpack(&packed)?,
        });
    }
    Ok(runs)
}

fn decisions(db: &Connection, target: i64) -> Result<HashMap<i64, Vec<Event>>, Error> {
    let mut query = db.prepare_cached(
        "SELECT e.at, e.kind, e.run, e.body, e.finding, e.seq
         FROM findings f INDEXED BY findings_by_target CROSS JOIN finding_events e ON e.finding = f.no
         WHERE f.target = ?1 AND e.kind >= ?2",
    )?;
    let mut found = query.query((target, rows::FIRST_OF_PEOPLE))?;
    let mut decisions: HashMap<i64, BTreeMap<i64, Event>> = HashMap::new();
    while let Some(row) = found.next()? {
        let of_finding = decisions.entry(row.get(4)?).or_default();
        of_finding.insert(row.get(5)?, rows::read_event(row)?);
    }
    let in_order = |events: BTreeMap<i64, Event>| events.into_values().collect();
    Ok(decisions
        .into_iter()
        .map(|(no, events)| (no, in_order(events)))
        .collect())
}
