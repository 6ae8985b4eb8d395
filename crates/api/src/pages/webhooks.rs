//! Webhooks, under the settings.

use axum::extract::State;
use axum::response::Response;
use helve_ledger::{DeliveryState, EventKind, NewWebhook, PageRequest, Role, Webhook, WebhookChange};
use helve_web::pages as drawn;
use helve_web::routes;

use super::visit::{Sent, Visit};
use super::{html, to};
use crate::extract::Path;
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Deliveries that are shown.
const DELIVERIES: usize = 100;

pub(super) async fn list(State(api): State<Api>, visit: Visit) -> Result<Response> {
    Ok(draw(&api, &visit, None))
}

fn draw(api: &Api, visit: &Visit, made: Option<drawn::NewSecret>) -> Response {
    let rows = match visit.caller.require(Role::Admin) {
        Ok(()) => api.ledger.webhooks(&visit.caller.namespace),
        Err(_) => Vec::new(),
    };
    let rows = rows.into_iter().map(shown).collect();
    html(drawn::webhooks(&visit.frame, &drawn::Webhooks { rows, made }))
}

fn shown(webhook: Webhook) -> drawn::Webhook {
    drawn::Webhook {
        id: webhook.id,
        url: helve_webhooks::shown(&webhook.url),
        events: webhook.events.iter().map(ToString::to_string).collect(),
        enabled: webhook.is_enabled,
        made: webhook.created_at.millis(),
        by: webhook.created_by,
    }
}

fn events(sent: &Sent) -> Result<Vec<EventKind>> {
    let parsed = sent.all("events").map(str::parse::<EventKind>);
    Ok(parsed.collect::<Result<_, helve_ledger::Error>>()?)
}

/// What signs is in this answer, and nowhere else.
pub(super) async fn make(State(api): State<Api>, visit: Visit, sent: Sent) -> Result<Response> {
    visit.caller.require(Role::Admin)?;
    let new = NewWebhook {
        namespace: visit.caller.namespace.clone(),
        url: sent.get("url").to_owned(),
        events: events(&sent)?,
        secret: None,
    };
    let actor = &visit.caller.principal.actor;
    let (webhook, secret) = api.ledger.create_webhook(actor, new).await?;
    let made = drawn::NewSecret {
        webhook: webhook.id,
        text: secret.reveal().to_owned(),
    };
    Ok(draw(&api, &visit, Some(made)))
}

pub(super) async fn show(State(api): State<Api>, visit: Visit, Path(id): Path<String>) -> Result<Response> {
    draw_one(&api, &visit, &id, None).await
}

async fn draw_one(api: &Api, visit: &Visit, id: &str, made: Option<drawn::NewSecret>) -> Result<Response> {
    visit.caller.require(Role::Admin)?;
    let namespace = &visit.caller.namespace;
    let webhook = api.ledger.webhook(namespace, id)?;
    let request = PageRequest {
        cursor: None,
        limit: Some(DELIVERIES),
    };
    let page = api.ledger.list_deliveries(namespace, id, request).await?;
    let deliveries = page.items.into_iter().map(|delivery| drawn::Delivery {
        id: delivery.id,
        event: delivery.event.to_string(),
        state: match delivery.state {
            DeliveryState::Pending => drawn::DeliveryState::Pending,
            DeliveryState::Delivered => drawn::DeliveryState::Delivered,
            DeliveryState::Dead => drawn::DeliveryState::Dead,
        },
        at: delivery.created_at.millis(),
        attempts: delivery.attempts,
        next: delivery.next_at.map(helve_ledger::Time::millis),
        answer: delivery.answer,
    });
    let model = drawn::WebhookPage {
        webhook: shown(webhook),
        made,
        deliveries: deliveries.collect(),
    };
    Ok(html(drawn::webhook(&visit.frame, &model)))
}

/// What one of the forms of a webhook's page asks for.
pub(super) async fn act(State(api): State<Api>, visit: Visit, Path(id): Path<String>, sent: Sent) -> Result<Response> {
    visit.caller.require(Role::Admin)?;
    let (actor, namespace) = (&visit.caller.principal.actor, &visit.caller.namespace);
    let change = match sent.get("do") {
        "change" => WebhookChange {
            url: Some(sent.get("url").to_owned()).filter(|url| !url.is_empty()),
            events: Some(events(&sent)?),
            is_enabled: None,
        },
        enabled @ ("enable" | "disable") => WebhookChange {
            is_enabled: Some(enabled == "enable"),
            ..WebhookChange::default()
        },
        "test" => {
            api.ledger.test_webhook(actor, namespace, &id).await?;
            return Ok(to(&routes::webhook(&id)));
        }
        "again" => {
            api.ledger
                .redeliver(actor, namespace, &id, sent.get("delivery"))
                .await?;
            return Ok(to(&routes::webhook(&id)));
        }
        "rotate" => {
            let changed = api
                .ledger
                .change_webhook_secret(actor, namespace, &id, None, None)
                .await?;
            let made = drawn::NewSecret {
                webhook: changed.0.id,
                text: changed.1.reveal().to_owned(),
            };
            return draw_one(&api, &visit, &id, Some(made)).await;
        }
        "delete" => {
            api.ledger.delete_webhook(actor, namespace, &id).await?;
            return Ok(to(routes::pages::WEBHOOKS));
        }
        _ => return Err(Problem::unprocessable("the form asks for nothing that there is")),
    };
    api.ledger.update_webhook(actor, namespace, &id, None, change).await?;
    Ok(to(&routes::webhook(&id)))
}
