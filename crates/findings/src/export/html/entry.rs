//! One finding on the page.

use maud::{Markup, html};

use super::visible;
use crate::text::{MAX_SNIPPET, is_web_address, shorten};
use crate::{BaselineState, Finding, Rule, Suppression, SuppressionKind, cwe_name};

/// Messages are a sentence or two; a tool may print a page.
const MAX_MESSAGE: usize = 2_000;

pub(super) fn entry(finding: &Finding, rule: Option<&Rule>) -> Markup {
    let title = rule.map_or("", |rule| rule.name.as_str()).trim();
    let title = if title.is_empty() { &finding.rule_id } else { title };
    let state = match finding.is_suppressed() {
        true => "suppressed",
        false => "open",
    };
    html! {
        li.finding data-severity=(finding.severity) data-module=(visible(&finding.module)) data-state=(state)
            data-baseline=[finding.baseline.map(BaselineState::as_str)] {
            h3 {
                span class={ "badge " (finding.severity) } { (finding.severity) }
                " " (visible(title))
                @if finding.is_suppressed() { " " span.badge.quiet { "suppressed" } }
                @if let Some(state) = finding.baseline { " " span.badge.quiet { (state.as_str()) } }
            }
            p.place { code { (place(finding)) } }
            p.message { (visible(&shorten(&finding.message, MAX_MESSAGE))) }
            @for suppression in &finding.suppressions { (suppressed(suppression)) }
            @if let Some(snippet) = &finding.location.snippet {
                pre tabindex="0" aria-label="Code" { code { (visible(&shorten(snippet, MAX_SNIPPET))) } }
            }
            (facts(finding, rule))
            (more(finding, rule))
        }
    }
}

fn place(finding: &Finding) -> String {
    let path = visible(&finding.location.path);
    match finding.location.region {
        Some(region) if region.end_line > region.start_line => {
            format!("{path}:{}-{}", region.start_line, region.end_line)
        }
        Some(region) => format!("{path}:{}", region.start_line),
        None => path,
    }
}

fn suppressed(suppression: &Suppression) -> Markup {
    let how = match suppression.kind {
        SuppressionKind::InSource => "Suppressed in the code",
        SuppressionKind::External => "Suppressed",
    };
    html! { p.suppressed { strong { (how) } ", " (visible(&suppression.summary())) } }
}

fn facts(finding: &Finding, rule: Option<&Rule>) -> Markup {
    let cwe = rule.map(|rule| rule.cwe.as_slice()).unwrap_or_default();
    html! {
        dl.facts {
            div { dt { "Rule" } dd { code { (visible(&finding.rule_id)) } } }
            div { dt { "Module" } dd { (visible(&finding.module)) } }
            div { dt { "Confidence" } dd { (finding.confidence) } }
            @if !cwe.is_empty() {
                div {
                    dt { "Weakness" }
                    dd {
                        @for (index, number) in cwe.iter().enumerate() {
                            @if index > 0 { ", " }
                            a href={ "https://cwe.mitre.org/data/definitions/" (number) ".html" } rel="noopener noreferrer" {
                                "CWE-" (number) @if let Some(name) = cwe_name(*number) { " " (name) }
                            }
                        }
                    }
                }
            }
            @if !finding.owners.is_empty() {
                div { dt { "Owners" } dd { (visible(&finding.owners.join(", "))) } }
            }
            @if !finding.duplicates.is_empty() {
                div {
                    dt { "Also reported as" }
                    dd { (visible(&finding.rule_ids().skip(1).collect::<Vec<_>>().join(", "))) }
                }
            }
            div { dt { "Fingerprint" } dd { code { (visible(&finding.fingerprint)) } } }
        }
    }
}

/// What the rule says, folded away.
fn more(finding: &Finding, rule: Option<&Rule>) -> Markup {
    let remediation = finding
        .remediation
        .as_deref()
        .or(rule.map(|rule| rule.remediation.as_str()));
    let remediation = remediation.unwrap_or_default();
    let description = rule.map(|rule| rule.description.as_str()).unwrap_or_default();
    let references = rule.map(|rule| rule.references.as_slice()).unwrap_or_default();
    // Only plain web addresses become links: an address is text of whoever wrote the rule or the advisory.
    let links: Vec<&String> = references.iter().filter(|text| is_web_address(text)).collect();
    html! {
        @if !(remediation.is_empty() && description.is_empty() && links.is_empty()) {
            details {
                summary { "Why, and what to do" }
                @if !description.is_empty() { p.text { (visible(description)) } }
                @if !remediation.is_empty() { p.text { strong { "What to do: " } (visible(remediation)) } }
                @if !links.is_empty() {
                    ul { @for link in links { li { a href=(link) rel="noopener noreferrer nofollow" { (link) } } } }
                }
            }
        }
    }
}
