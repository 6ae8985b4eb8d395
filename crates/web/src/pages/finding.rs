//! The page of a finding.

use maud::{Markup, html};

use super::rows::RunRow;
use crate::filter::FindingFilter;
use crate::frame::{Area, Frame, Page, document};
use crate::markdown;
use crate::parts::{code, facts, icon, place, presence, run_badge, section, severity, tags, triage};
use crate::routes::{self, actions, pages};
use crate::text::{Plain, message, name, short};
use crate::time::{Millis, full, when};
use crate::words::{Confidence, Presence, Role, Severity, Triage};

/// The page of a finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its id.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the rule is.
    pub confidence: Confidence,
    /// Short title of its rule.
    pub title: String,
    /// Id of its rule.
    pub rule: String,
    /// The module that reported it.
    pub module: String,
    /// What is wrong here.
    pub message: String,
    /// What the target is called.
    pub target: String,
    /// The file, relative to the target.
    pub path: String,
    /// The first line.
    pub line: Option<u32>,
    /// The code there, already redacted.
    pub snippet: Option<Snippet>,
    /// How data gets there, from where it comes in.
    pub flow: Vec<FlowStep>,
    /// What the rule looks for and why it matters, in Markdown.
    pub about: String,
    /// What to do, in Markdown.
    pub remediation: String,
    /// Weaknesses of the Common Weakness Enumeration: number and name.
    pub cwe: Vec<(u32, String)>,
    /// Where to read more.
    pub references: Vec<Reference>,
    /// Labels of the rule.
    pub tags: Vec<String>,
    /// Small facts from the module.
    pub properties: Vec<(String, String)>,
    /// The same weakness as other modules reported it.
    pub twins: Vec<Twin>,
    /// New, still there, reopened, gone.
    pub presence: Presence,
    /// What people decided.
    pub triage: Triage,
    /// Until when a risk is accepted.
    pub accepted_until: Option<Millis>,
    /// Where an ignore of it is written, such as a suppression file.
    pub suppressed: Option<String>,
    /// Who owns the file.
    pub owner: Option<String>,
    /// When it was found first.
    pub first_seen: Millis,
    /// When it was found last.
    pub last_seen: Millis,
    /// What it is recognised by.
    pub fingerprint: String,
    /// What was decided, the last first.
    pub history: Vec<Decision>,
    /// The last runs that looked, the newest first.
    pub runs: Vec<RunRow>,
}

/// Lines of a file.
#[derive(Debug, Clone)]
pub struct Snippet {
    /// Number of the first line, from 1.
    pub first: u32,
    /// The lines, without their ends.
    pub lines: Vec<String>,
    /// What is meant.
    pub mark: Option<Mark>,
}

/// A stretch of a file. Lines and columns start at 1, columns count Unicode code points, and `end_column` is the first
/// column after the stretch.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// First line.
    pub start_line: u32,
    /// First column of the first line.
    pub start_column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last one, on the last line.
    pub end_column: u32,
}

/// One place on the way of data.
#[derive(Debug, Clone)]
pub struct FlowStep {
    /// The file.
    pub path: String,
    /// The line.
    pub line: Option<u32>,
    /// What happens there.
    pub message: String,
    /// The code there.
    pub code: Option<String>,
}

/// Where to read more.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The address. It becomes a link if it is one of the web.
    pub address: String,
}

/// The same weakness as another module reported it.
#[derive(Debug, Clone)]
pub struct Twin {
    /// Id of its rule.
    pub rule: String,
    /// The module.
    pub module: String,
    /// What it says.
    pub message: String,
}

/// Something that was decided, by a person or by a run.
#[derive(Debug, Clone)]
pub struct Decision {
    /// When.
    pub at: Millis,
    /// Who.
    pub by: String,
    /// What happened, such as `Open → Confirmed`.
    pub what: String,
    /// Why.
    pub comment: Option<String>,
}

/// The page of a finding.
pub fn finding(frame: &Frame, model: &Finding) -> String {
    let title = short(&model.title, 80);
    let body = html! {
        div.finding-page {
            div.finding-main {
                section.card aria-label="What is wrong" {
                    p.finding-message { (message(&model.message)) }
                    @if let Some(place) = &model.suppressed {
                        p.notice.warn { (icon("dash")) span { "Ignored by " (code(place)) "." } }
                    }
                    (snippet(model))
                }
                @if !model.flow.is_empty() { (section("flow-title", "How data gets there", &html! {}, &flow(&model.flow))) }
                @if !model.remediation.trim().is_empty() {
                    (section("fix-title", "What to do", &html! {}, &markdown::block(&model.remediation)))
                }
                (about(model))
                (history(frame, model))
            }
            div.finding-side {
                @if frame.may(Role::Analyst) { (decide(frame, model)) }
                (side(frame, model))
                (seen(frame, model))
            }
        }
    };
    let page = Page {
        title: &title,
        area: Some(Area::Findings),
        above: &[("Findings", pages::FINDINGS)],
        heading: Some(html! { (name(&model.title)) }),
        lead: html! {
            p.lead.badges { (severity(model.severity)) (presence(model.presence)) (triage(model.triage)) }
            p.lead { (place(&model.path, model.line)) }
        },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn snippet(model: &Finding) -> Markup {
    let Some(snippet) = &model.snippet else {
        return html! { p.faint { "The finding is about the whole file." } };
    };
    html! {
        div.code tabindex="0" role="region" aria-label={ "Code of " (short(&model.path, 60)) } {
            pre { code { @for (number, line) in (snippet.first..).zip(&snippet.lines) { (code_line(number, line, snippet.mark)) } } }
        }
    }
}

fn code_line(number: u32, line: &str, mark: Option<Mark>) -> Markup {
    let marked = mark.filter(|mark| (mark.start_line..=mark.end_line).contains(&number));
    let Some(mark) = marked else {
        return html! { span.line data-line=(number) { (Plain(line)) "\n" } };
    };
    let start = if number == mark.start_line {
        index(line, mark.start_column)
    } else {
        line.len() - line.trim_start().len()
    };
    let end = if number == mark.end_line {
        index(line, mark.end_column)
    } else {
        line.len()
    };
    // A stretch that runs backwards comes from a broken tool: the line is marked, and nothing in it.
    let end = end.max(start);
    html! {
        span.line.marked data-line=(number) {
            (Plain(&line[..start]))
            @if end > start { mark { (Plain(&line[start..end])) } }
            (Plain(&line[end..]))
            "\n"
        }
    }
}

/// Where in the text a column is, from 1; its end if there is no such column.
fn index(line: &str, column: u32) -> usize {
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

fn flow(steps: &[FlowStep]) -> Markup {
    html! {
        ol.flow {
            @for (number, step) in (1..).zip(steps) {
                li {
                    p { (message(&step.message)) }
                    p.flow-place { (place(&step.path, step.line)) }
                    @if let Some(text) = &step.code { div.code.one tabindex="0" role="region" aria-label={ "Code of place " (number) } { pre { code { (Plain(text)) } } } }
                }
            }
        }
    }
}

fn about(model: &Finding) -> Markup {
    let references: Vec<&str> = model.references.iter().map(|one| one.address.as_str()).collect();
    let body = html! {
        (markdown::block(&model.about))
        @if !model.cwe.is_empty() || !references.is_empty() {
            h3 { "Read more" }
            ul.references {
                @for (number, title) in &model.cwe {
                    li { a rel="noopener noreferrer" target="_blank" href={ "https://cwe.mitre.org/data/definitions/" (number) ".html" } { "CWE-" (number) } " " (name(title)) }
                }
                @for address in references {
                    li {
                        @match routes::outside(address) {
                            Some(link) => a rel="noopener noreferrer nofollow" target="_blank" href=(link) { (Plain(link)) },
                            None => (Plain(address)),
                        }
                    }
                }
            }
        }
        @if !model.twins.is_empty() {
            h3 { "Also reported by" }
            ul.twins { @for twin in &model.twins { li { strong { (name(&twin.module)) } " " (code(&twin.rule)) p { (message(&twin.message)) } } } }
        }
        @if !model.properties.is_empty() {
            h3 { "From the module" }
            dl.pairs { @for (label, value) in &model.properties { div { dt { (name(label)) } dd { (code(value)) } } } }
        }
        (tags(&model.tags))
    };
    section("about-title", "Why it matters", &html! {}, &body)
}

fn decide(frame: &Frame, model: &Finding) -> Markup {
    let body = html! {
        form.decide method="post" action=(routes::action(actions::TRIAGE, &model.id)) {
            (frame.csrf())
            fieldset.field {
                legend { "State" }
                div.options.tall {
                    @for one in Triage::ALL {
                        label.option { input type="radio" name="state" value=(one.name()) checked[*one == model.triage] required; span { (one.label()) } }
                    }
                }
            }
            div.field.expires {
                label for="expires" { "Accepted until" }
                input #expires type="date" name="expires" value=[model.accepted_until.map(|at| full(at)[..10].to_owned())] aria-describedby="expires-help";
                p.help #expires-help { "For an accepted risk: it opens again on that day." }
            }
            div.field {
                label for="comment" { "Comment" }
                textarea #comment name="comment" rows="3" maxlength="2000" {}
            }
            button.primary.wide type="submit" { "Save" }
        }
    };
    section("decide-title", "Decide", &html! {}, &body)
}

fn side(frame: &Frame, model: &Finding) -> Markup {
    let same_rule = FindingFilter {
        rule: model.rule.clone(),
        ..FindingFilter::default()
    };
    let same_target = FindingFilter {
        target: model.target.clone(),
        ..FindingFilter::default()
    };
    let mut list = vec![
        (
            "Target",
            html! { a href=(same_target.href()) { (name(&model.target)) } },
        ),
        ("Rule", html! { a href=(same_rule.href()) { (code(&model.rule)) } }),
        ("Module", html! { (name(&model.module)) }),
        ("Confidence", html! { (model.confidence.label()) }),
        ("First seen", when(frame.now, model.first_seen)),
        ("Last seen", when(frame.now, model.last_seen)),
    ];
    if let Some(owner) = &model.owner {
        list.insert(0, ("Owner", html! { (name(owner)) }));
    }
    if let Some(until) = model.accepted_until {
        list.push(("Accepted until", when(frame.now, until)));
    }
    list.push((
        "Fingerprint",
        html! { code title=(short(&model.fingerprint, 130)) { (short(&model.fingerprint, 13)) } },
    ));
    section("facts-title", "Facts", &html! {}, &facts(&list))
}

fn history(frame: &Frame, model: &Finding) -> Markup {
    let body = html! {
        @if model.history.is_empty() {
            p.faint { "Nobody decided anything yet." }
        } @else {
            ol.history {
                @for one in &model.history {
                    li {
                        p { strong { (Plain(&one.what)) } " " span.faint { "by " (name(&one.by)) ", " (when(frame.now, one.at)) } }
                        @if let Some(comment) = &one.comment { p.comment { (Plain(comment)) } }
                    }
                }
            }
        }
    };
    section("history-title", "History", &html! {}, &body)
}

fn seen(frame: &Frame, model: &Finding) -> Markup {
    if model.runs.is_empty() {
        return html! {};
    }
    let body = html! {
        ul.seen {
            @for run in &model.runs {
                li {
                    a href=(routes::run(&run.id)) { (name(&run.workflow)) }
                    span.faint { (when(frame.now, run.started)) }
                    (run_badge(run.state))
                }
            }
        }
    };
    section("seen-title", "Runs that looked", &html! {}, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, mark: Mark) -> String {
        code_line(7, text, Some(mark)).into_string()
    }

    #[test]
    fn the_stretch_that_is_meant_is_marked_by_code_points() {
        let mark = Mark {
            start_line: 7,
            start_column: 3,
            end_line: 7,
            end_column: 6,
        };
        assert!(line("äöeval(x)", mark).contains("äö<mark>eva</mark>l(x)"));
        let over = Mark { end_line: 9, ..mark };
        assert!(line("a <b", over).contains("a <mark>&lt;b</mark>"));
    }

    #[test]
    fn a_stretch_that_the_line_does_not_have_breaks_nothing() {
        for (start_column, end_column) in [(0, 0), (90, 99), (5, 2), (u32::MAX, 1)] {
            let mark = Mark {
                start_line: 7,
                start_column,
                end_line: 7,
                end_column,
            };
            let html = line("ab", mark);
            assert!(
                html.contains("marked") && html.replace("<mark>", "").replace("</mark>", "").contains("ab"),
                "{html}"
            );
        }
    }
}
