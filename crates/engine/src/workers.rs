//! The register of workers: what each said of itself last. In memory only; workers say it again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use helve_history::Timestamp;
use temporalio_protos::temporal::api::{enums::v1::WorkerStatus, worker::v1::WorkerHeartbeat};

/// How long a worker is remembered that says nothing: SDKs speak every minute.
const REMEMBER: Duration = Duration::from_secs(300);
/// Workers that are remembered in all namespaces together; newcomers beyond are not.
const MAX_KNOWN: usize = 10_000;

/// The register.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<BTreeMap<Key, Known>>);

/// The namespace, and the key of the worker's instance.
type Key = (Arc<str>, String);

#[derive(Debug)]
struct Known {
    seen: Timestamp,
    heartbeat: Arc<WorkerHeartbeat>,
}

impl Workers {
    /// Takes note of what workers say. One that has shut down is forgotten.
    pub(crate) fn note(&self, namespace: &Arc<str>, heartbeats: Vec<WorkerHeartbeat>, now: Timestamp) {
        let mut known = self.lock();
        for heartbeat in heartbeats {
            let key = (Arc::clone(namespace), heartbeat.worker_instance_key.clone());
            if heartbeat.status() == WorkerStatus::Shutdown {
                known.remove(&key);
                continue;
            }
            if known.len() >= MAX_KNOWN && !known.contains_key(&key) {
                known.retain(|_, worker| now.since(worker.seen) < REMEMBER);
            }
            if known.len() < MAX_KNOWN || known.contains_key(&key) {
                let heartbeat = Arc::new(heartbeat);
                known.insert(key, Known { seen: now, heartbeat });
            }
        }
    }

    /// Forgets a worker.
    pub(crate) fn forget(&self, namespace: &Arc<str>, key: &str) {
        self.lock().remove(&(Arc::clone(namespace), key.to_owned()));
    }

    /// The workers of a namespace with a key after `after`, in the order of their keys.
    pub(crate) fn after(&self, namespace: &Arc<str>, after: &str, now: Timestamp) -> Vec<Arc<WorkerHeartbeat>> {
        let from = (Arc::clone(namespace), after.to_owned());
        let known = self.lock();
        let rest = known.range(from..).take_while(|((of, _), _)| of == namespace);
        rest.filter(|((_, key), worker)| key != after && now.since(worker.seen) < REMEMBER)
            .map(|(_, worker)| Arc::clone(&worker.heartbeat))
            .collect()
    }

    /// What a worker said last.
    pub(crate) fn get(&self, namespace: &Arc<str>, key: &str, now: Timestamp) -> Option<Arc<WorkerHeartbeat>> {
        let known = self.lock();
        let worker = known.get(&(Arc::clone(namespace), key.to_owned()))?;
        (now.since(worker.seen) < REMEMBER).then(|| Arc::clone(&worker.heartbeat))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(key: &str, status: WorkerStatus) -> Vec<WorkerHeartbeat> {
        vec![WorkerHeartbeat {
            worker_instance_key: key.to_owned(),
            status: status.into(),
            ..Default::default()
        }]
    }

    fn keys(workers: &Workers, namespace: &Arc<str>, now: Timestamp) -> Vec<String> {
        let all = workers.after(namespace, "", now);
        all.iter().map(|worker| worker.worker_instance_key.clone()).collect()
    }

    #[test]
    fn a_worker_is_known_in_its_namespace_until_it_leaves_or_is_silent_for_long() {
        let workers = Workers::default();
        let (here, there): (Arc<str>, Arc<str>) = ("here".into(), "there".into());
        let began = Timestamp::from_nanos(0);
        workers.note(&here, heartbeat("b", WorkerStatus::Running), began);
        workers.note(&here, heartbeat("a", WorkerStatus::Running), began);
        workers.note(&there, heartbeat("c", WorkerStatus::Running), began);
        assert_eq!(keys(&workers, &here, began), ["a", "b"]);
        workers.note(&here, heartbeat("a", WorkerStatus::Shutdown), began);
        workers.forget(&here, "c");
        assert_eq!(keys(&workers, &here, began), ["b"]);
        assert_eq!(keys(&workers, &there, began), ["c"]);
        let later = began + REMEMBER;
        assert!(keys(&workers, &here, later).is_empty());
        assert!(workers.get(&here, "b", later).is_none() && workers.get(&here, "b", began).is_some());
    }
}
