//! The table of limits and weights of task queues.

use helve_db::{Batch, ReadError, rusqlite::Connection};
use prost::Message;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueueConfig;

use crate::matching::Kind;

/// A stored configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueueConfigRow {
    pub(crate) namespace: i64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) config: TaskQueueConfig,
}

pub(crate) fn load_queue_configs(db: &Connection) -> Result<Vec<QueueConfigRow>, ReadError> {
    let mut query = db.prepare("SELECT namespace, name, kind, config FROM task_queue_configs")?;
    let rows = query.query_map([], |row| {
        let config: Vec<u8> = row.get(3)?;
        Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, config))
    })?;
    rows.map(|row| {
        let (namespace, name, kind, config) = row?;
        let config = TaskQueueConfig::decode(config.as_slice())
            .map_err(|error| ReadError::Corrupt(format!("the limits of task queue {name} cannot be read: {error}")))?;
        Ok(QueueConfigRow {
            namespace,
            name,
            kind: if kind == 0 { Kind::Workflow } else { Kind::Activity },
            config,
        })
    })
    .collect()
}

/// A conflict means that the namespace is no more.
pub(crate) fn put_queue_config(batch: &mut Batch, row: &QueueConfigRow) {
    batch.run_one(
        "INSERT INTO task_queue_configs (namespace, name, kind, config) SELECT ?1, ?2, ?3, ?4 \
         WHERE EXISTS (SELECT 1 FROM namespaces WHERE id = ?1) \
         ON CONFLICT (namespace, name, kind) DO UPDATE SET config = excluded.config",
        vec![
            row.namespace.into(),
            row.name.as_str().into(),
            i64::from(row.kind == Kind::Activity).into(),
            row.config.encode_to_vec().into(),
        ],
    );
}
