//! The list of findings: filters, and decisions about many at once.

use maud::{Markup, html};

use super::overview::{severity_links, start_button};
use super::rows::{FindingRow, finding_table};
use crate::filter::FindingFilter;
use crate::frame::{Area, Frame, Page, document};
use crate::parts::{empty, export_menu, pager};
use crate::routes::{self, actions, pages, with_query};
use crate::text::short;
use crate::time::{counted, number};
use crate::words::{Order, Presence, Role, Severity, SeverityCounts, Triage};

/// The list of findings.
#[derive(Debug, Clone)]
pub struct Findings {
    /// What is shown.
    pub filter: FindingFilter,
    /// Whether the namespace has any findings at all.
    pub any: bool,
    /// How many there are with this filter, by severity and as if it named no severity, where that is known.
    pub counts: Option<SeverityCounts>,
    /// One page of them.
    pub rows: Vec<FindingRow>,
    /// Targets to choose from.
    pub targets: Vec<Facet>,
    /// Rules to choose from.
    pub rules: Vec<Facet>,
    /// Modules to choose from.
    pub modules: Vec<Facet>,
    /// Owners to choose from.
    pub owners: Vec<Facet>,
    /// Whether these are not the first rows.
    pub further: bool,
    /// What leads to the rows after these.
    pub next: Option<String>,
}

/// A value to choose from.
#[derive(Debug, Clone)]
pub struct Facet {
    /// The value.
    pub value: String,
    /// How many findings have it.
    pub count: u64,
}

/// The form of decisions about many.
const BULK: &str = "bulk";

/// The list of findings.
pub fn findings(frame: &Frame, model: &Findings) -> String {
    let decide = frame.may(Role::Analyst) && !model.rows.is_empty();
    let shown = model.rows.len() as u64;
    let total = total(model);
    let count = match total {
        Some(total) => format!("{} of {}", number(shown), counted(total, "finding", "findings")),
        None => counted(shown, "finding", "findings"),
    };
    let first = model.further.then(|| model.filter.href());
    let next = model.next.as_ref().map(|cursor| {
        let pairs = model.filter.pairs().into_iter().chain([("cursor", cursor.as_str())]);
        with_query(pages::FINDINGS, pairs)
    });
    let body = html! {
        @if !model.any {
            section.card { (nothing_yet(frame)) }
        } @else {
            (views(model))
            (filters(model))
            @if let Some(counts) = &model.counts {
                (severity_links(counts, &FindingFilter { severities: Vec::new(), ..model.filter.clone() }))
            }
            section.card.flush aria-label="Findings" {
                @if model.rows.is_empty() { (none(model)) }
                @else { (finding_table(frame, &model.rows, decide.then_some(BULK), true)) }
            }
            @if decide { (bulk(frame, model)) }
            @if !model.rows.is_empty() { (pager(&count, first.as_deref(), next.as_deref())) }
        }
    };
    let page = Page {
        title: "Findings",
        area: Some(Area::Findings),
        actions: html! {
            @if !model.rows.is_empty() {
                div.buttons {
                    (export_menu(|format| routes::export_findings(&frame.namespace, &model.filter, format)))
                }
            }
        },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

/// How many there are with the severities of the filter, where that is known.
fn total(model: &Findings) -> Option<u64> {
    let counts = model.counts?;
    let severities = &model.filter.severities;
    let of = |severity: &Severity| match severity {
        Severity::Critical => counts.critical,
        Severity::High => counts.high,
        Severity::Medium => counts.medium,
        Severity::Low => counts.low,
        Severity::Note => counts.note,
    };
    Some(match severities.is_empty() {
        true => counts.total(),
        false => severities.iter().map(of).sum(),
    })
}

/// Filters that people want most.
fn views(model: &Findings) -> Markup {
    html! {
        nav.views aria-label="Views" {
            @for (label, filter) in saved() {
                a href=(filter.href()) aria-current=[(core(&model.filter) == filter).then_some("true")] { (label) }
            }
        }
    }
}

/// A filter without what can be set beside a view.
fn core(filter: &FindingFilter) -> FindingFilter {
    FindingFilter {
        order: Order::Severity,
        severities: Vec::new(),
        text: String::new(),
        ..filter.clone()
    }
}

fn saved() -> [(&'static str, FindingFilter); 6] {
    [
        ("To do", FindingFilter::to_do()),
        (
            "New",
            FindingFilter {
                presence: vec![Presence::New],
                ..FindingFilter::to_do()
            },
        ),
        (
            "Reopened",
            FindingFilter {
                presence: vec![Presence::Reopened],
                ..FindingFilter::default()
            },
        ),
        (
            "Accepted risks",
            FindingFilter {
                triage: vec![Triage::AcceptedRisk],
                ..FindingFilter::default()
            },
        ),
        (
            "False positives",
            FindingFilter {
                triage: vec![Triage::FalsePositive],
                ..FindingFilter::default()
            },
        ),
        ("All", FindingFilter::default()),
    ]
}

fn filters(model: &Findings) -> Markup {
    let filter = &model.filter;
    let set = [&filter.target, &filter.rule, &filter.module, &filter.owner]
        .iter()
        .filter(|one| !one.is_empty())
        .count()
        + filter.triage.len()
        + filter.presence.len()
        + usize::from(filter.order != Order::Severity);
    // What a view says by its name need not be unfolded.
    let named = saved().into_iter().any(|(_, view)| view == core(filter));
    html! {
        form.filters method="get" action=(pages::FINDINGS) role="search" aria-label="Findings" {
            @for one in &filter.severities { input type="hidden" name="severity" value=(one.name()); }
            div.field.grow {
                label for="q" { "Search" }
                input #q type="search" name="q" value=(filter.text) placeholder="Words in title, message, path" data-search;
            }
            div.buttons {
                button type="submit" { "Show" }
                @if !filter.shows_all() { a.button.quiet href=(pages::FINDINGS) { "Reset" } }
            }
            details.more-filters open[set > 0 && !named] {
                summary { "Filters" @if set > 0 { " (" (set) ")" } }
                div.filter-grid {
                    (facet("target", "Target", &filter.target, &model.targets))
                    (facet("rule", "Rule", &filter.rule, &model.rules))
                    (facet("module", "Module", &filter.module, &model.modules))
                    (facet("owner", "Owner", &filter.owner, &model.owners))
                    div.field {
                        label for="order" { "Order" }
                        select #order name="order" {
                            @for order in Order::ALL {
                                option value=(order.name()) selected[*order == filter.order] { (order.label()) }
                            }
                        }
                    }
                    fieldset.field {
                        legend { "Decision" }
                        div.options { @for one in Triage::ALL {
                            (tick("triage", one.name(), one.label(), filter.triage.contains(one)))
                        } }
                    }
                    fieldset.field {
                        legend { "Since the run before" }
                        div.options { @for one in Presence::ALL {
                            (tick("presence", one.name(), one.label(), filter.presence.contains(one)))
                        } }
                    }
                }
            }
        }
    }
}

fn tick(field: &str, value: &str, label: &str, on: bool) -> Markup {
    html! { label.option { input type="checkbox" name=(field) value=(value) checked[on]; span { (label) } } }
}

fn facet(field: &str, label: &str, chosen: &str, values: &[Facet]) -> Markup {
    let listed = chosen.is_empty() || values.iter().any(|facet| facet.value == chosen);
    html! {
        div.field {
            label for=(field) { (label) }
            select id=(field) name=(field) {
                option value="" { "All" }
                // What was chosen stays chosen, even if nothing has it any more.
                @if !listed { option value=(chosen) selected { (short(chosen, 48)) } }
                @for facet in values {
                    option value=(facet.value) selected[facet.value == chosen] { (short(&facet.value, 48)) " (" (number(facet.count)) ")" }
                }
            }
        }
    }
}

fn bulk(frame: &Frame, model: &Findings) -> Markup {
    let query: Vec<(&str, &str)> = model.filter.pairs();
    html! {
        form.bulk id=(BULK) method="post" action=(actions::TRIAGE_MANY) aria-label="Decide about the selected findings" data-bulk {
            (frame.csrf())
            input type="hidden" name="next" value=(frame.here);
            input type="hidden" name="filter" value=(with_query("", query).trim_start_matches('?'));
            p.bulk-count { span data-bulk-count { "Select findings above" } }
            div.field {
                label for="bulk-state" { "Decide" }
                select #bulk-state name="state" required {
                    option value="" { "Choose…" }
                    @for one in Triage::ALL { option value=(one.name()) { (one.label()) } }
                }
            }
            div.field.grow {
                label for="bulk-comment" { "Comment" }
                input #bulk-comment type="text" name="comment" maxlength="2000" autocomplete="off";
            }
            div.field {
                label for="bulk-expires" { "Accepted until" }
                input #bulk-expires type="date" name="expires";
            }
            @if model.next.is_some() || model.further {
                @let all = total(model).map_or_else(|| "that fit".to_owned(), number);
                label.check.bulk-all {
                    input type="checkbox" name="all" value="true" data-bulk-all=(all);
                    span { "All " (all) ", not only those on this page" }
                }
            }
            button.primary type="submit" { "Apply" }
        }
    }
}

fn none(model: &Findings) -> Markup {
    let done = model.filter == FindingFilter::to_do();
    let (title, text) = if done {
        (
            "Nothing to do",
            html! { p { "Every finding has been decided about, or is gone. " a href=(pages::FINDINGS) { "Show all" } "." } },
        )
    } else {
        let worst = model.filter.severities.iter().any(|one| *one <= Severity::High);
        let word = if worst && model.counts.is_some_and(|counts| counts.total() > 0) {
            "None of these severities."
        } else {
            "No finding fits."
        };
        (
            "Nothing like that",
            html! { p { (word) " " a href=(pages::FINDINGS) { "Show all findings" } "." } },
        )
    };
    empty("search", title, &text)
}

fn nothing_yet(frame: &Frame) -> Markup {
    let text = html! {
        p { "Findings of all runs come together here: each once, with what was decided about it." }
        (start_button(frame))
    };
    empty("finding", "No findings yet", &text)
}
