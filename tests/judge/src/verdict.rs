//! What a log shows, for people.

use std::fmt;

use crate::log::{Log, Outcome};

/// A promise that was broken, and the calls that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// The calls, by their place in the log.
    pub calls: Vec<usize>,
}

impl Violation {
    pub(crate) fn new(what: impl Into<String>, calls: impl IntoIterator<Item = usize>) -> Self {
        Self {
            what: what.into(),
            calls: calls.into_iter().collect(),
        }
    }
}

/// What a log shows.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    counts: [usize; 3],
    shown: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(log: &Log, violations: Vec<Violation>) -> Self {
        let count = |outcome| log.entries.iter().filter(|entry| entry.outcome == outcome).count();
        let shown = violations.iter().map(|violation| show(log, violation)).collect();
        Self {
            violations,
            counts: [Outcome::Done, Outcome::Failed, Outcome::Unknown].map(count),
            shown,
        }
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, failed, unknown] = self.counts;
        writeln!(
            out,
            "{done} calls acknowledged, {failed} refused, {unknown} of unknown outcome"
        )?;
        for violation in &self.shown {
            write!(out, "{violation}")?;
        }
        match self.violations.len() {
            0 => writeln!(out, "every promise was kept"),
            1 => writeln!(out, "1 promise was broken"),
            many => writeln!(out, "{many} promises were broken"),
        }
    }
}

fn show(log: &Log, violation: &Violation) -> String {
    let mut calls = violation.calls.clone();
    calls.sort_by_key(|place| (log.entries[*place].began, *place));
    let mut text = format!("violated: {}\n", violation.what);
    for place in calls {
        let entry = &log.entries[place];
        let call = serde_json::to_string(&entry.call).unwrap_or_default();
        let ended = match entry.outcome {
            Outcome::Unknown => "never".to_owned(),
            _ => format!("{:.6}", seconds(entry.ended)),
        };
        text.push_str(&format!(
            "  line {}: client {} from {:.6} to {ended} {:?}: {call}\n",
            place + 1,
            entry.client,
            seconds(entry.began),
            entry.outcome,
        ));
    }
    text
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
