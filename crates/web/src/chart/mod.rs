//! Charts, drawn here as SVG. Colours come from the style sheet, and each says in words what it shows.

mod graph;
mod layout;
mod line;
mod stacked;

pub(crate) use graph::{Node, graph};
pub use line::LinePoint;
pub(crate) use line::line;
pub use stacked::SeverityPoint;
pub(crate) use stacked::severities;

use maud::{Markup, html};

use crate::parts::to_float;

/// Place for the numbers at the left of a chart.
const LEFT: f64 = 44.0;
/// Place for the words under it.
const BOTTOM: f64 = 22.0;
const TOP: f64 = 14.0;
/// Place for half of the last word.
const RIGHT: f64 = 22.0;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;

/// The top of an axis from 0 and the distance of its lines: round numbers, four lines at most.
fn scale(most: u64) -> (u64, u64) {
    let rough = most.max(1).div_ceil(4);
    let mut power: u64 = 1;
    while power.saturating_mul(10) <= rough {
        power = power.saturating_mul(10);
    }
    let step = [1, 2, 5, 10]
        .into_iter()
        .map(|factor| power.saturating_mul(factor))
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    (step.saturating_mul(most.max(1).div_ceil(step)), step)
}

/// How high a value is drawn.
fn height_of(value: u64, top: u64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (to_float(value) / to_float(top.max(1)))
}

/// Lines across with their numbers.
fn grid(top: u64, step: u64) -> Markup {
    html! {
        g.grid {
            @for value in (0..=top).step_by(usize::try_from(step.max(1)).unwrap_or(usize::MAX)) {
                line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(height_of(value, top))) y2=(at(height_of(value, top))) {}
                text x=(LEFT - 8.0) y=(at(height_of(value, top) + 4.0)) text-anchor="end" { (brief(value)) }
            }
        }
    }
}

/// A coordinate, as short as it may be.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// `950`, `1.2k`, `3M`: a number for an axis.
fn brief(n: u64) -> String {
    let (divisor, unit) = match n {
        ..1_000 => return n.to_string(),
        1_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    match n % divisor * 10 / divisor {
        0 => format!("{}{unit}", n / divisor),
        tenth => format!("{}.{tenth}{unit}", n / divisor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_everything() {
        for (most, expected) in [
            (0, (1, 1)),
            (1, (1, 1)),
            (4, (4, 1)),
            (7, (8, 2)),
            (42, (60, 20)),
            (9_999, (10_000, 5_000)),
        ] {
            assert_eq!(scale(most), expected, "{most}");
        }
        let (top, step) = scale(u64::MAX / 2);
        assert!(top >= u64::MAX / 2 && top / step <= 4);
    }

    #[test]
    fn numbers_of_an_axis_are_brief() {
        assert_eq!(brief(950), "950");
        assert_eq!(brief(1_250), "1.2k");
        assert_eq!(brief(3_000_000), "3M");
        assert_eq!(at(12.0), "12");
        assert_eq!(at(12.34), "12.3");
    }
}
