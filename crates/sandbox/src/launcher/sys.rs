//! The system calls that have no safe wrapper. Everything unsafe of this crate is here and in the constructor.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// A process was split in two.
pub(super) enum Fork {
    Child,
    Parent(rustix::process::Pid),
}

/// Namespaces for a new process.
pub(super) const NAMESPACES: i32 =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
pub(super) const NETWORK_NAMESPACE: i32 = libc::CLONE_NEWNET;

/// Splits this process, which must have one thread only; the child is in new namespaces.
pub(super) fn fork(namespaces: i32) -> io::Result<Fork> {
    let flags = libc::c_ulong::try_from(namespaces | libc::SIGCHLD).expect("flags are positive");
    // SAFETY: without CLONE_VM this is `fork`: the child has its own copy of everything. With one thread no lock can be
    // held by another one. The remaining arguments are zero, so their order on this architecture does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match pid {
        0 => Ok(Fork::Child),
        pid if pid > 0 => {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            Ok(Fork::Parent(pid.expect("the kernel returns a process id")))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process without running anything more of it.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: no memory is involved.
    unsafe { libc::_exit(code) }
}

/// Marks every file from `first` on to be closed at `exec`.
pub(super) fn close_from_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: no memory is involved; nothing is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
}

/// Every signal does what it does in a fresh process, and none is blocked.
pub(super) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is no pointer to code. Refusals (SIGKILL, numbers that do not exist) change nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by `sigemptyset` before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Writing to nobody is an error from now on, and no end.
pub(super) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is no pointer to code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Replaces the program; returns only when that failed.
pub(super) fn exec(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end with a null pointer and point to strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// What ended children used: CPU time, and the memory of the largest in bytes.
pub(super) fn children_usage() -> (Duration, u64) {
    // SAFETY: an all-zero `rusage` is valid, and the kernel fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
    };
    let kibibytes = u64::try_from(usage.ru_maxrss).unwrap_or_default();
    (time(usage.ru_utime) + time(usage.ru_stime), kibibytes * 1024)
}

/// Ticks per second in which the kernel counts CPU time in `/proc`.
pub(super) fn clock_ticks() -> u64 {
    // SAFETY: no memory is involved.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })
        .unwrap_or(100)
        .max(1)
}

/// Bytes in a page of memory.
pub(super) fn page_size() -> u64 {
    // SAFETY: no memory is involved.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Makes a detached mount (and what is mounted below it, when `recursive`) read-only, without device files unless
/// `devices`, and without set-user-id.
pub(super) fn restrict_mount(mount: BorrowedFd<'_>, read_only: bool, devices: bool, recursive: bool) -> io::Result<()> {
    /// `struct mount_attr`, version 0.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    if !devices {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    let attributes = Attributes {
        set,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant, the attributes live through the call, and their size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attributes,
            size_of::<Attributes>(),
        )
    })
}

/// Brings the loopback interface of a new network namespace up.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero `ifreq` is valid; the name is shorter than its field; the request reads it only.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = libc::c_char::try_from(b'l').expect("ASCII");
        request.ifr_name[1] = libc::c_char::try_from(b'o').expect("ASCII");
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("small flags");
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request).into())
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
