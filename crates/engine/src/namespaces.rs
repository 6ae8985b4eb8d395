//! Namespaces: few, made when the engine opens, kept in memory.

use std::{collections::HashMap, sync::Arc};

use helve_db::{Batch, Store};
use helve_history::Timestamp;

use crate::{
    error::Fault,
    ids::Ids,
    storage::{NamespaceRow, insert_namespace, load_namespaces},
};

/// A namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Its number in the database.
    pub(crate) id: i64,
    pub(crate) name: Arc<str>,
    /// The id that clients see.
    pub(crate) uuid: String,
}

/// All namespaces, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    all: Vec<Arc<Namespace>>,
    by_name: HashMap<Arc<str>, Arc<Namespace>>,
}

impl Namespaces {
    /// Loads the stored namespaces and makes those of `wanted` that are missing.
    pub(crate) async fn open(store: &Store, wanted: &[String], ids: &dyn Ids, now: Timestamp) -> Result<Self, Fault> {
        let mut rows = store.read(load_namespaces).await?;
        let mut next = rows.last().map_or(1, |last| last.id + 1);
        let mut batch = Batch::new();
        for name in wanted {
            if rows.iter().all(|row| row.name != *name) {
                let row = NamespaceRow {
                    id: next,
                    name: name.clone(),
                    uuid: ids.fresh().to_string(),
                    created_at: now,
                };
                insert_namespace(&mut batch, &row);
                rows.push(row);
                next += 1;
            }
        }
        if !batch.is_empty() {
            store.commit(batch).await?;
        }
        let mut namespaces = Namespaces::default();
        for NamespaceRow { id, name, uuid, .. } in rows {
            let namespace = Arc::new(Namespace {
                id,
                name: name.into(),
                uuid,
            });
            namespaces.by_name.insert(namespace.name.clone(), namespace.clone());
            namespaces.all.push(namespace);
        }
        Ok(namespaces)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.by_name.get(name)
    }

    pub(crate) fn by_uuid(&self, uuid: &str) -> Option<&Arc<Namespace>> {
        self.all.iter().find(|namespace| namespace.uuid == uuid)
    }

    pub(crate) fn all(&self) -> &[Arc<Namespace>] {
        &self.all
    }
}
