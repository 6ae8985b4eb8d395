//! Settings: who may do what.

use maud::{Markup, html};

use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, confirm, empty, icon, section};
use crate::routes::{self, actions, pages};
use crate::text::{Plain, name};
use crate::time::{Millis, when};
use crate::words::Role;

/// Settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tokens, those that work first. Empty for who may not see them.
    pub tokens: Vec<Token>,
    /// The token that was just made: the only time its text is shown.
    pub made: Option<NewToken>,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its id, which is not its text.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; none means everywhere.
    pub namespaces: Vec<String>,
    /// When it was made.
    pub made: Millis,
    /// When it ends.
    pub expires: Option<Millis>,
    /// When it was used last.
    pub used: Option<Millis>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Settings.
pub fn settings(frame: &Frame, model: &Settings) -> String {
    let admin = frame.may(Role::Admin);
    let body = html! {
        (tabs(pages::SETTINGS))
        @if let Some(made) = &model.made { (shown_once(made)) }
        @if admin {
            section.card.flush aria-labelledby="tokens-title" {
                header.card-head { h2 #tokens-title { "Tokens" } }
                @if model.tokens.is_empty() {
                    (empty("key", "No tokens", &html! { p { "A token lets a person, a script or a worker in." } }))
                } @else { (tokens(frame, &model.tokens)) }
            }
            (section("new-title", "New token", &html! {}, &new(frame)))
        } @else {
            section.card {
                (empty("key", "For administrators", &html! { p { "Tokens and the audit log of this namespace are for administrators." } }))
            }
        }
    };
    let page = Page {
        title: "Settings",
        area: Some(Area::Settings),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

/// The parts of the settings.
pub(super) fn tabs(here: &str) -> Markup {
    html! {
        nav.views aria-label="Settings" {
            @for (label, href) in [("Tokens", pages::SETTINGS), ("Webhooks", pages::WEBHOOKS), ("Audit log", pages::AUDIT)] {
                a href=(href) aria-current=[(here == href).then_some("page")] { (label) }
            }
        }
    }
}

fn shown_once(made: &NewToken) -> Markup {
    html! {
        div.notice.good.token-made role="status" {
            (icon("key"))
            div {
                p { "The token " strong { (name(&made.name)) } ". It is shown only now: keep it in a safe place." }
                p.joined {
                    code.secret #token-text { (Plain(&made.text)) }
                    button type="button" data-copy="#token-text" hidden { "Copy" }
                }
            }
        }
    }
}

fn tokens(frame: &Frame, tokens: &[Token]) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Token" } th scope="col" { "Role" } th scope="col" { "Namespaces" }
                    th scope="col" { "Last used" } th scope="col" { "Expires" } th scope="col" { span.unseen { "Actions" } }
                }
            }
            tbody {
                @for token in tokens {
                    @let over = token.revoked || token.expires.is_some_and(|at| at <= frame.now);
                    tr.over[over] {
                        th.lead scope="row" { (name(&token.name)) span.under { (name(&token.id)) " · made " (when(frame.now, token.made)) } }
                        (cell("Role", &html! { (token.role.label()) }))
                        (cell("Namespaces", &html! {
                            @if token.namespaces.is_empty() { "All" }
                            span.tags { @for one in &token.namespaces { span.tag { (name(one)) } } }
                        }))
                        (cell("Last used", &html! { @match token.used { Some(at) => (when(frame.now, at)), None => span.faint { "never" } } }))
                        (cell("Expires", &html! {
                            @match (token.revoked, token.expires) {
                                (true, _) => span.tag { "Revoked" },
                                (false, Some(at)) if at <= frame.now => span.tag { "Expired" },
                                (false, Some(at)) => (when(frame.now, at)),
                                (false, None) => span.warn { "never" },
                            }
                        }))
                        td.end {
                            @if !over {
                                (confirm("Revoke", "It stops working at once.", &html! {
                                    form method="post" action=(routes::action(actions::TOKEN_REVOKE, &token.id)) {
                                        (frame.csrf())
                                        button.danger type="submit" { span { "Revoke " (name(&token.name)) } }
                                    }
                                }))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn new(frame: &Frame) -> Markup {
    html! {
        form.fields.row method="post" action=(actions::TOKEN_NEW) {
            (frame.csrf())
            div.field {
                label for="token-name" { "What it is for" }
                input #token-name type="text" name="name" required maxlength="120" autocomplete="off" placeholder="CI of the payments team";
            }
            div.field {
                label for="token-role" { "Role" }
                select #token-role name="role" {
                    @for role in Role::ALL { option value=(role.name()) selected[*role == Role::Analyst] { (role.label()) } }
                }
            }
            div.field {
                label for="token-days" { "Works for (days)" }
                input.short #token-days type="number" name="days" value="90" min="1" max="3650" required;
            }
            fieldset.field.whole {
                legend { "Namespaces" }
                div.options {
                    @for namespace in &frame.namespaces {
                        label.option { input type="checkbox" name="namespaces" value=(namespace) checked[*namespace == frame.namespace]; span { (name(namespace)) } }
                    }
                }
                p.help { "None means all." }
            }
            div.submit { button.primary type="submit" { "Create" } }
        }
    }
}
