//! The processes below the supervisor, as `/proc` shows them: what they use, and killing them one by one. For machines
//! where no namespace or control group does it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::sys;

/// What the tree used when it was last looked at.
#[derive(Default)]
pub(super) struct Tree {
    /// Resident bytes.
    pub(super) memory: u64,
    /// The most that was ever seen.
    pub(super) peak_memory: u64,
    pub(super) cpu_time: Duration,
    pub(super) threads: u64,
}

/// One process.
struct Process {
    pid: i32,
    parent: i32,
    ticks: u64,
    threads: u64,
    pages: u64,
}

impl Tree {
    pub(super) fn look(&mut self) {
        let tree = descendants();
        let ticks: u64 = tree.iter().map(|process| process.ticks).sum();
        let cpu_time = Duration::from_millis(ticks * 1000 / sys::clock_ticks());
        // A process that has gone without being waited for takes its time with it: never count backwards.
        self.cpu_time = self.cpu_time.max(cpu_time);
        self.memory = tree.iter().map(|process| process.pages).sum::<u64>() * sys::page_size();
        self.peak_memory = self.peak_memory.max(self.memory);
        self.threads = tree
            .iter()
            .map(|process| process.threads)
            .sum::<u64>()
            .saturating_sub(1); // the init
    }
}

/// Kills everything below this process. Stopped first, so that nobody makes new ones meanwhile.
pub(super) fn kill_descendants() {
    for signal in [Signal::STOP, Signal::KILL] {
        let mut seen = HashSet::new();
        // Again as long as somebody new turns up; what remains is caught by the next call.
        for _ in 0..16 {
            let before = seen.len();
            for process in descendants() {
                if seen.insert(process.pid)
                    && let Some(pid) = Pid::from_raw(process.pid)
                {
                    let _ = kill_process(pid, signal);
                }
            }
            if seen.len() == before {
                break;
            }
        }
    }
}

/// Threads that this user runs on the whole machine.
pub(super) fn threads_of_this_user() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::getuid();
    if user.is_root() {
        return 0; // whom the kernel does not count
    }
    let user = user.as_raw();
    let of_user = |process: &Process| fs::metadata(format!("/proc/{}", process.pid)).is_ok_and(|m| m.uid() == user);
    processes()
        .iter()
        .filter(|process| of_user(process))
        .map(|process| process.threads)
        .sum()
}

fn descendants() -> Vec<Process> {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    // Most kernels list children; the others make us look at every process of the machine.
    if children(this).is_some() {
        listed_descendants(this)
    } else {
        searched_descendants(this)
    }
}

fn listed_descendants(this: i32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut open = vec![this];
    while let Some(parent) = open.pop() {
        for pid in children(parent).unwrap_or_default() {
            found.extend(process(pid));
            open.push(pid);
        }
    }
    found
}

/// The children of all threads of a process; `None` when the kernel does not list them, or it is gone.
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let listed = fs::read_to_string(thread.path().join("children")).ok()?;
        found.extend(
            listed
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    Some(found)
}

fn searched_descendants(this: i32) -> Vec<Process> {
    let mut below: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes() {
        below.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = Vec::new();
    let mut open = vec![this];
    while let Some(parent) = open.pop() {
        for process in below.remove(&parent).unwrap_or_default() {
            open.push(process.pid);
            found.push(process);
        }
    }
    found
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(process).collect()
}

fn process(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The name, in parentheses, may contain anything; the rest has no parenthesis.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        // Own time and that of children waited for, user and system.
        ticks: (11..15).filter_map(number).sum(),
        threads: number(17)?,
        pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat =
            "42 (a) b) (c) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 5 0 100 8192 6 18446744073709551615 1";
        let process = parse(42, stat).unwrap();
        assert_eq!(
            (process.parent, process.ticks, process.threads, process.pages),
            (7, 100, 5, 6)
        );
        assert!(parse(42, "garbage").is_none());
    }

    #[test]
    fn children_are_found_whether_the_kernel_lists_them_or_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let this = rustix::process::getpid().as_raw_nonzero().get();
        assert!(searched_descendants(this).iter().any(|process| process.pid == pid));
        if children(this).is_some() {
            assert!(listed_descendants(this).iter().any(|process| process.pid == pid));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
