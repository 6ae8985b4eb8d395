//! One file per verb.

mod artifacts;
mod bench;
mod build;
mod catalog;
mod completions;
mod counting;
mod doctor;
mod export;
mod findings;
mod follow;
mod parameters;
mod replay;
mod report;
mod run;
mod runs;
mod staying;
mod targets;
mod toolbox;
mod up;
mod verticals;
mod worker;
mod workers;

pub(crate) use catalog::not_found;
pub(crate) use verticals::Examined;

use helve_metrics::Registry;

use crate::app::App;
use crate::cli::{Cli, ModulesVerb, ToolboxVerb, Verb, WorkflowsVerb};
use crate::errors::Result;

/// Runs the verb and returns the exit code.
pub(crate) async fn run(cli: Cli, metrics: Registry) -> Result<u8> {
    let mut global = cli.global;
    if let Verb::Toolbox(ToolboxVerb::Check { dirs, .. }) = &cli.verb {
        global.toolbox.extend_from_slice(dirs);
    }
    let app = App::new(global, metrics)?;
    match cli.verb {
        Verb::Run(args) => run::run(&app, *args).await,
        Verb::Up(args) => up::up(&app, &args).await,
        Verb::Worker(args) => worker::worker(&app, &args).await,
        Verb::Workers { json } => workers::workers(&app, json).await,
        Verb::Workflows(args) => match args.verb {
            Some(WorkflowsVerb::New {
                name, dir, code: true, ..
            }) => toolbox::new_code_workflow(&app, &name, dir),
            Some(WorkflowsVerb::New { name, dir, uses, .. }) => {
                toolbox::new_workflow(&app, &name, dir, uses.as_deref())
            }
            Some(WorkflowsVerb::Build { dir }) => build::build_workflow(&app, dir),
            Some(WorkflowsVerb::Replay { run_id, with, json }) => {
                replay::replay_run(&app, &run_id, with.as_deref(), json).await
            }
            None => catalog::workflows(&app, &args.named),
        },
        Verb::Modules(args) => match args.verb {
            Some(ModulesVerb::New { name, dir, wasm }) => match wasm {
                true => toolbox::new_code_module(&app, &name, dir),
                false => toolbox::new_module(&app, &name, dir),
            },
            None => catalog::modules(&app, &args.named),
        },
        Verb::Verticals(args) => verticals::verticals(&app, args),
        Verb::Toolbox(ToolboxVerb::Check { json, .. }) => toolbox::check(&app, json),
        Verb::Runs(verb) => runs::runs(&app, verb).await,
        Verb::Findings(args) => findings::findings(&app, *args).await,
        Verb::Targets(verb) => targets::targets(&app, verb).await,
        Verb::Artifacts(verb) => artifacts::artifacts(&app, verb).await,
        Verb::Doctor(args) => doctor::doctor(&app, &args).await,
        Verb::Bench(args) => bench::bench(&app, &args).await,
        Verb::Completions { shell } => completions::completions(shell),
    }
}
