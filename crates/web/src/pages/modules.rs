//! The modules: what analyses there are, and whether somebody can run them.

use maud::html;

use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, empty, icon, tags};
use crate::text::{message, name};

/// The modules.
#[derive(Debug, Clone)]
pub struct Modules {
    /// In the order of their names.
    pub rows: Vec<Module>,
}

/// One module.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// How it is made: built in, a program, WebAssembly.
    pub kind: String,
    /// Labels.
    pub tags: Vec<String>,
    /// Workflows that use it.
    pub used_by: Vec<String>,
    /// Why no worker can run it.
    pub problem: Option<String>,
}

/// The place of a module on the page.
pub(super) fn anchor(module: &str) -> String {
    let plain = module
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    format!("module-{}", plain.collect::<String>())
}

/// The modules.
pub fn modules(frame: &Frame, model: &Modules) -> String {
    let body = html! {
        @if model.rows.is_empty() {
            section.card {
                (empty("module", "No modules", &html! { p { "Put a folder with a " code { "module.yaml" } " into the toolbox of the server. It is found while the server runs." } }))
            }
        } @else {
            section.card.flush aria-label="Modules" {
                table.stack {
                    thead { tr { th scope="col" { "Module" } th scope="col" { "Kind" } th scope="col" { "Version" } th scope="col" { "Used by" } } }
                    tbody {
                        @for row in &model.rows {
                            tr id=(anchor(&row.name)) {
                                th.lead scope="row" {
                                    (name(&row.name))
                                    span.message { (message(&row.description)) }
                                    @if let Some(problem) = &row.problem { span.warn { (icon("alert")) (message(problem)) } }
                                    (tags(&row.tags))
                                }
                                (cell("Kind", &html! { (name(&row.kind)) }))
                                (cell("Version", &html! { (name(&row.version)) }))
                                (cell("Used by", &html! {
                                    @if row.used_by.is_empty() { span.faint.none { "–" } }
                                    @for (n, workflow) in row.used_by.iter().enumerate() {
                                        @if n > 0 { ", " }
                                        a href=(crate::routes::workflow(workflow)) { (name(workflow)) }
                                    }
                                }))
                            }
                        }
                    }
                }
            }
        }
    };
    let page = Page {
        title: "Modules",
        area: Some(Area::Modules),
        lead: html! { p.lead { "A module is one analysis. Workflows put them together." } },
        body,
        ..Page::default()
    };
    document(frame, &page)
}
