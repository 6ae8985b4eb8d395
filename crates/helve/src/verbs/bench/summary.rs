//! The rounds as a table, and what follows from them.

use super::round::Round;
use super::usage::cores;
use crate::render::table::{Cell, table};
use crate::render::{bytes, count, grouped};
use crate::terminal::Style;

/// More workers that bring less than this bring nothing.
const ENOUGH: f64 = 0.9;

pub(super) fn text(rounds: &[Round], style: Style) -> String {
    let headers = [
        "JOBS",
        "WORKERS",
        "JOBS/S",
        "P50",
        "P90",
        "P99",
        "ENGINE",
        "WORKER CPU",
        "BOTTLENECK",
    ];
    let of_a_core = |busy: Option<f64>| busy.map_or_else(|| "-".to_owned(), |busy| format!("{busy:.2} cores"));
    let rows: Vec<Vec<Cell>> = rounds
        .iter()
        .map(|round| {
            vec![
                grouped(round.jobs as u64).into(),
                round.workers.to_string().into(),
                format!("{:.1}", round.per_second()).into(),
                time(round.percentile(0.5)).into(),
                time(round.percentile(0.9)).into(),
                time(round.percentile(0.99)).into(),
                of_a_core(round.shares.engine).into(),
                of_a_core(round.shares.workers).into(),
                round.shares.bottleneck().name().into(),
            ]
        })
        .collect();
    let mut text = table(&headers, &rows, style);
    if let Some(workers) = workers_fed(rounds) {
        text.push_str(&format!(
            "\nOn these {}, one engine feeds {} before it saturates: more bring less than {:.0} % more jobs.\n",
            count(cores() as u64, "core"),
            count(workers as u64, "worker"),
            (1.0 / ENOUGH - 1.0) * 100.0
        ));
    }
    // The largest round: the files grow in steps.
    if let Some(round) = rounds.iter().max_by_key(|round| round.jobs) {
        text.push_str(&format!(
            "A job leaves {} on the disk.\n",
            bytes(round.bytes / round.jobs as u64)
        ));
    }
    text
}

fn time(milliseconds: f64) -> String {
    match milliseconds {
        short if short < 1_000.0 => format!("{short:.0} ms"),
        long => format!("{:.1} s", long / 1e3),
    }
}

/// The fewest workers that do nearly as many jobs per second as the best number of them does, at the most jobs at once.
pub(super) fn workers_fed(rounds: &[Round]) -> Option<usize> {
    let most = rounds.iter().map(|round| round.jobs).max()?;
    let largest = || rounds.iter().filter(|round| round.jobs == most);
    let best = largest().map(Round::per_second).fold(0.0, f64::max);
    let enough = largest().filter(|round| round.per_second() >= ENOUGH * best);
    enough.map(|round| round.workers).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::bench::usage::Shares;

    fn round(jobs: usize, workers: usize, seconds: f64) -> Round {
        Round {
            jobs,
            workers,
            seconds,
            latencies: vec![120.0, 2_500.0],
            shares: Shares::default(),
            bytes: 25_000_000,
        }
    }

    #[test]
    fn an_engine_feeds_as_many_workers_as_still_make_it_faster() {
        let rounds = [
            round(100, 1, 1.0),
            round(1_000, 1, 100.0),
            round(1_000, 4, 50.0),
            round(1_000, 8, 48.0),
            round(1_000, 20, 49.0),
        ];
        assert_eq!(workers_fed(&rounds), Some(4));
        assert_eq!(workers_fed(&[]), None);
    }

    #[test]
    fn the_table_says_what_was_the_limit() {
        let text = text(&[round(1_000, 2, 10.0)], Style::PLAIN);
        let line = "1,000  2        100.0   120 ms  2.5 s  2.5 s  -       -           unknown";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("one engine feeds 2 workers before it saturates"),
            "{text}"
        );
        assert!(text.contains("leaves 25.0 kB on the disk"), "{text}");
    }
}
