//! What the caller and the supervisor tell each other over their socket.
//!
//! Down: a [`Ground`], sooner or later a [`Plan`], each as JSON preceded by its length (4 bytes, little-endian), then at
//! most one byte that ends the tool. End of file means that the caller is gone. Up: [`Report`]s, one JSON text per line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{CgroupVersion, Network, Outcome, Spec};

/// The variable that makes a new process of this program a supervisor.
pub(crate) const VARIABLE: &str = "HELVE_SANDBOX_SUPERVISOR";

/// Bytes sent down.
pub(crate) const CANCEL: u8 = b'c';
pub(crate) const TOO_MUCH_OUTPUT: u8 = b'o';

/// Larger plans are refused: the command line and the environment of a process are smaller than this.
pub(crate) const MAX_PLAN: usize = 8 << 20;

/// What must be known before the tool is: enough to make its namespaces and control groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ground {
    pub(crate) walls: Walls,
    pub(crate) network: Network,
    /// Whether the share of CPU will be limited.
    pub(crate) cpus: bool,
}

/// Everything else that the supervisor needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) spec: Spec,
    /// Where temporary files go; always there.
    pub(crate) scratch: PathBuf,
    /// The same as in the ground.
    pub(crate) walls: Walls,
    /// Put up the walls, run nothing: how a machine is tried out.
    pub(crate) probe: bool,
}

impl Plan {
    /// The ground that it needs.
    pub(crate) fn ground(&self) -> Ground {
        Ground {
            walls: self.walls.clone(),
            network: self.spec.network,
            cpus: self.spec.limits.cpus.is_some(),
        }
    }
}

/// Which walls to put up; each one asked for must stand, or the tool does not run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Walls {
    pub(crate) namespaces: bool,
    pub(crate) landlock: bool,
    pub(crate) seccomp: bool,
    pub(crate) cgroups: Vec<Cgroup>,
}

/// A control group below which groups for tools are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    pub(crate) version: CgroupVersion,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) parent: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Controller {
    Memory,
    Pids,
    Cpu,
    Cpuacct,
}

/// What the supervisor says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program runs.
    Started,
    /// The program cannot be executed: the system's error number.
    CannotExecute(i32),
    /// A wall could not be put up.
    SetupFailed(String),
    /// Everything has ended and is gone.
    Ended(Outcome),
}
