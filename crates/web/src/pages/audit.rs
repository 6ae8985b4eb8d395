//! The audit log: who changed what.

use maud::html;

use super::settings::tabs;
use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, code, empty, pager};
use crate::routes::{pages, with_query};
use crate::text::{Plain, name};
use crate::time::{Millis, counted, full, when};

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The last changes first.
    pub rows: Vec<AuditRow>,
    /// Whether these are not the first rows.
    pub further: bool,
    /// What leads to the rows after these.
    pub next: Option<String>,
}

/// One change.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// From where: an address, the command line, a schedule.
    pub from: String,
    /// What was done, such as `finding.triage`.
    pub action: String,
    /// To what.
    pub object: String,
    /// What else is known.
    pub detail: Option<String>,
}

/// The audit log.
pub fn audit(frame: &Frame, model: &Audit) -> String {
    let next = model
        .next
        .as_ref()
        .map(|cursor| with_query(pages::AUDIT, [("cursor", cursor.as_str())]));
    let first = model.further.then_some(pages::AUDIT);
    let body = html! {
        (tabs(pages::AUDIT))
        section.card.flush aria-label="Audit log" {
            @if model.rows.is_empty() {
                (empty("clock", "Nothing changed yet", &html! { p { "Every change is written here: who did what, to what, from where." } }))
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "What" } th scope="col" { "Who" } th scope="col" { "From" } th scope="col" { "When" }
                        }
                    }
                    tbody {
                        @for row in &model.rows {
                            tr {
                                th.lead scope="row" {
                                    (code(&row.action)) " " (name(&row.object))
                                    @if let Some(detail) = &row.detail { span.message { (Plain(detail)) } }
                                }
                                (cell("Who", &html! { (name(&row.actor)) }))
                                (cell("From", &html! { (name(&row.from)) }))
                                (cell("When", &html! { (when(frame.now, row.at)) span.under.nowrap { (full(row.at)) } }))
                            }
                        }
                    }
                }
            }
        }
        @if !model.rows.is_empty() {
            (pager(&counted(model.rows.len() as u64, "change", "changes"), first, next.as_deref()))
        }
    };
    let page = Page {
        title: "Audit log",
        area: Some(Area::Settings),
        above: &[("Settings", pages::SETTINGS)],
        body,
        ..Page::default()
    };
    document(frame, &page)
}
