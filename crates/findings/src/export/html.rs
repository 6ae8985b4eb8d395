//! One page with everything in it: no outside resource, charts as inline SVG, light and dark, printable.
//!
//! The page works without its script, which only filters. Texts go through maud, which escapes them; what could
//! deceive the eye (control characters, marks that turn the direction of writing) is spelled out. A content security
//! policy allows this style and this script by their hashes and nothing else, should an escape ever be missing.

mod chart;
mod entry;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::About;
use crate::{BaselineState, Finding, NotificationLevel, Report, Severity, Status};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");
/// SHA-256 of both, as the policy names them; a test computes them anew.
const STYLE_HASH: &str = "s087xYbkgHecIvYXaBCDitUAqoF5GOjvaEoDmIa1lsk=";
const SCRIPT_HASH: &str = "J6+SqRGu71Y3OCV8vA9ckqsD/qsbGn3/CYyYSVqphew=";

/// Findings on the page; a browser has trouble with many more.
const MAX_FINDINGS: usize = 10_000;
/// Notices on the page.
const MAX_NOTICES: usize = 500;

pub(super) fn write(report: &Report, about: &About) -> String {
    let findings = report.findings();
    let shown = &findings[..findings.len().min(MAX_FINDINGS)];
    let compared = findings.iter().any(|finding| finding.baseline.is_some());
    let title = match &about.target {
        Some(target) => format!("Security report: {}", visible(target)),
        None => "Security report".to_owned(),
    };
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#findings" { "Skip to the findings" }
                header {
                    h1 { (title) }
                    (facts(report, about))
                }
                main {
                    (gaps(report))
                    (summary(report, &findings, compared))
                    (chart::charts(report))
                    section aria-labelledby="findings" {
                        h2 #findings tabindex="-1" { "Findings" }
                        (filters(report, compared))
                        @if findings.is_empty() {
                            p.empty { (nothing_found(report)) }
                        }
                        @if findings.len() > shown.len() {
                            p.notice { (findings.len() - shown.len()) " less severe findings are not on this page, which holds at most "
                                (MAX_FINDINGS) ". The JSON and CSV exports have all of them." }
                        }
                        ol.findings {
                            @for finding in shown { (entry::entry(finding, report.rule(&finding.rule_id))) }
                        }
                    }
                    (notices(report))
                }
                footer { p { "Made by Helve " (env!("CARGO_PKG_VERSION")) "." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn facts(report: &Report, about: &About) -> Markup {
    let workflow = match about.workflow_version.is_empty() {
        true => about.workflow.clone(),
        false => format!("{} {}", about.workflow, about.workflow_version),
    };
    html! {
        dl.facts {
            div { dt { "Run" } dd { (visible(&about.run_id)) @if !about.status.is_empty() { " (" (visible(&about.status)) ")" } } }
            div { dt { "Workflow" } dd { (visible(&workflow)) } }
            @if let Some(time) = &about.finished_at {
                div { dt { "Ended" } dd { time datetime=(visible(time)) { (visible(time)) } } }
            }
            div {
                dt { "Modules" }
                dd {
                    @for (index, module) in report.modules.iter().enumerate() {
                        @if index > 0 { ", " }
                        (visible(&module.module)) " " (visible(&module.version))
                        @if module.status != Status::Completed { " (incomplete)" }
                    }
                    @if report.modules.is_empty() { "none" }
                }
            }
        }
    }
}

/// What was not looked at, before anything that could read as "clean".
fn gaps(report: &Report) -> Markup {
    let gaps: Vec<(&str, &str)> = report.inconclusive().collect();
    html! {
        @if !gaps.is_empty() {
            section.gaps aria-labelledby="gaps" {
                h2 #gaps { "Not everything was looked at" }
                p { "For these modules, no findings does not mean clean." }
                ul {
                    @for (module, reason) in gaps {
                        li { strong { (visible(module)) } ": " (visible(reason)) }
                    }
                }
            }
        }
    }
}

fn nothing_found(report: &Report) -> &'static str {
    let complete = report.inconclusive().next().is_none() && !report.modules.is_empty();
    match complete {
        true => "No findings.",
        false => "No findings, but not everything was looked at.",
    }
}

fn summary(report: &Report, findings: &[&Finding], compared: bool) -> Markup {
    let counts = report.counts();
    let new = findings
        .iter()
        .filter(|finding| finding.baseline == Some(BaselineState::New) && !finding.is_suppressed())
        .count();
    html! {
        section aria-labelledby="summary" {
            h2 #summary { "Summary" }
            ul.cards {
                li { span.number { (report.total()) } " findings" }
                @for severity in Severity::ALL.into_iter().rev() {
                    li class=(severity) { span.number { (counts.get(&severity).copied().unwrap_or(0)) } " " (severity) }
                }
                @if compared {
                    li { span.number { (new) } " new since the baseline" }
                }
                @if report.suppressed() > 0 {
                    li { span.number { (report.suppressed()) } " suppressed" }
                }
            }
        }
    }
}

/// Shown by the script, since without it they would do nothing.
fn filters(report: &Report, compared: bool) -> Markup {
    let with_findings = report.modules.iter().filter(|module| !module.findings.is_empty());
    let modules: Vec<&str> = with_findings.map(|module| module.module.as_str()).collect();
    html! {
        form #filters hidden {
            label { "Text" input #query type="search" autocomplete="off" placeholder="file, rule, message, owner"; }
            label {
                "Module"
                select #module {
                    option value="" { "all" }
                    @for module in modules { option value=(visible(module)) { (visible(module)) } }
                }
            }
            fieldset {
                legend { "Severity" }
                @for severity in Severity::ALL.into_iter().rev() {
                    label.check { input type="checkbox" name="severity" value=(severity) checked; " " (severity) }
                }
            }
            @if compared || report.suppressed() > 0 {
                fieldset {
                    legend { "Also" }
                    @if report.suppressed() > 0 {
                        label.check { input #suppressed type="checkbox"; " suppressed" }
                    }
                    @if compared {
                        label.check { input #unchanged type="checkbox" checked; " in the baseline" }
                    }
                }
            }
            p #shown role="status" {}
        }
    }
}

fn notices(report: &Report) -> Markup {
    let of_modules = report.modules.iter().flat_map(|module| {
        module
            .notifications
            .iter()
            .map(|notice| (Some(module.module.as_str()), notice))
    });
    let mut all: Vec<_> = of_modules
        .chain(report.notifications.iter().map(|notice| (None, notice)))
        .collect();
    all.sort_by_key(|(_, notice)| std::cmp::Reverse(notice.level));
    let word = |level: NotificationLevel| match level {
        NotificationLevel::Error => "error",
        NotificationLevel::Warning => "not looked at",
        NotificationLevel::Note => "note",
    };
    html! {
        @if !all.is_empty() {
            section aria-labelledby="notices" {
                h2 #notices { "Notices" }
                ul.notices {
                    @for (module, notice) in all.iter().take(MAX_NOTICES) {
                        li {
                            strong { (word(notice.level)) } ": "
                            @if let Some(module) = module { (visible(module)) ": " }
                            @if let Some(path) = &notice.path { code { (visible(path)) } ": " }
                            (visible(&notice.message))
                        }
                    }
                    @if all.len() > MAX_NOTICES {
                        li { "and " (all.len() - MAX_NOTICES) " more, which the JSON export has" }
                    }
                }
            }
        }
    }
}

/// Text in which nothing is hidden: control characters and marks that turn the direction of writing, with which a file
/// name or a line of code can look like another, are spelled out.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() || turns => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
