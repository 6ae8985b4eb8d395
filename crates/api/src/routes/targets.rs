//! Targets of a namespace.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_blobs::BlobId;
use helve_ledger::Role;
use helve_runs::TargetFacts;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::door::Caller;
use crate::extract::{Path, Query, tagged};
use crate::page::Paging;
use crate::problem::{Problem, Result, shown};
use crate::state::Api;
use crate::targets::KnownTarget;

/// A packed target.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetInfo {
    /// BLAKE3 of the packed target: what a run is started with.
    pub(crate) id: String,
    /// What its user calls it.
    pub(crate) name: String,
    /// Regular files in it.
    pub(crate) files: u64,
    /// Bytes of these files.
    pub(crate) bytes: u64,
    /// Bytes of the packed target.
    pub(crate) packed_bytes: u64,
    /// When it came.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// Who brought it.
    pub(crate) created_by: String,
    /// Entries that ignore files excluded.
    pub(crate) ignored: u64,
    /// Files that were taken although ignore files name them, since they usually hold secrets: the first few.
    pub(crate) forced: Vec<String>,
    /// What could not be taken, so that a scan will not have looked there: the first few.
    #[schema(value_type = Vec<Object>)]
    pub(crate) skipped: Vec<helve_blobs::Skipped>,
    /// How many.
    pub(crate) skipped_total: u64,
}

impl TargetInfo {
    pub(crate) fn new(id: &BlobId, known: KnownTarget) -> Self {
        let KnownTarget {
            facts,
            packed_bytes,
            at,
            by,
        } = known;
        Self {
            id: id.to_hex(),
            name: facts.name,
            files: facts.files,
            bytes: facts.bytes,
            packed_bytes,
            created_at: at,
            created_by: by,
            ignored: facts.ignored,
            forced: facts.forced,
            skipped: facts.skipped,
            skipped_total: facts.skipped_total,
        }
    }
}

/// A target that the namespace has. What `helve run` has packed on this data directory belongs to the namespace that it
/// uses. Blocking.
pub(crate) fn lookup(api: &Api, namespace: &str, id: &BlobId) -> Result<Option<KnownTarget>> {
    let cannot = |error: std::io::Error| Problem::internal("the targets cannot be read", error);
    if let Some(known) = api.targets.get(namespace, id).map_err(cannot)? {
        return Ok(Some(known));
    }
    Ok(local(api, namespace)?
        .into_iter()
        .find(|(other, _)| other == id)
        .map(|(_, known)| known))
}

fn local(api: &Api, namespace: &str) -> Result<Vec<(BlobId, KnownTarget)>> {
    if namespace != api.client.namespace {
        return Ok(Vec::new());
    }
    let cannot = |error| Problem::internal("the targets cannot be read", error);
    let stored = helve_runs::targets(&api.blobs).map_err(cannot)?;
    let uploaded = api
        .targets
        .of_any_namespace()
        .map_err(|error| Problem::internal("the targets cannot be read", error))?;
    Ok(stored
        .into_iter()
        .filter(|target| !uploaded.contains(&target.blob.id))
        .filter_map(|target| {
            let manifest = target.manifest?;
            let known = KnownTarget {
                facts: TargetFacts {
                    id: target.blob.id.to_hex(),
                    name: manifest.name,
                    files: manifest.files,
                    bytes: manifest.bytes,
                    ..TargetFacts::default()
                },
                packed_bytes: target.blob.size,
                at: target.blob.used.try_into().unwrap_or(Timestamp::UNIX_EPOCH),
                by: "helve run".to_owned(),
            };
            Some((target.blob.id, known))
        })
        .collect())
}

/// List the targets of a namespace, newest first.
#[utoipa::path(get, path = "/targets", tag = "Targets", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Targets", body = inline(crate::page::Page<TargetInfo>))))]
pub(crate) async fn list(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let all = all(&api, &caller.namespace).await?;
    tagged(&headers, &paging.cut(all, |target| target.id.clone())?)
}

/// All targets of a namespace, newest first.
pub(crate) async fn all(api: &Api, namespace: &str) -> Result<Vec<TargetInfo>> {
    let (api, namespace) = (api.clone(), namespace.to_owned());
    let all = tokio::task::spawn_blocking(move || {
        let listed = api.targets.list(&namespace);
        let mut all = listed.map_err(|error| Problem::internal("the targets cannot be read", error))?;
        all.extend(local(&api, &namespace)?);
        Ok::<_, Problem>(all)
    });
    let all = all
        .await
        .map_err(|error| Problem::internal("the targets cannot be read", error))??;
    Ok(all.into_iter().map(|(id, known)| TargetInfo::new(&id, known)).collect())
}

/// Show a target.
#[utoipa::path(get, path = "/targets/{id}", tag = "Targets",
    params(("id" = String, Path, description = "The target"), crate::openapi::Namespace),
    responses((status = 200, description = "The target", body = TargetInfo)))]
pub(crate) async fn show(
    caller: Caller,
    State(api): State<Api>,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let id: BlobId = text.parse().map_err(|_| missing(&text))?;
    let found = tokio::task::spawn_blocking(move || lookup(&api, &caller.namespace, &id)).await;
    let found = found.map_err(|error| Problem::internal("the targets cannot be read", error))??;
    tagged(&headers, &TargetInfo::new(&id, found.ok_or_else(|| missing(&text))?))
}

/// Forget a target. Its bytes go when no run needs them any more.
#[utoipa::path(delete, path = "/targets/{id}", tag = "Targets",
    params(("id" = String, Path, description = "The target"), crate::openapi::Namespace),
    responses((status = 204, description = "It is forgotten")))]
pub(crate) async fn forget(caller: Caller, State(api): State<Api>, Path(text): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    let id: BlobId = text.parse().map_err(|_| missing(&text))?;
    caller.record("target.forget", &text, Value::Null).await?;
    let removed = tokio::task::spawn_blocking(move || api.targets.remove(&caller.namespace, &id)).await;
    let removed = removed.map_err(|error| Problem::internal("the target cannot be forgotten", error))?;
    match removed.map_err(|error| Problem::internal("the target cannot be forgotten", error))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing(&text)),
    }
}

fn missing(id: &str) -> Problem {
    Problem::not_found(format!("there is no uploaded target `{}` here", shown(id)))
}
