//! How strong the walls are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How strong the sandbox is, from weakest to strongest. Each level includes the ones before it.
///
/// A level is a promise about all its walls; [`Protections`] says which walls stood, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Limits of resources, no new privileges, a clean environment, no inherited files, killed with its children.
    /// **No** wall towards the file system and the network.
    Limits,
    /// And: files by Landlock, system calls and sockets by seccomp.
    Filtered,
    /// And: a root, process table, network and user of its own by namespaces.
    Isolated,
    /// And: memory and number of processes held by the kernel for the whole process tree (control groups).
    Full,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Level; 4] = [Level::Limits, Level::Filtered, Level::Isolated, Level::Full];

    /// The level's name, as `--sandbox require=` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Limits => "limits",
            Level::Filtered => "filtered",
            Level::Isolated => "isolated",
            Level::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sandbox level: limits, filtered, isolated, full")]
pub struct UnknownLevel(String);

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let level = Level::ALL.into_iter().find(|level| level.name() == text);
        level.ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// The version of the kernel's control group interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy.
    V2,
}

/// The walls that stood around one tool. Recorded in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Protections {
    /// User, mount, process, IPC, host-name and (unless the network was granted) network namespaces, with a root file
    /// system of its own.
    pub namespaces: bool,
    /// The version of Landlock's interface, if it held files.
    pub landlock: Option<u32>,
    /// System calls were filtered.
    pub seccomp: bool,
    /// The kernel held the memory of the process tree.
    pub memory_cgroup: Option<CgroupVersion>,
    /// The kernel held the number of processes of the tree.
    pub pids_cgroup: Option<CgroupVersion>,
    /// The kernel held the share of CPU.
    pub cpu_cgroup: Option<CgroupVersion>,
}

impl Protections {
    /// The level these walls amount to.
    pub fn level(&self) -> Level {
        match self {
            Protections { seccomp: false, .. }
            | Protections {
                namespaces: false,
                landlock: None,
                ..
            } => Level::Limits,
            Protections { namespaces: false, .. } => Level::Filtered,
            Protections {
                memory_cgroup: Some(_),
                pids_cgroup: Some(_),
                ..
            } => Level::Full,
            _ => Level::Isolated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_read_back_by_name() {
        assert!(Level::ALL.is_sorted());
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("strong".parse::<Level>().is_err());
    }

    #[test]
    fn control_groups_alone_are_no_wall_towards_files() {
        let cgroups = Protections {
            memory_cgroup: Some(CgroupVersion::V1),
            pids_cgroup: Some(CgroupVersion::V1),
            ..Protections::default()
        };
        assert_eq!(cgroups.level(), Level::Limits);
        let files = Protections {
            landlock: Some(5),
            seccomp: true,
            ..cgroups
        };
        assert_eq!(files.level(), Level::Filtered);
        assert_eq!(
            Protections {
                namespaces: true,
                ..files
            }
            .level(),
            Level::Full
        );
    }
}
