//! Quotas and other choices of a namespace.

use helve_db::{Batch, rusqlite::OptionalExtension};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Actor, Error, Ledger,
    audit::{self, Act},
    ledger::MAX_TRIES,
    text,
};

/// What a namespace may take. None: as much as there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceSettings {
    /// Runs at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_runs: Option<u64>,
    /// Bytes of all targets and artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_storage_bytes: Option<u64>,
    /// Bytes of one upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_upload_bytes: Option<u64>,
}

impl Ledger {
    /// The settings of a namespace, and their version: 0 if nobody ever set any.
    pub async fn namespace_settings(&self, namespace: &str) -> Result<(NamespaceSettings, i64), Error> {
        let namespace = namespace.to_owned();
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT body, version FROM settings WHERE namespace = ?1")?;
            let found: Option<(String, i64)> = query
                .query_row([&namespace], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((body, version)) = found else {
                return Ok((NamespaceSettings::default(), 0));
            };
            let settings = serde_json::from_str(&body)
                .map_err(|error| Error::corrupt(format!("the settings of namespace {namespace}: {error}")))?;
            Ok((settings, version))
        })
        .await
    }

    /// Sets the settings of a namespace, all of them; answers their version. With a `version` only if it is still that one.
    pub async fn set_namespace_settings(
        &self,
        actor: &Actor,
        namespace: &str,
        version: Option<i64>,
        settings: NamespaceSettings,
    ) -> Result<i64, Error> {
        text::check_name("the name of a namespace", namespace)?;
        let changed = || Error::Changed {
            what: "settings of the namespace",
            id: namespace.to_owned(),
        };
        for _ in 0..MAX_TRIES {
            let (old, found) = self.namespace_settings(namespace).await?;
            if version.is_some_and(|version| version != found) {
                return Err(changed());
            }
            let body = text::json(&settings);
            let mut batch = Batch::new();
            if found == 0 {
                batch.run_one(
                    "INSERT OR IGNORE INTO settings (namespace, body, version) VALUES (?1, ?2, 1)",
                    vec![namespace.into(), body.into()],
                );
            } else {
                batch.run_one(
                    "UPDATE settings SET body = ?3, version = version + 1 WHERE namespace = ?1 AND version = ?2",
                    vec![namespace.into(), found.into(), body.into()],
                );
            }
            let act = Act::new("namespace.settings", namespace)
                .namespace(namespace)
                .detail(json!({"from": old, "to": settings}));
            audit::push(&mut batch, self.now(), actor, &act);
            match self.commit(batch).await {
                Ok(()) => return Ok(found + 1),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Err(changed())
    }
}
