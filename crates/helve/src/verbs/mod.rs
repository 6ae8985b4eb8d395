//! One file per verb.

mod access;
mod artifacts;
mod backup;
mod bench;
mod build;
mod catalog;
mod cluster;
mod completions;
mod counting;
mod doctor;
mod export;
mod findings;
mod follow;
mod login;
mod managed;
mod mcp;
mod mesh;
mod parameters;
mod queue;
mod relay;
mod replay;
mod report;
mod run;
mod runs;
mod schedules;
mod staying;
mod targets;
mod toolbox;
mod up;
mod verticals;
mod worker;
mod workers;

pub(crate) use catalog::not_found;
pub(crate) use up::stay;
pub(crate) use verticals::Examined;

use helve_metrics::Registry;

use crate::app::App;
use crate::cli::{Cli, EngineChoice, Global, ModulesVerb, ToolboxVerb, Verb, WorkflowsVerb};
use crate::errors::{Problem, Result};
use crate::server;

/// Runs the verb and returns the exit code.
pub(crate) async fn run(mut cli: Cli, metrics: Registry) -> Result<u8> {
    match &mut cli.verb {
        Verb::Workflows(args) => args.settle(),
        Verb::Modules(args) => args.settle(),
        _ => {}
    }
    let mut global = cli.global;
    if let Verb::Toolbox(ToolboxVerb::Check { dirs, .. }) = &cli.verb {
        global.toolbox.extend_from_slice(dirs);
    }
    let mut app = App::new(global, metrics)?;
    match reach(&cli.verb) {
        Reach::Anywhere => match server::ticket(&app.global)? {
            Some(ticket) => app.talk_over_mesh(&ticket).await?,
            None => app.server = server::chosen(&app.global)?,
        },
        Reach::Here(what) => refuse_server(&app.global, what, matches!(cli.verb, Verb::Backup(_)))?,
        Reach::Own => {}
    }
    match cli.verb {
        Verb::Run(args) => run::run(&app, *args).await,
        Verb::Up(args) => up::up(&app, &args).await,
        Verb::Worker(args) => worker::worker(&app, *args).await,
        Verb::Workers => workers::workers(&app).await,
        Verb::Workflows(args) => match args.verb {
            Some(WorkflowsVerb::New {
                name, dir, code: true, ..
            }) => toolbox::new_code_workflow(&app, &name, dir),
            Some(WorkflowsVerb::New { name, dir, uses, .. }) => {
                toolbox::new_workflow(&app, &name, dir, uses.as_deref())
            }
            Some(WorkflowsVerb::Build { dir }) => build::build_workflow(&app, dir),
            Some(WorkflowsVerb::Replay { run_id, with }) => replay::replay_run(&app, &run_id, with.as_deref()).await,
            None | Some(WorkflowsVerb::Show { .. }) => catalog::workflows(&app, &args.named).await,
        },
        Verb::Modules(args) => match args.verb {
            Some(ModulesVerb::New { name, dir, wasm }) => match wasm {
                true => toolbox::new_code_module(&app, &name, dir),
                false => toolbox::new_module(&app, &name, dir),
            },
            None | Some(ModulesVerb::Show { .. }) => catalog::modules(&app, &args.named).await,
        },
        Verb::Verticals(args) => verticals::verticals(&app, args).await,
        Verb::Toolbox(ToolboxVerb::Check { .. }) => toolbox::check(&app),
        Verb::Runs(verb) => runs::runs(&app, verb).await,
        Verb::Findings(args) => findings::findings(&app, *args).await,
        Verb::Targets(verb) => targets::targets(&app, verb).await,
        Verb::Artifacts(verb) => artifacts::artifacts(&app, verb).await,
        Verb::Queue(args) => queue::queue(&app, args).await,
        Verb::Doctor => doctor::doctor(&app).await,
        Verb::Schedules(verb) => schedules::schedules(&app, verb).await,
        Verb::Namespaces(verb) => access::namespaces(&app, verb).await,
        Verb::Tokens(verb) => access::tokens(&app, verb).await,
        Verb::Mesh(verb) => mesh::mesh(&app, verb).await,
        Verb::Cluster(verb) => cluster::cluster(&app, verb).await,
        Verb::Relay(args) => relay::relay(&app, &args).await,
        Verb::Audit(args) => access::audit(&app, args).await,
        Verb::Login(args) => login::login(&app, args).await,
        Verb::Logout { name } => login::logout(&app, name),
        Verb::Context(verb) => login::context(&app, verb).await,
        Verb::Mcp(args) => mcp::mcp(&app, args).await,
        Verb::Bench(args) => bench::bench(&app, &args).await,
        Verb::Backup(args) => backup::backup(&app, &args),
        Verb::Restore(args) => backup::restore(&app, &args),
        Verb::Completions { shell } => completions::completions(shell),
    }
}

/// Where a verb does what it does.
enum Reach {
    /// In a data directory, or at a server.
    Anywhere,
    /// On this machine only.
    Here(&'static str),
    /// It finds its way itself.
    Own,
}

fn reach(verb: &Verb) -> Reach {
    match verb {
        Verb::Up(_) => Reach::Here("`helve up`"),
        Verb::Worker(_) => Reach::Here("`helve worker`"),
        Verb::Relay(_) => Reach::Here("`helve relay`"),
        Verb::Toolbox(_) => Reach::Here("`helve toolbox`"),
        Verb::Bench(_) => Reach::Here("`helve bench`"),
        Verb::Doctor => Reach::Here("`helve doctor`"),
        Verb::Cluster(_) => Reach::Here("`helve cluster`"),
        Verb::Backup(_) => Reach::Here("`helve backup`"),
        Verb::Restore(_) => Reach::Here("`helve restore`"),
        Verb::Workflows(args) if args.verb.is_some() => Reach::Here("this"),
        Verb::Modules(args) if args.verb.is_some() => Reach::Here("this"),
        Verb::Verticals(args) if args.verb.is_some() || args.dockerfile => Reach::Here("this"),
        Verb::Login(_) | Verb::Logout { .. } | Verb::Context(_) | Verb::Completions { .. } => Reach::Own,
        _ => Reach::Anywhere,
    }
}

/// A server that is named now would be left out without a word. One that was chosen once is no matter for what can only be meant
/// for this machine; `of_data` is for what somebody may well mean for the server.
fn refuse_server(global: &Global, what: &str, of_data: bool) -> Result<()> {
    let here = |help: &str| Err(Problem::new(format!("{what} works on this machine, and not at a server")).help(help));
    if global.server.server.is_some() {
        return here("leave out --server, or unset HELVE_SERVER");
    }
    match global.server.context.as_deref() {
        Some(name) if name != server::contexts::LOCAL => return here("leave out --context, or unset HELVE_CONTEXT"),
        Some(_) => return Ok(()),
        None => {}
    }
    let is_named = global.data_dir.is_some() || global.engine != EngineChoice::Embedded;
    match of_data && !is_named {
        true => match server::contexts::Contexts::load()
            .ok()
            .and_then(|contexts| contexts.current)
        {
            Some(current) => here(&format!(
                "commands talk to `{current}` since `helve login`: say `--context local` for the data directory of this machine"
            )),
            None => Ok(()),
        },
        false => Ok(()),
    }
}
