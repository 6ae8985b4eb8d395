//! The table of namespaces.

use helve_db::{Batch, ReadError, rusqlite::Connection};
use helve_history::Timestamp;

/// A stored namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamespaceRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) created_at: Timestamp,
}

pub(crate) fn load_namespaces(db: &Connection) -> Result<Vec<NamespaceRow>, ReadError> {
    let mut query = db.prepare("SELECT id, name, uuid, created_at FROM namespaces ORDER BY id")?;
    let rows = query.query_map([], |row| {
        Ok(NamespaceRow {
            id: row.get(0)?,
            name: row.get(1)?,
            uuid: row.get(2)?,
            created_at: Timestamp::from_nanos(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn insert_namespace(batch: &mut Batch, namespace: &NamespaceRow) {
    batch.run_one(
        "INSERT INTO namespaces (id, name, uuid, created_at) VALUES (?1, ?2, ?3, ?4)",
        vec![
            namespace.id.into(),
            namespace.name.as_str().into(),
            namespace.uuid.as_str().into(),
            namespace.created_at.as_nanos().into(),
        ],
    );
}
