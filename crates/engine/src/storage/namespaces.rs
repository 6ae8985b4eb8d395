//! The table of namespaces.

use std::collections::BTreeMap;

use helve_db::{Batch, ReadError, Value, rusqlite::Connection};
use helve_history::Timestamp;

/// A stored namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) created_at: Timestamp,
    /// A `NamespaceState`.
    pub(crate) state: i32,
    /// In seconds, 0 for ever.
    pub(crate) retention: i64,
    pub(crate) description: String,
    pub(crate) owner_email: String,
    pub(crate) data: BTreeMap<String, String>,
}

pub(crate) fn load_namespaces(db: &Connection) -> Result<Vec<NamespaceRow>, ReadError> {
    let mut query = db.prepare(
        "SELECT id, name, uuid, created_at, state, retention, description, owner_email, data FROM namespaces ORDER BY id",
    )?;
    let mut rows = query.query([])?;
    let mut namespaces = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, data): (String, String) = (row.get(1)?, row.get(8)?);
        let data = serde_json::from_str(&data)
            .map_err(|error| ReadError::Corrupt(format!("data of namespace {name}: {error}")))?;
        namespaces.push(NamespaceRow {
            id: row.get(0)?,
            name,
            uuid: row.get(2)?,
            created_at: Timestamp::from_nanos(row.get(3)?),
            state: row.get(4)?,
            retention: row.get(5)?,
            description: row.get(6)?,
            owner_email: row.get(7)?,
            data,
        });
    }
    Ok(namespaces)
}

pub(crate) fn insert_namespace(batch: &mut Batch, namespace: &NamespaceRow) {
    batch.run_one(
        "INSERT OR IGNORE INTO namespaces (id, name, uuid, created_at, state, retention, description, owner_email, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params(namespace),
    );
}

/// Writes all of a namespace again, its name too.
pub(crate) fn update_namespace(batch: &mut Batch, namespace: &NamespaceRow) {
    batch.run_one(
        "UPDATE namespaces SET name = ?2, state = ?5, retention = ?6, description = ?7, owner_email = ?8, data = ?9
         WHERE id = ?1 AND uuid = ?3 AND created_at = ?4",
        params(namespace),
    );
}

fn params(namespace: &NamespaceRow) -> Vec<Value> {
    vec![
        namespace.id.into(),
        namespace.name.as_str().into(),
        namespace.uuid.as_str().into(),
        namespace.created_at.as_nanos().into(),
        i64::from(namespace.state).into(),
        namespace.retention.into(),
        namespace.description.as_str().into(),
        namespace.owner_email.as_str().into(),
        serde_json::Value::from_iter(namespace.data.clone()).to_string().into(),
    ]
}
