//! What the steps found, and the table at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::steps::Step;

/// Tests that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }
}

/// How a step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All is well.
    Passed(Tally),
    /// Something is wrong.
    Failed(Tally, String),
    /// Not checked, or not all of it: what is missing, and what that leaves open. CI does not accept it.
    Missing(Tally, String),
    /// Not checked, and nobody is required to have what it takes.
    Optional(String),
}

struct Row {
    step: Step,
    outcome: Outcome,
    took: Duration,
}

/// All steps so far.
pub(crate) struct Report {
    ci: bool,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(ci: bool) -> Self {
        Self { ci, rows: Vec::new() }
    }

    /// Runs one step under its heading.
    pub(crate) fn run(&mut self, step: Step, work: impl FnOnce() -> Result<Outcome>) {
        println!("\n=== {}: {} ===", step.name(), step.about());
        let began = Instant::now();
        let outcome = match self.blocked(step) {
            Some(needed) => Outcome::Failed(Tally::default(), format!("not run, since `{}` failed", needed.name())),
            None => work().unwrap_or_else(|error| Outcome::Failed(Tally::default(), format!("{error:#}"))),
        };
        let took = began.elapsed();
        println!(
            "--- {} in {:.1} s: {}",
            step.name(),
            took.as_secs_f64(),
            self.verdict(&outcome)
        );
        self.rows.push(Row { step, outcome, took });
    }

    fn blocked(&self, step: Step) -> Option<Step> {
        let failed = |needed: &Step| {
            self.rows
                .iter()
                .any(|row| row.step == *needed && !self.accepts(&row.outcome))
        };
        step.needs().iter().copied().find(failed)
    }

    fn accepts(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Passed(_) | Outcome::Optional(_) => true,
            Outcome::Missing(..) => !self.ci,
            Outcome::Failed(..) => false,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| self.accepts(&row.outcome))
    }

    fn verdict(&self, outcome: &Outcome) -> String {
        let counted = |tally: &Tally| match (tally.passed, tally.failed) {
            (0, 0) => String::new(),
            (passed, 0) => format!(" ({passed} tests)"),
            (passed, failed) => format!(" ({failed} of {} tests failed)", passed + failed),
        };
        match outcome {
            Outcome::Passed(tally) => format!("ok{}", counted(tally)),
            Outcome::Failed(tally, why) => format!("FAILED{}: {why}", counted(tally)),
            Outcome::Missing(tally, what) if self.ci => format!("FAILED{}: not checked: {what}", counted(tally)),
            Outcome::Missing(tally, what) => format!("WARNING{}: not checked: {what}", counted(tally)),
            Outcome::Optional(what) => format!("not checked: {what}"),
        }
    }

    pub(crate) fn print(&self) {
        println!("\n{:<12} {:>8}  result", "step", "seconds");
        for row in &self.rows {
            println!(
                "{:<12} {:>8.1}  {}",
                row.step.name(),
                row.took.as_secs_f64(),
                self.verdict(&row.outcome)
            );
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        println!("{:<12} {:>8.1}", "all", total.as_secs_f64());
        println!();
        let Tally { passed, failed } = self.tally();
        println!("{passed} passed, {failed} failed");
    }

    /// Tests, and each step without tests as one.
    fn tally(&self) -> Tally {
        self.rows.iter().fold(Tally::default(), |sum, row| {
            let (tally, good) = match &row.outcome {
                Outcome::Passed(tally) => (*tally, true),
                Outcome::Failed(tally, _) => (*tally, false),
                Outcome::Missing(tally, _) => (*tally, !self.ci),
                Outcome::Optional(_) => return sum,
            };
            let counts_itself = tally == Tally::default() || (!good && tally.failed == 0);
            let own = Tally {
                passed: u64::from(counts_itself && good),
                failed: u64::from(counts_itself && !good),
            };
            sum.add(tally).add(own)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ci: bool, outcomes: Vec<Outcome>) -> Report {
        let rows = outcomes
            .into_iter()
            .map(|outcome| Row {
                step: Step::Unit,
                outcome,
                took: Duration::ZERO,
            })
            .collect();
        Report { ci, rows }
    }

    #[test]
    fn what_is_missing_fails_in_ci_and_warns_elsewhere() {
        let missing = || vec![Outcome::Missing(Tally::default(), "python3".into())];
        assert!(report(false, missing()).is_good());
        assert!(!report(true, missing()).is_good());
        assert_eq!(report(true, missing()).tally(), Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn a_failed_step_without_failed_tests_still_counts_as_a_failure() {
        let failed = report(
            false,
            vec![Outcome::Failed(Tally { passed: 3, failed: 0 }, "crashed".into())],
        );
        assert!(!failed.is_good());
        assert_eq!(failed.tally(), Tally { passed: 3, failed: 1 });
    }

    #[test]
    fn an_optional_step_never_fails() {
        let report = report(
            true,
            vec![
                Outcome::Optional("cargo-deny".into()),
                Outcome::Passed(Tally::default()),
            ],
        );
        assert!(report.is_good());
        assert_eq!(report.tally(), Tally { passed: 1, failed: 0 });
    }

    #[test]
    fn a_step_is_not_run_when_what_it_needs_failed() {
        let mut report = Report::new(false);
        report.run(Step::Build, || {
            Ok(Outcome::Failed(Tally::default(), "does not compile".into()))
        });
        report.run(Step::E2e, || panic!("must not run"));
        assert!(!report.is_good());
    }
}
