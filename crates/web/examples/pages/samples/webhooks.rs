//! Webhooks.

use helve_web::pages::{Delivery, DeliveryState, NewSecret, Webhook, WebhookPage, Webhooks, webhook, webhooks};

use super::{Add, DAY, HOUR, MINUTE, Make, NOW, Text};

fn one(text: &Text, id: &str, url: &str, events: &[&str], enabled: bool) -> Webhook {
    Webhook {
        id: text.t(id),
        url: text.t(url),
        events: text.list(events),
        enabled,
        made: NOW - 3 * DAY,
        by: text.t("mira@acme.example"),
    }
}

pub(crate) fn add(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let secret = |webhook: &str| NewSecret {
        webhook: text.t(webhook),
        text: text.t("whsec_3vXJ0y8m0q2mJm7mJq2o3l8l9a1b2c3d4e5f6g7h8i9="),
    };
    let list = Webhooks {
        rows: vec![
            one(
                text,
                "8c1f0a52b7d94e63",
                "https://hooks.acme.example/helve",
                &["run.finished", "finding.new", "crash.found"],
                true,
            ),
            one(
                text,
                "f20b9d3375aa41c8",
                "https://***@tickets.acme.example:8443/in?***",
                &["finding.new"],
                false,
            ),
        ],
        made: Some(secret("8c1f0a52b7d94e63")),
    };
    let none = Webhooks {
        rows: Vec::new(),
        made: None,
    };
    add("webhooks", webhooks(&admin("/settings/webhooks"), &list));
    add("webhooks-none", webhooks(&admin("/settings/webhooks"), &none));
    add("webhooks-viewer", webhooks(&viewer("/settings/webhooks"), &none));
    let told = |id: &str, event: &str, state, ago, attempts, next, answer: Option<&str>| Delivery {
        id: text.t(id),
        event: text.t(event),
        state,
        at: NOW - ago,
        attempts,
        next,
        answer: answer.map(|answer| text.t(answer)),
    };
    let page = WebhookPage {
        webhook: one(
            text,
            "8c1f0a52b7d94e63",
            "https://hooks.acme.example/helve",
            &["run.finished", "finding.new"],
            true,
        ),
        made: None,
        deliveries: vec![
            told("a1", "webhook.test", DeliveryState::Pending, 500, 0, Some(NOW), None),
            told(
                "a2",
                "finding.new",
                DeliveryState::Pending,
                40 * MINUTE,
                6,
                Some(NOW + 3 * MINUTE),
                Some("503 Service Unavailable after 12 ms"),
            ),
            told(
                "a3",
                "run.finished",
                DeliveryState::Delivered,
                3 * HOUR,
                1,
                None,
                Some("204 No Content after 31 ms"),
            ),
            told(
                "a4",
                "run.finished",
                DeliveryState::Dead,
                3 * DAY,
                20,
                None,
                Some("its host is at no public address; whoever runs Helve can allow it with --webhook-allow"),
            ),
        ],
    };
    add("webhook", webhook(&admin("/settings/webhooks/8c1f0a52b7d94e63"), &page));
    let off = WebhookPage {
        webhook: Webhook {
            enabled: false,
            ..page.webhook.clone()
        },
        made: Some(secret("8c1f0a52b7d94e63")),
        deliveries: Vec::new(),
    };
    add(
        "webhook-disabled",
        webhook(&admin("/settings/webhooks/8c1f0a52b7d94e63"), &off),
    );
}
