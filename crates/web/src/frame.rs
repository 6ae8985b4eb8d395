//! What is around every page: head, navigation, who is logged in.

use maud::{DOCTYPE, Markup, html};

use crate::assets::{ASSETS, Asset};
use crate::parts::icon;
use crate::routes::{self, RUN_EVENTS, actions, pages};
use crate::text::{Plain, name, short};
use crate::time::Millis;
use crate::words::{Role, Theme};

/// What all pages need to know.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The time at which the page is made.
    pub now: Millis,
    /// Who looks; none before the login.
    pub user: Option<User>,
    /// The namespace that the page shows.
    pub namespace: String,
    /// The namespaces that the user may see.
    pub namespaces: Vec<String>,
    /// What the field `csrf` of each form holds.
    pub csrf: String,
    /// Light or dark: what the cookie [`THEME_COOKIE`](crate::THEME_COOKIE) names.
    pub theme: Theme,
    /// What to say once, about what the user just did.
    pub notice: Option<Notice>,
    /// Path and query of the page, to come back to it.
    pub here: String,
    /// Version of Helve.
    pub version: String,
}

/// Who looks at a page.
#[derive(Debug, Clone)]
pub struct User {
    /// What the token, or the person, is called.
    pub name: String,
    /// What they may do in this namespace.
    pub role: Role,
}

/// What to say once at the top of a page.
#[derive(Debug, Clone)]
pub enum Notice {
    /// It worked.
    Done(String),
    /// It did not, and why.
    Problem(String),
}

impl Frame {
    /// Whether the user may do what somebody of this role may.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.user.as_ref().is_some_and(|user| user.role.may(role))
    }

    /// The hidden field that proves that a form came from a page of ours.
    pub(crate) fn csrf(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.csrf); }
    }
}

/// The parts of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    Overview,
    Runs,
    Findings,
    Workflows,
    Schedules,
    Workers,
    Modules,
    Settings,
}

const AREAS: [(Area, &str, &str, &str); 8] = [
    (Area::Overview, "Overview", "home", pages::OVERVIEW),
    (Area::Runs, "Runs", "run", pages::RUNS),
    (Area::Findings, "Findings", "finding", pages::FINDINGS),
    (Area::Workflows, "Workflows", "workflow", pages::WORKFLOWS),
    (Area::Schedules, "Schedules", "clock", pages::SCHEDULES),
    (Area::Workers, "Workers", "worker", pages::WORKERS),
    (Area::Modules, "Modules", "module", pages::MODULES),
    (Area::Settings, "Settings", "settings", pages::SETTINGS),
];

/// One page inside of the frame.
pub(crate) struct Page<'a> {
    /// For the browser's tab; and the heading, unless `heading` has another.
    pub(crate) title: &'a str,
    /// Which part of the navigation it belongs to.
    pub(crate) area: Option<Area>,
    /// Pages above it: label and address.
    pub(crate) above: &'a [(&'a str, &'a str)],
    /// In place of the title as heading.
    pub(crate) heading: Option<Markup>,
    /// Whether the body has the heading.
    pub(crate) headed: bool,
    /// Under the heading.
    pub(crate) lead: Markup,
    /// Beside the heading.
    pub(crate) actions: Markup,
    /// How it stays fresh.
    pub(crate) live: Live,
    /// Scripts beside the one that all pages have.
    pub(crate) scripts: &'a [&'a Asset],
    /// Everything else.
    pub(crate) body: Markup,
}

/// How a page stays fresh while it is open. Without a script it does not, and a reload shows the same.
pub(crate) enum Live {
    /// It does not.
    Still,
    /// It is fetched again every so many seconds.
    Every(u32),
    /// It is fetched again when an event comes from this address.
    Events(String),
}

impl Default for Page<'_> {
    fn default() -> Self {
        Self {
            title: "",
            area: None,
            above: &[],
            heading: None,
            headed: false,
            lead: html! {},
            actions: html! {},
            live: Live::Still,
            scripts: &[],
            body: html! {},
        }
    }
}

/// The whole document.
pub(crate) fn document(frame: &Frame, page: &Page<'_>) -> String {
    let body = html! {
        a.skip href="#main" { "Skip to the content" }
        @if let Some(user) = &frame.user { (top(frame, page, user)) }
        main #main tabindex="-1" {
            (notice(frame))
            @if !page.headed { (head(page)) }
            (page.body)
        }
        @if frame.user.is_some() { (keys()) }
    };
    shell(frame, page, "framed", &body)
}

fn head(page: &Page<'_>) -> Markup {
    html! {
            header.page-head {
                div.page-title {
                    @if !page.above.is_empty() {
                        nav.crumbs aria-label="Above this page" {
                            @for (label, href) in page.above {
                                a href=(href) { (name(label)) }
                                span aria-hidden="true" { "/" }
                            }
                        }
                    }
                    h1 {
                        @match &page.heading {
                            Some(heading) => (heading),
                            None => (name(page.title)),
                        }
                    }
                    (page.lead)
                }
                div.page-actions { (page.actions) }
            }
    }
}

/// A document without navigation, for who is not logged in.
pub(crate) fn bare(frame: &Frame, page: &Page<'_>) -> String {
    let body = html! {
        main.bare #main tabindex="-1" {
            a.brand href=(pages::OVERVIEW) { (mark()) span { "Helve" } }
            (notice(frame))
            (page.body)
        }
    };
    shell(frame, page, "plain", &body)
}

fn shell(frame: &Frame, page: &Page<'_>, class: &str, body: &Markup) -> String {
    let assets = &*ASSETS;
    let (every, events) = match &page.live {
        Live::Still => (None, None),
        Live::Every(seconds) => (Some(seconds.to_string()), None),
        Live::Events(address) => (None, Some(address.as_str())),
    };
    let live = every.is_some() || events.is_some();
    let names = events.map(|_| RUN_EVENTS.join(" "));
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(frame.theme.name()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (short(page.title, 100)) " · Helve" }
                link rel="icon" type="image/svg+xml" href=(assets.icon.href());
                link rel="stylesheet" href=(assets.style.href());
                script defer src=(assets.app.href()) {}
                @if live { script defer src=(assets.live.href()) {} }
                @for script in page.scripts { script defer src=(script.href()) {} }
            }
            body class=(class) data-every=[every] data-events=[events] data-names=[names] { (body) }
        }
    }
    .into_string()
}

fn notice(frame: &Frame) -> Markup {
    html! {
        @match &frame.notice {
            Some(Notice::Done(text)) => p.notice.good role="status" { (icon("check")) span { (Plain(text)) } },
            Some(Notice::Problem(text)) => p.notice.bad role="alert" { (icon("alert")) span { (Plain(text)) } },
            None => {},
        }
    }
}

fn top(frame: &Frame, page: &Page<'_>, user: &User) -> Markup {
    html! {
        header.side {
            a.brand href=(pages::OVERVIEW) { (mark()) span { "Helve" } }
            nav.areas aria-label="Main" {
                @for (area, label, picture, href) in AREAS {
                    a href=(href) aria-current=[(page.area == Some(area)).then_some("page")] {
                        (icon(picture)) span { (label) }
                    }
                }
            }
            div.side-end {
                (menu(frame, user))
            }
        }
    }
}

fn menu(frame: &Frame, user: &User) -> Markup {
    html! {
        details.menu data-menu {
            summary {
                span.who { span.who-name { (name(&user.name)) } span.who-place { (name(&frame.namespace)) } }
                (icon("more"))
            }
            div.menu-body {
                p.menu-fact { "Signed in as " strong { (name(&user.name)) } ", " (user.role.label().to_lowercase()) "." }
                @if frame.namespaces.len() > 1 {
                    form method="post" action=(actions::NAMESPACE) {
                        (frame.csrf())
                        input type="hidden" name="next" value=(frame.here);
                        label for="namespace" { "Namespace" }
                        div.joined {
                            select #namespace name="namespace" {
                                @for one in &frame.namespaces {
                                    option value=(one) selected[*one == frame.namespace] { (short(one, 60)) }
                                }
                            }
                            button type="submit" { "Switch" }
                        }
                    }
                }
                // Shown by the script: without it the system decides.
                fieldset.themes data-themes hidden {
                    legend { "Colours" }
                    @for theme in Theme::ALL {
                        label {
                            input type="radio" name="theme" value=(theme.name()) checked[*theme == frame.theme];
                            span { (theme.label()) }
                        }
                    }
                }
                p.menu-links {
                    button type="button" data-keys hidden { "Keys" }
                    a href=(routes::API_DOCS) { "API" }
                    span.faint { "Helve " (Plain(&frame.version)) }
                }
                form method="post" action=(actions::LOGOUT) {
                    (frame.csrf())
                    button type="submit" { (icon("leave")) "Sign out" }
                }
            }
        }
    }
}

/// Which keys do what: a dialog that the script opens.
fn keys() -> Markup {
    const KEYS: [(&str, &str); 8] = [
        ("/", "Search on this page"),
        ("j  k", "Next and previous row"),
        ("Enter", "Open the row"),
        ("x", "Select the row"),
        ("g o", "Overview"),
        ("g r", "Runs"),
        ("g f", "Findings"),
        ("?", "This list"),
    ];
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.keys {
                @for (key, meaning) in KEYS {
                    div { dt { kbd { (key) } } dd { (meaning) } }
                }
            }
            form method="dialog" { button type="submit" { "Close" } }
        }
    }
}

/// The mark: a helve is the handle of a tool.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false" {
            path.mark-head d="M5 3h8.5c3 0 5 2 5.5 5-2.4-1-4.6-1-7 0H5z" {}
            path.mark-helve d="M9 8.5v12.5" {}
        }
    }
}
