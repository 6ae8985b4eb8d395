//! What a sandbox is opened with, and what it then says of its machine.

use std::path::PathBuf;

use serde::Serialize;

use crate::{CgroupVersion, Level, Protections};

/// How a sandbox is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Fail to open when the machine cannot do this much.
    pub require: Option<Level>,
    /// Do not go beyond this level, for a machine where a stronger wall is in the way.
    pub at_most: Option<Level>,
    /// Where scratch directories are made; the system's directory for temporary files when not set.
    pub scratch: Option<PathBuf>,
    /// Keep one supervisor ready, with namespaces and control groups, so that the next tool starts sooner. It is two
    /// sleeping processes for as long as the sandbox lives.
    pub keep_ready: bool,
}

/// What a machine can do.
#[derive(Debug, Clone, Serialize)]
pub struct Support {
    /// The level reached.
    pub level: Level,
    /// The walls, one by one.
    pub protections: Protections,
    /// Why there is no more: one sentence per missing wall.
    pub missing: Vec<String>,
}

impl Support {
    /// Whether the kernel holds memory and processes of the tree, by control groups of which version.
    pub fn cgroups(&self) -> Option<CgroupVersion> {
        self.protections.memory_cgroup.and(self.protections.pids_cgroup)
    }
}
