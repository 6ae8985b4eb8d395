//! The dictionary of names: one number for each, so that indices are small.

use std::collections::HashMap;

use helve_db::{
    Batch,
    rusqlite::{Connection, OptionalExtension},
};

use crate::{error::Error, findings::FacetKind, numbers::Counter};

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Namespace = 0,
    Target = 1,
    Rule = 2,
    Module = 3,
    Workflow = 4,
    Owner = 5,
}

impl From<FacetKind> for Kind {
    fn from(kind: FacetKind) -> Self {
        match kind {
            FacetKind::Target => Kind::Target,
            FacetKind::Rule => Kind::Rule,
            FacetKind::Module => Kind::Module,
            FacetKind::Workflow => Kind::Workflow,
            FacetKind::Owner => Kind::Owner,
        }
    }
}

/// The number of a name and how many findings have it.
pub(crate) fn find(db: &Connection, namespace: i64, kind: Kind, name: &str) -> Result<Option<(i64, i64)>, Error> {
    let mut query =
        db.prepare_cached("SELECT no, findings FROM names WHERE namespace = ?1 AND kind = ?2 AND name = ?3")?;
    let found = query
        .query_row((namespace, kind as i64, name), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// The number of a namespace, if it has findings or anything else here.
pub(crate) fn find_namespace(db: &Connection, name: &str) -> Result<Option<i64>, Error> {
    Ok(find(db, 0, Kind::Namespace, name)?.map(|(no, _)| no))
}

/// Names by their numbers, each read once.
pub(crate) struct Names<'a> {
    db: &'a Connection,
    known: HashMap<i64, String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(db: &'a Connection) -> Self {
        Names {
            db,
            known: HashMap::new(),
        }
    }

    pub(crate) fn get(&mut self, no: i64) -> Result<String, Error> {
        if let Some(name) = self.known.get(&no) {
            return Ok(name.clone());
        }
        let mut query = self.db.prepare_cached("SELECT name FROM names WHERE no = ?1")?;
        let name: Option<String> = query.query_row([no], |row| row.get(0)).optional()?;
        let name = name.ok_or_else(|| Error::corrupt(format!("there is no name {no}")))?;
        self.known.insert(no, name.clone());
        Ok(name)
    }
}

/// Numbers for names, those that have none yet included: these are written by the batch.
pub(crate) struct Interner<'a> {
    db: &'a Connection,
    counter: &'a Counter,
    known: HashMap<(i64, Kind, String), i64>,
}

impl<'a> Interner<'a> {
    pub(crate) fn new(db: &'a Connection, counter: &'a Counter) -> Self {
        Interner {
            db,
            counter,
            known: HashMap::new(),
        }
    }

    pub(crate) fn namespace(&mut self, batch: &mut Batch, name: &str) -> Result<i64, Error> {
        self.number(batch, 0, Kind::Namespace, name)
    }

    pub(crate) fn number(&mut self, batch: &mut Batch, namespace: i64, kind: Kind, name: &str) -> Result<i64, Error> {
        let key = (namespace, kind, name.to_owned());
        if let Some(no) = self.known.get(&key) {
            return Ok(*no);
        }
        let no = match find(self.db, namespace, kind, name)? {
            Some((no, _)) => no,
            None => {
                let no = self.counter.next();
                // Somebody who gave it another number meanwhile makes this a conflict, and it is decided again.
                batch.run_one(
                    "INSERT OR IGNORE INTO names (no, namespace, kind, name) VALUES (?1, ?2, ?3, ?4)",
                    vec![no.into(), namespace.into(), (kind as i64).into(), name.into()],
                );
                no
            }
        };
        self.known.insert(key, no);
        Ok(no)
    }
}
