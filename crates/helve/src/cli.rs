//! The command line: verbs and their options. What they mean is in `verbs`.

mod findings;
mod storage;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use helve_findings::Severity;
use helve_sandbox::Level;
use helve_toolbox::Span;
use helve_worker::Allow;

pub(crate) use findings::{Counting, Export, FindingsArgs, FindingsVerb};
pub(crate) use storage::{ArtifactsVerb, KeepArgs, StorageOptions, TargetsVerb};

use crate::recycling::Size;

const AFTER_HELP: &str = "\
Examples:
  helve run assessment .                        scan this directory
  helve run assessment src --fail-on high       exit code 2 when something high or critical is found
  helve run assessment . --sarif out.sarif      write the findings for a code-scanning page
  helve run assessment . --export html=out.html write them as a page for people
  helve run --resume assessment-7k2m9qxa        go on with a run that was interrupted
  helve up                                      serve the engine to other programs and workers

Exit codes:
  0  done          1  an error          2  findings reach --fail-on
  64 wrong usage   75 a worker that wants to be started again   130 interrupted; the run can be resumed";

const RUN_HELP: &str = "\
Examples:
  helve run assessment .
  helve run assessment . --param min_severity=medium --fail-on high
  helve run assessment . --json --quiet | jq .summary
  helve run assessment . --engine temporal://127.0.0.1:7233

The run is durable: when this process dies, start any `helve run` or `helve up` on the same data directory and the run
goes on, or attach to it with `helve run --resume RUN_ID`.";

const WORKER_HELP: &str = "\
Examples:
  helve worker --vertical python,web                         more hands for the `helve up` of this data directory
  helve worker --vertical rust --role activities --engine temporal://127.0.0.1:7233
  helve worker --vertical native --max-runs 200 --max-memory 8Gi --health 127.0.0.1:8080

Targets and reports are in the data directory, unless `--blobs s3://BUCKET/PREFIX` puts them into a bucket: a worker elsewhere
needs the same one, and keeps a cache of its own. A worker without it needs the data directory of whoever starts the runs.
SIGTERM and Ctrl-C stop it: running steps have 10 s to finish, and go back to their queue otherwise.
With --max-runs, --max-age or --max-memory it stops taking steps at that point, lets those that run end however long they
take, and leaves with exit code 75: a supervisor (systemd, Docker, Kubernetes) starts it again. See docs/workers.md.";

const BENCH_HELP: &str = "\
Examples:
  helve bench
  helve bench --jobs 100 --workers 1,4 --json

A job is a whole run: a plan, one step on a target of one small file, a report. The engine and its data are in a folder of
their own under the data directory, on the same disk, and are removed afterwards. Workers are processes of their own.";

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
    /// `embedded`, or `temporal://host:port[/namespace]` for a Temporal server
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
    /// Log to standard error; twice for more. HELVE_LOG takes filters such as `helve_worker=debug`
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
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
    Up(UpArgs),
    /// Run steps, or workflows, for an engine that runs elsewhere
    Worker(WorkerArgs),
    /// List the workers, with the tools that they carry
    Workers {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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
    /// Measure how many jobs this machine can take, and how many workers one engine feeds
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

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
    /// Print the whole result as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
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
    #[arg(long, value_name = "TIME", conflicts_with = "resume")]
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

/// `helve up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UpArgs {
    /// Address that Temporal clients and workers connect to
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7233")]
    pub(crate) grpc: std::net::SocketAddr,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    /// How often blobs that have expired are removed
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) expire_every: Span,
    /// Only the engine: steps and the code of workflows are left to workers of their own (`helve worker`)
    #[arg(long, conflicts_with_all = ["verticals", "roles", "concurrency", "health"])]
    pub(crate) no_worker: bool,
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerChoice,
}

/// The HTTP API of `helve up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HttpArgs {
    /// Serve the HTTP API too [default address: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub(crate) http: Option<std::net::SocketAddr>,
    /// Allow an address for --http that other machines reach, although HTTP is not encrypted
    #[arg(long = "http-expose", requires = "http")]
    pub(crate) expose: bool,
    /// A further name that a server on a loopback address goes by, such as that of a proxy (repeatable)
    #[arg(long, value_name = "NAME", requires = "http")]
    pub(crate) http_host: Vec<String>,
    /// Bytes that an upload may have, such as `500M` or `20G`
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub(crate) max_upload: Size,
}

/// `helve worker`.
#[derive(Debug, Clone, Args)]
#[command(after_help = WORKER_HELP)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) worker: WorkerChoice,
    /// Leave after this many steps, to be started again
    #[arg(long, value_name = "N")]
    pub(crate) max_runs: Option<NonZeroU64>,
    /// Leave after this time, such as `12h`, to be started again
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<Span>,
    /// Leave when it holds, together with its tools, more memory than this, such as `4Gi`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_memory: Option<Size>,
}

/// What a worker that stays does.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerChoice {
    /// Verticals whose steps it runs [default: all that the toolbox names]
    #[arg(long = "vertical", value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) verticals: Vec<String>,
    /// What it runs: the code of workflows, or their steps
    #[arg(
        long = "role",
        value_name = "ROLE,...",
        value_enum,
        value_delimiter = ',',
        default_values = ["workflows", "activities"]
    )]
    pub(crate) roles: Vec<Role>,
    /// Steps that run at the same time, per vertical [default: number of cores]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Answer `GET /healthz` (it lives) and `GET /readyz` (its polls reach the engine) there
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) health: Option<std::net::SocketAddr>,
}

/// A part of what workers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Workflows,
    Activities,
}

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
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Default numbers, none of which is zero.
fn numbers<const N: usize>(numbers: [usize; N]) -> Vec<NonZeroUsize> {
    numbers.into_iter().filter_map(NonZeroUsize::new).collect()
}

/// What to list or show.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamedArgs {
    /// Show this one in full
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `helve workflows`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkflowsArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    #[command(subcommand)]
    pub(crate) verb: Option<WorkflowsVerb>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkflowsVerb {
    /// Begin a new workflow: a plan that passes the check and runs, or a project for code
    New {
        /// Its name
        name: String,
        /// The toolbox that it goes to [default: the last --toolbox, or ./toolbox]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
        /// The module of its only step [default: a plan with `secrets` and `sast`]
        #[arg(long, value_name = "MODULE")]
        uses: Option<String>,
        /// A project in Rust for a workflow that is code, instead of a plan
        #[arg(long, conflicts_with = "uses")]
        code: bool,
    },
    /// Build the code of a workflow (Rust, JavaScript or Python) into its folder as workflow.wasm
    Build {
        /// The workflow's folder, with Cargo.toml, workflow.js or workflow.py [default: .]
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Say whether changed code could go on with a recorded run; nothing is changed
    Replay {
        /// The run
        run_id: String,
        /// The changed workflow.wasm [default: the code that the run began with]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        with: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `helve modules`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ModulesArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    #[command(subcommand)]
    pub(crate) verb: Option<ModulesVerb>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ModulesVerb {
    /// Begin a new module that runs a program: a file that passes the check and runs
    New {
        /// Its name
        name: String,
        /// The toolbox that it goes to [default: the last --toolbox, or ./toolbox]
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
        /// A project in Rust for a module that is WebAssembly, instead of one that runs a tool
        #[arg(long)]
        wasm: bool,
    },
}

/// `helve verticals`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct VerticalsArgs {
    #[command(flatten)]
    pub(crate) named: NamedArgs,
    /// Print a Dockerfile for workers of this vertical
    #[arg(long, requires = "name", conflicts_with = "json")]
    pub(crate) dockerfile: bool,
    #[command(subcommand)]
    pub(crate) verb: Option<VerticalsVerb>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum VerticalsVerb {
    /// Say which tools are there, missing or unfit, and what would fix it; exit code 1 when a needed one is
    Doctor {
        /// Only this vertical
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Install the missing tools of a vertical into Helve's own folder, as far as they allow
    Install {
        /// The vertical
        name: String,
        /// Optional tools too
        #[arg(long)]
        all: bool,
        /// Only print the commands
        #[arg(long)]
        dry_run: bool,
    },
}

/// `helve toolbox`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ToolboxVerb {
    /// Check workflows, modules and verticals; exit code 1 when something is wrong
    Check {
        /// Further directories, which go before the others
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dirs: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `helve runs`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RunsVerb {
    /// List runs, newest first
    List {
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// Only runs that have not ended
        #[arg(long)]
        open: bool,
        /// Also workflows of other programs on the same engine
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a run: target, parameters, and the history of its steps
    Show {
        /// The run
        run_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a run to stop; its steps end cleanly and findings so far are kept
    Cancel {
        /// The run
        run_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a run at once, without cleaning up
    Terminate {
        /// The run
        run_id: String,
        /// Why, for the history
        #[arg(long, default_value = "terminated from the command line")]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
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

/// How strong the sandbox around tools must be, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SandboxChoice {
    pub(crate) require: Option<Level>,
    pub(crate) at_most: Option<Level>,
}

impl FromStr for SandboxChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut choice = Self::default();
        for part in text.split(',') {
            let level = |level: &str| level.parse::<Level>().map(Some).map_err(|error| error.to_string());
            match part.trim().split_once('=') {
                Some(("require", name)) => choice.require = level(name)?,
                Some(("at-most", name)) => choice.at_most = level(name)?,
                _ => return Err("write it as `require=LEVEL` or `at-most=LEVEL`".to_owned()),
            }
        }
        Ok(choice)
    }
}

impl From<SandboxChoice> for helve_sandbox::Options {
    fn from(choice: SandboxChoice) -> Self {
        Self {
            require: choice.require,
            at_most: choice.at_most,
            scratch: None,
            keep_ready: true,
        }
    }
}

/// Which engine runs the workflows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineChoice {
    /// In this process, on the data directory.
    Embedded,
    /// A Temporal server.
    Temporal {
        /// `host:port`.
        address: String,
        /// Namespace.
        namespace: String,
    },
}

/// Temporal's namespace when none is named.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected `embedded` or `temporal://host:port[/namespace]`".to_owned();
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let rest = text.strip_prefix("temporal://").ok_or_else(wrong)?;
        let (address, namespace) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>()
            .map_err(|_| format!("`{port}` is not a port; {}", wrong()))?;
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) || namespace.contains('/') {
            return Err(wrong());
        }
        let namespace = if namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            namespace
        };
        Ok(Self::Temporal {
            address: address.to_owned(),
            namespace: namespace.to_owned(),
        })
    }
}

impl std::fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Temporal { address, namespace } if namespace == DEFAULT_NAMESPACE => {
                write!(f, "temporal://{address}")
            }
            Self::Temporal { address, namespace } => write!(f, "temporal://{address}/{namespace}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
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
    fn engines_are_read_and_written_back() {
        for (text, back) in [
            ("embedded", "embedded"),
            ("temporal://127.0.0.1:7233", "temporal://127.0.0.1:7233"),
            (
                "temporal://temporal.example:7233/default",
                "temporal://temporal.example:7233",
            ),
            ("temporal://[::1]:7233/team-a", "temporal://[::1]:7233/team-a"),
        ] {
            assert_eq!(text.parse::<EngineChoice>().unwrap().to_string(), back);
        }
        for text in [
            "",
            "temporal",
            "temporal://host",
            "temporal://:7233",
            "temporal://host:99999",
            "http://host:1",
            "temporal://h:1/a/b",
        ] {
            assert!(text.parse::<EngineChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn sandbox_settings_name_levels() {
        let choice: SandboxChoice = "require=filtered,at-most=isolated".parse().unwrap();
        assert_eq!(
            (choice.require, choice.at_most),
            (Some(Level::Filtered), Some(Level::Isolated))
        );
        for wrong in ["", "full", "require=strong", "require"] {
            assert!(wrong.parse::<SandboxChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn global_options_may_follow_the_verb() {
        let cli = parse("helve runs list --data-dir /d --json").unwrap();
        assert_eq!(cli.global.data_dir, Some(PathBuf::from("/d")));
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

    #[test]
    fn a_name_after_workflows_shows_it_and_new_begins_one() {
        let verb = |line: &str| parse(line).unwrap().verb;
        let Verb::Workflows(args) = verb("helve workflows assessment --json") else {
            panic!("not workflows")
        };
        assert_eq!(
            (args.named.name.as_deref(), args.named.json),
            (Some("assessment"), true)
        );
        let Verb::Workflows(args) = verb("helve workflows new nightly --uses sast") else {
            panic!("not workflows")
        };
        assert!(matches!(args.verb, Some(WorkflowsVerb::New { ref name, .. }) if name == "nightly"));
        assert!(parse("helve verticals --dockerfile").is_err());
        assert!(parse("helve verticals doctor python").is_ok());
    }
}
