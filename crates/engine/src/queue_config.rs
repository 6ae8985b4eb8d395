//! Limits and weights of task queues: kept on disk, applied by matching.

use std::sync::Arc;

use helve_db::Batch;
use temporalio_protos::temporal::api::taskqueue::v1::{ConfigMetadata, RateLimit, RateLimitConfig, TaskQueueConfig};

use crate::{
    error::{Failed, Fault},
    matching::QueueId,
    namespaces::Namespace,
    shell::Shell,
    storage::{QueueConfigRow, load_queue_configs, put_queue_config},
};

/// Fairness keys of one queue whose weights are set for it. More are refused.
pub(crate) const MAX_WEIGHTS: usize = 1000;

/// What is to be changed; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct ConfigUpdate {
    pub(crate) queue_rate: Option<RateUpdate>,
    pub(crate) key_rate: Option<RateUpdate>,
    pub(crate) set_weights: Vec<(String, f32)>,
    pub(crate) unset_weights: Vec<String>,
    /// Who asks for it.
    pub(crate) identity: String,
}

/// A new limit, or none.
#[derive(Debug)]
pub(crate) struct RateUpdate {
    pub(crate) limit: Option<RateLimit>,
    pub(crate) reason: String,
}

impl Shell {
    /// Applies what was set before the engine was opened.
    pub(crate) async fn recover_queue_configs(&self) -> Result<(), Fault> {
        let names = self.namespace_names();
        for row in self.store.read(load_queue_configs).await? {
            // Those of a namespace that was deleted mean nothing any more.
            if let Some(namespace) = names.get(&row.namespace) {
                let id = QueueId {
                    namespace: namespace.as_str().into(),
                    name: row.name.into(),
                    kind: row.kind,
                };
                self.matching.configure(id, Arc::new(row.config));
            }
        }
        Ok(())
    }

    /// Changes the limits and weights of a queue; answers with what they are then.
    pub(crate) async fn update_queue_config(
        self: &Arc<Self>,
        namespace: &Namespace,
        id: QueueId,
        update: ConfigUpdate,
    ) -> Result<Arc<TaskQueueConfig>, Failed> {
        let (shell, namespace) = (self.clone(), namespace.id);
        self.detached(async move {
            let _one_at_a_time = shell.queue_configs.lock().await;
            let before = shell.matching.config(&id).unwrap_or_default();
            let config = shell.changed(&before, update)?;
            let row = QueueConfigRow {
                namespace,
                name: id.name.to_string(),
                kind: id.kind,
                config,
            };
            let mut batch = Batch::new();
            put_queue_config(&mut batch, &row);
            shell.store.commit(batch).await.map_err(Fault::from)?;
            let config = Arc::new(row.config);
            shell.matching.configure(id, config.clone());
            Ok(config)
        })
        .await
    }

    fn changed(&self, before: &TaskQueueConfig, update: ConfigUpdate) -> Result<TaskQueueConfig, Failed> {
        let mut config = before.clone();
        let limit = |update: RateUpdate, identity: &str| RateLimitConfig {
            rate_limit: update.limit,
            metadata: Some(ConfigMetadata {
                reason: update.reason,
                update_identity: identity.to_owned(),
                update_time: Some(self.now().into()),
            }),
        };
        if let Some(rate) = update.queue_rate {
            config.queue_rate_limit = Some(limit(rate, &update.identity));
        }
        if let Some(rate) = update.key_rate {
            config.fairness_keys_rate_limit_default = Some(limit(rate, &update.identity));
        }
        let weights = &mut config.fairness_weight_overrides;
        for key in &update.unset_weights {
            weights.remove(key);
        }
        weights.extend(update.set_weights);
        if weights.len() > MAX_WEIGHTS {
            return Err(Failed::invalid(
                "fairness weight overrides update rejected: exceeding maximum key size",
            ));
        }
        Ok(config)
    }
}
