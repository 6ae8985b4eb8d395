//! One number over time, such as executions of a fuzzer per second.

use maud::{Markup, html};

use super::{BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, at, grid, height_of, scale};
use crate::parts::to_float;
use crate::time::{Millis, clock, number};

/// A number at a time.
#[derive(Debug, Clone, Copy)]
pub struct LinePoint {
    /// When.
    pub at: Millis,
    /// How much.
    pub value: u64,
}

/// A line with the area under it. Points are in order of time.
pub(crate) fn line(id: &str, what: &str, points: &[LinePoint]) -> Markup {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return html! {};
    };
    let most = points.iter().map(|point| point.value).max().unwrap_or(0);
    let (top, step) = scale(most);
    let span = last.at.saturating_sub(first.at).max(1).unsigned_abs();
    let x = |point: &LinePoint| {
        let from_start = point.at.saturating_sub(first.at).max(0).unsigned_abs();
        LEFT + (WIDTH - LEFT - RIGHT) * (to_float(from_start) / to_float(span)).min(1.0)
    };
    let path: Vec<String> = points
        .iter()
        .map(|point| format!("{} {}", at(x(point)), at(height_of(point.value, top))))
        .collect();
    let curve = format!("M{}", path.join("L"));
    let floor = at(HEIGHT - BOTTOM);
    let area = format!("{curve}L{} {floor}L{} {floor}Z", at(x(last)), at(x(first)));
    let title = format!("{id}-title");
    html! {
        figure.chart {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(title) {
                title id=(title) {
                    (what) " from " (clock(first.at)) " to " (clock(last.at)) ": first " (number(first.value))
                    ", highest " (number(most)) ", last " (number(last.value)) "."
                }
                (grid(top, step))
                path.curve-area d=(area) {}
                path.curve d=(curve) {}
                text x=(LEFT) y=(HEIGHT - 6.0) { (clock(first.at)) }
                text x=(WIDTH - RIGHT) y=(HEIGHT - 6.0) text-anchor="end" { (clock(last.at)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_one_point_or_of_times_that_run_backwards_is_drawn() {
        for points in [
            vec![LinePoint { at: 5, value: 0 }],
            vec![LinePoint { at: 9, value: 3 }, LinePoint { at: 1, value: u64::MAX }],
        ] {
            let html = line("l", "Executions", &points).into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
        assert!(line("l", "Executions", &[]).into_string().is_empty());
    }
}
