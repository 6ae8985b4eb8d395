//! The tool's process, from its birth to the start of its program: the walls that a process puts up around itself.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use super::supervisor::{FromInit, cannot, tell};
use super::{filter, landlock, sys, tree};
use crate::Limits;
use crate::wire::Plan;

/// Where programs are looked for when the caller says nothing.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Why the program does not run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Setup(String),
    Exec(i32),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Setup(why)
    }
}

/// Becomes the program, or says through `failures` why not.
pub(super) fn run(plan: &Plan, mut failures: File, supervisor: &mut File) -> ! {
    let Err(failure) = become_program(plan, supervisor) else {
        sys::exit(0); // a trial: all walls stand
    };
    let _ = failures.write_all(&serde_json::to_vec(&failure).expect("a failure is plain data"));
    sys::exit(127);
}

fn become_program(plan: &Plan, supervisor: &mut File) -> Result<(), Failure> {
    let spec = &plan.spec;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|e| cannot("follow the init into death")(e.into()))?;
    rustix::process::setsid().map_err(|e| cannot("start a session")(e.into()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // When memory runs out it is the tool that goes, and nothing around it.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    sys::close_from_on_exec(3).map_err(cannot("keep files from the tool"))?;
    limit(&spec.limits, plan.walls.namespaces)?;
    if let Some(path) = &spec.stdin {
        let file = File::open(path).map_err(cannot(&format!("open {} as standard input", path.display())))?;
        rustix::stdio::dup2_stdin(&file).map_err(|e| cannot("set standard input")(e.into()))?;
    }
    std::env::set_current_dir(&spec.cwd).map_err(cannot(&format!("enter {}", spec.cwd.display())))?;

    let env = environment(plan);
    let c = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| "a zero byte in an argument".to_owned());
    let argv = spec.argv.iter().map(|word| c(word)).collect::<Result<Vec<_>, _>>()?;
    let variables = env.iter().map(|(name, value)| {
        let mut text = name.clone();
        text.push("=");
        text.push(value);
        c(&text)
    });
    let variables = variables.collect::<Result<Vec<_>, _>>()?;
    let path = env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, path)| path.clone())
        .unwrap_or_default();
    let programs = candidates(&spec.argv[0], &path);
    let programs = programs
        .iter()
        .map(|program| c(program.as_os_str()))
        .collect::<Result<Vec<_>, _>>()?;

    let abi = if plan.walls.landlock {
        Some(landlock::restrict(plan)?)
    } else {
        None
    };
    if plan.walls.seccomp {
        filter::install(plan)?;
    }
    tell(
        supervisor,
        &FromInit::Walls {
            landlock: abi,
            seccomp: plan.walls.seccomp,
        },
    );
    if plan.probe {
        return Ok(());
    }
    let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
    for program in &programs {
        let error = sys::exec(program, &argv, &variables);
        // As a shell does: a program that may not be run is only told of when there is no other of that name.
        if error.kind() != io::ErrorKind::NotFound {
            worst = error;
        }
    }
    Err(Failure::Exec(worst.raw_os_error().unwrap_or(libc::ENOENT)))
}

fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .collect()
}

fn environment(plan: &Plan) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let mut env = plan.spec.env.clone();
    let scratch = plan.scratch.as_os_str();
    let defaults = [
        ("PATH", OsStr::new(DEFAULT_PATH)),
        ("HOME", scratch),
        ("TMPDIR", scratch),
        ("LANG", OsStr::new("C.UTF-8")),
    ];
    for (name, value) in defaults {
        env.entry(name.into()).or_insert_with(|| value.to_owned());
    }
    env.into_iter().collect()
}

fn limit(limits: &Limits, own_user: bool) -> Result<(), String> {
    let set = |resource, value: u64| {
        // A limit that is lower already stays: raising is not ours to do.
        let allowed = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(allowed));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: value,
                maximum: value,
            },
        )
        .map_err(|e| cannot(&format!("limit {resource:?}"))(e.into()))
    };
    // The supervisor counts the tree and comes first; this is for a supervisor that is held up.
    set(Resource::Cpu, limits.cpu_time.as_secs().saturating_add(2))?;
    set(Resource::Core, 0)?;
    set(Resource::Nofile, limits.open_files)?;
    set(Resource::Fsize, limits.file_size)?;
    // The kernel counts this per user: in a namespace of our own the tool is the only one, elsewhere it is not.
    let others = if own_user { 2 } else { tree::threads_of_this_user() };
    set(Resource::Nproc, u64::from(limits.processes).saturating_add(others))
}

/// What a tool may always read and execute: the system's programs and libraries.
pub(super) const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
];

/// What of `/etc` a program needs to start; nothing of it is secret.
pub(super) const CONFIGURATION: [&str; 22] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "fonts",
    "gai.conf",
    "java",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "pki/ca-trust",
    "pki/tls",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// What of `/etc` the network needs.
pub(super) const NETWORK_CONFIGURATION: [&str; 2] = ["hosts", "resolv.conf"];

/// Devices that hold nothing and reach nothing.
pub(super) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Those of the names in `/etc` that are there.
pub(super) fn configuration(plan: &Plan) -> Vec<PathBuf> {
    let network = plan.spec.network == crate::Network::Host;
    let names = CONFIGURATION
        .iter()
        .chain(if network { &NETWORK_CONFIGURATION[..] } else { &[] });
    names
        .map(|name| Path::new("/etc").join(name))
        .filter(|path| path.exists())
        .collect()
}
