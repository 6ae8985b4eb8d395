//! The shape of what is being built: signatures whose bodies come next.
#![allow(missing_docs, unused_variables, clippy::unused_async)]

use std::time::Duration;

use helve_findings::{Counts, Severity};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{Actor, Error, Ledger, Page, PageRequest, Secret, Time, findings::*};

fn later<T>() -> Result<T, Error> {
    Err(Error::Limit("not built yet".to_owned()))
}

/// What an ingest changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ingested {
    /// Whether this run was in the index already; then nothing was changed, and this is what it changed then.
    pub was_known: bool,
    pub counts: ChangeCounts,
    /// New, fixed and reopened findings (not those that are still there), worst first; at most 1,000.
    pub changes: Vec<FindingChange>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    pub new: u64,
    pub still_there: u64,
    pub fixed: u64,
    pub reopened: u64,
    /// Missing, but nobody could look.
    pub not_looked: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingChange {
    pub id: String,
    pub change: Status,
    pub severity: Severity,
    pub rule: String,
    pub message: String,
    pub path: String,
    pub line: Option<u32>,
    pub is_crash: bool,
}

/// Which findings. All that is given must hold; of a list, one of it.
#[derive(Debug, Clone, Default)]
pub struct FindingFilter {
    pub severities: Vec<Severity>,
    pub statuses: Vec<Status>,
    pub triages: Vec<Triage>,
    pub is_suppressed: Option<bool>,
    pub rule: Option<String>,
    pub module: Option<String>,
    pub target: Option<String>,
    pub workflow: Option<String>,
    pub owner: Option<String>,
    pub path_prefix: Option<String>,
    pub first_seen: TimeRange,
    pub last_seen: TimeRange,
    /// Words that all occur in message, rule, path or snippet; "quoted phrases"; `word*` for a beginning.
    pub text: Option<String>,
}

/// From (inclusive) to (exclusive).
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeRange {
    pub since: Option<Time>,
    pub until: Option<Time>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindingOrder {
    /// Worst first, then newest first.
    #[default]
    Severity,
    /// Newest in the index first.
    Newest,
    /// Last seen first.
    LastSeen,
    Path,
}

#[derive(Debug, Clone, Default)]
pub struct TriageChange {
    /// None: only a comment.
    pub state: Option<Triage>,
    /// For accepted risks.
    pub until: Option<Time>,
    pub comment: String,
}

#[derive(Debug, Clone)]
pub enum Which {
    Ids(Vec<String>),
    Filter(FindingFilter),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BulkOutcome {
    pub changed: u64,
    /// Were in that state already.
    pub unchanged: u64,
    /// Ids that there are not.
    pub missing: Vec<String>,
    /// More fit the filter than are changed at once: call again.
    pub is_more: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayCounts {
    /// Midnight, UTC.
    pub day: Time,
    /// To be done at the end of the day: there, neither suppressed nor triaged away.
    pub open: Counts,
    pub opened: Counts,
    pub closed: Counts,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// To be done, by severity.
    pub open: Counts,
    /// All of the index by status, triage and severity.
    pub by_status: Vec<(Status, u64)>,
    pub by_triage: Vec<(Triage, u64)>,
    pub suppressed: u64,
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDiff {
    pub new: Vec<FindingSummary>,
    pub gone: Vec<FindingSummary>,
    pub unchanged: u64,
    /// Modules of the old run that could not look in the new one: what is gone of them may be there.
    pub not_looked: Vec<String>,
    pub is_cut: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    pub name: String,
    pub run_id: String,
    pub target: String,
    pub findings: u64,
    pub created_at: Time,
    pub created_by: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexedRun {
    pub run_id: String,
    pub target: String,
    pub workflow: String,
    pub at: Time,
    pub counts: ChangeCounts,
    pub findings: Counts,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facet {
    pub name: String,
    /// Findings of it in the index, fixed ones included.
    pub findings: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FacetKind {
    Target,
    Rule,
    Module,
    Workflow,
    Owner,
}

impl Ledger {
    pub async fn ingest(&self, actor: &Actor, run: RunReport) -> Result<Ingested, Error> {
        later()
    }
    pub async fn list_findings(
        &self,
        namespace: &str,
        filter: FindingFilter,
        order: FindingOrder,
        page: PageRequest,
    ) -> Result<Page<FindingSummary>, Error> {
        later()
    }
    pub async fn finding(&self, namespace: &str, id: &str) -> Result<FindingDetail, Error> {
        later()
    }
    pub async fn facets(&self, namespace: &str, kind: FacetKind) -> Result<Vec<Facet>, Error> {
        later()
    }
    pub async fn overview(&self, namespace: &str, target: Option<&str>) -> Result<Overview, Error> {
        later()
    }
    pub async fn severity_over_time(
        &self,
        namespace: &str,
        target: Option<&str>,
        range: TimeRange,
    ) -> Result<Vec<DayCounts>, Error> {
        later()
    }
    pub async fn indexed_runs(
        &self,
        namespace: &str,
        target: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<IndexedRun>, Error> {
        later()
    }
    pub async fn triage(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        version: Option<i64>,
        change: TriageChange,
    ) -> Result<FindingSummary, Error> {
        later()
    }
    pub async fn triage_many(
        &self,
        actor: &Actor,
        namespace: &str,
        which: Which,
        change: TriageChange,
    ) -> Result<BulkOutcome, Error> {
        later()
    }
    pub async fn create_baseline(
        &self,
        actor: &Actor,
        namespace: &str,
        name: &str,
        run_id: &str,
    ) -> Result<Baseline, Error> {
        later()
    }
    pub async fn delete_baseline(&self, actor: &Actor, namespace: &str, name: &str) -> Result<(), Error> {
        later()
    }
    pub async fn baselines(&self, namespace: &str) -> Result<Vec<Baseline>, Error> {
        later()
    }
    pub async fn diff_runs(&self, namespace: &str, old_run: &str, new_run: &str) -> Result<RunDiff, Error> {
        later()
    }
    pub async fn diff_with_baseline(&self, namespace: &str, baseline: &str, run: &str) -> Result<RunDiff, Error> {
        later()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EventKind {
    RunFinished,
    NewFinding,
    CrashFound,
}

#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub namespace: String,
    pub url: String,
    pub events: Vec<EventKind>,
    /// None: one is made.
    pub secret: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Webhook {
    pub id: String,
    pub namespace: String,
    pub url: String,
    pub events: Vec<EventKind>,
    pub is_enabled: bool,
    pub created_at: Time,
    pub created_by: String,
}

/// A delivery that the caller has to make now; if it says nothing in time, somebody else gets it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    /// Names this claim: an answer of a claim that was lost changes nothing.
    pub claim: i64,
    pub url: String,
    pub secret: Secret,
    pub event: EventKind,
    /// JSON, to be sent as it is.
    pub body: String,
    pub attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamespaceSettings {
    pub max_concurrent_runs: Option<u64>,
    pub max_storage_bytes: Option<u64>,
    pub max_upload_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// Nobody used this key: do it, then `keep_answer` (or `release_key` if nothing was done).
    Yours,
    /// It was done: give this answer.
    Answered(StoredAnswer),
    /// It is being done at this moment.
    Busy,
    /// The key was used for another request.
    Other,
}

impl Ledger {
    pub async fn create_webhook(&self, actor: &Actor, new: NewWebhook) -> Result<(Webhook, Secret), Error> {
        later()
    }
    pub async fn webhooks(&self, namespace: &str) -> Result<Vec<Webhook>, Error> {
        later()
    }
    pub async fn update_webhook(
        &self,
        actor: &Actor,
        namespace: &str,
        id: &str,
        url: Option<String>,
        events: Option<Vec<EventKind>>,
        is_enabled: Option<bool>,
    ) -> Result<Webhook, Error> {
        later()
    }
    pub async fn delete_webhook(&self, actor: &Actor, namespace: &str, id: &str) -> Result<(), Error> {
        later()
    }
    /// Writes an event that no ingest tells of (a run that failed without a report).
    pub async fn announce(&self, namespace: &str, event: EventKind, body: Json) -> Result<(), Error> {
        later()
    }
    pub async fn claim_deliveries(&self, limit: usize, lease: Duration) -> Result<Vec<Delivery>, Error> {
        later()
    }
    pub async fn delivered(&self, delivery: &Delivery, status: u16) -> Result<(), Error> {
        later()
    }
    /// Tried again later, with more and more time between, until it is dead.
    pub async fn delivery_failed(&self, delivery: &Delivery, why: &str) -> Result<(), Error> {
        later()
    }
    pub async fn redeliver(&self, actor: &Actor, namespace: &str, id: &str) -> Result<(), Error> {
        later()
    }
    /// When the next one is due, so that the caller can sleep.
    pub async fn next_delivery(&self) -> Result<Option<Time>, Error> {
        later()
    }
    pub async fn namespace_settings(&self, namespace: &str) -> Result<(NamespaceSettings, i64), Error> {
        later()
    }
    pub async fn set_namespace_settings(
        &self,
        actor: &Actor,
        namespace: &str,
        version: Option<i64>,
        settings: NamespaceSettings,
    ) -> Result<i64, Error> {
        later()
    }
    pub async fn reserve_key(
        &self,
        principal: &str,
        key: &str,
        request: &[u8; 32],
        lasts: Duration,
    ) -> Result<Reservation, Error> {
        later()
    }
    pub async fn keep_answer(&self, principal: &str, key: &str, answer: StoredAnswer) -> Result<(), Error> {
        later()
    }
    pub async fn release_key(&self, principal: &str, key: &str) -> Result<(), Error> {
        later()
    }
}
