//! Namespaces: what one team has, and another does not see.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_ledger::Role;
use helve_runs::Client;
use helve_toolbox::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::door::Anyone;
use crate::extract::{Json, Path, Query, created, encoded, tagged};
use crate::page::{Page, Paging};
use crate::problem::{FieldError, Problem, Result, engine};
use crate::quotas;
use crate::routes::settings::Quotas;
use crate::state::Api;

/// Characters of a namespace's name.
const LONGEST_NAME: usize = 100;
/// What the engine keeps for itself.
const INTERNAL: &str = "temporal-system";
/// How long closed runs are kept when nothing is said.
const RETENTION: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 60 * 60);

/// A namespace that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedNamespace {
    /// Its name: lowercase letters, digits and `-`.
    #[schema(example = "team-a")]
    name: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// How long closed runs are kept, such as `30d`, which is also what holds when nothing is said.
    #[serde(default)]
    retention: Option<String>,
}

/// A namespace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceInfo {
    /// Its name.
    name: String,
    /// For people.
    description: String,
}

/// A namespace with what it may take and what it has taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamespaceDetail {
    #[serde(flatten)]
    namespace: NamespaceInfo,
    /// What it may take.
    quotas: Quotas,
    /// What it takes now.
    used: Used,
}

/// What a namespace takes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Used {
    /// Runs that have not ended, whoever started them.
    concurrent_runs: u64,
    /// Bytes of its targets, and of uploads that are under way.
    storage_bytes: u64,
}

async fn all(client: &Client) -> Result<Vec<NamespaceInfo>> {
    let listed = client.namespaces().await;
    let listed = listed.map_err(|status| engine("the namespaces cannot be listed", &status))?;
    let mut all: Vec<NamespaceInfo> = listed
        .into_iter()
        .filter(|info| info.name != INTERNAL)
        .map(|info| NamespaceInfo {
            name: info.name,
            description: info.description,
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The names of those that somebody has access to.
pub(crate) async fn of(api: &Api, who: &helve_ledger::Principal) -> Result<Vec<String>> {
    let all = all(&api.client).await?.into_iter().map(|namespace| namespace.name);
    Ok(all.filter(|name| who.scope.namespaces.contains(name)).collect())
}

/// List the namespaces that the token has access to.
#[utoipa::path(get, path = "/namespaces", tag = "Access", params(Paging),
    responses((status = 200, description = "Namespaces by name", body = inline(Page<NamespaceInfo>))))]
pub(crate) async fn list(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let mut mine = all(&api.client).await?;
    mine.retain(|namespace| who.scope.namespaces.contains(&namespace.name));
    tagged(&headers, &paging.cut(mine, |namespace| namespace.name.clone())?)
}

/// Show a namespace.
#[utoipa::path(get, path = "/namespaces/{name}", tag = "Access", params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The namespace", body = NamespaceDetail)))]
pub(crate) async fn show(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    who.require(Role::Viewer, &name)?;
    let namespace = find(&api, &name).await?;
    let (settings, _) = api.ledger.namespace_settings(&name).await?;
    let detail = NamespaceDetail {
        namespace,
        quotas: settings.into(),
        used: Used {
            concurrent_runs: quotas::running(&api.client.of_namespace(&name)).await?,
            storage_bytes: quotas::stored(&api, &name).await?,
        },
    };
    tagged(&headers, &detail)
}

/// One that there is.
pub(super) async fn find(api: &Api, name: &str) -> Result<NamespaceInfo> {
    let found = all(&api.client)
        .await?
        .into_iter()
        .find(|namespace| namespace.name == name);
    found.ok_or_else(|| Problem::no_namespace(name))
}

/// Make a namespace. Its runs need workers of their own: `helve worker --engine temporal://HOST:PORT/NAMESPACE`.
#[utoipa::path(post, path = "/namespaces", tag = "Access", request_body = WantedNamespace,
    responses((status = 201, description = "The namespace", body = NamespaceInfo)))]
pub(crate) async fn make(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Json(wanted): Json<WantedNamespace>,
) -> Result<Response> {
    who.require_everywhere(Role::Admin)?;
    check(&wanted.name)?;
    let retention = match wanted.retention.as_deref().map(str::parse::<Span>) {
        None => RETENTION,
        Some(Ok(span)) => span.duration(),
        Some(Err(error)) => return Err(wrong("retention", error.to_string())),
    };
    let (name, detail) = (Some(wanted.name.as_str()), serde_json::Value::Null);
    api.ledger
        .record(&who.actor, "namespace.create", name, &wanted.name, detail)
        .await?;
    let made = api
        .client
        .create_namespace(&wanted.name, &wanted.description, retention)
        .await;
    made.map_err(|status| engine(&format!("namespace `{}` cannot be made", wanted.name), &status))?;
    tracing::info!(name = wanted.name, by = who.actor.name, "namespace made");
    created(
        &format!("/api/v1/namespaces/{}", encoded(&wanted.name)),
        &NamespaceInfo {
            name: wanted.name,
            description: wanted.description,
        },
    )
}

fn check(name: &str) -> Result<()> {
    let fits = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name != INTERNAL;
    match fits {
        true => Ok(()),
        false => Err(wrong(
            "name",
            "must be 1 to 100 lowercase letters, digits or `-`, and begin with a letter or digit".to_owned(),
        )),
    }
}

fn wrong(field: &str, message: String) -> Problem {
    Problem::unprocessable("a value of the namespace is wrong").with_errors([FieldError {
        field: field.to_owned(),
        message,
    }])
}
