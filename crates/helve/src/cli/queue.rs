//! `helve queue`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use helve_queue::{QueueName, Which};
use helve_toolbox::Span;

use super::choices::at_least_one;

const QUEUE_HELP: &str = "\
Examples:
  helve queue publish scans --input '{\"path\": \"/src\"}' --priority 1 --key nightly
  helve queue publish scans --lines < paths.txt          a job for each line
  helve queue work scans --jobs 4 -- ./scan.sh           the command gets the input on stdin; its stdout is the output
  helve queue claim scans --max 10 --json                to do it by hand: each answer has a `claim`
  helve queue complete CLAIM --output '\"ok\"'
  helve queue dead scans
  helve queue requeue --all scans

They work on the data directory, beside a `helve up` on it. See docs/queue.md.";

/// `helve queue`.
#[derive(Debug, Clone, Args)]
#[command(after_help = QUEUE_HELP)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) verb: QueueVerb,
}

/// What is done with jobs.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum QueueVerb {
    /// Publish a job, or many
    Publish(Box<PublishArgs>),
    /// Claim jobs: they are yours until their lease ends
    Claim(ClaimArgs),
    /// Keep a job: its lease begins anew
    Heartbeat {
        /// As the claim was answered
        claim: String,
        /// How far it is: JSON
        #[arg(long, value_name = "JSON")]
        details: Option<String>,
    },
    /// Complete a job
    Complete {
        /// As the claim was answered
        claim: String,
        /// What came out: JSON
        #[arg(long, value_name = "JSON", conflicts_with = "file")]
        output: Option<String>,
        /// Or the content of this file, `-` for standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Say that an attempt failed
    Fail {
        /// As the claim was answered
        claim: String,
        /// What went wrong
        #[arg(long, value_name = "TEXT", default_value = "failed")]
        error: String,
        /// A word for the kind of failure
        #[arg(long = "type", value_name = "WORD", default_value = "")]
        kind: String,
        /// It would fail again: the job is dead
        #[arg(long)]
        fatal: bool,
        /// When it may be tried again
        #[arg(long, value_name = "TIME")]
        retry_in: Option<Span>,
    },
    /// Show a job
    Show {
        /// The job
        id: String,
    },
    /// List the jobs of a queue, newest first
    List {
        /// The queue
        queue: QueueName,
        /// `all`, `open`, `delayed`, `completed`, `dead` or `canceled`
        #[arg(long, value_name = "STATUS", default_value = "all", value_parser = which)]
        status: Which,
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = at_least_one)]
        limit: usize,
    },
    /// Count the jobs of a queue; of all that have open jobs when none is named
    Stats {
        /// The queue
        queue: Option<QueueName>,
    },
    /// List the dead letters of a queue
    Dead {
        /// The queue
        queue: QueueName,
        /// At most this many
        #[arg(short = 'n', long, value_name = "N", default_value = "50", value_parser = at_least_one)]
        limit: usize,
    },
    /// Start dead or cancelled jobs again
    Requeue {
        /// The jobs
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All dead jobs of this queue
        #[arg(long, value_name = "QUEUE")]
        all: Option<QueueName>,
    },
    /// Stop a job
    Cancel {
        /// The job
        id: String,
    },
    /// Remove a job, with all that is known of it
    Remove {
        /// The job
        id: String,
    },
    /// Run a command for each job: input on its stdin, output from its stdout, failure by its exit code
    Work(WorkArgs),
}

/// `helve queue publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PublishArgs {
    /// The queue; it need not be made first
    pub(crate) queue: QueueName,
    /// What the job is about: JSON
    #[arg(long, value_name = "JSON", conflicts_with_all = ["file", "lines"])]
    pub(crate) input: Option<String>,
    /// Or the content of this file, `-` for standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "lines")]
    pub(crate) file: Option<PathBuf>,
    /// Or a job for each line of standard input: JSON, or a text
    #[arg(long, conflicts_with = "key")]
    pub(crate) lines: bool,
    /// 1 goes before 2, and so on to 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) priority: Option<u8>,
    /// Nobody gets it before this time has passed
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<Span>,
    /// A job of the same queue and key is published once
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What its claimer must have, such as `linux` or `gpu=1`
    #[arg(long, value_name = "NEED,...", value_delimiter = ',')]
    pub(crate) needs: Vec<String>,
    /// A claim that is not heard of for so long is lost [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) lease: Option<Span>,
    /// How long one attempt may take at most [default: 24h]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// After this time it is not tried any more
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Span>,
    /// Attempts until it is dead, 0: without end [default: 5]
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<u32>,
    /// Before the second attempt; each wait is twice the one before [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub(crate) retry_wait: Option<Span>,
}

/// `helve queue claim`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClaimArgs {
    /// The queue
    pub(crate) queue: QueueName,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) max: usize,
    /// How long to wait for the first one, 60s at most
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub(crate) wait: Span,
    /// Another lease than they were published with
    #[arg(long, value_name = "TIME")]
    pub(crate) lease: Option<Span>,
    /// What you have: jobs that need anything else are for others
    #[arg(long, value_name = "HAS,...", value_delimiter = ',')]
    pub(crate) has: Vec<String>,
}

/// `helve queue work`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    /// The queue
    pub(crate) queue: QueueName,
    /// Jobs at a time
    #[arg(short = 'j', long, value_name = "N", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
    /// What this machine has: jobs that need anything else are for others
    #[arg(long, value_name = "HAS,...", value_delimiter = ',')]
    pub(crate) has: Vec<String>,
    /// Another lease than they were published with
    #[arg(long, value_name = "TIME")]
    pub(crate) lease: Option<Span>,
    /// Leave when nothing waits
    #[arg(long)]
    pub(crate) drain: bool,
    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

fn which(text: &str) -> Result<Which, String> {
    serde_json::from_value(text.into()).map_err(|_| "use all, open, delayed, completed, dead or canceled".to_owned())
}
