//! Namespaces in memory: all of them, as clients made and changed them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use helve_db::{Batch, Store};
use helve_history::Timestamp;
use helve_visibility::Attributes;
use temporalio_protos::temporal::api::enums::v1::NamespaceState;

use crate::{
    error::{Failed, Fault},
    ids::Ids,
    shell::Shell,
    storage::{NamespaceRow, insert_namespace, load_attributes, load_namespaces, update_namespace},
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
    deleted: AtomicBool,
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
            deleted: AtomicBool::new(settings.state == NamespaceState::Deleted),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// Its settings as they are now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it only waits for all that belongs to it to be deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, settings: Settings) {
        let is_deleted = settings.state == NamespaceState::Deleted;
        self.deleted.store(is_deleted, Ordering::Relaxed);
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
    next_number: AtomicI64,
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
            next_number: AtomicI64::new(next),
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

    pub(crate) fn by_number(&self, number: i64) -> Option<Arc<Namespace>> {
        self.lock().values().find(|namespace| namespace.id == number).cloned()
    }

    pub(crate) fn insert(&self, namespace: Arc<Namespace>) {
        self.lock().insert(namespace.name.clone(), namespace);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Namespace>>> {
        // Nothing in here can panic half way.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    /// Makes a namespace; `false` if there is one of this name.
    pub(crate) async fn register_namespace(self: &Arc<Self>, name: &str, settings: Settings) -> Result<bool, Failed> {
        let (shell, name) = (self.clone(), name.to_owned());
        self.detached(async move {
            let _changing = shell.namespaces.changes.lock().await;
            if shell.namespaces.by_name(&name).is_some() {
                return Ok(false);
            }
            // A number is never used twice while the engine runs: what is left of a deleted namespace may still carry it.
            let number = shell.namespaces.next_number.fetch_add(1, Ordering::Relaxed);
            let namespace = Namespace::new(number, &name, shell.fresh_id(), shell.now(), settings);
            let mut batch = Batch::new();
            insert_namespace(&mut batch, &namespace.row(&namespace.settings()));
            shell.store.commit(batch).await.map_err(Fault::from)?;
            shell.namespaces.insert(Arc::new(namespace));
            Ok(true)
        })
        .await
    }

    /// Changes a namespace's settings, unless `change` says why not.
    pub(crate) async fn update_namespace(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        change: impl FnOnce(&mut Settings) -> Result<(), String> + Send + 'static,
    ) -> Result<(), Failed> {
        let (shell, namespace) = (self.clone(), namespace.clone());
        self.detached(async move {
            let _changing = shell.namespaces.changes.lock().await;
            let mut settings = Settings::clone(&namespace.settings());
            if settings.state == NamespaceState::Deleted {
                return Err(Failed::not_found(format!("Namespace {} is not found.", namespace.name)));
            }
            change(&mut settings).map_err(Failed::invalid)?;
            shell.store_namespace(&namespace, &settings).await?;
            namespace.set(settings);
            // Retention may have become shorter.
            shell.deletions.notify_one();
            Ok(())
        })
        .await
    }

    /// Writes a namespace with these settings, under the name it has.
    pub(crate) async fn store_namespace(&self, namespace: &Namespace, settings: &Settings) -> Result<(), Fault> {
        let mut batch = Batch::new();
        update_namespace(&mut batch, &namespace.row(settings));
        Ok(self.store.commit(batch).await?)
    }
}
