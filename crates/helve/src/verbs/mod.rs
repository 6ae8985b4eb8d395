//! One file per verb.

mod bench;
mod catalog;
mod completions;
mod findings;
mod follow;
mod parameters;
mod report;
mod run;
mod runs;
mod up;

use crate::app::App;
use crate::cli::{Cli, Verb};
use crate::errors::Result;

/// Runs the verb and returns the exit code.
pub(crate) async fn run(cli: Cli) -> Result<u8> {
    let app = App::new(cli.global)?;
    match cli.verb {
        Verb::Run(args) => run::run(&app, *args).await,
        Verb::Up(args) => up::up(&app, &args).await,
        Verb::Workflows(args) => catalog::workflows(&app, &args),
        Verb::Modules(args) => catalog::modules(&app, &args),
        Verb::Runs(verb) => runs::runs(&app, verb).await,
        Verb::Findings(args) => findings::findings(&app, args).await,
        Verb::Bench(args) => bench::bench(&app, &args).await,
        Verb::Completions { shell } => completions::completions(shell),
    }
}
