//! What happens in the new process: supervisor, init, tool. See the crate's documentation for the three roles.
//!
//! Everything here runs before `main` of a process that does nothing else: it has one thread, and it may allocate.

mod cgroup;
mod disk;
mod filter;
mod init;
mod landlock;
mod root;
mod supervisor;
#[allow(unsafe_code)] // system calls without a safe wrapper
mod sys;
mod tool;
mod tree;

pub(crate) use cgroup::find as find_cgroups;

/// Runs before `main`, in every program that this crate is part of.
#[used]
#[allow(unsafe_code)] // SAFETY: the section holds pointers to functions that the C library calls at the start
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    if !asked_for() {
        return;
    }
    let code = std::panic::catch_unwind(supervisor::run).unwrap_or(70);
    sys::exit(code);
}

/// Whether this process was started to be a supervisor: the variable is set, and standard input is a socket.
fn asked_for() -> bool {
    std::env::var_os(crate::wire::VARIABLE).is_some()
        && rustix::fs::fstat(rustix::stdio::stdin())
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket)
}
