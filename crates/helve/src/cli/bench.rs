//! `helve bench`.

use std::num::NonZeroUsize;

use clap::Args;
use helve_toolbox::Span;

const BENCH_HELP: &str = "\
Examples:
  helve bench
  helve bench --jobs 100 --workers 1,4 --json

A job is a whole run: a plan, one step on a target of one small file, a report. The engine and its data are in a folder of
their own under the data directory, on the same disk, and are removed afterwards. Workers are processes of their own.";

/// `helve bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    /// Jobs at once, one round for each number
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = numbers([100, 500, 1000]))]
    pub(crate) jobs: Vec<NonZeroUsize>,
    /// Local workers (processes of their own), for each number all rounds
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = numbers([1, 2, 5, 10, 20]))]
    pub(crate) workers: Vec<NonZeroUsize>,
    /// No round begins after this time, such as `90s` or `10m`
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) time_limit: Span,
}

/// Default numbers, none of which is zero.
fn numbers<const N: usize>(numbers: [usize; N]) -> Vec<NonZeroUsize> {
    numbers.into_iter().filter_map(NonZeroUsize::new).collect()
}
