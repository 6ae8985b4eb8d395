//! Which findings of a run count: what the target suppresses, and what a baseline has already.

use std::path::Path;

use helve_findings::Baseline;
use helve_runs::RunResult;

use crate::cli::Counting;
use crate::errors::{Problem, Result};

/// What `--baseline` names.
pub(crate) enum Known {
    /// Nothing.
    None,
    /// A file, read.
    File(Baseline),
    /// A run, still to be looked up.
    Run(String),
}

impl Known {
    /// Reads the file if it names one: before a long scan and not after it.
    pub(crate) fn new(counting: &Counting) -> Result<Self> {
        let Some(named) = &counting.baseline else {
            return Ok(Self::None);
        };
        let path = Path::new(named);
        if !path.exists() && !named.contains(['/', '\\', '.']) {
            return Ok(Self::Run(named.clone()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| Problem::io("read", path, &error))?;
        let baseline = Baseline::parse(&text).map_err(|error| {
            Problem::new(format!("{} cannot be a baseline: {error}", path.display())).help(
                "use a file that `helve run --sarif` or `helve findings --format json` wrote, or the RUN_ID of a run",
            )
        })?;
        Ok(Self::File(baseline))
    }

    /// The baseline itself; `result` looks a run up.
    pub(crate) async fn load(self, result: impl AsyncFnOnce(&str) -> Result<RunResult>) -> Result<Option<Baseline>> {
        match self {
            Self::None => Ok(None),
            Self::File(baseline) => Ok(Some(baseline)),
            Self::Run(run_id) => {
                let result = result(&run_id).await?;
                match result.has_report {
                    true => Ok(Some(Baseline::from(&result.report))),
                    false => Err(Problem::new(format!(
                        "run {run_id} ({}) has no report to compare with",
                        result.status
                    ))),
                }
            }
        }
    }
}

/// Applies both to a result.
pub(crate) fn apply(result: &mut RunResult, counting: &Counting, baseline: Option<&Baseline>) {
    if counting.no_suppressions {
        result.report = std::mem::take(&mut result.report).without_suppressions();
    }
    if let Some(baseline) = baseline {
        baseline.mark(&mut result.report);
    }
    result.by_severity = result.report.counts();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_file_or_a_run() {
        let known = |named: &str| {
            Known::new(&Counting {
                baseline: Some(named.to_owned()),
                no_suppressions: false,
            })
        };
        assert!(matches!(known("assessment-1").unwrap(), Known::Run(run) if run == "assessment-1"));
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        assert!(matches!(
            known(&file("a.sarif", r#"{"runs": []}"#)).unwrap(),
            Known::File(_)
        ));
        let error = known(&file("b.sarif", "[]")).err().unwrap().to_string();
        assert!(
            error.contains("b.sarif cannot be a baseline: it is neither SARIF nor a report of Helve"),
            "{error}"
        );
        assert!(known("gone.sarif").is_err());
    }
}
