//! How much a tool may use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one tool, with all its children, may use. Every field has a limit; there is no "unlimited".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory of the process tree, in bytes. Held by the kernel with a memory control group; otherwise the resident
    /// memory is watched, and a fast tool may exceed it for some tens of milliseconds.
    pub memory: u64,
    /// CPU time of the process tree.
    pub cpu_time: Duration,
    /// CPUs that may be busy at once; `None` for all. Held only where there is a CPU control group.
    pub cpus: Option<f64>,
    /// Processes and threads at once.
    pub processes: u32,
    /// Open files per process.
    pub open_files: u64,
    /// Size of one file, in bytes.
    pub file_size: u64,
    /// Bytes that may be added, in all, below what the tool may write to. Watched a few times a second, so that a fast
    /// writer may exceed it for a moment; one file never exceeds `file_size`.
    pub disk: u64,
    /// Bytes of standard output, and of standard error, each.
    pub output: u64,
    /// Time by the clock, from the start of the tool.
    pub wall_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 2 << 30,
            cpu_time: Duration::from_secs(30 * 60),
            cpus: None,
            processes: 512,
            open_files: 4096,
            file_size: 1 << 30,
            disk: 4 << 30,
            output: 64 << 20,
            wall_time: Duration::from_secs(60 * 60),
        }
    }
}

/// The limit that a tool came up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::cpu_time`].
    CpuTime,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::file_size`].
    FileSize,
    /// [`Limits::disk`].
    Disk,
    /// [`Limits::output`].
    Output,
    /// [`Limits::wall_time`].
    WallTime,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Limit::Memory => "memory",
            Limit::CpuTime => "CPU time",
            Limit::Processes => "number of processes",
            Limit::FileSize => "file size",
            Limit::Disk => "disk space",
            Limit::Output => "output size",
            Limit::WallTime => "wall time",
        })
    }
}
