//! `helve runs`.

use clap::Subcommand;

use super::choices::at_least_one;

/// `helve runs`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RunsVerb {
    /// List runs, newest first
    List {
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = at_least_one)]
        limit: usize,
        /// Only runs that have not ended
        #[arg(long)]
        open: bool,
        /// Also workflows of other programs on the same engine
        #[arg(long)]
        all: bool,
    },
    /// Show a run: target, parameters, and the history of its steps
    Show {
        /// The run
        run_id: String,
    },
    /// Ask a run to stop; its steps end cleanly and findings so far are kept
    Cancel {
        /// The run
        run_id: String,
    },
    /// Start a run of a server again: the same workflow, target and parameters
    Retry {
        /// The run
        run_id: String,
    },
    /// End a run at once, without cleaning up
    Terminate {
        /// The run
        run_id: String,
        /// Why, for the history
        #[arg(long, default_value = "terminated from the command line")]
        reason: String,
    },
}
