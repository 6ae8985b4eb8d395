//! What runs refer to, and so which blobs are kept.
//!
//! A blob is referred to by every run whose history names its id, in whatever place: what a history mentions is kept, even
//! if it is not known here what it is for. Open runs keep it; closed ones for as long as their namespace says.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use helve_blobs::{BlobId, BlobStore, Expiry, Hold, Retention, StoreError, Swept};
use helve_runs::{Client, timestamp};
use helve_toolbox::Span;
use jiff::Timestamp;
use prost::Message;
use temporalio_client::tonic::{Code, Status};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use temporalio_protos::temporal::api::namespace::v1::NamespaceInfo;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use tokio::runtime::Handle;

use crate::errors::{Problem, Result, refused};

/// In the data of a namespace: how long its targets are kept.
const KEEP_TARGETS: &str = "helve.keep-targets";
/// In the data of a namespace: how long its results are kept.
const KEEP_RESULTS: &str = "helve.keep-results";
/// Longer than anybody keeps anything.
const FOR_EVER: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);
/// The first sweep of a process that stays begins after this time at the latest, so that one that is often started anew
/// sweeps too.
const FIRST_SWEEP: Duration = Duration::from_secs(5 * 60);

/// Runs that are asked for at once.
const PAGE: i32 = 200;
/// Digits of an id.
const ID_DIGITS: usize = 64;
/// A longer text of digits holds no id.
const LONGEST: usize = 4 * ID_DIGITS;

/// Removes expired blobs, over and over.
pub(crate) struct Sweeper {
    client: Client,
    blobs: BlobStore,
    retention: Retention,
    /// What closed runs refer to, which never changes: by namespace and execution.
    closed: HashMap<(String, String), HashSet<BlobId>>,
}

impl Sweeper {
    /// `retention` is for what no run refers to, and for namespaces that say nothing.
    pub(crate) fn new(client: Client, blobs: BlobStore, retention: Retention) -> Self {
        Self {
            client,
            blobs,
            retention,
            closed: HashMap::new(),
        }
    }

    /// Sweeps every `interval`, and says so where something was removed.
    pub(crate) async fn keep_on(mut self, interval: Duration) {
        let mut wait = interval.min(FIRST_SWEEP);
        loop {
            tokio::time::sleep(wait).await;
            wait = interval;
            match self.sweep(false).await {
                Ok(swept) if swept.removed.is_empty() => tracing::debug!(needed = swept.needed, "nothing has expired"),
                Ok(swept) => tracing::info!(
                    removed = swept.removed.len(),
                    bytes = swept.bytes(),
                    needed = swept.needed,
                    "removed expired targets and results"
                ),
                Err(problem) => tracing::warn!(%problem, "expired targets and results could not be removed"),
            }
        }
    }

    /// Removes what has expired, or only finds out what that is.
    pub(crate) async fn sweep(&mut self, dry_run: bool) -> Result<Swept> {
        let namespaces = self.namespaces().await?;
        let expiry = Expiry {
            now: SystemTime::now(),
            retention: self.retention,
            shortest: namespaces
                .iter()
                .fold(self.retention, |least, (_, keep)| least.min(*keep)),
            dry_run,
        };
        let blobs = self.blobs.clone();
        // The store blocks, and asks for the needs in the middle.
        let runtime = Handle::current();
        tokio::task::block_in_place(move || {
            let holds = || runtime.block_on(self.holds(&namespaces)).map_err(Failure::Needs);
            blobs.expire(&expiry, holds)
        })
        .map_err(|failure| match failure {
            Failure::Needs(problem) => problem,
            Failure::Store(error) => Problem::new(error.to_string()),
        })
    }

    /// What open runs need now.
    pub(crate) async fn needed(&mut self) -> Result<HashSet<BlobId>> {
        let namespaces = self.namespaces().await?;
        let mut needed = HashSet::new();
        for (namespace, _) in &namespaces {
            let client = self.client.of_namespace(namespace);
            for run in all(&client, OPEN.to_owned()).await? {
                needed.extend(references(&client, &run).await?);
            }
            needed.extend(scheduled(&client).await?);
        }
        Ok(needed)
    }

    /// Every namespace with how long it keeps blobs.
    async fn namespaces(&self) -> Result<Vec<(String, Retention)>> {
        let listed = self.client.namespaces().await;
        let listed = listed.map_err(|status| unknown(&status))?;
        Ok(listed
            .into_iter()
            .map(|info| (info.name.clone(), keeps(&info, self.retention)))
            .collect())
    }

    async fn holds(&mut self, namespaces: &[(String, Retention)]) -> Result<HashMap<BlobId, Hold>> {
        let mut holds: HashMap<BlobId, Hold> = HashMap::new();
        let mut hold = |ids: &HashSet<BlobId>, new: Hold| {
            for id in ids {
                holds.entry(*id).and_modify(|old| *old = old.and(new)).or_insert(new);
            }
        };
        let mut seen = HashMap::new();
        for (namespace, keep) in namespaces {
            let client = self.client.of_namespace(namespace);
            // Open ones first: one that closes meanwhile is then seen here, or there, or twice.
            for run in all(&client, OPEN.to_owned()).await? {
                hold(&references(&client, &run).await?, Hold::Needed);
            }
            hold(&scheduled(&client).await?, Hold::Needed);
            // As far back as anything is kept: a namespace may also keep shorter than what nobody refers to.
            let kept = [
                keep.targets,
                keep.results,
                self.retention.targets,
                self.retention.results,
            ];
            let longest = kept.into_iter().max().unwrap_or_default();
            for run in all(&client, closed_within(longest)).await? {
                let key = (namespace.clone(), execution(&run).run_id);
                let ids = match self.closed.remove(&key) {
                    Some(ids) => ids,
                    None => references(&client, &run).await?,
                };
                let closed = run
                    .close_time
                    .as_ref()
                    .and_then(timestamp)
                    .map_or_else(SystemTime::now, SystemTime::from);
                hold(
                    &ids,
                    Hold::Until {
                        target: closed + keep.targets,
                        result: closed + keep.results,
                    },
                );
                seen.insert(key, ids);
            }
        }
        // Runs that are not listed any more are forgotten here too.
        self.closed = seen;
        Ok(holds)
    }
}

/// Why a sweep failed.
enum Failure {
    Needs(Problem),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Not by its status: a paused run is open too.
const OPEN: &str = "CloseTime IS NULL";

fn closed_within(time: Duration) -> String {
    let since = Timestamp::now().checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("CloseTime > '{since}'")
}

/// What a namespace says, or the default. What cannot be read keeps all of that namespace, and nothing of others.
fn keeps(info: &NamespaceInfo, default: Retention) -> Retention {
    let read = |key: &str, default: Duration| match info.data.get(key).map(|text| text.parse::<Span>()) {
        None => default,
        Some(Ok(span)) => span.duration(),
        Some(Err(error)) => {
            tracing::warn!(namespace = info.name, key, %error, "nothing of this namespace is removed until that is set right");
            FOR_EVER
        }
    };
    Retention {
        targets: read(KEEP_TARGETS, default.targets),
        results: read(KEEP_RESULTS, default.results),
    }
}

async fn all(client: &Client, query: String) -> Result<Vec<WorkflowExecutionInfo>> {
    let mut runs = Vec::new();
    let mut token = Vec::new();
    loop {
        let page = client.list_matching(query.clone(), PAGE, token).await;
        let (page, next) = page.map_err(|status| unknown(&status))?;
        runs.extend(page);
        if next.is_empty() {
            return Ok(runs);
        }
        token = next;
    }
}

fn execution(run: &WorkflowExecutionInfo) -> WorkflowExecution {
    run.execution.clone().unwrap_or_default()
}

/// The targets that schedules will scan again.
async fn scheduled(client: &Client) -> Result<HashSet<BlobId>> {
    let mut ids = HashSet::new();
    let mut token = Vec::new();
    loop {
        let page = client.schedules(PAGE, token).await;
        let (page, next) = page.map_err(|status| unknown(&status))?;
        ids.extend(
            page.into_iter()
                .filter_map(|view| view.order?.target?.id.parse::<BlobId>().ok()),
        );
        if next.is_empty() {
            return Ok(ids);
        }
        token = next;
    }
}

/// All ids that the history of a run names.
async fn references(client: &Client, run: &WorkflowExecutionInfo) -> Result<HashSet<BlobId>> {
    match client.events_of(&execution(run)).await {
        Ok(events) => Ok(events.iter().flat_map(ids_in).collect()),
        // Its own retention ended meanwhile.
        Err(status) if status.code() == Code::NotFound => Ok(HashSet::new()),
        Err(status) => Err(unknown(&status)),
    }
}

fn unknown(status: &Status) -> Problem {
    refused("it is not known what the runs need, so nothing is removed", status)
}

/// Every text in the event that could be an id, whatever field it stands in.
fn ids_in(event: &HistoryEvent) -> Vec<BlobId> {
    let bytes = event.encode_to_vec();
    bytes
        .split(|byte| !byte.is_ascii_hexdigit())
        .filter(|digits| (ID_DIGITS..=LONGEST).contains(&digits.len()))
        // More digits than one id has: a neighbour happens to be one.
        .flat_map(|digits| digits.windows(ID_DIGITS))
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_runs::json_payload;
    use serde_json::json;
    use temporalio_protos::temporal::api::common::v1::Payloads;
    use temporalio_protos::temporal::api::history::v1::history_event::Attributes;
    use temporalio_protos::temporal::api::history::v1::{
        WorkflowExecutionSignaledEventAttributes, WorkflowExecutionStartedEventAttributes,
    };

    fn event(attributes: Attributes) -> HistoryEvent {
        HistoryEvent {
            event_id: 1,
            attributes: Some(attributes),
            ..Default::default()
        }
    }

    fn payloads(value: serde_json::Value) -> Option<Payloads> {
        Some(Payloads {
            payloads: vec![json_payload(&value)],
        })
    }

    #[test]
    fn an_id_is_found_wherever_a_history_mentions_it() {
        let [a, b] = [BlobId::of(b"a"), BlobId::of(b"b")];
        let started = event(Attributes::WorkflowExecutionStartedEventAttributes(
            WorkflowExecutionStartedEventAttributes {
                input: payloads(json!({"target": {"id": a, "name": "x"}, "deep": [[{"k": b}]]})),
                ..Default::default()
            },
        ));
        assert_eq!(HashSet::from_iter(ids_in(&started)), HashSet::from([a, b]));
        // Even as a plain string field, and beside another digit.
        let signaled = event(Attributes::WorkflowExecutionSignaledEventAttributes(
            WorkflowExecutionSignaledEventAttributes {
                signal_name: format!("f{a}"),
                ..Default::default()
            },
        ));
        assert!(ids_in(&signaled).contains(&a));
    }

    #[test]
    fn a_namespace_says_how_long_it_keeps_and_of_one_with_a_wrong_word_nothing_goes() {
        let info = |pairs: &[(&str, &str)]| NamespaceInfo {
            name: "team".into(),
            data: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Default::default()
        };
        let default = Retention::default();
        assert_eq!(keeps(&info(&[]), default), default);
        let keep = keeps(&info(&[(KEEP_RESULTS, "90d")]), default);
        assert_eq!((keep.targets, keep.results), (default.targets, 3 * default.results));
        let keep = keeps(&info(&[(KEEP_TARGETS, "for ever")]), default);
        assert_eq!((keep.targets, keep.results), (FOR_EVER, default.results));
    }
}
