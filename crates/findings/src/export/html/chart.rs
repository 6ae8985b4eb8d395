//! Bar charts as SVG. Sizes are attributes and colours are classes, since the page's policy forbids style attributes.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::visible;
use crate::text::shorten;
use crate::{Finding, Report, Severity, cwe_name};

const WIDTH: u64 = 640;
const ROW: u64 = 28;
const BAR: u64 = 18;
/// Where bars begin, right of the labels.
const LEFT: u64 = 250;
/// Room for the number behind the longest bar.
const RIGHT: u64 = 56;
/// Rows of a chart; the rest is summed up in one more.
const ROWS: usize = 8;
/// Characters of a label that have room, in wide fonts too.
const LABEL: usize = 27;

/// One bar: its label, and what it is made of.
struct Bar {
    label: String,
    parts: BTreeMap<Severity, u64>,
}

impl Bar {
    fn total(&self) -> u64 {
        self.parts.values().sum()
    }
}

/// Where the findings are that nobody suppressed.
pub(super) fn charts(report: &Report) -> Markup {
    let all = report.findings();
    let open: Vec<&Finding> = all.into_iter().filter(|finding| !finding.is_suppressed()).collect();
    let by_severity = Severity::ALL.into_iter().rev().map(|severity| {
        let count = open.iter().filter(|finding| finding.severity == severity).count() as u64;
        Bar {
            label: severity.to_string(),
            parts: BTreeMap::from([(severity, count)]),
        }
    });
    let weakness = |finding: &Finding| match report.rule(&finding.rule_id).and_then(|rule| rule.cwe.first()) {
        Some(number) => cwe_name(*number).map_or_else(|| format!("CWE-{number}"), |name| format!("{name} ({number})")),
        None => "no weakness named".to_owned(),
    };
    html! {
        @if !open.is_empty() {
            section aria-labelledby="charts" {
                h2 #charts { "Where they are" }
                div.charts {
                    (chart("severity", "By severity", &by_severity.collect::<Vec<_>>()))
                    (chart("modules", "By module", &grouped(&open, |finding| finding.module.clone())))
                    (chart("weaknesses", "By weakness", &grouped(&open, weakness)))
                    (chart("files", "By file", &grouped(&open, |finding| finding.location.path.clone())))
                }
            }
        }
    }
}

/// The largest groups, and one for the rest.
fn grouped(findings: &[&Finding], key: impl Fn(&Finding) -> String) -> Vec<Bar> {
    let mut groups: BTreeMap<String, BTreeMap<Severity, u64>> = BTreeMap::new();
    for finding in findings {
        *groups
            .entry(key(finding))
            .or_default()
            .entry(finding.severity)
            .or_default() += 1;
    }
    let mut bars: Vec<Bar> = groups.into_iter().map(|(label, parts)| Bar { label, parts }).collect();
    // Stable: groups of one size stay in the order of their names.
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.total()));
    if bars.len() > ROWS + 1 {
        let rest = bars.split_off(ROWS);
        let mut parts: BTreeMap<Severity, u64> = BTreeMap::new();
        for (severity, count) in rest.iter().flat_map(|bar| &bar.parts) {
            *parts.entry(*severity).or_default() += count;
        }
        let label = format!("{} others", rest.len());
        bars.push(Bar { label, parts });
    }
    bars
}

fn chart(id: &str, title: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(Bar::total).max().unwrap_or(0).max(1);
    let height = bars.len() as u64 * ROW;
    let summary: Vec<String> = bars
        .iter()
        .map(|bar| format!("{}: {}", visible(&bar.label), bar.total()))
        .collect();
    html! {
        figure {
            figcaption #{ "chart-" (id) } { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-labelledby={ "chart-" (id) " text-" (id) } {
                desc #{ "text-" (id) } { (summary.join(", ")) }
                @for (row, bar) in bars.iter().enumerate() { (row_of(bar, row as u64 * ROW, most)) }
            }
        }
    }
}

fn row_of(bar: &Bar, top: u64, most: u64) -> Markup {
    let middle = top + ROW / 2;
    // Largest severity first, each part where the former ends.
    let mut before = 0;
    let room = WIDTH - LEFT - RIGHT;
    let parts: Vec<(Severity, u64, u64)> = bar
        .parts
        .iter()
        .rev()
        .map(|(severity, count)| {
            let from = before * room / most;
            before += count;
            (*severity, LEFT + from, before * room / most - from)
        })
        .collect();
    html! {
        text.label x=(LEFT - 10) y=(middle) { (shorten_start(&visible(&bar.label))) }
        @for (severity, x, width) in parts {
            rect class=(severity) x=(x) y=(top + (ROW - BAR) / 2) width=(width) height=(BAR) {
                title { (severity) ": " (bar.parts[&severity]) }
            }
        }
        text.count x=(LEFT + bar.total() * room / most + 8) y=(middle) { (bar.total()) }
    }
}

/// At most [`LABEL`] characters; of a path the end says more than the beginning.
fn shorten_start(label: &str) -> String {
    let count = label.chars().count();
    match label.contains('/') && count > LABEL {
        true => std::iter::once('…')
            .chain(label.chars().skip(count - LABEL + 1))
            .collect(),
        false => shorten(label, LABEL),
    }
}
