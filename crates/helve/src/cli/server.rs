//! Which server is talked to, and the verbs that only servers know.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use helve_toolbox::Span;

use super::choices::at_least_one;

/// Which server, and how to come in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for servers")]
pub(crate) struct ServerChoice {
    /// Talk to this server instead of a data directory: `https://HOST`, `http://127.0.0.1:8080` on this machine, or a ticket of
    /// its mesh
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "HELVE_SERVER",
        hide_env_values = true,
        value_hint = ValueHint::Url
    )]
    pub(crate) server: Option<String>,
    /// A server that `helve login` remembers, by its name; `local` for none [default: the one that was chosen last]
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "HELVE_CONTEXT",
        hide_env_values = true,
        conflicts_with = "server"
    )]
    pub(crate) context: Option<String>,
    /// A file with the token, also for --engine; without it HELVE_TOKEN, or what `helve login` remembers, or on this machine
    /// what `helve up` left in the data directory
    #[arg(long, global = true, value_name = "FILE", env = "HELVE_TOKEN_FILE", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, global = true, value_name = "FILE", env = "HELVE_SERVER_CA", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub(crate) server_ca: Option<PathBuf>,
    /// Send the token unencrypted to a server on another machine: whoever is in between can take it
    #[arg(long, global = true)]
    pub(crate) insecure_http: bool,
    /// The namespace at the server [default: `default`, or the only one of the token]
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "HELVE_NAMESPACE",
        hide_env_values = true
    )]
    pub(crate) namespace: Option<String>,
}

const LOGIN_HELP: &str = "\
Examples:
  helve login https://helve.example.org --token-file ci.token
  pass show helve | helve login https://helve.example.org
  helve login http://127.0.0.1:8080                  the `helve up` of this data directory: its token is found

The token is checked, and kept in the platform's configuration folder, readable by you alone.
Later commands talk to this server; `helve context use local` goes back to the data directory.";

/// `helve login`.
#[derive(Debug, Clone, Args)]
#[command(after_help = LOGIN_HELP)]
pub(crate) struct LoginArgs {
    /// Where the server is
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) url: String,
    /// What to call it [default: its host]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `helve context`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ContextVerb {
    /// List the servers that are remembered
    List,
    /// Show one: where it is, who you are there, what you may do
    Show {
        /// The context [default: the one that commands talk to]
        name: Option<String>,
    },
    /// Let later commands talk to this one; `local` is the data directory of this machine
    Use {
        /// The context
        name: String,
    },
    /// Forget one, with its token
    Remove {
        /// The context
        name: String,
    },
}

/// `helve schedules`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SchedulesVerb {
    /// List the schedules
    List,
    /// Show one: when it starts runs, and the latest of them
    Show {
        /// The schedule
        id: String,
    },
    /// Make one
    Make(Box<ScheduleArgs>),
    /// Let it start nothing until it is resumed
    Pause {
        /// The schedule
        id: String,
    },
    /// Let it go on
    Resume {
        /// The schedule
        id: String,
    },
    /// Start a run of it now
    Trigger {
        /// The schedule
        id: String,
    },
    /// Remove it; runs that it has started go on
    Remove {
        /// The schedule
        id: String,
    },
}

/// `helve schedules make`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScheduleArgs {
    /// What to call it
    pub(crate) id: String,
    /// Name of the workflow
    pub(crate) workflow: String,
    /// Id of the target, which then does not expire (`helve targets list`)
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// A parameter of the workflow (repeatable)
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub(crate) params: Vec<super::run::KeyValue>,
    /// When, as a cron expression such as `30 2 * * *` (repeatable)
    #[arg(
        long,
        value_name = "CRON",
        required_unless_present = "every",
        conflicts_with = "every"
    )]
    pub(crate) cron: Vec<String>,
    /// Or how often, such as `6h`
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<Span>,
    /// Time zone of the cron expressions, such as `Europe/Berlin` [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// Begin paused
    #[arg(long)]
    pub(crate) paused: bool,
}

/// `helve namespaces`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum NamespacesVerb {
    /// List the namespaces that the token has access to
    List,
    /// Make one; its runs need workers of their own
    Make {
        /// Its name: lowercase letters, digits and `-`
        name: String,
        /// For people
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// How long closed runs are kept [default: 30d]
        #[arg(long, value_name = "TIME")]
        retention: Option<Span>,
    },
}

/// `helve tokens`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokensVerb {
    /// List the tokens, those that are over included
    List,
    /// Make one; its secret is shown this once
    Make {
        /// Whose it is, or what for
        name: String,
        /// `viewer`, `analyst`, `operator`, `admin` or `worker`
        #[arg(long, default_value = "viewer")]
        role: String,
        /// A namespace that it is good for (repeatable) [default: all]
        #[arg(long = "for-namespace", value_name = "NAME")]
        namespaces: Vec<String>,
        /// A task queue that it is good for, of a worker (repeatable) [default: all]
        #[arg(long = "queue", value_name = "NAME")]
        queues: Vec<String>,
        /// When it ends, such as `90d` [default: never]
        #[arg(long, value_name = "TIME")]
        expires_in: Option<Span>,
        /// Write the secret to this file, readable by you alone, instead of standard output
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Take one back: from then on it lets nobody in
    Revoke {
        /// Its id (`helve tokens list`)
        id: String,
    },
}

/// `helve audit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuditArgs {
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// By this actor
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// This action, or all of an area: `token.`
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// To this subject
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
}

/// Which findings over all runs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FindingsFilter {
    /// Of the target with this name
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// `critical`, `high`, `medium`, `low`, `note` (several with commas)
    #[arg(long, value_name = "SEVERITY,...")]
    pub(crate) severity: Option<String>,
    /// What the runs say: `new`, `still_there`, `fixed`, `reopened` (several with commas)
    #[arg(long, value_name = "STATUS,...")]
    pub(crate) status: Option<String>,
    /// What people say: `open`, `confirmed`, `false_positive`, `accepted_risk`, `fixed` (several with commas)
    #[arg(long, value_name = "STATE,...")]
    pub(crate) triage: Option<String>,
    /// Id of the rule
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Option<String>,
    /// The module that reported it last
    #[arg(long, value_name = "MODULE")]
    pub(crate) module: Option<String>,
    /// The workflow that saw it last
    #[arg(long, value_name = "WORKFLOW")]
    pub(crate) workflow: Option<String>,
    /// Who is to look after it
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// How the path begins
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Words that all occur in message, rule, path or snippet; a "quoted phrase"; `word*` for a beginning
    #[arg(short = 's', long, value_name = "WORDS")]
    pub(crate) search: Option<String>,
    /// `severity` (worst first), `newest`, `last_seen` or `path`
    #[arg(long, value_name = "ORDER")]
    pub(crate) order: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = at_least_one)]
    pub(crate) limit: usize,
}

/// `helve findings triage`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TriageArgs {
    /// The findings, by their ids (`helve findings list`)
    #[arg(required = true, value_name = "FINDING")]
    pub(crate) ids: Vec<String>,
    /// `open`, `confirmed`, `false_positive`, `accepted_risk` or `fixed`
    #[arg(long, value_name = "STATE")]
    pub(crate) state: String,
    /// When an accepted risk ends: a time such as `2027-01-31T00:00:00Z`, or how long from now, such as `90d`
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Why
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub(crate) comment: String,
}

const MCP_HELP: &str = "\
An assistant starts it and speaks to it, for instance with this in its configuration:
  {\"mcpServers\": {\"helve\": {\"command\": \"helve\", \"args\": [\"mcp\", \"--server\", \"https://helve.example.org\"]}}}

It works with the server of --server or of the chosen context, or with the `helve up` of the data directory; when there is
none, it starts one for itself. What the assistant may do is what the token allows. See docs/mcp.md.";

/// `helve mcp`.
#[derive(Debug, Clone, Args)]
#[command(after_help = MCP_HELP)]
pub(crate) struct McpArgs {
    /// Let the assistant decide about findings, too
    #[arg(long)]
    pub(crate) allow_triage: bool,
    /// Only let it look: no runs are started or cancelled
    #[arg(long, conflicts_with = "allow_triage")]
    pub(crate) read_only: bool,
    /// A directory whose content it may have scanned, with all that is in it (repeatable) [default: none]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) allow_scan: Vec<PathBuf>,
}
