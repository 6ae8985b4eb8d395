//! How a tool ended.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Level, Limit, Protections};

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal, which was not ours.
    Signaled(i32),
    /// Killed because it came up against a limit. What it wrote is incomplete: the step is inconclusive.
    Limited(Limit),
    /// Killed because the caller asked for it.
    Cancelled,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exited(code) => write!(f, "exited with {code}"),
            End::Signaled(signal) => write!(f, "killed by signal {signal}"),
            End::Limited(limit) => write!(f, "stopped: its limit of {limit} was reached"),
            End::Cancelled => write!(f, "cancelled"),
        }
    }
}

/// How a tool ended, what it used, and what walls stood around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Limits that it felt without being ended by us: a refused `fork`, a file that could not grow. A tool that felt one
    /// may have looked at less than it says.
    pub felt: Vec<Limit>,
    /// The level reached.
    pub level: Level,
    /// The walls, one by one.
    pub protections: Protections,
    /// Time by the clock.
    pub wall_time: Duration,
    /// CPU time of the whole process tree.
    pub cpu_time: Duration,
    /// Peak memory in bytes: of the process tree with a memory control group, else of its largest process.
    pub peak_memory: u64,
}

impl Outcome {
    /// Whether it exited by itself with code 0 and felt no limit.
    pub fn is_clean_exit(&self) -> bool {
        self.end == End::Exited(0) && self.felt.is_empty()
    }
}

/// An outcome with everything that was written to standard output and standard error.
#[derive(Debug, Clone)]
pub struct Output {
    /// How the tool ended.
    pub outcome: Outcome,
    /// Its standard output, at most [`crate::Limits::output`] bytes.
    pub stdout: Vec<u8>,
    /// Its standard error, at most [`crate::Limits::output`] bytes.
    pub stderr: Vec<u8>,
}
