//! Namespaces in memory: all of them, as clients made and changed them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use helve_db::{Batch, Store};
use helve_history::Timestamp;
use helve_visibility::Attributes;
use temporalio_protos::temporal::api::enums::v1::NamespaceState;

use crate::{
    error::Fault,
    ids::Ids,
    storage::{NamespaceRow, insert_namespace, load_attributes, load_namespaces},
};

/// A namespace. Whoever holds it sees its changes.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Its number in the database.
    pub(crate) id: i64,
    pub(crate) name: Arc<str>,
    /// The id that clients see.
    pub(crate) uuid: String,
    pub(crate) created_at: Timestamp,
    settings: RwLock<Arc<Settings>>,
}

/// What can be changed of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) state: NamespaceState,
    /// How long closed runs are kept; `None` for ever.
    pub(crate) retention: Option<Duration>,
    pub(crate) description: String,
    pub(crate) owner_email: String,
    pub(crate) data: BTreeMap<String, String>,
    /// Its custom search attributes.
    pub(crate) attributes: Attributes,
}

impl Default for Settings {
    /// Those of the namespaces that exist from the start: they keep closed runs for ever.
    fn default() -> Self {
        Settings {
            state: NamespaceState::Registered,
            retention: None,
            description: String::new(),
            owner_email: String::new(),
            data: BTreeMap::new(),
            attributes: Attributes::default(),
        }
    }
}

impl Namespace {
    pub(crate) fn new(id: i64, name: &str, uuid: String, created_at: Timestamp, settings: Settings) -> Self {
        Namespace {
            id,
            name: name.into(),
            uuid,
            created_at,
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// Its settings as they are now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// As it is stored with these settings.
    pub(crate) fn row(&self, settings: &Settings) -> NamespaceRow {
        NamespaceRow {
            id: self.id,
            name: self.name.to_string(),
            uuid: self.uuid.clone(),
            created_at: self.created_at,
            state: settings.state as i32,
            retention: settings
                .retention
                .map_or(0, |retention| i64::try_from(retention.as_secs()).unwrap_or(i64::MAX)),
            description: settings.description.clone(),
            owner_email: settings.owner_email.clone(),
            data: settings.data.clone(),
        }
    }

    fn load(row: NamespaceRow, attributes: Attributes) -> Result<Self, Fault> {
        let state = NamespaceState::try_from(row.state)
            .map_err(|_| Fault::Corrupt(format!("namespace {} is in unknown state {}", row.name, row.state)))?;
        let settings = Settings {
            state,
            retention: u64::try_from(row.retention)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            description: row.description,
            owner_email: row.owner_email,
            data: row.data,
            attributes,
        };
        Ok(Namespace::new(row.id, &row.name, row.uuid, row.created_at, settings))
    }
}

/// All namespaces, by name. A deleted one is here under the name it was given then, until all of it is gone.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    by_name: Mutex<BTreeMap<Arc<str>, Arc<Namespace>>>,
    /// Changes are made one after the other, so that what they decide upon stays true until it is on disk.
    pub(crate) changes: tokio::sync::Mutex<()>,
}

impl Namespaces {
    /// Loads the stored namespaces and makes those of `wanted` that are missing.
    pub(crate) async fn open(store: &Store, wanted: &[String], ids: &dyn Ids, now: Timestamp) -> Result<Self, Fault> {
        let stored = store
            .read(|db| {
                load_namespaces(db)?
                    .into_iter()
                    .map(|row| Ok((load_attributes(db, row.id)?, row)))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let mut by_name = BTreeMap::new();
        let mut next = 1;
        for (attributes, row) in stored {
            next = row.id + 1;
            let namespace = Namespace::load(row, attributes)?;
            by_name.insert(namespace.name.clone(), Arc::new(namespace));
        }
        let mut batch = Batch::new();
        for name in wanted {
            if !by_name.contains_key(name.as_str()) {
                let namespace = Namespace::new(next, name, ids.fresh().to_string(), now, Settings::default());
                insert_namespace(&mut batch, &namespace.row(&namespace.settings()));
                by_name.insert(namespace.name.clone(), Arc::new(namespace));
                next += 1;
            }
        }
        if !batch.is_empty() {
            store.commit(batch).await?;
        }
        Ok(Namespaces {
            by_name: Mutex::new(by_name),
            changes: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Namespace>> {
        self.lock().get(name).cloned()
    }

    pub(crate) fn by_uuid(&self, uuid: &str) -> Option<Arc<Namespace>> {
        self.lock().values().find(|namespace| namespace.uuid == uuid).cloned()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Namespace>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Namespace>>> {
        // Nothing in here can panic half way.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
