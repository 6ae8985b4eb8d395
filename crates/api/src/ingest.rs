//! Finished runs into the index of findings, each once, whatever is killed in between.
//!
//! The engine knows which runs have ended, the ledger which of them it has. Between the two there is only a mark: everything that
//! closed before it is in the ledger. It is written after the fact and may lag; a run that is given twice changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use helve_ledger::{Actor, Error, RunReport, Time};
use helve_runs::{Client, Listed, RunResult, facts_in, history_so_far};
use helve_toolbox::run::WORKFLOW_QUEUE;
use jiff::Timestamp;
use temporalio_client::tonic::Status;

use crate::notes::write_whole;
use crate::state::{Api, Inner};

/// How often the engine is asked for what has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far before the mark is looked again: clocks of engines are not the order of their commits.
const OVERLAP: Duration = Duration::from_secs(60);
/// Runs whose report cannot be read are tried this often, then the index goes on without their findings.
const TRIES: u32 = 30;
/// Runs that are asked for at once.
const PAGE: i32 = 500;
/// What runs without a target are called.
const NO_TARGET: &str = "(none)";

/// By namespace: all runs that closed before are in the ledger.
type Marks = BTreeMap<String, Timestamp>;

/// Keeps the index up to date until the API is gone.
pub(crate) async fn keep_on(api: Api, dir: PathBuf) {
    let api = Arc::downgrade(api.shared());
    let file = dir.join("ingested.json");
    let mut ingester = Ingester {
        marks: read_marks(&file),
        file,
        done: HashMap::new(),
        failed: HashMap::new(),
    };
    while let Some(api) = api.upgrade() {
        if let Err(status) = ingester.look(&api).await {
            tracing::debug!(%status, "finished runs cannot be asked for at this moment");
        }
        drop(api);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Asks the index about runs. One that has ended and is not in it yet is taken in first: whoever saw it end need not know that
/// the index looks only now and then.
pub(crate) async fn ask<T, F>(api: &Inner, namespace: &str, question: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut taken = None;
    loop {
        let error = match question().await {
            Err(error) => error,
            answer => return answer,
        };
        let Some(missing) = error.run_not_indexed().filter(|run| taken.as_deref() != Some(*run)) else {
            return Err(error);
        };
        if !take_in_now(api, namespace, missing).await? {
            return Err(error);
        }
        taken = Some(missing.to_owned());
    }
}

/// Whether the run had ended and is in the ledger now.
async fn take_in_now(api: &Inner, namespace: &str, run_id: &str) -> Result<bool, Error> {
    let client = api.client.of_namespace(namespace);
    let info = match client.describe(run_id).await {
        Ok(described) => described.workflow_execution_info.unwrap_or_default(),
        Err(_) => return Ok(false),
    };
    let of_helve = info.task_queue == WORKFLOW_QUEUE;
    let run = helve_runs::listed(info);
    let Some(ended) = run.ended.filter(|_| of_helve) else {
        return Ok(false);
    };
    // What cannot be read now is tried again, and noted, in its turn.
    let Ok(report) = report(api, &client, &run, ended).await else {
        return Ok(false);
    };
    api.ledger.ingest(&Actor::system("ingest"), report).await?;
    Ok(true)
}

struct Ingester {
    marks: Marks,
    file: PathBuf,
    /// Runs after the mark that are in the ledger, by namespace and id, with when they closed.
    done: HashMap<(String, String), Timestamp>,
    /// How often a run's report could not be read.
    failed: HashMap<(String, String), u32>,
}

impl Ingester {
    async fn look(&mut self, api: &Inner) -> Result<(), Status> {
        for namespace in api.client.namespaces().await? {
            let client = api.client.of_namespace(&namespace.name);
            self.look_in(api, &client).await?;
        }
        Ok(())
    }

    async fn look_in(&mut self, api: &Inner, client: &Client) -> Result<(), Status> {
        let namespace = client.namespace.clone();
        // The mark that may be set when all of what is listed now is in.
        let before = Timestamp::now();
        let mark = self.marks.get(&namespace).copied();
        let from = mark.map(|mark| mark.checked_sub(OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH));
        let (mut waits, mut token) = (None::<Timestamp>, Vec::new());
        let mut some = false;
        loop {
            let (page, next) = helve_runs::closed(client, from, PAGE, token).await?;
            for run in page {
                let (Some(ended), key) = (run.ended, (namespace.clone(), run.run_id.clone())) else {
                    continue;
                };
                if self.done.contains_key(&key) {
                    continue;
                }
                some = true;
                match self.take_in(api, client, &run, ended).await {
                    true => drop(self.done.insert(key, ended)),
                    false => waits = Some(waits.map_or(ended, |waits: Timestamp| waits.min(ended))),
                }
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        // Nothing before the oldest that still waits is missing.
        let new_mark = waits.map_or(before, |waits| waits.min(before));
        self.marks.insert(namespace.clone(), new_mark);
        let keep = new_mark.checked_sub(OVERLAP * 2).unwrap_or(Timestamp::UNIX_EPOCH);
        self.done.retain(|(of, _), ended| *of != namespace || *ended >= keep);
        if some || mark.is_none() {
            let (file, marks) = (self.file.clone(), self.marks.clone());
            let written = tokio::task::spawn_blocking(move || write_marks(&file, &marks)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(%error, "it cannot be written down which runs are in the index; they are looked at again");
            }
        }
        Ok(())
    }

    /// Whether the run is in the ledger now.
    async fn take_in(&mut self, api: &Inner, client: &Client, run: &Listed, ended: Timestamp) -> bool {
        let key = (client.namespace.clone(), run.run_id.clone());
        let report = match report(api, client, run, ended).await {
            Ok(report) => report,
            Err(error) => {
                let tries = self.failed.entry(key.clone()).or_default();
                *tries += 1;
                if *tries < TRIES {
                    return false;
                }
                tracing::warn!(run = run.run_id, %error, "the findings of a run cannot be read; the index goes on without them");
                empty(client, run, ended)
            }
        };
        match api.ledger.ingest(&Actor::system("ingest"), report).await {
            Ok(ingested) => {
                self.failed.remove(&key);
                if !ingested.was_known {
                    tracing::info!(
                        run = run.run_id,
                        new = ingested.counts.new,
                        fixed = ingested.counts.fixed,
                        reopened = ingested.counts.reopened,
                        "findings are in the index"
                    );
                }
                true
            }
            // What the ledger will never take must not keep the mark where it is.
            Err(error @ (Error::Invalid(_) | Error::Limit(_))) => {
                tracing::warn!(run = run.run_id, %error, "the ledger refuses a run");
                true
            }
            Err(error) => {
                tracing::warn!(run = run.run_id, %error, "the ledger cannot take a run in at this moment");
                false
            }
        }
    }
}

/// What a run says of its target.
async fn report(api: &Inner, client: &Client, run: &Listed, ended: Timestamp) -> Result<RunReport, String> {
    let described = client
        .describe(&run.run_id)
        .await
        .map_err(|status| status.to_string())?;
    let facts = facts_in(described.workflow_execution_info.unwrap_or_default().memo.as_ref());
    let history = history_so_far(client, &run.run_id)
        .await
        .map_err(|status| status.to_string())?;
    let result = RunResult::collect(&run.run_id, api.engine.clone(), &history, facts, &api.blobs);
    let result = result.map_err(|error| error.to_string())?;
    let mut report = RunReport {
        findings: Vec::new(),
        ..empty(client, run, ended)
    };
    if result.has_report {
        let target = result.target.as_ref().map(|target| target.name.clone());
        report = RunReport::new(
            client.namespace.clone(),
            target
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| report.target.clone()),
            result.workflow.clone(),
            run.run_id.clone(),
            report.at,
            result.report,
        );
    }
    report.outcome = run.status.to_owned();
    Ok(report)
}

/// A run that looked at nothing: nothing of its target is called fixed.
fn empty(client: &Client, run: &Listed, ended: Timestamp) -> RunReport {
    RunReport {
        namespace: client.namespace.clone(),
        target: run.target.clone().unwrap_or_else(|| NO_TARGET.to_owned()),
        workflow: run.workflow.clone(),
        run_id: run.run_id.clone(),
        at: Time::from_millis(ended.as_millisecond()),
        outcome: run.status.to_owned(),
        looks: Vec::new(),
        skipped: Vec::new(),
        rules: Vec::new(),
        findings: Vec::new(),
    }
}

/// A mark that cannot be read is none: then all runs are looked at again.
fn read_marks(file: &Path) -> Marks {
    let bytes = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn write_marks(file: &Path, marks: &Marks) -> io::Result<()> {
    write_whole(file, &serde_json::to_vec(marks)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written_and_a_broken_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ingested.json");
        assert_eq!(read_marks(&file), Marks::new());
        let marks = Marks::from([("default".to_owned(), Timestamp::UNIX_EPOCH)]);
        write_marks(&file, &marks).unwrap();
        assert_eq!(read_marks(&file), marks);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(read_marks(&file), Marks::new());
    }
}
