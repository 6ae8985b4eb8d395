//! Small parts that many pages have.

use maud::{Markup, PreEscaped, html};

use crate::text::{Plain, name};
use crate::time::number;
use crate::words::{Presence, RunState, Severity, SeverityCounts, StepState, Triage, WorkerState};

/// The path of an icon of lines, 24 by 24.
pub(crate) fn picture(which: &str) -> &'static str {
    match which {
        "home" => "M4 11l8-7 8 7v9h-5v-6h-6v6H4z",
        "run" => "M7 4.5v15l12-7.5z",
        "finding" => "M12 3l7.5 3v5.5c0 4.6-3.1 7.9-7.5 9.5-4.4-1.6-7.5-4.9-7.5-9.5V6z M12 8v5 M12 16v.5",
        "workflow" => "M4 4h6v6H4z M14 14h6v6h-6z M10 7h4.5a2.5 2.5 0 0 1 2.5 2.5V14",
        "clock" => "M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 0 0 0-17z M12 8v4.5l3 2",
        "worker" => "M4 5h16v6H4z M4 13h16v6H4z M7.5 8h.5 M7.5 16h.5",
        "module" => "M12 3l8 4.5v9L12 21l-8-4.5v-9z M4 7.5l8 4.5 8-4.5 M12 12v9",
        "settings" => "M4 7h9 M17 7h3 M4 17h3 M11 17h9 M15 5v4 M9 15v4",
        "more" => "M7 10l5 5 5-5",
        "leave" => "M14 4H5v16h9 M10 12h10 M17 9l3 3-3 3",
        "check" => "M5 12.5l4.5 4.5L19 7",
        "alert" => "M12 4l9 16H3z M12 10v4 M12 17v.5",
        "cross" => "M6 6l12 12 M18 6L6 18",
        "dash" => "M6 12h12",
        "dots" => "M6 12h.5 M12 12h.5 M18 12h.5",
        "spin" => "M12 4a8 8 0 1 1-8 8",
        "upload" => "M12 16V4 M7 9l5-5 5 5 M4 16v4h16v-4",
        "file" => "M6 3h8l4 4v14H6z M14 3v4h4",
        "search" => "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13z M15.5 15.5L20 20",
        "arrow" => "M5 12h14 M13 6l6 6-6 6",
        "key" => "M8 11a4 4 0 1 0 0 8a4 4 0 0 0 0-8z M11 12l8-8 M16 7l3 3",
        "back" => "M20 12a8 8 0 1 1-3-6.2 M20 4v4h-4",
        _ => "",
    }
}

/// An icon. It says nothing by itself: words stand beside it.
pub(crate) fn icon(which: &str) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" focusable="false" { path d=(picture(which)) {} }
    }
}

/// Icon of a state, which its class colours.
pub(crate) fn step_icon(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "dots",
        StepState::Running => "spin",
        StepState::Completed => "check",
        StepState::Inconclusive => "alert",
        StepState::Failed | StepState::Cancelled => "cross",
        StepState::Skipped => "dash",
    }
}

pub(crate) fn step_badge(state: StepState) -> Markup {
    html! { span class={ "badge st-" (state.name()) } { (icon(step_icon(state))) (state.label()) } }
}

pub(crate) fn run_badge(state: RunState) -> Markup {
    let picture = match state {
        RunState::Running => "spin",
        RunState::Completed => "check",
        RunState::Inconclusive => "alert",
        RunState::Failed | RunState::Cancelled | RunState::Terminated => "cross",
        RunState::TimedOut => "clock",
    };
    html! { span class={ "badge st-" (state.name()) } { (icon(picture)) (state.label()) } }
}

pub(crate) fn worker_badge(state: WorkerState) -> Markup {
    let (class, picture) = match state {
        WorkerState::Ready => ("completed", "check"),
        WorkerState::Draining => ("inconclusive", "dash"),
        WorkerState::Lost => ("failed", "alert"),
    };
    html! { span class={ "badge st-" (class) } { (icon(picture)) (state.label()) } }
}

pub(crate) fn severity(severity: Severity) -> Markup {
    html! { span class={ "sev sev-" (severity.name()) } { (severity.label()) } }
}

pub(crate) fn triage(triage: Triage) -> Markup {
    html! { span class={ "tag tr-" (triage.name()) } { (triage.label()) } }
}

pub(crate) fn presence(presence: Presence) -> Markup {
    html! { span class={ "tag pr-" (presence.name()) } { (presence.label()) } }
}

/// Numbers by severity in a row, those that are none left out.
pub(crate) fn counts(counts: &SeverityCounts) -> Markup {
    html! {
        @if counts.total() == 0 {
            span.faint { "None" }
        } @else {
            span.counts {
                @for one in Severity::ALL.iter().filter(|one| counts.of(**one) > 0) {
                    span class={ "count sev-" (one.name()) } title=(one.label()) {
                        (number(counts.of(*one))) span.unseen { " " (one.name()) " " }
                    }
                }
            }
        }
    }
}

/// A part of a page with a heading.
pub(crate) fn section(id: &str, title: &str, beside: &Markup, body: &Markup) -> Markup {
    html! {
        section.card aria-labelledby=(id) {
            header.card-head { h2 id=(id) { (title) } (beside) }
            (body)
        }
    }
}

/// Facts as names and values; those without a value are for the caller to leave out.
pub(crate) fn facts(list: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (label, value) in list {
                div { dt { (Plain(label)) } dd { (value) } }
            }
        }
    }
}

/// What stands where nothing is: why, and what to do.
pub(crate) fn empty(picture: &str, title: &str, text: &Markup) -> Markup {
    html! {
        div.empty {
            (icon(picture))
            p.empty-title { (title) }
            div.empty-text { (text) }
        }
    }
}

/// Labels.
pub(crate) fn tags(tags: &[String]) -> Markup {
    html! {
        @if !tags.is_empty() {
            ul.tags aria-label="Tags" { @for tag in tags { li.tag { (name(tag)) } } }
        }
    }
}

/// A cell that a phone shows with its column's name.
pub(crate) fn cell(label: &str, value: &Markup) -> Markup {
    html! { td data-label=(label) { (value) } }
}

/// The way to further rows. `count` says what is shown, such as `50 of 1,204`.
pub(crate) fn pager(count: &str, first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        nav.pager aria-label="Pages" {
            span.faint { (count) }
            @if let Some(first) = first { a.button href=(first) { "First page" } }
            @if let Some(next) = next { a.button href=(next) rel="next" { "Next page" (icon("arrow")) } }
        }
    }
}

/// A button that asks once more: the first press shows what would happen, the second does it.
pub(crate) fn confirm(label: &str, question: &str, form: &Markup) -> Markup {
    html! {
        details.menu.confirm data-menu {
            summary.button { (label) }
            div.menu-body { p { (question) } (form) }
        }
    }
}

/// A bar that is filled to a share; the words beside it say the same.
pub(crate) fn bar(done: u64, total: u64, label: &str) -> Markup {
    let share = if total == 0 {
        0.0
    } else {
        to_float(done.min(total)) / to_float(total)
    };
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.bar-back width="100" height="6" {}
            rect.bar-fill width=(PreEscaped(format!("{:.1}", share * 100.0))) height="6" {}
        }
    }
}

/// Severities as parts of one bar.
pub(crate) fn severity_bar(counts: &SeverityCounts) -> Markup {
    let total = to_float(counts.total().max(1));
    let mut at = 0.0;
    let parts: Vec<(Severity, f64, f64)> = Severity::ALL
        .iter()
        .map(|one| {
            let width = to_float(counts.of(*one)) / total * 100.0;
            let part = (*one, at, width);
            at += width;
            part
        })
        .collect();
    html! {
        svg.bar.severity-bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.bar-back width="100" height="6" {}
            @for (one, x, width) in parts.iter().filter(|(_, _, width)| *width > 0.0) {
                rect class={ "fill-" (one.name()) } x=(format!("{x:.2}")) width=(format!("{width:.2}")) height="6" {}
            }
        }
    }
}

/// A number for drawing.
#[expect(clippy::cast_precision_loss, reason = "a pixel more or less")]
pub(crate) fn to_float(n: u64) -> f64 {
    n as f64
}

/// What findings leave as: the name in addresses, and the one for people.
const FORMATS: [(&str, &str); 6] = [
    ("sarif", "SARIF"),
    ("html", "HTML report"),
    ("csv", "CSV"),
    ("json", "JSON"),
    ("junit", "JUnit"),
    ("vex", "CycloneDX VEX"),
];

/// A menu of files to get, one for each format.
pub(crate) fn export_menu(address: impl Fn(&str) -> String) -> Markup {
    html! {
        details.menu data-menu {
            summary.button { "Export" (icon("more")) }
            div.menu-body { ul.menu-list { @for (format, label) in FORMATS {
                li { a href=(address(format)) download { (label) } }
            } } }
        }
    }
}

/// A text that wraps anywhere and is set in the font of code.
pub(crate) fn code(text: &str) -> Markup {
    html! { code { bdi { (Plain(text)) } } }
}

/// `path:12`.
pub(crate) fn place(path: &str, line: Option<u32>) -> Markup {
    html! {
        span.place { bdi { (Plain(path)) } @if let Some(line) = line { span.faint { ":" (line) } } }
    }
}
