//! Workflows, modules and verticals.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// What to list or show.
#[derive(Debug, Clone, Args)]
pub(crate) struct NamedArgs {
    /// Show this one in full
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
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

impl WorkflowsArgs {
    /// `show NAME` is another way to write `NAME`.
    pub(crate) fn settle(&mut self) {
        if let Some(WorkflowsVerb::Show { name }) = &self.verb {
            self.named.name = Some(name.clone());
            self.verb = None;
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkflowsVerb {
    /// Show one in full
    Show {
        /// Its name
        name: String,
    },
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

impl ModulesArgs {
    /// `show NAME` is another way to write `NAME`.
    pub(crate) fn settle(&mut self) {
        if let Some(ModulesVerb::Show { name }) = &self.verb {
            self.named.name = Some(name.clone());
            self.verb = None;
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ModulesVerb {
    /// Show one in full
    Show {
        /// Its name
        name: String,
    },
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
    #[arg(long, requires = "name")]
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
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn a_name_after_workflows_shows_it_and_new_begins_one() {
        let verb = |line: &str| parse(line).unwrap().verb;
        let Verb::Workflows(args) = verb("helve workflows assessment --json") else {
            panic!("not workflows")
        };
        assert_eq!(args.named.name.as_deref(), Some("assessment"));
        let Verb::Workflows(args) = verb("helve workflows new nightly --uses sast") else {
            panic!("not workflows")
        };
        assert!(matches!(args.verb, Some(WorkflowsVerb::New { ref name, .. }) if name == "nightly"));
        assert!(parse("helve verticals --dockerfile").is_err());
        assert!(parse("helve verticals doctor python").is_ok());
    }
}
