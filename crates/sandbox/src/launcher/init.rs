//! The init: first process of the sandbox. Builds what the tool sees, starts it, and collects orphans.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::root;
use super::supervisor::{FromInit, cannot, tell};
use super::sys::{self, Fork};
use super::tool::{self, Failure};
use crate::Network;
use crate::wire::{Ground, Plan};

/// The user and group that a tool is, as it sees itself. No root, because programs that think they are root do things
/// that fail here, such as giving away files.
pub(super) const USER: u32 = 1000;

/// Who the caller is. In the new namespace this cannot be asked any more.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    user: u32,
    group: u32,
}

impl Ids {
    pub(super) fn current() -> Self {
        Ids {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        }
    }
}

/// Never returns; ends when the tool does.
pub(super) fn run(ground: &Ground, caller: Ids, plans: OwnedFd, mut supervisor: File) -> ! {
    match start(ground, caller, plans, &mut supervisor) {
        Ok(tool) => reap_until(tool, &mut supervisor),
        Err(Failure::Setup(why)) => tell(&mut supervisor, &FromInit::SetupFailed(why)),
        Err(Failure::Exec(errno)) => tell(&mut supervisor, &FromInit::CannotExecute(errno)),
    }
    // In a process namespace this kills whatever the tool left behind.
    sys::exit(0);
}

fn start(ground: &Ground, caller: Ids, plans: OwnedFd, supervisor: &mut File) -> Result<Pid, Failure> {
    // The supervisor is one thread, so this fires when it dies and not before.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| cannot("follow the supervisor into death")(e.into()))?;
    if ground.walls.namespaces {
        map_user(caller)?;
        root::keep_mounts()?;
        if ground.network == Network::None {
            sys::loopback_up().map_err(cannot("bring the loopback interface up"))?;
        }
        let _ = rustix::system::sethostname(b"sandbox");
    } else {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|e| cannot("become a subreaper")(e.into()))?;
    }
    let plan = &receive(plans)?;
    if plan.walls.namespaces {
        root::build(plan)?;
    }
    drop_capabilities()?;
    // The tool has the same user: it must not read this process's memory, nor trace it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| cannot("protect the init's memory")(e.into()))?;
    let (failures, to_us) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| cannot("make a pipe")(e.into()))?;
    let tool = match sys::fork(0).map_err(cannot("start a process"))? {
        Fork::Child => {
            drop(failures);
            tool::run(plan, File::from(to_us), supervisor);
        }
        Fork::Parent(pid) => pid,
    };
    drop(to_us);
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(cannot("open /dev/null"))?;
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
    // The tool's end of the pipe closes when its program runs.
    let mut failure = Vec::new();
    File::from(failures)
        .read_to_end(&mut failure)
        .map_err(cannot("hear from the tool"))?;
    if !failure.is_empty() {
        return Err(serde_json::from_slice(&failure).unwrap_or_else(|e| Failure::Setup(e.to_string())));
    }
    tell(supervisor, &FromInit::Started);
    Ok(tool)
}

/// Waits for the plan, which comes when this process is in its control groups. Nothing: there is no tool, or the
/// supervisor died.
fn receive(plans: OwnedFd) -> Result<Plan, Failure> {
    let mut text = Vec::new();
    match File::from(plans).read_to_end(&mut text) {
        Ok(length) if length > 0 => serde_json::from_slice(&text).map_err(|e| Failure::Setup(e.to_string())),
        _ => sys::exit(1),
    }
}

/// Collects children until the tool is among them.
fn reap_until(tool: Pid, supervisor: &mut File) {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == tool => {
                if let Some(code) = status.exit_status() {
                    return tell(supervisor, &FromInit::Exited(code));
                }
                if let Some(signal) = status.terminating_signal() {
                    return tell(supervisor, &FromInit::Signaled(signal));
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Becomes [`USER`] of the new user namespace; nobody outside gains or loses anything by that.
fn map_user(caller: Ids) -> Result<(), String> {
    let write = |path: &str, text: String| fs::write(path, text).map_err(cannot(&format!("write {path}")));
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{USER} {} 1\n", caller.user))?;
    write("/proc/self/gid_map", format!("{USER} {} 1\n", caller.group))
}

/// No capability is left, and none can be had again.
fn drop_capabilities() -> Result<(), String> {
    // A process that may not do this has none to drop.
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if rustix::thread::remove_capability_from_bounding_set(one).is_err() {
            break;
        }
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(|e| cannot("drop capabilities")(e.into()))?;
    rustix::thread::set_no_new_privs(true).map_err(|e| cannot("give up new privileges")(e.into()))
}
