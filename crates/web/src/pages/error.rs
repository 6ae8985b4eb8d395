//! What went wrong, to what, and what to do.

use maud::html;

use crate::frame::{Frame, Page, bare, document};
use crate::parts::icon;
use crate::routes::pages;
use crate::text::Plain;

/// A page that could not be shown.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// The status code of HTTP.
    pub status: u16,
    /// What happened; none for the usual words of the status.
    pub detail: Option<String>,
    /// What to tell whoever runs the server, to find it in the logs.
    pub request: Option<String>,
}

/// The page of an error. Works without a user.
pub fn error(frame: &Frame, model: &ErrorPage) -> String {
    let (title, usual) = match model.status {
        401 => ("Sign in first", "This page is for people with a token."),
        403 => (
            "Not allowed",
            "Your role does not let you do this. Ask an administrator of this namespace.",
        ),
        404 => (
            "Not found",
            "There is nothing here: it was removed, is in another namespace, or never existed.",
        ),
        405 => (
            "Not possible here",
            "The page does not do what was asked of it. Go back and try from there.",
        ),
        409 => (
            "Changed meanwhile",
            "Somebody else changed it first. Load the page again and look.",
        ),
        413 => ("Too big", "What was sent is bigger than this server takes."),
        429 => ("Too many requests", "Wait a moment, then try again."),
        503 => (
            "Busy",
            "The server is starting, stopping or has too much to do. Try again in a moment.",
        ),
        400..=499 => ("That cannot be done", "The server did not understand what was sent."),
        _ => (
            "Something broke",
            "The server failed at this. Nothing that it had confirmed is lost.",
        ),
    };
    let body = html! {
        section.card.error-page {
            p.error-status { (icon("alert")) "Error " (model.status) }
            h1 { (title) }
            p { @match &model.detail { Some(detail) => (Plain(detail)), None => (usual) } }
            @if let Some(request) = &model.request {
                p.faint { "If you report this, name the request " code { (Plain(request)) } "." }
            }
            p.buttons {
                @if model.status == 401 || frame.user.is_none() {
                    a.button.primary href=(pages::LOGIN) { "Sign in" }
                } @else {
                    a.button.primary href=(pages::OVERVIEW) { "To the overview" }
                }
            }
        }
    };
    let page = Page {
        title,
        headed: true,
        body,
        ..Page::default()
    };
    match frame.user {
        Some(_) => document(frame, &page),
        None => bare(frame, &page),
    }
}
