//! Helve's web pages: a view model in, HTML out.
//!
//! Pure. The crate knows no HTTP framework, no database and no clock. Whoever serves the pages
//!
//! - fills a [`Frame`] (who looks, when, in which namespace) and the model of a page (see [`pages`]), and calls the one
//!   function of that page, which returns a whole document, to be sent as [`HTML`] with all of [`HEADERS`];
//! - mounts the pages and the forms' actions at the patterns in [`routes`], and [`assets`] at [`routes::ASSETS`];
//! - reads what forms send: [`FindingFilter::from_pairs`] for the query of a list, [`form::read`] for parameters.
//!
//! A form field `csrf` comes with every form and must be checked. Pages that are live fetch themselves again when an event
//! comes, and swap the parts that changed: there are no fragments to serve, and without the script a reload does the same.
//!
//! Whatever a scanned repository controls (names, paths, snippets, messages) is escaped, and characters that make text
//! look like other text are shown as what they are. Scripts, styles and handlers are never inline, so that the policy in
//! [`HEADERS`] can forbid them.

pub mod assets;
mod chart;
mod filter;
pub mod form;
mod frame;
mod markdown;
pub mod pages;
mod parts;
pub mod routes;
mod text;
mod time;
mod words;

pub use chart::{LinePoint, SeverityPoint};
pub use filter::FindingFilter;
pub use frame::{Frame, Notice, User};
pub use time::Millis;
pub use words::{
    Confidence, Order, Presence, Role, RunState, Severity, SeverityCounts, StepState, THEME_COOKIE, Theme, Triage,
    WorkerState,
};

/// The media type of a page.
pub const HTML: &str = "text/html; charset=utf-8";

/// What every page is sent with. Only own files are loaded, no script turns text into HTML, nobody frames a page, and no
/// page is kept by a browser or a proxy.
pub const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];
