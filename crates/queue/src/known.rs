//! Which sets of needs the jobs of a queue have: a claimer that has something polls those that it meets.
//!
//! What was published through this process is known at once. What others published is found by asking the engine for open
//! jobs of task queues that are not known yet, one after the other, until there is none; that is asked for at most every
//! [`FRESH`] and queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::calls::Jobs;
use crate::error::{Error, Result};
use crate::name::{JOB_TYPE, Needs, PREFIX, QueueName};

/// Sets of needs of one queue.
pub(crate) const MOST_SETS: usize = 64;
/// For so long nothing is asked again.
pub(crate) const FRESH: Duration = Duration::from_secs(2);
/// A set that was published through here is believed for so long without being seen.
const PUBLISHED: Duration = Duration::from_secs(60);
/// Queues that are remembered.
const MOST_QUEUES: usize = 10_000;
/// Names of queues that a list has.
const MOST_NAMES: usize = 200;

#[derive(Default)]
pub(crate) struct Known {
    queues: Mutex<HashMap<(String, QueueName), Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    sets: Mutex<BTreeMap<Needs, Instant>>,
    /// When it was looked last; held while somebody looks.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

impl Known {
    fn entry(&self, namespace: &str, queue: &QueueName) -> Arc<Entry> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MOST_QUEUES {
            queues.clear();
        }
        queues.entry((namespace.to_owned(), queue.clone())).or_default().clone()
    }
}

impl Entry {
    fn sets(&self) -> std::sync::MutexGuard<'_, BTreeMap<Needs, Instant>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// A job of these needs is about to be published.
    pub(crate) async fn note_needs(&self, queue: &QueueName, needs: &Needs) -> Result<()> {
        if needs.is_empty() {
            return Ok(());
        }
        let entry = self.known.entry(&self.namespace, queue);
        let until = Instant::now() + PUBLISHED;
        {
            let mut sets = entry.sets();
            if sets.contains_key(needs) || sets.len() < MOST_SETS {
                sets.insert(needs.clone(), until);
                return Ok(());
            }
        }
        // Perhaps some of them have no jobs any more.
        self.look(queue, &entry).await?;
        let mut sets = entry.sets();
        if sets.len() >= MOST_SETS && !sets.contains_key(needs) {
            let message = format!("make the jobs of this queue need more than {MOST_SETS} different sets of things");
            return Err(Error::invalid("needs", message));
        }
        sets.insert(needs.clone(), until);
        Ok(())
    }

    /// The sets of needs that jobs of this queue have; the one of those that need nothing is not among them.
    pub(crate) async fn known_needs(&self, queue: &QueueName) -> Result<Vec<Needs>> {
        let entry = self.known.entry(&self.namespace, queue);
        self.look(queue, &entry).await?;
        let sets = entry.sets();
        Ok(sets.keys().cloned().collect())
    }

    async fn look(&self, queue: &QueueName, entry: &Entry) -> Result<()> {
        let mut looked = entry.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let scope = format!("TaskQueue STARTS_WITH '{}:'", queue.scope());
        let found = self.task_queues(&scope, MOST_SETS).await?;
        let now = Instant::now();
        let mut sets = entry.sets();
        sets.retain(|_, until| *until > now);
        for name in found {
            if let Some((_, needs)) = QueueName::of_task_queue(&name) {
                sets.entry(needs).or_insert(now);
            }
        }
        drop(sets);
        *looked = Some(Instant::now());
        Ok(())
    }

    /// Names of the queues that have open jobs.
    pub async fn queues(&self) -> Result<Vec<QueueName>> {
        let found = self
            .task_queues(&format!("TaskQueue STARTS_WITH '{PREFIX}'"), MOST_NAMES)
            .await?;
        let names: BTreeSet<QueueName> = found
            .iter()
            .filter_map(|name| Some(QueueName::of_task_queue(name)?.0))
            .collect();
        Ok(names.into_iter().collect())
    }

    /// The task queues of open jobs, each found by leaving out those that were found before.
    async fn task_queues(&self, scope: &str, most: usize) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        while found.len() < most {
            let mut query = format!("ActivityType = '{JOB_TYPE}' AND ExecutionStatus = 'Running' AND {scope}");
            if !found.is_empty() {
                // Names of our own making: they have no quotes. Others are left out below.
                query.push_str(&format!(" AND TaskQueue NOT IN ('{}')", found.join("','")));
            }
            let (rows, _) = self.page(query, 1, Vec::new()).await?;
            match rows.into_iter().next() {
                Some(row) if !row.task_queue.contains('\'') && !found.contains(&row.task_queue) => {
                    found.push(row.task_queue);
                }
                _ => break,
            }
        }
        Ok(found)
    }
}
