//! The command line: verbs and their options. What they mean is in `verbs`.

mod backup;
mod bench;
mod catalog;
mod choices;
mod cluster;
mod findings;
mod mesh;
mod oidc;
mod queue;
mod relay;
mod run;
mod runs;
mod server;
mod storage;
mod tls;
mod up;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use helve_worker::Allow;

use crate::logging::LogFormat;

pub(crate) use backup::{BackupArgs, BackupVerb, RestoreArgs};
pub(crate) use bench::BenchArgs;
pub(crate) use catalog::{
    ModulesArgs, ModulesVerb, NamedArgs, ToolboxVerb, VerticalsArgs, VerticalsVerb, WorkflowsArgs, WorkflowsVerb,
};
pub(crate) use choices::{DEFAULT_NAMESPACE, EngineChoice, SandboxChoice};
pub(crate) use cluster::{ClusterVerb, NodeArgs};
pub(crate) use findings::{Counting, Export, FindingsArgs, FindingsVerb};
pub(crate) use mesh::{JoinArgs, MeshArgs, MeshVerb, WorkerVerb};
pub(crate) use oidc::OidcArgs;
pub(crate) use queue::{ClaimArgs, PublishArgs, QueueArgs, QueueVerb, WorkArgs};
pub(crate) use relay::RelayArgs;
pub(crate) use run::{KeyValue, RunArgs};
pub(crate) use runs::RunsVerb;
pub(crate) use server::{
    AuditArgs, ContextVerb, FindingsFilter, LoginArgs, McpArgs, NamespacesVerb, ScheduleArgs, SchedulesVerb,
    ServerChoice, TokensVerb, TriageArgs,
};
pub(crate) use storage::{ArtifactsVerb, KeepArgs, StorageOptions, TargetsVerb};
pub(crate) use tls::{ClientAuth, TlsArgs, TrustArgs};
pub(crate) use up::{HttpArgs, Role, UpArgs, WorkerArgs, WorkerChoice, WorkerRun};

const AFTER_HELP: &str = "\
Examples:
  helve run assessment .                        scan this directory
  helve run assessment src --fail-on high       exit code 2 when something high or critical is found
  helve run assessment . --sarif out.sarif      write the findings for a code-scanning page
  helve run assessment . --export html=out.html write them as a page for people
  helve run --resume assessment-7k2m9qxa        go on with a run that was interrupted
  helve up                                      serve the engine to other programs and workers
  helve login https://helve.example.org         talk to that server from now on

Exit codes:
  0  done          1  an error          2  findings reach --fail-on
  64 wrong usage   75 a worker that wants to be started again   130 interrupted; the run can be resumed";

/// Durable security testing: hand it a source tree, get deduplicated findings.
#[derive(Debug, Parser)]
#[command(name = "helve", version, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every verb takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where runs, targets and findings are kept [default: the platform's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "HELVE_DATA_DIR", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// `embedded`, or `temporal://host:port[/namespace]` for a Temporal server, `temporals://` for one with TLS
    #[arg(
        long,
        global = true,
        value_name = "ENGINE",
        env = "HELVE_ENGINE",
        hide_env_values = true,
        default_value = "embedded"
    )]
    pub(crate) engine: EngineChoice,
    /// A directory of workflows, modules and verticals that goes before the built-in ones (repeatable; the last one wins)
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) toolbox: Vec<PathBuf>,
    /// Where `helve verticals install` puts tools [default: `tools` in the data directory]
    #[arg(long, global = true, value_name = "DIR", env = "HELVE_TOOLS_DIR", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub(crate) tools_dir: Option<PathBuf>,
    /// How tools are shut in: `require=LEVEL` refuses to run them at less than `limits`, `filtered`, `isolated` or `full`;
    /// `at-most=LEVEL` goes no further. Both with a comma
    #[arg(
        long,
        global = true,
        value_name = "SETTING",
        env = "HELVE_SANDBOX",
        hide_env_values = true
    )]
    pub(crate) sandbox: Option<SandboxChoice>,
    /// A file or folder of this machine that parameters of runs may name for modules to read, with all that is in it
    /// (repeatable; none by default but what `helve run` is given itself)
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HELVE_ALLOW_READ",
        hide_env_values = true,
        value_delimiter = ',',
        value_hint = ValueHint::AnyPath
    )]
    pub(crate) allow_read: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) storage: StorageOptions,
    #[command(flatten)]
    pub(crate) web: WebChoice,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// Print JSON, errors too: one document on standard output, or a line for each thing that happens
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log to standard error; twice for more. HELVE_LOG takes filters such as `helve_worker=debug`
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How log lines look
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "HELVE_LOG_FORMAT",
        hide_env_values = true,
        default_value_t
    )]
    pub(crate) log_format: LogFormat,
    /// An OpenTelemetry collector that traces are sent to by OTLP over HTTP, such as `http://127.0.0.1:4318`
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true
    )]
    pub(crate) otlp: Option<String>,
    /// Headers for the collector, such as `authorization=Bearer TOKEN`, from the environment only
    #[arg(skip = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default())]
    pub(crate) otlp_headers: String,
}

/// What workflows that are code may do on the network.
#[derive(Debug, Clone, Args)]
pub(crate) struct WebChoice {
    /// A host that workflows may send HTTP requests to, such as `api.example.org`, `*.example.org` or `127.0.0.1:8080`
    /// (repeatable; none by default)
    #[arg(
        long,
        global = true,
        value_name = "HOST",
        env = "HELVE_ALLOW_HTTP",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) allow_http: Vec<Allow>,
    /// An environment variable that those requests may use as a secret; workflows do not see its value (repeatable)
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "HELVE_ALLOW_SECRET",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) allow_secret: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a workflow on a target, show its findings
    Run(Box<RunArgs>),
    /// Start the engine and a worker, and serve Temporal's gRPC protocol to other programs
    Up(Box<UpArgs>),
    /// Run steps, or workflows, for an engine that runs elsewhere
    Worker(Box<WorkerArgs>),
    /// List the workers, with the tools that they carry
    Workers,
    /// List the workflows, show one, or begin a new one
    Workflows(WorkflowsArgs),
    /// List the modules, show one, or begin a new one
    Modules(ModulesArgs),
    /// List the verticals and their tools, say what is missing, install it
    Verticals(VerticalsArgs),
    /// Check directories of workflows, modules and verticals
    #[command(subcommand)]
    Toolbox(ToolboxVerb),
    /// List, show, cancel and terminate runs
    #[command(subcommand)]
    Runs(RunsVerb),
    /// Show the findings of a run, write them in other formats, compare two runs
    Findings(Box<FindingsArgs>),
    /// List, show and remove packed targets, and remove what has expired
    #[command(subcommand)]
    Targets(TargetsVerb),
    /// List the files that the steps of a run left, and get one
    #[command(subcommand)]
    Artifacts(ArtifactsVerb),
    /// Publish and claim jobs, work on them, and look at queues
    Queue(QueueArgs),
    /// Look for what is wrong with this machine and with the server of the data directory, and say what to do
    Doctor,
    /// List, make, pause, resume, trigger and remove schedules of a server
    #[command(subcommand)]
    Schedules(SchedulesVerb),
    /// List and make namespaces of a server
    #[command(subcommand)]
    Namespaces(NamespacesVerb),
    /// List, make and take back tokens of a server
    #[command(subcommand)]
    Tokens(TokensVerb),
    /// Make tickets with which workers join a server over the mesh, and say who may stay
    #[command(subcommand)]
    Mesh(MeshVerb),
    /// Make a control plane of several nodes, which goes on when one of them dies
    #[command(subcommand, after_help = cluster::CLUSTER_HELP)]
    Cluster(ClusterVerb),
    /// Carry the mesh where UDP does not get through: a relay of one's own
    Relay(Box<RelayArgs>),
    /// Show who changed what on a server
    Audit(AuditArgs),
    /// Check a token and remember it with its server, which later commands then talk to
    Login(LoginArgs),
    /// Forget the token of a server
    Logout {
        /// The context [default: the current one]
        name: Option<String>,
    },
    /// List, show, choose and remove the servers that are remembered
    #[command(subcommand)]
    Context(ContextVerb),
    /// Speak the Model Context Protocol on standard input and output, for assistants
    Mcp(McpArgs),
    /// Measure how many jobs this machine can take, and how many workers one engine feeds
    Bench(BenchArgs),
    /// Back the data directory up while it is in use; list and verify backups
    Backup(BackupArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_can_print_json() {
        fn leaves<'a>(command: &'a clap::Command, path: String, found: &mut Vec<(String, &'a clap::Command)>) {
            // A command that has verbs may do something without one, too.
            found.push((path.clone(), command));
            for verb in command.get_subcommands() {
                leaves(verb, format!("{path} {}", verb.get_name()), found);
            }
        }
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        leaves(&command, "helve".to_owned(), &mut found);
        assert!(found.len() > 40, "{found:?}");
        for (path, command) in found {
            let json = command.get_arguments().find(|argument| argument.get_id() == "json");
            assert!(
                json.is_some_and(|json| json.get_long() == Some("json")),
                "{path} has no --json"
            );
        }
        for line in [
            "helve runs list --json",
            "helve --json runs list",
            "helve runs --json list",
        ] {
            assert!(parse(line).unwrap().global.json, "{line}");
        }
    }

    #[test]
    fn global_options_may_follow_the_verb() {
        let cli = parse("helve runs list --data-dir /d --json").unwrap();
        assert_eq!(cli.global.data_dir, Some(PathBuf::from("/d")));
    }
}
