//! Webhooks of a namespace, and what they were told. Administrators of the namespace only.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::{DeliveryInfo, DeliveryState, EventKind, NewWebhook, Role, Time, Webhook, WebhookChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::door::Caller;
use crate::extract::{Json, Path, Query, Reply, created, is_match, tag, tagged};
use crate::page::{Page, Paging};
use crate::problem::{FieldError, Problem, Result};
use crate::state::Api;

/// A webhook that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedWebhook {
    /// Where to, with `http://` or `https://`. A name and a password in it are sent as basic authorization.
    #[schema(example = "https://hooks.example.org/helve")]
    pub(crate) url: String,
    /// Of what: `run.finished`, `finding.new`, `crash.found`. All when nothing is said.
    #[serde(default)]
    pub(crate) events: Option<Vec<String>>,
    /// What signs, 16 to 256 characters; made when nothing is said. `whsec_` and base64, or any text, which then is the key
    /// itself.
    #[serde(default)]
    pub(crate) secret: Option<String>,
}

/// A change of a webhook. What is not said stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedWebhook {
    /// Where to.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Of what.
    #[serde(default)]
    pub(crate) events: Option<Vec<String>>,
    /// Whether it is told anything. What happens meanwhile is not told later; what already waits is.
    #[serde(default)]
    pub(crate) enabled: Option<bool>,
    /// Only if it is still this version. `If-Match` does the same.
    #[serde(default)]
    pub(crate) version: Option<i64>,
}

/// Another secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSecret {
    /// The secret; made when nothing is said.
    #[serde(default)]
    secret: Option<String>,
    /// Only if it is still this version.
    #[serde(default)]
    version: Option<i64>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// Names it.
    id: String,
    /// Where to. A name, a password and a query are left out: some receivers have their secret there.
    url: String,
    /// Of what.
    events: Vec<&'static str>,
    /// Whether it is told anything.
    enabled: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Who made it.
    created_by: String,
    /// Counts changes.
    version: i64,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            url: helve_webhooks::shown(&webhook.url),
            events: webhook.events.into_iter().map(EventKind::as_str).collect(),
            enabled: webhook.is_enabled,
            created_at: webhook.created_at,
            created_by: webhook.created_by,
            version: webhook.version,
        }
    }
}

/// A webhook with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeWebhook {
    /// What signs. It is shown this once.
    secret: String,
    /// The rest.
    webhook: WebhookView,
}

/// Something that a webhook is or was to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// Names it; the header `webhook-id` has it, on every attempt.
    id: String,
    /// What it tells of.
    event: &'static str,
    /// `pending`, `delivered`, or `dead` when it was given up.
    state: &'static str,
    /// When that happened.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Attempts so far.
    attempts: u32,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Time>,
    /// What the last attempt came to.
    answer: Option<String>,
    /// When it was told or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    done_at: Option<Time>,
}

impl From<DeliveryInfo> for DeliveryView {
    fn from(delivery: DeliveryInfo) -> Self {
        Self {
            id: delivery.id,
            event: delivery.event.as_str(),
            state: match delivery.state {
                DeliveryState::Pending => "pending",
                DeliveryState::Delivered => "delivered",
                DeliveryState::Dead => "dead",
            },
            created_at: delivery.created_at,
            attempts: delivery.attempts,
            next_at: delivery.next_at,
            answer: delivery.answer,
            done_at: delivery.done_at,
        }
    }
}

/// A delivery that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AskedDelivery {
    /// Its id: the deliveries of the webhook say what becomes of it.
    delivery: String,
}

fn accepted(delivery: String) -> Response {
    (StatusCode::ACCEPTED, Reply(AskedDelivery { delivery })).into_response()
}

fn kinds(names: Vec<String>) -> Result<Vec<EventKind>> {
    let kind = |name: String| {
        name.parse().map_err(|error: helve_ledger::Error| {
            Problem::unprocessable("there is no such event").with_errors([FieldError {
                field: "events".to_owned(),
                message: error.to_string(),
            }])
        })
    };
    names.into_iter().map(kind).collect()
}

/// The version that a change is for: that of the body, or the one that `If-Match` names.
fn wanted_version(
    api: &Api,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    version: Option<i64>,
) -> Result<Option<i64>> {
    let webhook = api.ledger.webhook(&caller.namespace, id)?;
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(version);
    }
    let now = webhook.version;
    let is_same = is_match(headers, header::IF_MATCH, &tag(&WebhookView::from(webhook))?);
    if !is_same || version.is_some_and(|version| version != now) {
        return Err(Problem::precondition_failed(format!(
            "the webhook is at version {now}: read it again and decide again"
        )));
    }
    Ok(Some(now))
}

/// List the webhooks of a namespace.
#[utoipa::path(get, path = "/webhooks", tag = "Webhooks", params(Paging, crate::openapi::Namespace),
    responses((status = 200, description = "Webhooks, oldest first", body = inline(Page<WebhookView>))))]
pub(crate) async fn list(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    let webhooks = api.ledger.webhooks(&caller.namespace);
    let views = webhooks.into_iter().map(WebhookView::from).collect();
    tagged(&headers, &paging.cut(views, |view: &WebhookView| view.id.clone())?)
}

/// Make a webhook. Its secret is in the answer, and nowhere else.
#[utoipa::path(post, path = "/webhooks", tag = "Webhooks", params(crate::openapi::Namespace), request_body = WantedWebhook,
    responses((status = 201, description = "The webhook", body = MadeWebhook)))]
pub(crate) async fn make(
    caller: Caller,
    State(api): State<Api>,
    Json(wanted): Json<WantedWebhook>,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    let new = NewWebhook {
        namespace: caller.namespace,
        url: wanted.url,
        events: wanted.events.map_or(Ok(EventKind::ALL.to_vec()), kinds)?,
        secret: wanted.secret,
    };
    let (webhook, secret) = api.ledger.create_webhook(&caller.principal.actor, new).await?;
    created(
        &format!("/api/v1/webhooks/{}", webhook.id),
        &MadeWebhook {
            secret: secret.reveal().to_owned(),
            webhook: webhook.into(),
        },
    )
}

/// Show a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), crate::openapi::Namespace),
    responses((status = 200, description = "The webhook", body = WebhookView)))]
pub(crate) async fn show(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    tagged(
        &headers,
        &WebhookView::from(api.ledger.webhook(&caller.namespace, &id)?),
    )
}

/// Change a webhook.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), crate::openapi::Namespace), request_body = ChangedWebhook,
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)))]
pub(crate) async fn change(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<ChangedWebhook>,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    let version = wanted_version(&api, &caller, &id, &headers, wanted.version)?;
    let change = WebhookChange {
        url: wanted.url,
        events: wanted.events.map(kinds).transpose()?,
        is_enabled: wanted.enabled,
    };
    let actor = &caller.principal.actor;
    let webhook = api
        .ledger
        .update_webhook(actor, &caller.namespace, &id, version, change)
        .await?;
    tagged(&HeaderMap::new(), &WebhookView::from(webhook))
}

/// Delete a webhook, with what it was still to be told.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), crate::openapi::Namespace),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode> {
    caller.require(Role::Admin)?;
    wanted_version(&api, &caller, &id, &headers, None)?;
    api.ledger
        .delete_webhook(&caller.principal.actor, &caller.namespace, &id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook another secret. Everything that is sent from now on is signed with it.
#[utoipa::path(post, path = "/webhooks/{id}/secret", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), crate::openapi::Namespace), request_body = WantedSecret,
    responses((status = 200, description = "The webhook with its secret", body = MadeWebhook)))]
pub(crate) async fn rotate(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(wanted): Json<WantedSecret>,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    let version = wanted_version(&api, &caller, &id, &headers, wanted.version)?;
    let actor = &caller.principal.actor;
    let (webhook, secret) = api
        .ledger
        .change_webhook_secret(actor, &caller.namespace, &id, version, wanted.secret)
        .await?;
    let made = MadeWebhook {
        secret: secret.reveal().to_owned(),
        webhook: webhook.into(),
    };
    Ok(Reply(made).into_response())
}

/// Tell a webhook something that means nothing, to see whether it is heard.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), crate::openapi::Namespace),
    responses((status = 202, description = "It will be told", body = AskedDelivery)))]
pub(crate) async fn test(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Response> {
    caller.require(Role::Admin)?;
    let actor = &caller.principal.actor;
    let delivery = api.ledger.test_webhook(actor, &caller.namespace, &id).await?;
    Ok(accepted(delivery))
}

/// List what a webhook is or was to be told. What was told or given up is forgotten after a week.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook"), Paging, crate::openapi::Namespace),
    responses((status = 200, description = "Deliveries, newest first", body = inline(Page<DeliveryView>))))]
pub(crate) async fn deliveries(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    caller.require(Role::Admin)?;
    let page = api
        .ledger
        .list_deliveries(&caller.namespace, &id, paging.request())
        .await?;
    tagged(&headers, &Page::from(page.map(DeliveryView::from)))
}

/// Tell it once more, also what was told or given up: at once, with all attempts before it.
#[utoipa::path(post, path = "/deliveries/{id}/again", tag = "Webhooks",
    params(("id" = String, Path, description = "The delivery"), crate::openapi::Namespace),
    responses((status = 202, description = "It will be told", body = AskedDelivery)))]
pub(crate) async fn again(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Response> {
    caller.require(Role::Admin)?;
    let webhook = api.ledger.webhook_of_delivery(&caller.namespace, &id).await?;
    let actor = &caller.principal.actor;
    api.ledger.redeliver(actor, &caller.namespace, &webhook.id, &id).await?;
    Ok(accepted(id))
}
