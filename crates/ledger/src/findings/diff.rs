//! Two runs beside each other, by what the index knows of them; and sets of findings with a name, to compare runs with.

use std::collections::{BTreeMap, BTreeSet};

use helve_db::{
    Batch,
    rusqlite::{Connection, OptionalExtension},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    Actor, Error, FindingSummary, Ledger, Time,
    audit::{self, Act},
    findings::{
        life::Looks,
        names::{self, Names},
        rows,
        seen::{self, Member},
        summary::Summaries,
    },
    text,
};

/// Findings that each list of a comparison has at most, worst first.
pub const MAX_DIFF: usize = 1_000;

/// What a run has that another one has not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDiff {
    /// Only the newer one saw these; at most [`MAX_DIFF`], worst first.
    pub new: Vec<FindingSummary>,
    /// Only the older one saw these; at most [`MAX_DIFF`], worst first.
    pub gone: Vec<FindingSummary>,
    /// How many only the newer one saw.
    pub new_count: u64,
    /// How many only the older one saw.
    pub gone_count: u64,
    /// How many both saw.
    pub unchanged_count: u64,
    /// Modules that could not look everywhere in the newer one, and had found something that is gone: it may be there.
    pub not_looked: Vec<String>,
}

/// A set of findings with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Baseline {
    /// Unique in its namespace.
    pub name: String,
    /// The run whose findings they are.
    pub run_id: String,
    /// Name of its target.
    pub target: String,
    /// How many.
    pub findings: u64,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: String,
}

/// What a run or a baseline is about.
struct Side {
    target: i64,
    members: Vec<Member>,
    looks: Looks,
}

impl Ledger {
    /// Compares two runs of a namespace. They may be of different targets (two branches): then findings with the same
    /// fingerprint are the same.
    pub async fn diff_runs(&self, namespace: &str, old_run: &str, new_run: &str) -> Result<RunDiff, Error> {
        let (namespace, old_run, new_run) = (namespace.to_owned(), old_run.to_owned(), new_run.to_owned());
        self.read(move |db| {
            let number = names::find_namespace(db, &namespace)?;
            compare(db, &run_side(db, number, &old_run)?, &run_side(db, number, &new_run)?)
        })
        .await
    }

    /// Compares a run with a baseline.
    pub async fn diff_with_baseline(&self, namespace: &str, baseline: &str, run: &str) -> Result<RunDiff, Error> {
        let (namespace, baseline, run) = (namespace.to_owned(), baseline.to_owned(), run.to_owned());
        self.read(move |db| {
            let number = names::find_namespace(db, &namespace)?;
            compare(db, &baseline_side(db, number, &baseline)?, &run_side(db, number, &run)?)
        })
        .await
    }

    /// The fingerprints of a baseline, sorted.
    pub async fn baseline_fingerprints(&self, namespace: &str, baseline: &str) -> Result<BTreeSet<String>, Error> {
        let (namespace, baseline) = (namespace.to_owned(), baseline.to_owned());
        self.read(move |db| {
            let number = names::find_namespace(db, &namespace)?;
            let side = baseline_side(db, number, &baseline)?;
            Ok(side.by_fingerprint(db)?.into_keys().collect())
        })
        .await
    }

    /// Gives the findings of a run a name to compare later runs with.
    pub async fn create_baseline(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        run_id: &str,
    ) -> Result<Baseline, Error> {
        text::check_name("the name of a baseline", name)?;
        let now = self.now();
        let (asked_namespace, asked_name, asked_run) = (namespace.to_owned(), name.to_owned(), run_id.to_owned());
        let by = actor.clone();
        let (batch, baseline) = self
            .read(move |db| {
                let (namespace, name, run_id) = (asked_namespace, asked_name, asked_run);
                let none = || Error::run_not_found(run_id.clone());
                let number = names::find_namespace(db, &namespace)?.ok_or_else(none)?;
                let mut query =
                    db.prepare_cached("SELECT no, target, seen FROM runs WHERE namespace = ?1 AND run_id = ?2")?;
                let run: Option<(i64, i64, Vec<u8>)> = query
                    .query_row((number, &run_id), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .optional()?;
                let (run, target, packed) = run.ok_or_else(none)?;
                let baseline = Baseline {
                    name,
                    run_id,
                    target: Names::new(db).get(target)?,
                    findings: seen::unpack(&packed)?.len() as u64,
                    created_at: now,
                    created_by: by.name.clone(),
                };
                let mut batch = Batch::new();
                batch.run_one(
                    "INSERT OR IGNORE INTO baselines (namespace, name, run, target, seen, created_at, created_by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    vec![
                        number.into(),
                        baseline.name.as_str().into(),
                        run.into(),
                        target.into(),
                        packed.into(),
                        now.millis().into(),
                        baseline.created_by.as_str().into(),
                    ],
                );
                let act = Act::new("baseline.create", &baseline.name)
                    .namespace(&namespace)
                    .detail(json!({"run": baseline.run_id, "findings": baseline.findings}));
                audit::push(&mut batch, now, &by, &act);
                Ok((batch, baseline))
            })
            .await?;
        let exists = Error::Exists {
            what: "baseline",
            id: name.to_owned(),
        };
        self.commit(batch).await.map_err(|error| error.conflict_is(exists))?;
        Ok(baseline)
    }

    /// Forgets a baseline.
    pub async fn delete_baseline(&self, actor: &Actor, namespace: &str, name: &str) -> Result<(), Error> {
        let none = || Error::not_found("baseline", name);
        let asked = namespace.to_owned();
        let number = self.read(move |db| names::find_namespace(db, &asked)).await?;
        let mut batch = Batch::new();
        batch.run_one(
            "DELETE FROM baselines WHERE namespace = ?1 AND name = ?2",
            vec![number.ok_or_else(none)?.into(), name.into()],
        );
        let act = Act::new("baseline.delete", name).namespace(namespace);
        audit::push(&mut batch, self.now(), actor, &act);
        self.commit(batch).await.map_err(|error| error.conflict_is(none()))
    }

    /// The baselines of a namespace, by name; 1,000 at most.
    pub async fn baselines(&self, namespace: &str) -> Result<Vec<Baseline>, Error> {
        let namespace = namespace.to_owned();
        self.read(move |db| {
            let Some(namespace) = names::find_namespace(db, &namespace)? else {
                return Ok(Vec::new());
            };
            let mut query = db.prepare_cached(
                "SELECT name, run, target, seen, created_at, created_by FROM baselines
                 WHERE namespace = ?1 ORDER BY name LIMIT 1000",
            )?;
            let mut rows = query.query([namespace])?;
            let (mut names, mut summaries) = (Names::new(db), Summaries::new(db));
            let mut baselines = Vec::new();
            while let Some(row) = rows.next()? {
                let packed: Vec<u8> = row.get(3)?;
                baselines.push(Baseline {
                    name: row.get(0)?,
                    run_id: summaries.run_id(row.get(1)?)?,
                    target: names.get(row.get(2)?)?,
                    findings: seen::unpack(&packed)?.len() as u64,
                    created_at: Time::from_millis(row.get(4)?),
                    created_by: row.get(5)?,
                });
            }
            Ok(baselines)
        })
        .await
    }
}

fn run_side(db: &Connection, namespace: Option<i64>, run_id: &str) -> Result<Side, Error> {
    let none = || Error::run_not_found(run_id);
    let mut query = db.prepare_cached("SELECT target, seen, looks FROM runs WHERE namespace = ?1 AND run_id = ?2")?;
    let found: Option<(i64, Vec<u8>, String)> = query
        .query_row((namespace.ok_or_else(none)?, run_id), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (target, packed, looks) = found.ok_or_else(none)?;
    Ok(Side {
        target,
        members: seen::unpack(&packed)?,
        looks: serde_json::from_str(&looks)
            .map_err(|error| Error::corrupt(format!("what a run looked at: {error}")))?,
    })
}

fn baseline_side(db: &Connection, namespace: Option<i64>, name: &str) -> Result<Side, Error> {
    let none = || Error::not_found("baseline", name);
    let mut query = db.prepare_cached("SELECT target, seen FROM baselines WHERE namespace = ?1 AND name = ?2")?;
    let found: Option<(i64, Vec<u8>)> = query
        .query_row((namespace.ok_or_else(none)?, name), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (target, packed) = found.ok_or_else(none)?;
    Ok(Side {
        target,
        members: seen::unpack(&packed)?,
        looks: Looks::default(),
    })
}

impl Side {
    fn by_number(&self) -> BTreeMap<i64, &Member> {
        self.members.iter().map(|member| (member.finding, member)).collect()
    }

    fn by_fingerprint(&self, db: &Connection) -> Result<BTreeMap<String, &Member>, Error> {
        let mut query = db.prepare_cached("SELECT fingerprint FROM findings WHERE no = ?1")?;
        self.members
            .iter()
            .map(|member| Ok((query.query_row([member.finding], |row| row.get(0))?, member)))
            .collect()
    }
}

fn compare(db: &Connection, old: &Side, new: &Side) -> Result<RunDiff, Error> {
    if old.target == new.target {
        differences(db, &old.by_number(), &new.by_number(), &new.looks)
    } else {
        differences(db, &old.by_fingerprint(db)?, &new.by_fingerprint(db)?, &new.looks)
    }
}

fn differences<K: Ord>(
    db: &Connection,
    old: &BTreeMap<K, &Member>,
    new: &BTreeMap<K, &Member>,
    looks: &Looks,
) -> Result<RunDiff, Error> {
    let without = |some: &BTreeMap<K, &Member>, others: &BTreeMap<K, &Member>| -> Vec<Member> {
        let only = some.iter().filter(|(key, _)| !others.contains_key(key));
        only.map(|(_, member)| **member).collect()
    };
    let (added, gone) = (without(new, old), without(old, new));
    let mut names = Names::new(db);
    let doubtful = looks
        .modules
        .iter()
        .filter(|look| !(look.could_look && look.skipped.is_empty() && looks.skipped.is_empty()))
        .filter(|look| gone.iter().any(|member| member.module == look.module))
        .map(|look| names.get(look.module))
        .collect::<Result<_, _>>()?;
    Ok(RunDiff {
        new_count: added.len() as u64,
        gone_count: gone.len() as u64,
        unchanged_count: (new.len() - added.len()) as u64,
        new: worst(db, added)?,
        gone: worst(db, gone)?,
        not_looked: doubtful,
    })
}

fn worst(db: &Connection, mut members: Vec<Member>) -> Result<Vec<FindingSummary>, Error> {
    members.sort_by_key(|member| (std::cmp::Reverse(member.severity), member.finding));
    let mut summaries = Summaries::new(db);
    members
        .iter()
        .take(MAX_DIFF)
        .map(|member| {
            let row = rows::by_no(db, member.finding)?;
            let row = row.ok_or_else(|| Error::corrupt(format!("there is no finding {}", member.finding)))?;
            summaries.summary(&row)
        })
        .collect()
}
