//! The file system that the tool sees: the system's programs, a little of `/etc`, what was granted, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use super::init::USER;
use super::supervisor::cannot;
use super::{sys, tool};
use crate::Access;
use crate::wire::Plan;

/// What is in `/proc` that a process of the host's user could change there.
const PROC_READ_ONLY: [&str; 7] = [
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/scsi",
];

/// Names that programs expect.
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// A part of the host's tree, detached, and where it goes.
struct Part {
    path: PathBuf,
    tree: OwnedFd,
    is_dir: bool,
}

/// A symbolic link of the host's root, such as `/bin`.
struct Link {
    path: PathBuf,
    to: PathBuf,
}

/// What is mounted here from now on is not seen outside.
pub(super) fn keep_mounts() -> Result<(), String> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|e| cannot("keep mounts to the sandbox")(e.into()))
}

/// Builds the new root and moves into it. This process is in mount and user namespaces of its own.
pub(super) fn build(plan: &Plan) -> Result<(), String> {
    // Everything is taken hold of before anything is covered or gone.
    let (links, parts) = collect(plan)?;
    let devices = devices()?;
    // Any directory will do to hang the new root on; the scratch directory is ours.
    let base = &plan.scratch;
    temporary(base, "size=16m,nr_inodes=65536,mode=755")?;
    std::env::set_current_dir(base).map_err(cannot("enter the new root"))?;
    make_dir("proc")?;
    // Now, because the kernel lets us mount it only where the host's can be seen.
    mount(
        "proc",
        "proc",
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        None,
    )
    .map_err(|e| cannot("mount /proc")(e.into()))?;
    // The usual trick: the old root goes below the new one's own mount point and is let go.
    rustix::process::pivot_root(".", ".").map_err(|e| cannot("change the root")(e.into()))?;
    unmount(".", UnmountFlags::DETACH).map_err(|e| cannot("let the old root go")(e.into()))?;
    std::env::set_current_dir("/").map_err(cannot("enter the new root"))?;

    // From here on no link, in whatever was granted, leads to the host.
    for dir in ["/dev", "/tmp", "/run", "/var", "/etc"] {
        make_dir(dir)?;
    }
    make_link("/var/tmp", "/tmp")?;
    let limits = &plan.spec.limits;
    temporary(
        "/tmp",
        &format!("size={},nr_inodes=1048576,mode=1777", limits.disk.min(limits.memory)),
    )?;
    accounts()?;
    for Link { path, to } in links {
        make_link(path, to)?;
    }
    for part in parts.iter().chain(&devices) {
        attach(part)?;
    }
    for path in PROC_READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        put(&clone(path, Access::Read, false)?, path)?;
    }
    for (name, to) in DEVICE_LINKS {
        make_link(Path::new("/dev").join(name), to)?;
    }
    make_dir("/dev/shm")?;
    temporary("/dev/shm", &format!("size={},nr_inodes=65536,mode=1777", limits.memory))?;
    let root = File::open("/").map_err(cannot("open the new root"))?;
    sys::restrict_mount(root.as_fd(), true, true, false).map_err(cannot("make the new root read-only"))
}

/// Symbolic links to make, and trees to attach, in an order in which each finds its place.
fn collect(plan: &Plan) -> Result<(Vec<Link>, Vec<Part>), String> {
    let (mut links, mut parts) = (Vec::new(), Vec::new());
    let read_only: BTreeSet<PathBuf> = tool::SYSTEM.iter().map(PathBuf::from).collect();
    for path in read_only {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let to = fs::read_link(&path).map_err(cannot("read a link"))?;
                links.push(Link { path, to });
            }
            Ok(_) => parts.push(part(&path, Access::Read)?),
            Err(_) => {}
        }
    }
    for path in tool::configuration(plan) {
        parts.push(part(&path, Access::Read)?);
    }
    if let Some(path) = &plan.spec.stdin {
        parts.push(part(path, Access::Read)?);
    }
    // Sorted by path: a directory comes before what is below it.
    for grant in &plan.spec.grants {
        parts.push(part(&grant.path, grant.access)?);
    }
    parts.push(part(&plan.scratch, Access::Write)?);
    Ok((links, parts))
}

fn part(path: &Path, access: Access) -> Result<Part, String> {
    let metadata = fs::metadata(path).map_err(cannot(&format!("see {}", path.display())))?;
    let tree = clone(path, access, false)?;
    Ok(Part {
        path: path.to_owned(),
        tree,
        is_dir: metadata.is_dir(),
    })
}

fn devices() -> Result<Vec<Part>, String> {
    let device = |name: &&str| {
        let path = Path::new("/dev").join(name);
        Ok(Part {
            tree: clone(&path, Access::Write, true)?,
            path,
            is_dir: false,
        })
    };
    tool::DEVICES.iter().map(device).collect()
}

/// Takes hold of a part of the tree, detached from where it is, and restricts it.
fn clone(path: &Path, access: Access, is_device: bool) -> Result<OwnedFd, String> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).map_err(|e| cannot(&format!("take {}", path.display()))(e.into()))?;
    sys::restrict_mount(tree.as_fd(), access == Access::Read, is_device, true)
        .map_err(cannot(&format!("restrict {}", path.display())))?;
    Ok(tree)
}

fn attach(part: &Part) -> Result<(), String> {
    let path = &part.path;
    if !path.exists() {
        let dir = if part.is_dir {
            Some(path.as_path())
        } else {
            path.parent()
        };
        if let Some(dir) = dir {
            fs::create_dir_all(dir).map_err(cannot(&format!("make {}", dir.display())))?;
        }
        if !part.is_dir {
            File::create(path).map_err(cannot(&format!("make {}", path.display())))?;
        }
    }
    put(&part.tree, path)
}

fn put(tree: &OwnedFd, target: &Path) -> Result<(), String> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|e| cannot(&format!("attach {}", target.display()))(e.into()))
}

fn make_dir(path: &str) -> Result<(), String> {
    fs::create_dir(path).map_err(cannot(&format!("make {path}")))
}

fn make_link(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), String> {
    let path = path.as_ref();
    symlink(to, path).map_err(cannot(&format!("make {}", path.display())))
}

fn temporary(target: impl AsRef<Path>, options: &str) -> Result<(), String> {
    let target = target.as_ref();
    let options = std::ffi::CString::new(options).expect("options contain no zero byte");
    mount(
        "tmpfs",
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        &*options,
    )
    .map_err(|e| cannot(&format!("mount {}", target.display()))(e.into()))
}

/// Programs ask who they are.
fn accounts() -> Result<(), String> {
    let passwd = format!(
        "root:x:0:0:root:/:/usr/sbin/nologin\ntool:x:{USER}:{USER}:tool:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    );
    let group = format!("root:x:0:\ntool:x:{USER}:\nnogroup:x:65534:\n");
    let files = [
        ("/etc/passwd", passwd.as_str()),
        ("/etc/group", group.as_str()),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("/etc/hostname", "sandbox\n"),
    ];
    for (path, text) in files {
        fs::write(path, text).map_err(cannot(&format!("write {path}")))?;
    }
    Ok(())
}
