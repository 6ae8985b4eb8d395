//! Starting runs.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_blobs::BlobId;
use helve_ledger::Role;
use helve_runs::{MEMO_STARTED_BY, Order, TargetFacts, facts_in, new_run_id, run_id};
use helve_toolbox::Span;
use helve_toolbox::run::{PinnedPlan, PlanInput, PlanOutput};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use temporalio_client::tonic::{Code, Status};
use utoipa::ToSchema;

use super::uploads::check_name;
use crate::door::Caller;
use crate::extract::{Json, Path, created, encoded, idempotency_key};
use crate::problem::{FieldError, Problem, Result, engine, shown};
use crate::quotas;
use crate::state::Api;

/// Memo key: BLAKE3 of what the run was asked for, with the key of idempotency that it was asked under.
const MEMO_REQUEST: &str = "helve.request";
/// Memo key: the run that this one repeats.
const MEMO_RETRY_OF: &str = "helve.retry_of";
/// Characters of a run's id that is made from a key.
const KEYED_CHARACTERS: usize = 12;

/// What is to be run.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRun {
    /// Name of the workflow.
    #[schema(example = "assessment")]
    pub(crate) workflow: String,
    /// Id of the target; a run without one gets an empty workspace.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// What the target is called in this run; as it was uploaded when nothing is said. The findings of one name are followed
    /// over its runs, whatever its content.
    #[serde(default)]
    pub(crate) target_name: Option<String>,
    /// Parameters, as the workflow's schema describes them.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) parameters: Map<String, Value>,
    /// After this time the run ends, whatever it does: `90s`, `1h30m`.
    #[serde(default)]
    #[schema(example = "1h")]
    pub(crate) timeout: Option<String>,
}

/// A run that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedRun {
    /// The run.
    pub(crate) run_id: String,
    /// Name of the workflow.
    workflow: String,
    /// Always `running`: ask for the run to know how it stands.
    status: &'static str,
    /// Where its events are told.
    events: String,
}

impl StartedRun {
    fn created(&self, caller: &Caller) -> Result<Response> {
        let (run_id, namespace) = (encoded(&self.run_id), encoded(&caller.namespace));
        created(&format!("/api/v1/runs/{run_id}?namespace={namespace}"), self)
    }
}

/// Start a run.
///
/// With the header `Idempotency-Key` the same request can be sent again, also after the server was killed: it is the same run.
#[utoipa::path(post, path = "/runs", tag = "Runs", params(crate::openapi::Namespace, crate::openapi::IdempotencyKey),
    request_body = StartRun,
    responses((status = 201, description = "It is started, and nothing can lose it", body = StartedRun)))]
pub(crate) async fn start(
    caller: Caller,
    State(api): State<Api>,
    headers: HeaderMap,
    Json(asked): Json<StartRun>,
) -> Result<Response> {
    let key = idempotency_key(&headers)?;
    first(&api, &caller, asked, key).await?.created(&caller)
}

/// Starts a run, or finds the one that was started under the same key.
pub(crate) async fn first(api: &Api, caller: &Caller, asked: StartRun, key: Option<&str>) -> Result<StartedRun> {
    caller.require(Role::Analyst)?;
    let request = blake3::hash(&serde_json::to_vec(&asked).expect("a request is plain data"));
    let timeout = asked.timeout.as_deref().map(timeout).transpose()?;
    let plan = api.toolbox.current().pin(&PlanInput {
        workflow: asked.workflow.clone(),
        parameters: asked.parameters,
    })?;
    let facts = match &asked.target {
        Some(id) => Some(find_target(api, caller, id).await?),
        None => None,
    };
    let facts = match asked.target_name {
        None => facts,
        Some(name) => {
            check_name("target_name", &name)?;
            facts.map(|facts| TargetFacts { name, ..facts })
        }
    };
    let order = Order::new(plan, facts.as_ref(), timeout);
    submit(api, caller, order, key, request).await
}

/// Start a run again: the same workflow as it was then, target and parameters.
#[utoipa::path(post, path = "/runs/{run_id}/retry", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, crate::openapi::IdempotencyKey),
    responses((status = 201, description = "Another run is started", body = StartedRun)))]
pub(crate) async fn retry(
    caller: Caller,
    State(api): State<Api>,
    Path(old): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let key = idempotency_key(&headers)?;
    again(&api, &caller, &old, key).await?.created(&caller)
}

/// Starts a run again.
pub(crate) async fn again(api: &Api, caller: &Caller, old: &str, key: Option<&str>) -> Result<StartedRun> {
    caller.require(Role::Analyst)?;
    let of_run = |status| helve_runs::Error::of_run(&shown(old), status);
    let described = caller.client.describe(old).await.map_err(of_run)?;
    let info = described.workflow_execution_info.unwrap_or_default();
    let (first, _) = caller
        .client
        .history(old, Vec::new(), helve_runs::Wait::No)
        .await
        .map_err(of_run)?;
    let mut history = helve_runs::RunHistory::default();
    first.iter().take(1).for_each(|event| history.apply(event));
    let input = history
        .input
        .ok_or_else(|| Problem::conflict(format!("run {} was not started by Helve", shown(old))))?;
    let plan = match input.plan {
        Some(plan) => PlanOutput {
            plan,
            parameters: input.parameters,
        },
        None => api.toolbox.current().pin(&PlanInput {
            workflow: history.workflow,
            parameters: input.parameters,
        })?,
    };
    let facts = facts_in(info.memo.as_ref()).or_else(|| {
        input.target.map(|target| TargetFacts {
            id: target.id,
            name: target.name,
            ..TargetFacts::default()
        })
    });
    let mut order = Order::new(plan, facts.as_ref(), None);
    order.memo.push((MEMO_RETRY_OF, json!(old)));
    submit(api, caller, order, key, blake3::hash(format!("retry {old}").as_bytes())).await
}

/// Stores what it pins and starts it, or finds the run that the same request has started before.
async fn submit(
    api: &Api,
    caller: &Caller,
    mut order: Order,
    key: Option<&str>,
    request: blake3::Hash,
) -> Result<StartedRun> {
    let request = request.to_hex().to_string();
    order.memo.push((MEMO_STARTED_BY, json!(caller.principal.actor.name)));
    order.memo.push((MEMO_REQUEST, json!(request)));
    let run_id = match key {
        Some(key) => keyed_run_id(caller, &order.workflow, key),
        None => new_run_id(&order.workflow),
    };
    let started = |run_id: String, workflow: String| {
        let (path, namespace) = (encoded(&run_id), encoded(&caller.namespace));
        StartedRun {
            events: format!("/api/v1/runs/{path}/events?namespace={namespace}"),
            run_id,
            workflow,
            status: "running",
        }
    };
    let _turn = match quotas::room_for_run(api, &caller.client).await {
        Ok(turn) => turn,
        // Whoever asks again for the run that took the last room gets it.
        Err(full) if key.is_some() && full.status == 429 => {
            return match caller.client.describe(&run_id).await {
                Ok(_) => {
                    same_request(caller, &run_id, &request).await?;
                    Ok(started(run_id, order.workflow))
                }
                Err(_) => Err(full),
            };
        }
        Err(problem) => return Err(problem),
    };
    if let Some(plan) = order.input.plan.clone() {
        store(api, plan).await?;
    }
    let target = order.input.target.as_ref().map(|target| &target.name);
    let detail = json!({ "workflow": order.workflow, "target": target });
    caller.record("run.start", &run_id, detail).await?;
    match order.start(&caller.client, &run_id).await {
        Ok(()) => {
            tracing::info!(
                run_id,
                namespace = caller.namespace,
                by = caller.principal.actor.name,
                "run started"
            );
        }
        Err(status) if key.is_some() && status.code() == Code::AlreadyExists => {
            same_request(caller, &run_id, &request).await?;
        }
        Err(status) => return Err(cannot_start(&order.workflow, &status)),
    }
    Ok(started(run_id, order.workflow))
}

async fn store(api: &Api, plan: PinnedPlan) -> Result<()> {
    let (toolbox, blobs) = (api.toolbox.current(), api.blobs.clone());
    let stored = tokio::task::spawn_blocking(move || helve_worker::store_pinned(&toolbox, &plan, &blobs)).await;
    match stored {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Problem::internal("the workflow cannot be stored", error)),
        Err(error) => Err(Problem::internal("the workflow cannot be stored", error)),
    }
}

/// The same for the same key of the same caller, so that asking twice starts one run, whatever happens in between.
fn keyed_run_id(caller: &Caller, workflow: &str, key: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("helve 2026-11-22 idempotency key of a run");
    let actor = &caller.principal.actor;
    for part in [&caller.namespace, &actor.name, key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    run_id(workflow, &hasher.finalize().as_bytes()[..KEYED_CHARACTERS])
}

/// Whether the run of that id was started by the same request.
async fn same_request(caller: &Caller, run_id: &str, request: &str) -> Result<()> {
    let described = caller.client.describe(run_id).await;
    let described = described.map_err(|status| engine("the run of this key cannot be looked up", &status))?;
    let memo = described.workflow_execution_info.unwrap_or_default().memo;
    let before: Option<String> = memo.and_then(|memo| helve_runs::from_payload(memo.fields.get(MEMO_REQUEST)?));
    match before.as_deref() == Some(request) {
        true => Ok(()),
        false => Err(Problem::unprocessable(
            "this Idempotency-Key was used for another request: take a new one for each",
        )),
    }
}

fn cannot_start(workflow: &str, status: &Status) -> Problem {
    engine(&format!("workflow `{workflow}` cannot be started"), status)
}

fn timeout(text: &str) -> Result<Duration> {
    let span: std::result::Result<Span, _> = text.parse();
    span.map(|span| span.duration()).map_err(|error| {
        Problem::unprocessable("the timeout cannot be read").with_errors([FieldError {
            field: "timeout".to_owned(),
            message: error.to_string(),
        }])
    })
}

/// A target that the namespace has.
pub(crate) async fn find_target(api: &Api, caller: &Caller, id: &str) -> Result<TargetFacts> {
    let missing = || {
        Problem::not_found(format!(
            "there is no target `{}` in namespace `{}`",
            shown(id),
            caller.namespace
        ))
    };
    let id: BlobId = id.parse().map_err(|_| missing())?;
    let (api, namespace) = (api.clone(), caller.namespace.clone());
    let found = tokio::task::spawn_blocking(move || {
        // Its runs may have ended long ago; from now on it is needed again.
        let known = crate::routes::targets::lookup(&api, &namespace, &id)?;
        let touched = api.blobs.touch(&id);
        let is_there = touched.map_err(|error| Problem::internal("the target cannot be looked up", error))?;
        if known.is_some() && !is_there {
            // It has expired.
            let _ = api.targets.remove(&namespace, &id);
        }
        Ok::<_, Problem>(known.filter(|_| is_there))
    });
    let found = found
        .await
        .map_err(|error| Problem::internal("the target cannot be looked up", error))??;
    found.map(|known| known.facts).ok_or_else(missing)
}
