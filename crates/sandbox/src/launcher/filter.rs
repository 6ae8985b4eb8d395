//! Seccomp: calls that no analysis tool needs and that reach around the other walls.
//!
//! What is refused is listed, not what is allowed: tools are any program, and a list of allowed calls breaks with every
//! new C library. The list is for what namespaces and Landlock do not hold (kernel interfaces with a history of holes,
//! ways to get new namespaces, keys, tracing) and, without namespaces, for sockets and shared memory.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use crate::Network;
use crate::wire::Plan;

/// Refused with "not permitted".
const REFUSED: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// Refused unless the tool may trace its own processes.
const TRACING: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
];

/// Shared memory and queues that without namespaces are the whole machine's.
const SHARED: &[c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// As if the kernel did not have them, because programs then do without: `clone3` hides its flags from filters, and
/// `io_uring` does calls that filters never see.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The namespaces that `clone` must not make.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Installs the filters for good, for this process and all its children.
pub(super) fn install(plan: &Plan) -> Result<(), String> {
    let cannot = |e: seccompiler::Error| format!("cannot filter system calls: {e}");
    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    apply_filter(&compile(absent, libc::ENOSYS)?).map_err(cannot)?;
    if cfg!(target_arch = "x86_64") {
        apply_filter(&without_x32()).map_err(cannot)?;
    }
    apply_filter(&compile(refused(plan)?, libc::EPERM)?).map_err(cannot)
}

fn compile(rules: BTreeMap<c_long, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, String> {
    let architecture = std::env::consts::ARCH
        .try_into()
        .map_err(|e| format!("cannot filter system calls here: {e}"))?;
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture);
    filter
        .and_then(TryInto::try_into)
        .map_err(|e| format!("cannot compile the filter of system calls: {e}"))
}

fn refused(plan: &Plan) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, String> {
    let spec = &plan.spec;
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let mut refuse = |calls: &[c_long]| rules.extend(calls.iter().map(|call| (*call, Vec::new())));
    if !spec.trace {
        refuse(TRACING);
    }
    if !plan.walls.namespaces {
        refuse(SHARED);
    }
    let families: &[i32] = match (spec.network, plan.walls.namespaces) {
        (Network::Host, _) => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        // Sockets reach nothing but the tool's own: its loopback interface, and files that it sees.
        (Network::None, true) => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
        (Network::None, false) => &[],
    };
    rules.insert(libc::SYS_socket, vec_unless_empty(families)?);
    rules.insert(libc::SYS_socketpair, vec![none_of(0, &[libc::AF_UNIX])?]);
    let bits = NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        rule(vec![condition(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(flag),
            flag,
        )?])
    });
    rules.insert(libc::SYS_clone, bits.collect::<Result<_, _>>()?);
    // Typing into somebody's terminal.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX]
        .map(|request| rule(vec![condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Refuses the call unless its first argument is one of these; always, when there are none.
fn vec_unless_empty(families: &[i32]) -> Result<Vec<SeccompRule>, String> {
    if families.is_empty() {
        Ok(Vec::new())
    } else {
        Ok(vec![none_of(0, families)?])
    }
}

fn none_of(argument: u8, values: &[i32]) -> Result<SeccompRule, String> {
    let unequal = |value: &i32| {
        condition(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            u64::from(value.unsigned_abs()),
        )
    };
    rule(values.iter().map(unequal).collect::<Result<_, _>>()?)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, length, operator, value).map_err(|e| e.to_string())
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions).map_err(|e| e.to_string())
}

/// On x86-64 each call has a second number (the x32 interface), which the other filters do not know.
fn without_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS; offset 0 is the call's number
    const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    vec![
        step(LOAD, 0, 0),
        step(JUMP_IF_GREATER_OR_EQUAL, 1, X32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}
