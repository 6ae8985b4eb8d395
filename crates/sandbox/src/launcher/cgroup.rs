//! Control groups: one for each tool, below the worker's own, so that what holds the worker holds its tools too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wire::{Cgroup, Controller};
use crate::{CgroupVersion, Limits, Protections};

const PREFIX: &str = "helve-tool-";

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
            Controller::Cpuacct => "cpuacct",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [
            Controller::Memory,
            Controller::Pids,
            Controller::Cpu,
            Controller::Cpuacct,
        ];
        all.into_iter().find(|controller| controller.name() == name)
    }
}

/// The groups of this process below which new ones could be made, and why others could not. Removes what supervisors
/// that were killed left behind.
pub(crate) fn find() -> (Vec<Cgroup>, Vec<String>) {
    let (mounts, own) = match (
        fs::read_to_string("/proc/self/mountinfo"),
        fs::read_to_string("/proc/self/cgroup"),
    ) {
        (Ok(mounts), Ok(own)) => (mounts, own),
        _ => {
            return (
                Vec::new(),
                vec!["control groups: /proc says nothing of them".to_owned()],
            );
        }
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(names), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let version = if names.is_empty() {
            CgroupVersion::V2
        } else {
            CgroupVersion::V1
        };
        let Some(parent) = directory(&mounts, names, path) else {
            continue;
        };
        let controllers: Vec<Controller> = match version {
            CgroupVersion::V1 => names.split(',').filter_map(Controller::named).collect(),
            // Those that the group gives to groups below it. A group with processes in it cannot be made to.
            CgroupVersion::V2 => {
                let given = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
                given.split_ascii_whitespace().filter_map(Controller::named).collect()
            }
        };
        if controllers.is_empty() {
            if version == CgroupVersion::V2 {
                missing.push(format!(
                    "control group {}: gives no controller of ours to groups below it (with systemd: Delegate=yes, and a sub-group)",
                    parent.display()
                ));
            }
            continue;
        }
        remove_leftovers(&parent);
        found.push(Cgroup {
            version,
            controllers,
            parent,
        });
    }
    (found, missing)
}

/// Where the group `path` of the hierarchy `names` is mounted.
fn directory(mounts: &str, names: &str, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        let matches = match kind {
            "cgroup2" => names.is_empty(),
            "cgroup" => {
                !names.is_empty()
                    && names
                        .split(',')
                        .all(|name| options.split(',').any(|option| option == name))
            }
            _ => false,
        };
        let mut left = left.split(' ').skip(3);
        let (root, mountpoint) = (left.next()?, left.next()?);
        // In a container the hierarchy may be mounted from the container's group on.
        let below = Path::new(path)
            .strip_prefix(root)
            .or_else(|_| Path::new(path).strip_prefix("/"))
            .ok()?;
        matches
            .then(|| Path::new(mountpoint).join(below))
            .filter(|dir| dir.is_dir())
    })
}

/// Groups whose supervisor is dead. They are empty, or are emptied: their tools have lost their supervisor.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            kill_all(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn kill_all(group: &Path) {
    // Version 2 has a file for this, which no fork escapes.
    if fs::write(group.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
    {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The groups of one tool; removed when dropped.
pub(super) struct Groups(Vec<Group>);

struct Group {
    version: CgroupVersion,
    controllers: Vec<Controller>,
    dir: PathBuf,
}

impl Groups {
    /// Makes them, without limits. Those that are only needed for the share of CPU, only if `cpus`.
    pub(super) fn make(parents: &[Cgroup], cpus: bool) -> Result<Self, String> {
        let mut groups = Groups(Vec::new());
        for parent in parents {
            let dir = parent.parent.join(format!("{PREFIX}{}", process::id()));
            let controllers: Vec<_> = parent
                .controllers
                .iter()
                .copied()
                .filter(|controller| cpus || *controller != Controller::Cpu)
                .collect();
            if controllers.is_empty() {
                continue;
            }
            fs::create_dir(&dir).map_err(|e| format!("cannot make the control group {}: {e}", dir.display()))?;
            let group = Group {
                version: parent.version,
                controllers,
                dir,
            };
            groups.0.push(group);
        }
        Ok(groups)
    }

    pub(super) fn limit(&self, limits: &Limits) -> Result<(), String> {
        self.0.iter().try_for_each(|group| group.limit(limits))
    }

    pub(super) fn add(&self, pid: Pid) -> Result<(), String> {
        for group in &self.0 {
            group.write("cgroup.procs", &pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }

    pub(super) fn describe(&self, protections: &mut Protections) {
        let version = |controller| self.with(controller).map(|group| group.version);
        protections.memory_cgroup = version(Controller::Memory);
        protections.pids_cgroup = version(Controller::Pids);
        protections.cpu_cgroup = version(Controller::Cpu);
    }

    /// CPU time of the tree.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        if let Some(group) = self.with(Controller::Cpuacct) {
            return Some(Duration::from_nanos(group.number("cpuacct.usage")?));
        }
        let group = self.0.iter().find(|group| group.version == CgroupVersion::V2)?;
        Some(Duration::from_micros(group.field("cpu.stat", "usage_usec")?))
    }

    /// Peak memory of the tree, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let group = self.with(Controller::Memory)?;
        match group.version {
            CgroupVersion::V1 => group.number("memory.max_usage_in_bytes"),
            CgroupVersion::V2 => group.number("memory.peak"),
        }
    }

    /// Whether the kernel has killed a process of the tree for want of memory.
    pub(super) fn out_of_memory(&self) -> bool {
        let Some(group) = self.with(Controller::Memory) else {
            return false;
        };
        let file = match group.version {
            CgroupVersion::V1 => "memory.oom_control",
            CgroupVersion::V2 => "memory.events",
        };
        group.field(file, "oom_kill").is_some_and(|kills| kills > 0)
    }

    /// Whether the kernel has refused to make a process.
    pub(super) fn refused_processes(&self) -> bool {
        let group = self.with(Controller::Pids);
        group
            .and_then(|group| group.field("pids.events", "max"))
            .is_some_and(|refused| refused > 0)
    }

    /// Kills what is in the groups. A namespace does it better, but there may be none.
    pub(super) fn kill(&self) {
        if let Some(group) = self.0.first() {
            kill_all(&group.dir);
        }
    }

    fn with(&self, controller: Controller) -> Option<&Group> {
        self.0.iter().find(|group| group.controllers.contains(&controller))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // A leftover is removed when a sandbox is next opened.
            let _ = fs::remove_dir(&group.dir);
        }
    }
}

impl Group {
    fn limit(&self, limits: &Limits) -> Result<(), String> {
        let memory = limits.memory.to_string();
        // The init is one more.
        let pids = (u64::from(limits.processes) + 1).to_string();
        const PERIOD: f64 = 100_000.0; // microseconds
        for controller in &self.controllers {
            match (controller, self.version) {
                (Controller::Memory, CgroupVersion::V1) => {
                    self.write("memory.limit_in_bytes", &memory)?;
                    // Where swap is counted, it is no way out; where it is not, there is no such file.
                    let _ = self.write("memory.memsw.limit_in_bytes", &memory);
                }
                (Controller::Memory, CgroupVersion::V2) => {
                    self.write("memory.max", &memory)?;
                    let _ = self.write("memory.swap.max", "0");
                    let _ = self.write("memory.oom.group", "1");
                }
                (Controller::Pids, _) => self.write("pids.max", &pids)?,
                (Controller::Cpu, version) => {
                    let Some(cpus) = limits.cpus else { continue };
                    let quota = (cpus * PERIOD).max(1000.0).round();
                    match version {
                        CgroupVersion::V1 => {
                            self.write("cpu.cfs_period_us", &PERIOD.to_string())?;
                            self.write("cpu.cfs_quota_us", &quota.to_string())?;
                        }
                        CgroupVersion::V2 => self.write("cpu.max", &format!("{quota} {PERIOD}"))?,
                    }
                }
                (Controller::Cpuacct, _) => {}
            }
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(file);
        fs::write(&path, text).map_err(|e| format!("cannot write {text} to {}: {e}", path.display()))
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }

    /// A value of a file of lines `name value`.
    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(file)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }
}
