//! `helve run`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use helve_findings::Severity;
use helve_toolbox::Span;

use super::choices::some_time;
use super::{Counting, Export};

const RUN_HELP: &str = "\
Examples:
  helve run assessment .
  helve run assessment . --param min_severity=medium --fail-on high
  helve run assessment . --json --quiet | jq .summary
  helve run assessment . --engine temporal://127.0.0.1:7233

The run is durable: when this process dies, start any `helve run` or `helve up` on the same data directory and the run
goes on, or attach to it with `helve run --resume RUN_ID`.";

/// `helve run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArgs {
    /// Name of the workflow (`helve workflows` lists them)
    #[arg(required_unless_present = "resume", value_name = "WORKFLOW")]
    pub(crate) workflow: Option<String>,
    /// Directory or file to scan
    #[arg(required_unless_present = "resume", value_name = "TARGET", value_hint = ValueHint::AnyPath)]
    pub(crate) target: Option<PathBuf>,
    /// A parameter of the workflow (repeatable)
    #[arg(short, long = "param", value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) params: Vec<KeyValue>,
    /// Parameters from a YAML or JSON file; --param wins over it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "resume")]
    pub(crate) params_file: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sarif: Option<PathBuf>,
    /// Write the findings as `sarif`, `json`, `csv`, `junit`, `html` or `vex` (repeatable), such as `html=report.html`
    #[arg(long, value_name = "FORMAT=FILE")]
    pub(crate) export: Vec<Export>,
    #[command(flatten)]
    pub(crate) counting: Counting,
    /// Exit with code 2 when a finding that counts is at least this severe, or a step is inconclusive (`high,inconclusive` for both)
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        value_delimiter = ',',
        default_value = "none"
    )]
    pub(crate) fail_on: Vec<FailOn>,
    /// Give up after this time, such as `90s` or `1h30m`; the run then ends, it cannot be resumed
    #[arg(long, value_name = "TIME", conflicts_with = "resume", value_parser = some_time)]
    pub(crate) timeout: Option<Span>,
    /// No progress on standard error
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Scan also what .gitignore and other ignore files exclude
    #[arg(long, conflicts_with = "resume")]
    pub(crate) no_ignore: bool,
    /// Attach to a run that was interrupted, or show the result of one that has ended
    #[arg(long, value_name = "RUN_ID", conflicts_with_all = ["workflow", "target"])]
    pub(crate) resume: Option<String>,
}

/// What `helve run` fails on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Critical,
    High,
    Medium,
    Low,
    Note,
    /// A step could not look at everything.
    Inconclusive,
    None,
}

impl FailOn {
    /// Whether a run whose worst finding is `worst` fails.
    pub(crate) fn is_met_by(self, worst: Option<Severity>, inconclusive: bool) -> bool {
        let threshold = match self {
            Self::Critical => Severity::Critical,
            Self::High => Severity::High,
            Self::Medium => Severity::Medium,
            Self::Low => Severity::Low,
            Self::Note => Severity::Note,
            Self::Inconclusive => return inconclusive,
            Self::None => return false,
        };
        worst.is_some_and(|worst| worst >= threshold)
    }
}

/// `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("write it as KEY=VALUE".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    fn run(line: &str) -> RunArgs {
        match parse(line).unwrap().verb {
            Verb::Run(args) => *args,
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn a_run_takes_repeated_parameters_whose_values_may_hold_equal_signs() {
        let args = run("helve run assessment . --param a=1 --param b=x=y");
        let pairs: Vec<_> = args.params.iter().map(|p| (p.key.as_str(), p.value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x=y")]);
        assert_eq!(args.fail_on, [FailOn::None]);
    }

    #[test]
    fn a_run_needs_a_target_unless_it_resumes() {
        assert!(parse("helve run assessment").is_err());
        assert!(parse("helve run").is_err());
        assert_eq!(
            run("helve run --resume assessment-1").resume.as_deref(),
            Some("assessment-1")
        );
        assert!(parse("helve run assessment . --resume assessment-1").is_err());
    }

    #[test]
    fn fail_on_compares_with_the_worst_finding() {
        assert!(FailOn::High.is_met_by(Some(Severity::Critical), false));
        assert!(FailOn::High.is_met_by(Some(Severity::High), false));
        assert!(!FailOn::High.is_met_by(Some(Severity::Medium), true));
        assert!(!FailOn::Note.is_met_by(None, true));
        assert!(FailOn::Inconclusive.is_met_by(None, true));
        assert!(!FailOn::None.is_met_by(Some(Severity::Critical), true));
        let args = run("helve run assessment . --fail-on high,inconclusive");
        assert_eq!(args.fail_on, [FailOn::High, FailOn::Inconclusive]);
    }
}
