//! Starting a run: which workflow, which target, with which parameters.

use maud::{Markup, html};

use super::workflow::WorkflowRow;
use crate::assets::ASSETS;
use crate::form::{Form, fields};
use crate::frame::{Area, Frame, Page, document};
use crate::parts::{empty, icon, section, tags};
use crate::routes::{self, actions, pages};
use crate::text::{Plain, message, name, short};
use crate::time::{Millis, bytes, relative};
use crate::words::Role;

/// The page that offers the workflows.
#[derive(Debug, Clone)]
pub struct Start {
    /// Those that can be started.
    pub workflows: Vec<WorkflowRow>,
}

/// The form that starts one workflow.
#[derive(Debug, Clone)]
pub struct StartForm {
    /// Its name.
    pub workflow: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Its parameters.
    pub form: Form,
    /// Targets that are here already, the last one first.
    pub targets: Vec<KnownTarget>,
    /// Id of the one that is chosen.
    pub chosen: Option<String>,
    /// Most bytes that can be uploaded.
    pub upload_limit: u64,
    /// Why it could not be started, for what belongs to no field.
    pub problems: Vec<String>,
    /// Why nobody would take its work now, such as a vertical without workers.
    pub warning: Option<String>,
}

/// A target that was uploaded before.
#[derive(Debug, Clone)]
pub struct KnownTarget {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was used last.
    pub used: Millis,
}

/// The page that offers the workflows.
pub fn start(frame: &Frame, model: &Start) -> String {
    let body = html! {
        @if model.workflows.is_empty() {
            section.card {
                (empty("workflow", "No workflows", &html! {
                    p { "The toolbox of this server is empty. Start it with " code { "--toolbox DIR" } ", or without it for the shipped one." }
                }))
            }
        } @else {
            ul.choices {
                @for workflow in &model.workflows {
                    li.card {
                        h2 { a.card-link href=(routes::start(&workflow.name)) { (name(&workflow.name)) } }
                        p { (message(&workflow.description)) }
                        div.card-foot {
                            (tags(&workflow.tags))
                            @if let Some(problem) = &workflow.problem { p.warn { (icon("alert")) (message(problem)) } }
                        }
                    }
                }
            }
        }
    };
    let page = Page {
        title: "Start a run",
        area: Some(Area::Runs),
        above: &[("Runs", pages::RUNS)],
        lead: html! { p.lead { "Choose a workflow. What it needs to know comes next." } },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

/// The form that starts one workflow.
pub fn start_form(frame: &Frame, model: &StartForm) -> String {
    let title = format!("Start {}", model.workflow);
    let body = html! {
        @if let Some(warning) = &model.warning { p.notice.warn { (icon("alert")) span { (message(warning)) } } }
        @if !model.problems.is_empty() {
            div.notice.bad role="alert" {
                (icon("alert"))
                ul { @for problem in &model.problems { li { (message(problem)) } } }
            }
        }
        form.start method="post" enctype="multipart/form-data" action=(routes::action(actions::START, &model.workflow)) data-upload {
            (frame.csrf())
            (section("target", "Target", &html! {}, &target(frame, model)))
            @if !model.form.fields.is_empty() {
                (section("parameters", "Parameters", &html! {}, &html! { div.fields { (fields(&model.form)) } }))
            }
            div.submit {
                button.primary type="submit" { (icon("run")) "Start" }
                a.button.quiet href=(pages::START) { "Another workflow" }
                div.upload-progress data-progress hidden {
                    progress max="100" value="0" aria-label="Upload" {}
                    span data-progress-text role="status" {}
                    button.quiet type="button" data-progress-stop { "Stop" }
                }
            }
            p.field-error data-upload-error role="alert" hidden {}
        }
    };
    let page = Page {
        title: &title,
        area: Some(Area::Runs),
        above: &[("Runs", pages::RUNS), ("Start a run", pages::START)],
        lead: html! {
            p.lead { (message(&model.description)) }
            p.faint { "Version " (Plain(&model.version)) " · " a href=(routes::workflow(&model.workflow)) { "What it does" } }
        },
        scripts: &[&ASSETS.upload],
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn target(frame: &Frame, model: &StartForm) -> Markup {
    html! {
        div.fields {
            // The file input works by itself; the script makes the whole area take files.
            @if frame.may(Role::Operator) { div.drop data-drop {
                (icon("upload"))
                label for="target-file" { "A file" }
                input #target-file type="file" name="target" data-limit=(model.upload_limit) aria-describedby="target-help";
                p.help #target-help {
                    "An archive of a folder (.tar, .tar.gz, .tar.zst), or one file, such as a package or a program. "
                    span data-drop-hint hidden { "Drop it here. " }
                    "At most " (bytes(model.upload_limit)) "."
                }
            } }
            @if !model.targets.is_empty() {
                div.field {
                    label for="target-id" { "One that is here already" }
                    select #target-id name="target_id" {
                        option value="" { "None" }
                        @for target in &model.targets {
                            option value=(target.id) selected[model.chosen.as_ref() == Some(&target.id)] {
                                (short(&target.name, 60)) " · " (bytes(target.size)) " · " (relative(frame.now, target.used))
                            }
                        }
                    }
                    @if frame.may(Role::Operator) { p.help { "A file that you choose above wins." } }
                }
            }
        }
    }
}
