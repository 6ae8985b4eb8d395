//! Logging in: with a token, with a one-time link, or with an account elsewhere.

use maud::html;

use crate::frame::{Frame, Page, bare};
use crate::parts::icon;
use crate::routes::{self, actions};
use crate::text::{Plain, name};

/// The page to log in.
#[derive(Debug, Clone)]
pub struct Login {
    /// The code of a one-time link. The page sends it with a form, so that a preview of the link does not use it up.
    pub code: Option<String>,
    /// Path of this server that begins a login with an account elsewhere (OpenID Connect), and what that place is called.
    pub elsewhere: Option<(String, String)>,
    /// Why the last try did not work.
    pub problem: Option<String>,
    /// Where to go afterwards.
    pub next: String,
}

/// The page after a login elsewhere. A browser goes on from here with a request of this server's own, to which it adds the
/// cookies that it does not add to requests that another server caused.
pub fn signed_in(frame: &Frame, next: &str) -> String {
    let body = html! {
        section.card.login {
            h1 { "You are signed in" }
            p { a.button.primary.wide href=(routes::back_to(next)) { "Go on" } }
        }
    };
    let page = Page {
        title: "Signed in",
        body,
        ..Page::default()
    };
    bare(frame, &page)
}

/// The page to log in.
pub fn login(frame: &Frame, model: &Login) -> String {
    let problem = html! {
        @if let Some(problem) = &model.problem { p.notice.bad role="alert" { (icon("alert")) span { (Plain(problem)) } } }
    };
    let next = html! { (frame.csrf()) input type="hidden" name="next" value=(model.next); };
    let body = html! {
        @if let Some(code) = &model.code {
            section.card.login {
                h1 { "Sign in with this link" }
                (problem)
                p { "The link works once, and only for a few minutes." }
                form method="post" action=(actions::LOGIN) data-once {
                    (next)
                    input type="hidden" name="code" value=(code);
                    button.primary.wide type="submit" { "Sign in" }
                }
            }
        } @else {
            section.card.login {
                h1 { "Sign in" }
                (problem)
                form method="post" action=(actions::LOGIN) {
                    (next)
                    // Lets a password manager keep several tokens of one server apart.
                    input type="hidden" name="username" value=(frame.namespace) autocomplete="username";
                    div.field {
                        label for="token" { "Access token" }
                        input #token type="password" name="token" required autocomplete="current-password" spellcheck="false"
                            aria-describedby="token-help";
                        p.help #token-help { "From whoever runs this server, or from “Settings”, “Tokens” of an administrator." }
                    }
                    button.primary.wide type="submit" { "Sign in" }
                }
                @if let Some((address, place)) = &model.elsewhere {
                    p.or { span { "or" } }
                    a.button.wide href=(routes::back_to(address)) { span { "Sign in with " (name(place)) } }
                }
            }
            section.login-help {
                h2 { "On the machine that runs Helve?" }
                p { code { "helve up" } " prints a link that signs you in, once." }
            }
        }
        p.faint.version { "Helve " (Plain(&frame.version)) }
    };
    let page = Page {
        title: "Sign in",
        body,
        ..Page::default()
    };
    bare(frame, &page)
}
