//! Workers, and the queues that they poll.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_ledger::Role;
use helve_runs::{Worker, unserved, verticals};
use helve_toolbox::run::{WORKFLOW_QUEUE, queue_vertical, vertical_queue};
use serde::Serialize;
use serde_json::Value;
use temporalio_client::tonic::Code;
use utoipa::ToSchema;

use crate::door::Caller;
use crate::extract::{Path, Query, tagged};
use crate::page::{Page, Paging};
use crate::problem::{Problem, Result, engine, shown};
use crate::state::Api;

/// A worker: a process, with the verticals that it serves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerInfo {
    /// As histories name it.
    identity: String,
    /// `ready`, or `leaving` when it takes no new steps.
    state: &'static str,
    /// Whether it runs the code of workflows.
    workflows: bool,
    /// The level of its sandbox.
    sandbox: String,
    /// Steps that run.
    steps: i32,
    /// Steps that may run at the same time.
    slots: i32,
    /// The tools of each vertical.
    verticals: BTreeMap<String, Vec<ToolInfo>>,
}

/// A tool that a worker carries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ToolInfo {
    program: String,
    version: String,
}

impl From<Worker> for WorkerInfo {
    fn from(worker: Worker) -> Self {
        let tool = |(program, version)| ToolInfo { program, version };
        Self {
            identity: worker.identity,
            state: if worker.leaving { "leaving" } else { "ready" },
            workflows: worker.workflows,
            sandbox: worker.sandbox,
            steps: worker.used,
            slots: worker.slots,
            verticals: worker
                .verticals
                .into_iter()
                .map(|(name, tools)| (name, tools.into_iter().map(tool).collect()))
                .collect(),
        }
    }
}

pub(crate) async fn known(caller: &Caller) -> Result<Vec<Worker>> {
    helve_runs::workers(&caller.client)
        .await
        .map_err(|status| match status.code() {
            Code::Unimplemented => Problem::unavailable("this engine keeps no register of workers"),
            _ => engine("the workers cannot be listed", &status),
        })
}

/// A page of workers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkersPage {
    #[serde(flatten)]
    #[schema(inline)]
    page: Page<WorkerInfo>,
    /// Verticals that workflows need and no worker serves.
    verticals_without_worker: Vec<String>,
}

/// List the workers of a namespace.
#[utoipa::path(get, path = "/workers", tag = "Workers", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Workers by identity", body = WorkersPage)))]
pub(crate) async fn list(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let workers = known(&caller).await?;
    let verticals_without_worker = unserved(&api.toolbox.current(), &workers);
    let infos: Vec<WorkerInfo> = workers.into_iter().map(WorkerInfo::from).collect();
    tagged(
        &headers,
        &WorkersPage {
            page: paging.cut(infos, |worker| worker.identity.clone())?,
            verticals_without_worker,
        },
    )
}

/// Show a worker.
#[utoipa::path(get, path = "/workers/{identity}", tag = "Workers",
    params(("identity" = String, Path, description = "The worker"), crate::openapi::Namespace),
    responses((status = 200, description = "The worker", body = WorkerInfo)))]
pub(crate) async fn show(caller: Caller, Path(identity): Path<String>, headers: HeaderMap) -> Result<Response> {
    tagged(&headers, &WorkerInfo::from(find(&caller, &identity).await?))
}

async fn find(caller: &Caller, identity: &str) -> Result<Worker> {
    let mut known = known(caller).await?.into_iter();
    known.find(|worker| worker.identity == identity).ok_or_else(|| {
        Problem::not_found(format!(
            "there is no worker `{}`, or it has not been heard of lately",
            shown(identity)
        ))
    })
}

/// Ask a worker to leave: it takes no new steps and goes when those that it has are done.
#[utoipa::path(post, path = "/workers/{identity}/drain", tag = "Workers",
    params(("identity" = String, Path, description = "The worker"), crate::openapi::Namespace),
    responses((status = 202, description = "It was asked; `GET` says `leaving` once it has heard of it")))]
pub(crate) async fn drain(caller: Caller, Path(identity): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    find(&caller, &identity).await?;
    caller.record("worker.drain", &identity, Value::Null).await?;
    let asked = helve_runs::drain(&caller.client, &identity).await;
    asked.map_err(|status| match status.code() {
        Code::Unimplemented => Problem::unavailable("this engine cannot pass it on: stop the worker where it runs"),
        _ => engine("the worker cannot be asked", &status),
    })?;
    Ok(StatusCode::ACCEPTED)
}

/// A task queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueInfo {
    /// Its name.
    name: String,
    /// What its workers carry; `workflows` for the code of workflows.
    pub(crate) vertical: String,
    /// Tasks that wait for a worker, about.
    depth: i64,
    /// How long the oldest of them has waited.
    oldest_ms: u64,
    /// Workers that poll it.
    pub(crate) pollers: usize,
}

impl QueueInfo {
    /// Tasks that wait for a worker, about.
    pub(crate) fn waiting(&self) -> u64 {
        u64::try_from(self.depth).unwrap_or(0)
    }

    /// Since when the oldest of them waits, in unix milliseconds.
    pub(crate) fn oldest(&self, now: i64) -> Option<i64> {
        let waited = i64::try_from(self.oldest_ms).unwrap_or(i64::MAX);
        (self.depth > 0).then(|| now.saturating_sub(waited))
    }
}

/// The queues that the workflows of the toolbox use, by name.
fn queue_names(api: &Api) -> Vec<String> {
    let mut names: Vec<String> = verticals(&api.toolbox.current())
        .iter()
        .map(|name| vertical_queue(name))
        .collect();
    names.push(WORKFLOW_QUEUE.to_owned());
    names.sort();
    names
}

/// How all of them stand.
pub(crate) async fn all_queues(caller: &Caller, api: &Api) -> Result<Vec<QueueInfo>> {
    let mut all = Vec::new();
    for name in queue_names(api) {
        all.push(described(caller, name).await?);
    }
    Ok(all)
}

/// List the queues that the workflows of the toolbox use.
#[utoipa::path(get, path = "/queues", tag = "Workers", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Queues by name", body = inline(Page<QueueInfo>))))]
pub(crate) async fn queues(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let page = paging.cut(queue_names(&api), Clone::clone)?;
    let mut items = Vec::with_capacity(page.items.len());
    for name in page.items {
        items.push(described(&caller, name).await?);
    }
    let next_cursor = page.next_cursor;
    tagged(&headers, &Page { items, next_cursor })
}

/// Show a queue: how many tasks wait in it, and for how long.
#[utoipa::path(get, path = "/queues/{name}", tag = "Workers",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    responses((status = 200, description = "The queue; one that nobody ever used is empty", body = QueueInfo)))]
pub(crate) async fn queue(caller: Caller, Path(name): Path<String>, headers: HeaderMap) -> Result<Response> {
    tagged(&headers, &described(&caller, name).await?)
}

async fn described(caller: &Caller, name: String) -> Result<QueueInfo> {
    let of_workflows = name == WORKFLOW_QUEUE;
    let queue = caller.client.queue(&name, of_workflows).await;
    let queue = queue.map_err(|status| engine("the queue cannot be looked at", &status))?;
    Ok(QueueInfo {
        vertical: match of_workflows {
            true => "workflows".to_owned(),
            false => queue_vertical(&name).to_owned(),
        },
        name,
        depth: queue.depth,
        oldest_ms: u64::try_from(queue.oldest.as_millis()).unwrap_or(u64::MAX),
        pollers: queue.pollers,
    })
}
