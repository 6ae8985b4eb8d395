//! `helve findings`, and how findings leave Helve.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueHint};
use helve_findings::Severity;
use helve_findings::export::Format;

use super::{FindingsFilter, TriageArgs};

const FINDINGS_HELP: &str = "\
Examples:
  helve findings assessment-7k2m9qxa
  helve findings assessment-7k2m9qxa --severity high
  helve findings assessment-7k2m9qxa --format html --output report.html
  helve findings assessment-7k2m9qxa --format csv > findings.csv
  helve findings diff assessment-7k2m9qxa assessment-x01bc9dz
  helve findings list --target my-app --status new,reopened
  helve findings triage ID --state accepted_risk --until 90d --comment 'behind the VPN'

Formats: sarif (code-scanning pages), json (docs/schemas/report.schema.json), csv (spreadsheets), junit (continuous
integration), html (one page, for people), vex (CycloneDX, for findings about components). See docs/findings.md.";

/// `helve findings`.
#[derive(Debug, Clone, Args)]
#[command(after_help = FINDINGS_HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct FindingsArgs {
    /// The run
    #[arg(required = true)]
    pub(crate) run_id: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Option<FindingsVerb>,
    /// Only findings that are at least this severe
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) severity: Option<Severity>,
    /// Write all findings in this format: sarif, json, csv, junit, html or vex
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["json", "severity"])]
    pub(crate) format: Option<Format>,
    /// The file that --format writes to [default: standard output]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "format")]
    pub(crate) output: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0 (all of them, whatever --severity says)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sarif: Option<PathBuf>,
    /// Show also the findings that are suppressed, with the reasons
    #[arg(long)]
    pub(crate) suppressed: bool,
    #[command(flatten)]
    pub(crate) counting: Counting,
}

/// Which findings count.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Counting {
    /// Only findings count that an earlier run, or a SARIF or JSON file of Helve, does not have
    #[arg(long, value_name = "RUN_ID|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) baseline: Option<String>,
    /// Findings count although the target suppresses them
    #[arg(long)]
    pub(crate) no_suppressions: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum FindingsVerb {
    /// List the findings over all runs that a server knows
    List(Box<FindingsFilter>),
    /// Show a finding of a server: where it is, what to do about it, what happened to it
    Show {
        /// The finding (`helve findings list`)
        id: String,
    },
    /// Decide about findings of a server
    Triage(Box<TriageArgs>),
    /// Say something about a finding of a server
    Comment {
        /// The finding (`helve findings list`)
        id: String,
        /// What to say
        text: String,
    },
    /// Compare the findings of two runs: new, unchanged, fixed, and not looked at again
    Diff {
        /// The earlier run
        before: String,
        /// The later run
        after: String,
    },
}

/// `FORMAT=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) format: Format,
    pub(crate) path: PathBuf,
}

impl FromStr for Export {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((format, path)) if !path.is_empty() => Ok(Self {
                format: format
                    .parse()
                    .map_err(|error: helve_findings::UnknownName| error.to_string())?,
                path: path.into(),
            }),
            _ => Err("write it as FORMAT=FILE, such as html=report.html".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_names_a_format_and_a_file() {
        let export: Export = "html=out/a=b.html".parse().unwrap();
        assert_eq!(export.format, Format::Html);
        assert_eq!(export.path, PathBuf::from("out/a=b.html"));
        for wrong in ["html", "html=", "=a.html", "pdf=a.pdf", ""] {
            assert!(wrong.parse::<Export>().is_err(), "{wrong}");
        }
    }
}
