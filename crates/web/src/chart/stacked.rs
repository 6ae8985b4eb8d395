//! Findings by severity over time: a column per day.

use maud::{Markup, html};

use super::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, at, grid, height_of, scale};
use crate::parts::{severity, to_float};
use crate::time::{Millis, counted, day, number};
use crate::words::{Severity, SeverityCounts};

/// How many findings were open on a day.
#[derive(Debug, Clone, Copy)]
pub struct SeverityPoint {
    /// The day, as any time in it.
    pub at: Millis,
    /// What was open then.
    pub counts: SeverityCounts,
}

/// Columns of severities, with a table of the same numbers to unfold. The worst lies at the bottom, where columns compare.
pub(crate) fn severities(id: &str, points: &[SeverityPoint]) -> Markup {
    let most = points.iter().map(|point| point.counts.total()).max().unwrap_or(0);
    let (top, step) = scale(most);
    let pitch = (WIDTH - LEFT - RIGHT) / to_float(points.len().max(1) as u64);
    let width = (pitch * 0.72).clamp(1.0, 44.0);
    // About eight words fit under the columns.
    let every = points.len().div_ceil(8).max(1);
    let title = format!("{id}-title");
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(title) {
                title id=(title) { (summary(points)) }
                (grid(top, step))
                @for (i, point) in points.iter().enumerate() {
                    @let x = LEFT + pitch * (to_float(i as u64) + 0.5) - width / 2.0;
                    g.column {
                        title { (day(point.at)) ": " (told(&point.counts)) }
                        rect.column-area x=(at(x - (pitch - width) / 2.0)) y=(TOP) width=(at(pitch)) height=(at(HEIGHT - BOTTOM - TOP)) {}
                        @for (one, from, to) in layers(&point.counts) {
                            rect class={ "fill-" (one.name()) } x=(at(x)) width=(at(width))
                                y=(at(height_of(to, top))) height=(at((height_of(from, top) - height_of(to, top)).max(0.0))) {}
                        }
                        @if (points.len() - 1 - i).is_multiple_of(every) {
                            text x=(at(x + width / 2.0)) y=(HEIGHT - 6.0) text-anchor="middle" { (day(point.at)) }
                        }
                    }
                }
            }
            figcaption {
                ul.legend aria-hidden="true" {
                    @for one in Severity::ALL {
                        li { svg.swatch viewBox="0 0 10 10" width="10" height="10" focusable="false" { rect class={ "fill-" (one.name()) } width="10" height="10" rx="2" {} } (one.label()) }
                    }
                }
                details {
                    summary { "As a table" }
                    div.table-scroll tabindex="0" role="region" aria-label="Open findings by day" { (table(points)) }
                }
            }
        }
    }
}

fn layers(counts: &SeverityCounts) -> Vec<(Severity, u64, u64)> {
    let mut from = 0_u64;
    Severity::ALL
        .iter()
        .filter(|one| counts.of(**one) > 0)
        .map(|one| {
            let layer = (*one, from, from.saturating_add(counts.of(*one)));
            from = layer.2;
            layer
        })
        .collect()
}

fn table(points: &[SeverityPoint]) -> Markup {
    html! {
        table.plain {
            thead { tr { th scope="col" { "Day" } @for one in Severity::ALL { th.num scope="col" { (severity(*one)) } } } }
            tbody {
                @for point in points.iter().rev() {
                    tr {
                        th scope="row" { (day(point.at)) }
                        @for one in Severity::ALL { td.num { (number(point.counts.of(*one))) } }
                    }
                }
            }
        }
    }
}

fn told(counts: &SeverityCounts) -> String {
    let parts: Vec<String> = Severity::ALL
        .iter()
        .filter(|one| counts.of(**one) > 0)
        .map(|one| format!("{} {}", number(counts.of(*one)), one.name()))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

fn summary(points: &[SeverityPoint]) -> String {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => format!(
            "Open findings by severity over {}. First {}: {}. Last {}: {}.",
            counted(points.len() as u64, "day", "days"),
            day(first.at),
            told(&first.counts),
            day(last.at),
            told(&last.counts),
        ),
        _ => "No days yet.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let counts = SeverityCounts {
            critical: 2,
            low: 5,
            ..SeverityCounts::default()
        };
        let html = severities("c", &[SeverityPoint { at: 0, counts }]).into_string();
        assert!(html.contains("Last 1 Jan: 2 critical, 5 low."), "{html}");
        assert!(html.contains("fill-critical") && !html.contains("NaN"), "{html}");
    }

    #[test]
    fn a_chart_without_days_or_findings_is_drawn_all_the_same() {
        for points in [
            Vec::new(),
            vec![SeverityPoint {
                at: 0,
                counts: SeverityCounts::default(),
            }],
        ] {
            let html = severities("c", &points).into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
    }
}
