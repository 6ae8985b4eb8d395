//! Options and verbs about where targets and results are kept, and for how long.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueHint};
use helve_blobs::{Place, Retention};
use helve_toolbox::Span;

/// Where blobs are.
#[derive(Debug, Clone, Args)]
pub(crate) struct StorageOptions {
    /// Where targets and results are kept: a directory, or `s3://BUCKET/PREFIX` with the usual AWS_* variables. The data
    /// directory remembers it [default: `blobs` in the data directory]
    #[arg(
        long,
        global = true,
        value_name = "PLACE",
        env = "HELVE_BLOBS",
        hide_env_values = true
    )]
    pub(crate) blobs: Option<Place>,
    /// How large the cache in front of a bucket may grow, such as `500M` or `20G`
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        env = "HELVE_CACHE_SIZE",
        hide_env_values = true,
        default_value = "10G"
    )]
    pub(crate) cache_size: Size,
}

/// How long blobs are kept.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct KeepArgs {
    /// How long targets are kept after their last use; a namespace may say otherwise
    #[arg(
        long,
        value_name = "TIME",
        env = "HELVE_KEEP_TARGETS",
        hide_env_values = true,
        default_value = "7d"
    )]
    pub(crate) keep_targets: Span,
    /// How long reports and artifacts are kept; a namespace may say otherwise
    #[arg(
        long,
        value_name = "TIME",
        env = "HELVE_KEEP_RESULTS",
        hide_env_values = true,
        default_value = "30d"
    )]
    pub(crate) keep_results: Span,
}

impl From<KeepArgs> for Retention {
    fn from(keep: KeepArgs) -> Self {
        Retention {
            targets: keep.keep_targets.duration(),
            results: keep.keep_results.duration(),
        }
    }
}

const PRUNE_HELP: &str = "\
Kept whatever their age: what an open run refers to, and what was used in the last hour. What closed runs refer to is kept for
as long as their namespace says (`helve.keep-targets` and `helve.keep-results` in its data), or as these options say.
`helve up` does the same every hour.";

/// `helve targets`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TargetsVerb {
    /// List the packed targets, the one that was used last first
    List,
    /// Show a target and the runs that scanned it
    Show {
        /// The target: its id, or enough of its beginning
        target: String,
    },
    /// Remove targets; one that an open run needs is not removed
    Remove {
        /// The targets: their ids, or enough of their beginnings
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<String>,
        /// Also what open runs need: they fail
        #[arg(long)]
        force: bool,
    },
    /// Remove the targets, reports and artifacts that have expired
    #[command(visible_alias = "gc", after_help = PRUNE_HELP)]
    Prune {
        #[command(flatten)]
        keep: KeepArgs,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

/// `helve artifacts`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ArtifactsVerb {
    /// List the files that the steps of a run left, and its reports
    List {
        /// The run
        run_id: String,
    },
    /// Write one of them to standard output, or to a file
    Get {
        /// The run
        run_id: String,
        /// The artifact's name
        name: String,
        /// The step that left it, when several left one of this name
        #[arg(long, value_name = "STEP")]
        step: Option<String>,
        /// The file to write; `-` is standard output
        #[arg(short, long, value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
        output: PathBuf,
    },
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number of bytes, or one with K, M, G or T such as `500M`".to_owned();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor: u64 = match text[digits.len()..].trim_end_matches(['b', 'B']).trim() {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Size).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, size) in [
            ("0", 0),
            ("512", 512),
            ("1k", 1_000),
            ("500M", 500_000_000),
            ("10GB", 10_000_000_000),
        ] {
            assert_eq!(text.parse::<Size>().unwrap().0, size, "{text}");
        }
        for wrong in ["", "G", "-1", "1.5G", "1X", "99999999999999999T"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
