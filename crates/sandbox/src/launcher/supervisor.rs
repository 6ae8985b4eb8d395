//! The supervisor: starts the init, watches what it uses, kills it, and says how it ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Pid, Signal};

use super::cgroup::Groups;
use super::disk::Disk;
use super::init;
use super::sys::{self, Fork};
use super::tree::{self, Tree};
use crate::wire::{CANCEL, Ground, MAX_PLAN, Plan, Report, TOO_MUCH_OUTPUT};
use crate::{End, Limit, Network, Outcome, Protections};

/// How often what the kernel does not hold is looked at.
const TICK: Duration = Duration::from_millis(50);

/// What the init tells the supervisor, one JSON text per line.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) enum FromInit {
    /// The tool's own walls stand: Landlock's version, and whether calls are filtered.
    Walls {
        landlock: Option<u32>,
        seccomp: bool,
    },
    Started,
    CannotExecute(i32),
    SetupFailed(String),
    Exited(i32),
    Signaled(i32),
}

/// Does everything; returns this process's exit code.
pub(super) fn run() -> i32 {
    let Ok((ground, mut caller)) = receive_ground() else {
        return 65;
    };
    match supervise(&ground, &mut caller) {
        Ok((report, groups)) => {
            say(&mut caller, &report);
            // Removing them takes the kernel a while, and nobody needs to wait for it.
            drop(groups);
        }
        Err(Gone::Caller) => {}
        Err(Gone::Setup(why)) => say(&mut caller, &Report::SetupFailed(why)),
    }
    0
}

/// Why there is no tool.
enum Gone {
    /// The caller left, or had no use for this supervisor.
    Caller,
    Setup(String),
}

impl From<String> for Gone {
    fn from(why: String) -> Self {
        Gone::Setup(why)
    }
}

/// Takes standard input for the socket that it is, and reads the first message from it.
fn receive_ground() -> io::Result<(Ground, UnixStream)> {
    let mut caller = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    caller.set_nonblocking(false)?;
    let ground = serde_json::from_slice(&receive(&mut caller)?)?;
    Ok((ground, caller))
}

/// One message.
fn receive(caller: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    caller.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_PLAN {
        say(
            caller,
            &Report::SetupFailed(format!("the command line and environment are {length} bytes long")),
        );
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = vec![0; length];
    caller.read_exact(&mut text)?;
    Ok(text)
}

fn say(caller: &mut UnixStream, report: &Report) {
    let mut line = serde_json::to_vec(report).expect("a report is plain data");
    line.push(b'\n');
    // A caller that is gone needs no report.
    let _ = caller.write_all(&line);
}

/// What to tell when something cannot be done.
pub(super) fn cannot(what: &str) -> impl Fn(io::Error) -> String {
    move |error| format!("cannot {what}: {error}")
}

fn supervise(ground: &Ground, caller: &mut UnixStream) -> Result<(Report, Groups), Gone> {
    sys::reset_signals();
    let _ = rustix::thread::set_name(c"helve-sandbox");
    let ready = prepare(ground)?;
    // From here on nothing is left to do that does not depend on the tool. The next message may take hours to come.
    let Ok(text) = receive(caller) else {
        ready.end();
        return Err(Gone::Caller);
    };
    let plan: Plan = match serde_json::from_slice(&text) {
        Ok(plan) => plan,
        Err(e) => {
            ready.end();
            return Err(Gone::Setup(format!("cannot read the plan: {e}")));
        }
    };
    if let Err(why) = ready.groups.limit(&plan.spec.limits) {
        ready.end();
        return Err(why.into());
    }
    let Ready {
        init,
        groups,
        reports,
        to_init,
    } = ready;
    let mut watch = Watch {
        plan: &plan,
        init: Some(init),
        groups,
        disk: Disk::new(&plan),
        began: Instant::now(),
        tree: Tree::default(),
        protections: Protections {
            namespaces: ground.walls.namespaces,
            ..Protections::default()
        },
        stopped_for: None,
        last: None,
    };
    watch.groups.describe(&mut watch.protections);
    // The init waits for this: not before now is anything of the tool run. One that is gone has said why.
    let _ = File::from(to_init).write_all(&text);
    let report = watch.run(caller, reports)?;
    Ok((report, watch.groups))
}

/// An init that waits for its plan, in namespaces and control groups.
struct Ready {
    init: Pid,
    groups: Groups,
    reports: OwnedFd,
    to_init: OwnedFd,
}

impl Ready {
    /// Ends the init, which has started nothing.
    fn end(&self) {
        let _ = rustix::process::kill_process(self.init, Signal::KILL);
        let _ = rustix::process::waitpid(Some(self.init), rustix::process::WaitOptions::empty());
    }
}

/// What can be done before the tool is known, which is most of what takes long.
fn prepare(ground: &Ground) -> Result<Ready, String> {
    let groups = Groups::make(&ground.walls.cgroups, ground.cpus)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| cannot("become a subreaper")(e.into()))?;
    let (reports, to_us) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| cannot("make a pipe")(e.into()))?;
    let (plans, to_init) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| cannot("make a pipe")(e.into()))?;
    let namespaces = match (ground.walls.namespaces, ground.network) {
        (false, _) => 0,
        (true, Network::Host) => sys::NAMESPACES,
        (true, Network::None) => sys::NAMESPACES | sys::NETWORK_NAMESPACE,
    };
    let ids = init::Ids::current();
    let init = match sys::fork(namespaces).map_err(cannot("make namespaces"))? {
        Fork::Child => {
            drop((reports, to_init));
            init::run(ground, ids, plans, File::from(to_us));
        }
        Fork::Parent(pid) => pid,
    };
    drop((plans, to_us));
    // An init that is gone is heard of in another way.
    sys::ignore_broken_pipes();
    // What the tool writes goes past this process: it must not keep the pipes open.
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(cannot("open /dev/null"))?;
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let ready = Ready {
        init,
        groups,
        reports,
        to_init,
    };
    if let Err(why) = ready.groups.add(init) {
        ready.end();
        return Err(why);
    }
    Ok(ready)
}

/// A tool under watch.
struct Watch<'a> {
    plan: &'a Plan,
    /// `None` once it is collected: its number may then be another process's.
    init: Option<Pid>,
    groups: Groups,
    disk: Disk,
    began: Instant,
    tree: Tree,
    protections: Protections,
    /// Why we killed it, if we did.
    stopped_for: Option<End>,
    /// The init's last word about the tool.
    last: Option<FromInit>,
}

impl Watch<'_> {
    fn run(&mut self, caller: &mut UnixStream, reports: OwnedFd) -> Result<Report, String> {
        let mut reports = Lines::new(reports);
        let mut caller_gone = false;
        let mut next_look = Instant::now() + TICK;
        loop {
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(TICK.subsec_nanos()),
            };
            let mut fds = [
                PollFd::from_borrowed_fd(reports.file.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(caller.as_fd(), PollFlags::IN),
            ];
            let watched = if caller_gone { &mut fds[..1] } else { &mut fds[..] };
            let polled = poll(watched, Some(&timeout));
            let ready = |fd: &PollFd<'_>| polled.is_ok() && !fd.revents().is_empty();
            let (init_speaks, caller_speaks) = (ready(&fds[0]), !caller_gone && ready(&fds[1]));
            if caller_speaks {
                let mut byte = [0; 1];
                let end = match caller.read(&mut byte) {
                    Ok(1) if byte[0] == TOO_MUCH_OUTPUT => Some(End::Limited(Limit::Output)),
                    Ok(1) if byte[0] == CANCEL => Some(End::Cancelled),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => None,
                    _ => {
                        caller_gone = true;
                        Some(End::Cancelled)
                    }
                };
                if let Some(end) = end {
                    self.stop(end);
                }
            }
            if init_speaks {
                let (lines, open) = reports.read();
                for line in lines {
                    self.heard(line, caller);
                }
                if !open {
                    break;
                }
            }
            if next_look <= Instant::now() && self.stopped_for.is_none() {
                if let Some(limit) = self.exceeded() {
                    self.stop(End::Limited(limit));
                }
                next_look = Instant::now() + TICK;
            }
        }
        // The init is at its end, and with it, in a process namespace, everything else.
        self.kill();
        let last = match self.last.take() {
            Some(FromInit::CannotExecute(errno)) => return Ok(Report::CannotExecute(errno)),
            Some(FromInit::SetupFailed(why)) => return Err(why),
            Some(FromInit::Exited(code)) => Some(End::Exited(code)),
            Some(FromInit::Signaled(signal)) => Some(End::Signaled(signal)),
            _ => None,
        };
        Ok(Report::Ended(self.outcome(last)))
    }

    fn heard(&mut self, line: FromInit, caller: &mut UnixStream) {
        match line {
            FromInit::Walls { landlock, seccomp } => {
                self.protections.landlock = landlock;
                self.protections.seccomp = seccomp;
            }
            FromInit::Started => {
                self.began = Instant::now();
                say(caller, &Report::Started);
            }
            last => self.last = Some(last),
        }
    }

    fn stop(&mut self, end: End) {
        // The first reason counts: what comes later is often its consequence.
        if self.stopped_for.is_none() && self.last.is_none() {
            self.stopped_for = Some(end);
            // What is killed together with its namespace is collected by nobody, and takes its figures with it.
            if self.is_watched() {
                self.tree.look();
            }
        }
        self.kill();
    }

    /// Kills the init and everything below it, until nothing is left.
    fn kill(&mut self) {
        if let Some(init) = self.init.take() {
            let _ = rustix::process::kill_process(init, Signal::KILL);
            // With a process namespace the kernel does the rest, and the init is not gone before that is done.
            if self.plan.walls.namespaces {
                let _ = rustix::process::waitpid(Some(init), rustix::process::WaitOptions::empty());
            }
        }
        // Otherwise orphans come to this process, the subreaper.
        let mut pause = Duration::from_micros(100);
        loop {
            loop {
                match rustix::process::wait(rustix::process::WaitOptions::NOHANG) {
                    Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                    Ok(None) => break,
                    Err(_) => return, // no child is left
                }
            }
            self.groups.kill();
            if !self.plan.walls.namespaces {
                tree::kill_descendants();
            }
            // Dying takes a moment; there is nothing to be told of it.
            std::thread::sleep(pause);
            pause = (pause * 2).min(TICK);
        }
    }

    /// Whether the kernel leaves something to be watched.
    fn is_watched(&self) -> bool {
        let Protections {
            memory_cgroup,
            pids_cgroup,
            ..
        } = self.protections;
        memory_cgroup.is_none() || pids_cgroup.is_none() || self.groups.cpu_time().is_none()
    }

    fn exceeded(&mut self) -> Option<Limit> {
        let limits = &self.plan.spec.limits;
        if self.began.elapsed() > limits.wall_time {
            return Some(Limit::WallTime);
        }
        if self.groups.out_of_memory() {
            return Some(Limit::Memory);
        }
        let cpu = self.groups.cpu_time();
        if self.is_watched() {
            self.tree.look();
        }
        if cpu.unwrap_or(self.tree.cpu_time) > limits.cpu_time {
            return Some(Limit::CpuTime);
        }
        if self.protections.memory_cgroup.is_none() && self.tree.memory > limits.memory {
            return Some(Limit::Memory);
        }
        if self.protections.pids_cgroup.is_none() && self.tree.threads > u64::from(limits.processes) {
            return Some(Limit::Processes);
        }
        self.disk.is_exceeded(limits.disk).then_some(Limit::Disk)
    }

    fn outcome(&mut self, last: Option<End>) -> Outcome {
        let wall_time = self.began.elapsed();
        let limits = &self.plan.spec.limits;
        let (children_time, largest) = sys::children_usage();
        let cpu_time = self.groups.cpu_time().unwrap_or(children_time.max(self.tree.cpu_time));
        let out_of_memory = self.groups.out_of_memory();
        let end = match (self.stopped_for, last) {
            (Some(end), _) => end,
            // The init died without a word about the tool: with a control group that is a lack of memory.
            (None, None) if out_of_memory => End::Limited(Limit::Memory),
            (None, None) => End::Signaled(Signal::KILL.as_raw()),
            (None, Some(End::Signaled(signal))) if signal == Signal::KILL.as_raw() && out_of_memory => {
                End::Limited(Limit::Memory)
            }
            (None, Some(End::Signaled(signal)))
                if (signal == Signal::KILL.as_raw() || signal == Signal::XCPU.as_raw())
                    && cpu_time >= limits.cpu_time =>
            {
                End::Limited(Limit::CpuTime)
            }
            (None, Some(End::Signaled(signal))) if signal == Signal::XFSZ.as_raw() => End::Limited(Limit::FileSize),
            (None, Some(end)) => end,
        };
        let mut felt = Vec::new();
        if out_of_memory && end != End::Limited(Limit::Memory) {
            felt.push(Limit::Memory);
        }
        if self.groups.refused_processes() {
            felt.push(Limit::Processes);
        }
        Outcome {
            end,
            felt,
            level: self.protections.level(),
            protections: self.protections,
            wall_time,
            cpu_time,
            peak_memory: self.groups.peak_memory().unwrap_or(largest.max(self.tree.peak_memory)),
        }
    }
}

/// Lines that come from the init.
struct Lines {
    file: File,
    rest: Vec<u8>,
}

impl Lines {
    fn new(fd: OwnedFd) -> Self {
        Lines {
            file: File::from(fd),
            rest: Vec::new(),
        }
    }

    /// What is there, and whether more may come.
    fn read(&mut self) -> (Vec<FromInit>, bool) {
        let mut chunk = [0; 4096];
        let read = match self.file.read(&mut chunk) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return (Vec::new(), true),
            Err(_) => 0,
        };
        self.rest.extend_from_slice(&chunk[..read]);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        let lines = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok());
        (lines.collect(), read > 0)
    }
}

/// One line to the supervisor.
pub(super) fn tell(to: &mut File, message: &FromInit) {
    let mut line = serde_json::to_vec(message).expect("a message is plain data");
    line.push(b'\n');
    let _ = to.write_all(&line);
}
