//! Webhooks: who is told what happens, and what became of it.

use maud::{Markup, html};

use super::settings::tabs;
use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, code, confirm, empty, icon, section};
use crate::routes::{self, actions, pages};
use crate::text::{Plain, name, short};
use crate::time::{Millis, when};
use crate::words::Role;

/// Events that a webhook can listen to, with what they mean.
const EVENTS: [(&str, &str); 3] = [
    ("run.finished", "A run ended"),
    ("finding.new", "A run found something new"),
    ("crash.found", "A fuzzer found a new crash"),
];

/// The webhooks of a namespace.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Oldest first. Empty for who may not see them.
    pub rows: Vec<Webhook>,
    /// One that was just made or was given another secret: the only time it is shown.
    pub made: Option<NewSecret>,
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Where to, without what may be secret of it.
    pub url: String,
    /// Names of events.
    pub events: Vec<String>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// When it was made.
    pub made: Millis,
    /// Who made it.
    pub by: String,
}

/// What signs, to be shown once.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Of this webhook.
    pub webhook: String,
    /// Its text.
    pub text: String,
}

/// One webhook, with what it was told.
#[derive(Debug, Clone)]
pub struct WebhookPage {
    /// The webhook.
    pub webhook: Webhook,
    /// Its secret, if it was just given another one.
    pub made: Option<NewSecret>,
    /// Newest first.
    pub deliveries: Vec<Delivery>,
}

/// Something that a webhook is or was to be told.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: String,
    /// The event's name.
    pub event: String,
    /// How it stands.
    pub state: DeliveryState,
    /// When that happened.
    pub at: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried again.
    pub next: Option<Millis>,
    /// What the last attempt came to.
    pub answer: Option<String>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be told.
    Pending,
    /// Told.
    Delivered,
    /// Given up.
    Dead,
}

/// The webhooks of a namespace.
pub fn webhooks(frame: &Frame, model: &Webhooks) -> String {
    let body = html! {
        (tabs(pages::WEBHOOKS))
        @if let Some(made) = &model.made { (shown_once(made)) }
        @if frame.may(Role::Admin) {
            section.card.flush aria-labelledby="webhooks-title" {
                header.card-head { h2 #webhooks-title { "Webhooks" } }
                @if model.rows.is_empty() {
                    (empty("arrow", "No webhooks", &html! { p { "A webhook tells another program when a run ends or finds something new." } }))
                } @else { (table(frame, &model.rows)) }
            }
            (section("new-title", "New webhook", &html! {}, &form(frame, None)))
        } @else {
            section.card {
                (empty("key", "For administrators", &html! { p { "The webhooks of this namespace are for administrators." } }))
            }
        }
    };
    draw(frame, "Webhooks", body)
}

/// One webhook.
pub fn webhook(frame: &Frame, model: &WebhookPage) -> String {
    let webhook = &model.webhook;
    let one = |what: &str, label: &str, class: &str| {
        html! {
            form method="post" action=(routes::action(actions::WEBHOOK, &webhook.id)) {
                (frame.csrf())
                button class=(class) type="submit" name="do" value=(what) { (label) }
            }
        }
    };
    let body = html! {
        (tabs(pages::WEBHOOKS))
        @if let Some(made) = &model.made { (shown_once(made)) }
        section.card.flush aria-labelledby="deliveries-title" {
            header.card-head {
                h2 #deliveries-title { "Deliveries" }
                @if webhook.enabled { (one("test", "Send a test", "")) }
            }
            @if model.deliveries.is_empty() {
                (empty("arrow", "Nothing yet", &html! { p { "What it is told is listed here for a week." } }))
            } @else { (deliveries(frame, &webhook.id, &model.deliveries)) }
        }
        (section("change-title", "Change", &html! {}, &form(frame, Some(webhook))))
        (section("more-title", "More", &html! {}, &html! {
            div.joined {
                @if webhook.enabled { (one("disable", "Disable", "")) } @else { (one("enable", "Enable", "primary")) }
                (confirm("New secret", "The old one signs nothing more, also not what is sent again.", &one("rotate", "Make a new secret", "danger")))
                (confirm("Delete", "What it was still to be told is forgotten.", &one("delete", "Delete", "danger")))
            }
        }))
    };
    draw(frame, "Webhook", body)
}

fn draw(frame: &Frame, title: &str, body: Markup) -> String {
    let page = Page {
        title,
        area: Some(Area::Settings),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn shown_once(made: &NewSecret) -> Markup {
    html! {
        div.notice.good.token-made role="status" {
            (icon("key"))
            div {
                p { "What signs for the webhook " strong { (name(&made.webhook)) } ". It is shown only now: give it to the receiver." }
                p.joined {
                    code.secret #secret-text { (Plain(&made.text)) }
                    button type="button" data-copy="#secret-text" hidden { "Copy" }
                }
            }
        }
    }
}

fn table(frame: &Frame, rows: &[Webhook]) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Webhook" } th scope="col" { "Told of" } th scope="col" { "Made" } th scope="col" { "State" }
                }
            }
            tbody {
                @for row in rows {
                    tr.over[!row.enabled] {
                        th.lead scope="row" {
                            a href=(routes::webhook(&row.id)) { (name(&row.url)) }
                            span.under { (name(&row.id)) }
                        }
                        (cell("Told of", &html! { span.tags { @for event in &row.events { span.tag { (name(event)) } } } }))
                        (cell("Made", &html! { (when(frame.now, row.made)) " by " (name(&row.by)) }))
                        (cell("State", &html! { @if row.enabled { "Enabled" } @else { span.tag { "Disabled" } } }))
                    }
                }
            }
        }
    }
}

fn deliveries(frame: &Frame, webhook: &str, rows: &[Delivery]) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "Attempts" }
                    th scope="col" { "Last answer" } th scope="col" { span.unseen { "Actions" } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th.lead scope="row" { (name(&row.event)) span.under { (code(&row.id)) " · " (when(frame.now, row.at)) } }
                        (cell("State", &html! {
                            @match (row.state, row.next) {
                                (DeliveryState::Delivered, _) => "Delivered",
                                (DeliveryState::Dead, _) => span.warn { "Given up" },
                                (DeliveryState::Pending, Some(at)) if row.attempts > 0 => { "Tried again " (when(frame.now, at)) },
                                (DeliveryState::Pending, _) => "Waiting",
                            }
                        }))
                        (cell("Attempts", &html! { (row.attempts) }))
                        (cell("Last answer", &html! { @match &row.answer { Some(answer) => (Plain(answer)), None => span.faint { "none yet" } } }))
                        td.end {
                            form method="post" action=(routes::action(actions::WEBHOOK, webhook)) {
                                (frame.csrf())
                                input type="hidden" name="delivery" value=(row.id);
                                button type="submit" name="do" value="again" { "Send again" span.unseen { " " (Plain(&row.id)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// For a new one, or to change one: then an empty address stays what it is, since it is not shown whole.
fn form(frame: &Frame, webhook: Option<&Webhook>) -> Markup {
    let action = webhook.map_or_else(
        || actions::WEBHOOK_NEW.to_owned(),
        |webhook| routes::action(actions::WEBHOOK, &webhook.id),
    );
    let listens = |event: &str| webhook.is_none_or(|webhook| webhook.events.iter().any(|known| known == event));
    html! {
        form.fields.row method="post" action=(action) {
            (frame.csrf())
            div.field.whole {
                label for="webhook-url" { "Address" }
                input.mono #webhook-url type="url" name="url" required[webhook.is_none()] maxlength="2048" autocomplete="off"
                    placeholder=(webhook.map_or_else(|| "https://hooks.example.org/helve".to_owned(), |webhook| short(&webhook.url, 120)))
                    aria-describedby="webhook-url-help";
                p.help #webhook-url-help {
                    @if webhook.is_some() { "Empty: it stays as it is. " }
                    "A public host, unless whoever runs Helve allows others."
                }
            }
            fieldset.field.whole {
                legend { "Told of" }
                div.options {
                    @for (event, meaning) in EVENTS {
                        label.option { input type="checkbox" name="events" value=(event) checked[listens(event)]; span { (meaning) } }
                    }
                }
            }
            div.submit {
                @if webhook.is_some() { button.primary type="submit" name="do" value="change" { "Change" } }
                @else { button.primary type="submit" { "Create" } }
            }
        }
    }
}
