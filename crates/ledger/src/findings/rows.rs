//! The rows of findings and of their events: the only place that knows their SQL for writing.

use helve_db::{
    Batch, Value,
    rusqlite::{self, Connection, OptionalExtension, Row as SqlRow, types::Type},
};
use helve_findings::Severity;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Actor,
    error::Error,
    findings::{
        SuppressedBy, Triage,
        bucket::Bucket,
        life::{Decision, Event, Life, Seen, What},
    },
    text,
    time::Time,
};

/// The columns that [`read_row`] reads.
macro_rules! columns {
    () => {
        "no, id, fingerprint, namespace, target, rule, module, workflow, owner, bucket, confidence, path, line, message, \
         is_crash, until, lanes, first_run, first_at, last_run, last_at, moved_at, decided_at, detail_hash, version, rev"
    };
}
pub(crate) use columns;

/// Names a finding for callers: made of namespace, target and fingerprint.
pub(crate) type Id = [u8; 16];

/// A finding as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) no: i64,
    pub(crate) id: Id,
    pub(crate) fingerprint: String,
    pub(crate) namespace: i64,
    pub(crate) target: i64,
    pub(crate) rule: i64,
    pub(crate) path: String,
    /// As the last run that saw it reported it.
    pub(crate) seen_as: SeenAs,
    pub(crate) life: Life,
    pub(crate) version: i64,
    pub(crate) rev: i64,
}

/// What of a finding is as the last run that saw it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenAs {
    pub(crate) module: i64,
    pub(crate) workflow: i64,
    pub(crate) owner: Option<i64>,
    pub(crate) confidence: i64,
    pub(crate) line: Option<i64>,
    pub(crate) message: String,
    pub(crate) is_crash: bool,
    pub(crate) detail_hash: i64,
}

/// The id of a finding.
pub(crate) fn id(namespace: &str, target: &str, fingerprint: &str) -> Id {
    let mut hasher = blake3::Hasher::new_derive_key("helve ledger v1 finding id");
    for part in [namespace, target, fingerprint] {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

/// The id that a text names; none if it names none.
pub(crate) fn parse_id(text: &str) -> Option<Id> {
    let mut id = [0; 16];
    if text.len() != 32 {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        let is_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    }
    Some(id)
}

/// A number in a row that stands for nothing.
fn damaged(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, what.to_owned().into())
}

pub(crate) fn bucket_at(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Bucket> {
    Bucket::from_number(row.get(column)?).ok_or_else(|| damaged(column, "no bucket has this number"))
}

pub(crate) fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let lanes: String = row.get(16)?;
    let time = |column| row.get(column).map(Time::from_millis);
    Ok(Row {
        no: row.get(0)?,
        id: row.get(1)?,
        fingerprint: row.get(2)?,
        namespace: row.get(3)?,
        target: row.get(4)?,
        rule: row.get(5)?,
        path: row.get(11)?,
        seen_as: SeenAs {
            module: row.get(6)?,
            workflow: row.get(7)?,
            owner: row.get(8)?,
            confidence: row.get(10)?,
            line: row.get(12)?,
            message: row.get(13)?,
            is_crash: row.get(14)?,
            detail_hash: row.get(23)?,
        },
        life: Life {
            bucket: bucket_at(row, 9)?,
            until: row.get::<_, Option<i64>>(15)?.map(Time::from_millis),
            lanes: serde_json::from_str(&lanes).map_err(|_| damaged(16, "no list of lanes"))?,
            first: Seen {
                run: row.get(17)?,
                at: time(18)?,
            },
            last: Seen {
                run: row.get(19)?,
                at: time(20)?,
            },
            moved_at: time(21)?,
            decided_at: time(22)?,
        },
        version: row.get(24)?,
        rev: row.get(25)?,
    })
}

pub(crate) fn by_id(db: &Connection, id: &Id) -> Result<Option<Row>, Error> {
    let mut query = db.prepare_cached(concat!("SELECT ", columns!(), " FROM findings WHERE id = ?1"))?;
    Ok(query.query_row([id], read_row).optional()?)
}

pub(crate) fn by_no(db: &Connection, no: i64) -> Result<Option<Row>, Error> {
    let mut query = db.prepare_cached(concat!("SELECT ", columns!(), " FROM findings WHERE no = ?1"))?;
    Ok(query.query_row([no], read_row).optional()?)
}

/// All findings of a target.
pub(crate) fn of_target(db: &Connection, target: i64) -> Result<Vec<Row>, Error> {
    let mut query = db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM findings INDEXED BY findings_by_target WHERE target = ?1"
    ))?;
    let rows = query.query_map([target], read_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The findings of a target that are there.
pub(crate) fn there_of_target(db: &Connection, target: i64) -> Result<Vec<Row>, Error> {
    let mut query = db.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        // The status is the last part of the bucket, and the third is `fixed`.
        " FROM findings INDEXED BY findings_by_target WHERE target = ?1 AND bucket % 4 <> 2"
    ))?;
    let rows = query.query_map([target], read_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn insert(batch: &mut Batch, row: &Row) {
    let (life, seen_as) = (&row.life, &row.seen_as);
    batch.run_one(
        concat!(
            "INSERT OR IGNORE INTO findings (",
            columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
             ?22, ?23, ?24, ?25, ?26)"
        ),
        vec![
            row.no.into(),
            row.id.to_vec().into(),
            row.fingerprint.as_str().into(),
            row.namespace.into(),
            row.target.into(),
            row.rule.into(),
            seen_as.module.into(),
            seen_as.workflow.into(),
            seen_as.owner.into(),
            life.bucket.number().into(),
            seen_as.confidence.into(),
            row.path.as_str().into(),
            seen_as.line.into(),
            seen_as.message.as_str().into(),
            seen_as.is_crash.into(),
            life.until.map(Time::millis).into(),
            text::json(&life.lanes).into(),
            life.first.run.into(),
            life.first.at.millis().into(),
            life.last.run.into(),
            life.last.at.millis().into(),
            life.moved_at.millis().into(),
            life.decided_at.millis().into(),
            seen_as.detail_hash.into(),
            row.version.into(),
            row.rev.into(),
        ],
    );
}

/// Writes what changed of a row. A conflict if somebody wrote it since it was read.
pub(crate) fn update(batch: &mut Batch, old: &Row, new: &Row) {
    let life = &new.life;
    let mut only_seen_again = old.clone();
    only_seen_again.life.last = life.last;
    only_seen_again.life.bucket = life.bucket;
    if only_seen_again == *new {
        batch.run_one(
            "UPDATE findings SET last_run = ?3, last_at = ?4, bucket = ?5, rev = rev + 1 WHERE no = ?1 AND rev = ?2",
            vec![
                new.no.into(),
                old.rev.into(),
                life.last.run.into(),
                life.last.at.millis().into(),
                life.bucket.number().into(),
            ],
        );
        return;
    }
    let seen_as = &new.seen_as;
    batch.run_one(
        "UPDATE findings SET module = ?3, workflow = ?4, owner = ?5, bucket = ?6, confidence = ?7, line = ?8, message = ?9,
             is_crash = ?10, until = ?11, lanes = ?12, first_run = ?13, first_at = ?14, last_run = ?15, last_at = ?16,
             moved_at = ?17, decided_at = ?18, detail_hash = ?19, version = ?20, rev = rev + 1
         WHERE no = ?1 AND rev = ?2",
        vec![
            new.no.into(),
            old.rev.into(),
            seen_as.module.into(),
            seen_as.workflow.into(),
            seen_as.owner.into(),
            life.bucket.number().into(),
            seen_as.confidence.into(),
            seen_as.line.into(),
            seen_as.message.as_str().into(),
            seen_as.is_crash.into(),
            life.until.map(Time::millis).into(),
            text::json(&life.lanes).into(),
            life.first.run.into(),
            life.first.at.millis().into(),
            life.last.run.into(),
            life.last.at.millis().into(),
            life.moved_at.millis().into(),
            life.decided_at.millis().into(),
            seen_as.detail_hash.into(),
            new.version.into(),
        ],
    );
}

/// Kinds of stored events. Those from `FIRST_OF_PEOPLE` on are facts; the others are derived from the runs.
pub(crate) const NEW: i64 = 0;
pub(crate) const FIXED: i64 = 1;
pub(crate) const REOPENED: i64 = 2;
const SEVERITY: i64 = 3;
const SUPPRESSION: i64 = 4;
pub(crate) const FIRST_OF_PEOPLE: i64 = 5;
const TRIAGED: i64 = 5;
const COMMENTED: i64 = 6;
const EXPIRED: i64 = 7;

/// Appends events after the `seq` first ones of a finding.
pub(crate) fn insert_events(batch: &mut Batch, finding: i64, seq: i64, events: &[Event]) {
    for (seq, event) in (seq + 1..).zip(events) {
        let (kind, body) = encode(&event.what);
        batch.run_one(
            "INSERT OR IGNORE INTO finding_events (finding, seq, at, kind, run, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            vec![
                finding.into(),
                seq.into(),
                event.at.millis().into(),
                kind.into(),
                event.run.into(),
                body.map_or(Value::Null, Value::Text),
            ],
        );
    }
}

pub(crate) fn delete_events(batch: &mut Batch, finding: i64) {
    batch.run("DELETE FROM finding_events WHERE finding = ?1", vec![finding.into()]);
}

fn encode(what: &What) -> (i64, Option<String>) {
    match what {
        What::New => (NEW, None),
        What::Fixed => (FIXED, None),
        What::Reopened => (REOPENED, None),
        What::Severity { from, to } => (SEVERITY, Some(text::json(&(from, to)))),
        What::Suppression(by) => (SUPPRESSION, Some(text::json(by))),
        What::Triaged { from, decision } => (TRIAGED, Some(text::json(&(from, decision)))),
        What::Commented { by, comment } => (COMMENTED, Some(text::json(&(by, comment)))),
        What::Expired => (EXPIRED, None),
    }
}

/// The columns `at, kind, run, body` of an event.
pub(crate) fn read_event(row: &SqlRow<'_>) -> Result<Event, Error> {
    fn body<T: DeserializeOwned>(text: Option<String>) -> Result<T, Error> {
        serde_json::from_str(&text.unwrap_or_default())
            .map_err(|error| Error::corrupt(format!("the history of a finding: {error}")))
    }
    let text: Option<String> = row.get(3)?;
    let what = match row.get(1)? {
        NEW => What::New,
        FIXED => What::Fixed,
        REOPENED => What::Reopened,
        SEVERITY => {
            let (from, to): (Severity, Severity) = body(text)?;
            What::Severity { from, to }
        }
        SUPPRESSION => What::Suppression(body::<Option<SuppressedBy>>(text)?),
        TRIAGED => {
            let (from, decision): (Triage, Decision) = body(text)?;
            What::Triaged { from, decision }
        }
        COMMENTED => {
            let (by, comment): (Actor, String) = body(text)?;
            What::Commented { by, comment }
        }
        EXPIRED => What::Expired,
        kind => {
            return Err(Error::corrupt(format!(
                "the history of a finding has an event of kind {kind}"
            )));
        }
    };
    Ok(Event {
        at: Time::from_millis(row.get(0)?),
        run: row.get(2)?,
        what,
    })
}

/// How many events a finding has.
pub(crate) fn count_events(db: &Connection, finding: i64) -> Result<i64, Error> {
    let mut query = db.prepare_cached("SELECT max(seq) FROM finding_events WHERE finding = ?1")?;
    Ok(query
        .query_row([finding], |row| row.get::<_, Option<i64>>(0))?
        .unwrap_or(0))
}

/// Writes what pages of one finding show, and its words.
pub(crate) fn write_detail<T: Serialize>(batch: &mut Batch, row: &Row, detail: &T, words: String) {
    batch.run(
        "INSERT INTO details (no, body) VALUES (?1, ?2) ON CONFLICT (no) DO UPDATE SET body = excluded.body",
        vec![row.no.into(), text::json(detail).into()],
    );
    batch.run(
        "INSERT OR REPLACE INTO words (rowid, keys, body) VALUES (?1, ?2, ?3)",
        vec![row.no.into(), keys(row).into(), words.into()],
    );
}

/// The tokens by which words are found within a namespace, a severity, a target, a rule.
fn keys(row: &Row) -> String {
    format!(
        "n{} s{} t{} r{}",
        row.namespace, row.life.bucket.severity as u8, row.target, row.rule
    )
}
