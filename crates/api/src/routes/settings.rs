//! What namespaces may take.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::{NamespaceSettings, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::namespaces::find;
use crate::door::Anyone;
use crate::extract::{Json, Path, Reply, is_match};
use crate::problem::{FieldError, Problem, Result};
use crate::state::Api;

/// The largest number that JSON is read with everywhere.
const LARGEST: u64 = (1 << 53) - 1;

/// What a namespace may take; null or left out: as much as there is.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    /// Runs at a time. One more is refused until one of them ends.
    #[serde(default)]
    max_concurrent_runs: Option<u64>,
    /// Bytes of its targets, and of uploads that are under way.
    #[serde(default)]
    max_storage_bytes: Option<u64>,
    /// Bytes of one upload. What the server allows holds too.
    #[serde(default)]
    max_upload_bytes: Option<u64>,
}

impl From<NamespaceSettings> for Quotas {
    fn from(settings: NamespaceSettings) -> Self {
        let NamespaceSettings {
            max_concurrent_runs,
            max_storage_bytes,
            max_upload_bytes,
        } = settings;
        Self {
            max_concurrent_runs,
            max_storage_bytes,
            max_upload_bytes,
        }
    }
}

impl Quotas {
    fn checked(self) -> Result<NamespaceSettings> {
        let fields = [
            ("max_concurrent_runs", self.max_concurrent_runs),
            ("max_storage_bytes", self.max_storage_bytes),
            ("max_upload_bytes", self.max_upload_bytes),
        ];
        let wrong = fields
            .into_iter()
            .filter(|(_, value)| value.is_some_and(|value| value > LARGEST));
        let errors: Vec<FieldError> = wrong
            .map(|(field, _)| FieldError {
                field: field.to_owned(),
                message: format!("must be {LARGEST} at most"),
            })
            .collect();
        match errors.is_empty() {
            true => Ok(NamespaceSettings {
                max_concurrent_runs: self.max_concurrent_runs,
                max_storage_bytes: self.max_storage_bytes,
                max_upload_bytes: self.max_upload_bytes,
            }),
            false => Err(Problem::unprocessable("a quota is wrong").with_errors(errors)),
        }
    }
}

/// Show the quotas of a namespace. For its administrators.
#[utoipa::path(get, path = "/namespaces/{name}/settings", tag = "Access",
    params(("name" = String, Path, description = "The namespace")),
    responses((status = 200, description = "Its quotas; the header `ETag` has their version", body = Quotas)))]
pub(crate) async fn show(Anyone(who): Anyone, State(api): State<Api>, Path(name): Path<String>) -> Result<Response> {
    who.require(Role::Admin, &name)?;
    find(&api, &name).await?;
    let (settings, version) = api.ledger.namespace_settings(&name).await?;
    Ok(answered(settings, version))
}

/// Set the quotas of a namespace, all of them. For administrators of all namespaces: nobody gives to themselves.
///
/// With `If-Match` only if nobody has changed them since that `ETag`. What is under way goes on, also if it is more than the new
/// quotas allow.
#[utoipa::path(put, path = "/namespaces/{name}/settings", tag = "Access",
    params(("name" = String, Path, description = "The namespace"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of what is to be replaced")),
    request_body = Quotas,
    responses((status = 200, description = "They hold from now on", body = Quotas)))]
pub(crate) async fn set(
    Anyone(who): Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<Quotas>,
) -> Result<Response> {
    who.require_everywhere(Role::Admin)?;
    let wanted = wanted.checked()?;
    find(&api, &name).await?;
    let version = match headers.contains_key(header::IF_MATCH) {
        false => None,
        true => {
            let (_, version) = api.ledger.namespace_settings(&name).await?;
            if !is_match(&headers, header::IF_MATCH, &tag(version)) {
                return Err(Problem::precondition_failed(
                    "somebody has changed these quotas meanwhile: look at them again",
                ));
            }
            Some(version)
        }
    };
    let ledger = &api.ledger;
    let version = ledger
        .set_namespace_settings(&who.actor, &name, version, wanted.clone())
        .await?;
    tracing::info!(name, by = who.actor.name, "quotas set");
    Ok(answered(wanted, version))
}

fn tag(version: i64) -> String {
    format!("\"{version}\"")
}

fn answered(settings: NamespaceSettings, version: i64) -> Response {
    let mut response = Reply(Quotas::from(settings)).into_response();
    let tag = HeaderValue::from_str(&tag(version)).expect("a number in quotes is ASCII");
    response.headers_mut().insert(header::ETAG, tag);
    response
}
