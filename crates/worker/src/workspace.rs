//! Workspaces: the folders that modules look at, one per attempt or one read-only copy for all.
//!
//! A worker's folders live under `<work_dir>/<unique name>/`, which it holds locked. Whoever starts next removes the
//! folders whose lock is free: what a killed process left behind never stays longer than that.
//!
//! | isolation | what a step gets |
//! | --- | --- |
//! | `isolated` | a copy of its own, unpacked for it |
//! | `shared` | one read-only copy for all steps of the target |
//! | `copy-on-write` | a copy of its own that shares its bytes with one unpacked copy until they are written (reflinks: Btrfs, XFS, bcachefs); where the file system cannot do that, as `isolated` |

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use helve_blobs::{BlobId, BlobStore, Control, UnpackLimits};
use helve_toolbox::run::{Isolation, TargetRef};

use crate::{StepError, tree};

/// Name of the lock file in a worker's folder.
const LOCK: &str = "lock";
/// Longest part of a folder's name that comes from a run or a step: file names are limited to 255 bytes.
const NAME_PART: usize = 60;

/// The folder for workspaces cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct WorkspaceError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl WorkspaceError {
    /// The underlying error: `StorageFull` and `PermissionDenied` deserve their own advice.
    pub fn io(&self) -> &io::Error {
        &self.source
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> WorkspaceError + 'a {
    move |source| WorkspaceError {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Which attempt a workspace is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) run: &'a str,
    pub(crate) step: &'a str,
    pub(crate) number: u32,
}

/// All workspaces of one worker.
pub(crate) struct Workspaces {
    root: PathBuf,
    blobs: BlobStore,
    unpack: UnpackLimits,
    idle_targets: usize,
    shared: Mutex<HashMap<Shared, Slot>>,
    /// Whether files can be cloned here.
    clones: bool,
    /// Numbers folders, and orders shared targets by their last use.
    ticks: AtomicU64,
    lock: Option<File>,
}

/// An unpacked target that several steps use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Shared {
    target: BlobId,
    purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Purpose {
    /// Steps look at it, and must not change it.
    Reading,
    /// It is cloned for steps, which never see it.
    Cloning,
}

/// A target that several steps read.
struct Slot {
    target: Arc<SharedTarget>,
    users: usize,
    last_used: u64,
}

struct SharedTarget {
    path: PathBuf,
    /// Held while unpacking, so that the second step waits for the first one's copy.
    unpacked: Mutex<bool>,
}

/// A folder for one attempt. Dropping it cleans up.
pub(crate) struct Workspace {
    path: PathBuf,
    owner: Arc<Workspaces>,
    /// What it shares with others, or none for a folder of its own.
    shared: Option<Shared>,
}

impl Workspace {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Workspaces {
    /// Makes this worker's folder and removes what killed workers left in `work_dir`.
    pub(crate) fn open(
        work_dir: &Path,
        blobs: BlobStore,
        unpack: UnpackLimits,
        idle_targets: usize,
    ) -> Result<Arc<Self>, WorkspaceError> {
        fs::create_dir_all(work_dir).map_err(failed("create", work_dir))?;
        // One sweeper at a time, so that nobody removes a folder between its creation and its lock.
        let gate_path = work_dir.join(LOCK);
        let gate = File::create(&gate_path).map_err(failed("create", &gate_path))?;
        gate.lock().map_err(failed("lock", &gate_path))?;
        sweep(work_dir);
        let root = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .tempdir_in(work_dir)
            .map_err(failed("create a folder in", work_dir))?
            .keep();
        let lock_path = root.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed("create", &lock_path))?;
        lock.lock().map_err(failed("lock", &lock_path))?;
        Ok(Arc::new(Self {
            clones: tree::can_clone(&root),
            root,
            blobs,
            unpack,
            idle_targets,
            shared: Mutex::new(HashMap::new()),
            ticks: AtomicU64::new(0),
            lock: Some(lock),
        }))
    }

    /// This worker's folder: what lies in it is removed when the worker ends, after a crash by the next one.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Lays out a workspace. Blocking.
    pub(crate) fn lay_out(
        self: &Arc<Self>,
        attempt: Attempt<'_>,
        isolation: Isolation,
        target: Option<&TargetRef>,
        control: &Control<'_>,
    ) -> Result<Workspace, StepError> {
        let target = target.map(|target| target.id.parse::<BlobId>()).transpose()?;
        match (isolation, target) {
            (Isolation::Shared, Some(target)) => {
                let purpose = Purpose::Reading;
                self.share(Shared { target, purpose }, control)
            }
            (Isolation::CopyOnWrite, Some(target)) if self.clones => {
                match self.clone_for(attempt, target, control) {
                    // Another file system below, or a file that cannot be cloned: a copy will do.
                    Err(StepError::Workspace(error)) => {
                        tracing::debug!(%error, "a workspace is copied, not cloned");
                        self.isolate(attempt, Some(target), control)
                    }
                    other => other,
                }
            }
            (Isolation::Isolated | Isolation::CopyOnWrite | Isolation::Shared, target) => {
                self.isolate(attempt, target, control)
            }
        }
    }

    fn clone_for(
        self: &Arc<Self>,
        attempt: Attempt<'_>,
        target: BlobId,
        control: &Control<'_>,
    ) -> Result<Workspace, StepError> {
        let purpose = Purpose::Cloning;
        let base = self.share(Shared { target, purpose }, control)?;
        let workspace = self.own(attempt);
        tree::clone(base.path(), &workspace.path).map_err(failed("clone the target to", &workspace.path))?;
        Ok(workspace)
    }

    fn isolate(
        self: &Arc<Self>,
        attempt: Attempt<'_>,
        target: Option<BlobId>,
        control: &Control<'_>,
    ) -> Result<Workspace, StepError> {
        let workspace = self.own(attempt);
        fs::create_dir(&workspace.path).map_err(failed("create", &workspace.path))?;
        if let Some(target) = target {
            helve_blobs::unpack(&self.blobs, &target, &workspace.path, &self.unpack, control)?;
        }
        Ok(workspace)
    }

    /// A folder for one attempt, which does not exist yet. It is made before it is filled: a failed unpacking is cleaned
    /// up like a finished step.
    fn own(self: &Arc<Self>, attempt: Attempt<'_>) -> Workspace {
        let name = format!(
            "{}.{}-{}.{}",
            file_name_part(attempt.run),
            file_name_part(attempt.step),
            attempt.number,
            self.tick()
        );
        Workspace {
            path: self.root.join(name),
            owner: Arc::clone(self),
            shared: None,
        }
    }

    fn share(self: &Arc<Self>, what: Shared, control: &Control<'_>) -> Result<Workspace, StepError> {
        let Shared { target, purpose } = what;
        let entry = {
            let mut shared = self.shared();
            let slot = shared.entry(what).or_insert_with(|| Slot {
                target: Arc::new(SharedTarget {
                    // Numbered: a copy that is being removed and its successor must not meet.
                    path: self.root.join(format!("target.{target}.{}", self.tick())),
                    unpacked: Mutex::new(false),
                }),
                users: 0,
                last_used: 0,
            });
            slot.users += 1;
            Arc::clone(&slot.target)
        };
        let workspace = Workspace {
            path: entry.path.clone(),
            owner: Arc::clone(self),
            shared: Some(what),
        };
        let mut unpacked = entry.unpacked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !*unpacked {
            // What an earlier, failed try left here is in the way.
            tree::remove(&entry.path).map_err(failed("remove", &entry.path))?;
            fs::create_dir(&entry.path).map_err(failed("create", &entry.path))?;
            helve_blobs::unpack(&self.blobs, &target, &entry.path, &self.unpack, control)?;
            if purpose == Purpose::Reading {
                tree::make_read_only(&entry.path).map_err(failed("make read-only", &entry.path))?;
            }
            *unpacked = true;
        }
        drop(unpacked);
        Ok(workspace)
    }

    fn release(&self, what: &Shared) {
        let removed: Vec<PathBuf> = {
            let mut shared = self.shared();
            if let Some(slot) = shared.get_mut(what) {
                slot.users -= 1;
                slot.last_used = self.tick();
            }
            let mut idle: Vec<(u64, Shared)> = shared
                .iter()
                .filter(|(_, s)| s.users == 0)
                .map(|(id, s)| (s.last_used, *id))
                .collect();
            idle.sort_unstable();
            let surplus = idle.len().saturating_sub(self.idle_targets);
            idle.into_iter()
                .take(surplus)
                .filter_map(|(_, id)| shared.remove(&id))
                .map(|s| s.target.path.clone())
                .collect()
        };
        removed.iter().for_each(|path| discard(path));
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<Shared, Slot>> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        match &self.shared {
            Some(what) => self.owner.release(what),
            None => discard(&self.path),
        }
    }
}

impl Drop for Workspaces {
    fn drop(&mut self) {
        // The lock goes first: a file that is open cannot be removed everywhere.
        drop(self.lock.take());
        discard(&self.root);
    }
}

/// Removes the folders of workers that are gone. A folder that cannot be removed does not keep a worker from starting.
fn sweep(work_dir: &Path) {
    let Ok(entries) = fs::read_dir(work_dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let in_use = match File::open(path.join(LOCK)) {
            Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        };
        if !in_use {
            tracing::info!(path = %path.display(), "removing the workspaces of a worker that is gone");
            discard(&path);
        }
    }
}

fn discard(path: &Path) {
    if let Err(error) = tree::remove(path) {
        tracing::warn!(path = %path.display(), %error, "a workspace could not be removed");
    }
}

/// Ids come from any client of the engine: only harmless characters reach the file system.
fn file_name_part(id: &str) -> String {
    id.chars()
        .take(NAME_PART)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_blobs::{PackOptions, pack};

    struct Fixture {
        dir: tempfile::TempDir,
        blobs: BlobStore,
        target: TargetRef,
    }

    fn fixture() -> Fixture {
        fixture_in(&std::env::temp_dir())
    }

    fn fixture_in(place: &Path) -> Fixture {
        let dir = tempfile::tempdir_in(place).unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("main.py"), "print(1)\n").unwrap();
        let blobs = BlobStore::open(dir.path().join("blobs")).unwrap();
        let packed = pack(&source, &PackOptions::default(), &blobs, &Control::none()).unwrap();
        Fixture {
            target: TargetRef {
                id: packed.id.to_string(),
                name: "source".into(),
            },
            blobs,
            dir,
        }
    }

    fn open(fixture: &Fixture) -> Arc<Workspaces> {
        Workspaces::open(
            &fixture.dir.path().join("work"),
            fixture.blobs.clone(),
            UnpackLimits::default(),
            1,
        )
        .unwrap()
    }

    fn attempt(number: u32) -> Attempt<'static> {
        Attempt {
            run: "assessment-1",
            step: "secrets",
            number,
        }
    }

    #[test]
    fn an_isolated_workspace_holds_the_target_and_is_gone_afterwards() {
        let fixture = fixture();
        let workspaces = open(&fixture);
        let workspace = workspaces
            .lay_out(attempt(1), Isolation::Isolated, Some(&fixture.target), &Control::none())
            .unwrap();
        let path = workspace.path().to_owned();
        assert_eq!(fs::read_to_string(path.join("main.py")).unwrap(), "print(1)\n");
        fs::write(path.join("scratch"), "mine").unwrap();
        drop(workspace);
        assert!(!path.exists());
    }

    #[test]
    fn steps_share_one_copy_and_the_last_idle_one_is_kept() {
        let fixture = fixture();
        let workspaces = open(&fixture);
        let first = workspaces
            .lay_out(attempt(1), Isolation::Shared, Some(&fixture.target), &Control::none())
            .unwrap();
        let second = workspaces
            .lay_out(attempt(2), Isolation::Shared, Some(&fixture.target), &Control::none())
            .unwrap();
        assert_eq!(first.path(), second.path());
        let path = first.path().to_owned();
        drop(first);
        drop(second);
        assert!(path.join("main.py").exists(), "the next step finds it unpacked");
        drop(workspaces);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_script_of_the_target_can_be_executed_in_every_kind_of_workspace() {
        use std::os::unix::fs::PermissionsExt;
        let mut fixture = fixture();
        let script = fixture.dir.path().join("source/run.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let source = fixture.dir.path().join("source");
        let packed = pack(&source, &PackOptions::default(), &fixture.blobs, &Control::none()).unwrap();
        fixture.target.id = packed.id.to_string();
        let workspaces = open(&fixture);
        for isolation in [Isolation::Isolated, Isolation::Shared, Isolation::CopyOnWrite] {
            let target = Some(&fixture.target);
            let workspace = workspaces
                .lay_out(attempt(1), isolation, target, &Control::none())
                .unwrap();
            let mode = |name| fs::metadata(workspace.path().join(name)).unwrap().permissions().mode() & 0o777;
            let writable = if isolation == Isolation::Shared { 0 } else { 0o200 };
            assert_eq!(mode("run.sh"), 0o555 | writable, "{isolation:?}");
            assert_eq!(mode("main.py"), 0o444 | writable, "{isolation:?}");
        }
    }

    #[test]
    fn what_a_step_writes_to_a_copy_on_write_workspace_is_seen_by_nobody_else() {
        let fixture = fixture();
        let workspaces = open(&fixture);
        let lay_out = |number| {
            let target = Some(&fixture.target);
            let laid_out = workspaces.lay_out(attempt(number), Isolation::CopyOnWrite, target, &Control::none());
            laid_out.unwrap()
        };
        let (first, second) = (lay_out(1), lay_out(2));
        fs::write(first.path().join("main.py"), "changed\n").unwrap();
        fs::write(first.path().join("new.py"), "new\n").unwrap();
        for workspace in [&second, &lay_out(3)] {
            assert_eq!(
                fs::read_to_string(workspace.path().join("main.py")).unwrap(),
                "print(1)\n"
            );
            assert!(!workspace.path().join("new.py").exists());
        }
        let paths = [first.path().to_owned(), second.path().to_owned()];
        drop((first, second));
        assert!(paths.iter().all(|path| !path.exists()));
        drop(workspaces);
        let left = fs::read_dir(fixture.dir.path().join("work")).unwrap().count();
        assert_eq!(left, 1, "only the gate file stays");
    }

    /// An XFS of its own, in a file.
    #[cfg(target_os = "linux")]
    struct Xfs {
        place: tempfile::TempDir,
    }

    #[cfg(target_os = "linux")]
    impl Xfs {
        /// Or why there is none.
        fn mount() -> Result<Self, String> {
            let place = tempfile::tempdir().unwrap();
            let (image, at) = (place.path().join("image"), place.path().join("at"));
            fs::create_dir(&at).unwrap();
            fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
            run(std::process::Command::new("mkfs.xfs").arg("-q").arg(&image))?;
            run(std::process::Command::new("mount")
                .args(["-o", "loop"])
                .args([&image, &at]))?;
            Ok(Self { place })
        }

        fn path(&self) -> PathBuf {
            self.place.path().join("at")
        }

        fn free(&self) -> u64 {
            let stat = rustix::fs::statvfs(self.path()).unwrap();
            stat.f_bfree * stat.f_frsize
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for Xfs {
        fn drop(&mut self) {
            let _ = run(std::process::Command::new("umount").arg(self.path()));
        }
    }

    #[cfg(target_os = "linux")]
    fn run(command: &mut std::process::Command) -> Result<(), String> {
        let ended = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        ended
            .status
            .success()
            .then_some(())
            .ok_or(format!("{command:?}: {said}"))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_the_file_system_can_copies_share_their_bytes_until_they_are_written() {
        const LARGE: usize = 32 << 20;
        let xfs = match Xfs::mount() {
            Ok(xfs) => xfs,
            Err(why) => return println!("SKIPPED: there is no XFS to test on (it needs root and xfsprogs): {why}"),
        };
        let mut fixture = fixture_in(&xfs.path());
        let source = fixture.dir.path().join("source");
        let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
        fs::write(source.join("large"), &large).unwrap();
        let packed = pack(&source, &PackOptions::default(), &fixture.blobs, &Control::none()).unwrap();
        fixture.target.id = packed.id.to_string();
        let workspaces = open(&fixture);
        let lay_out = |number| {
            let target = Some(&fixture.target);
            let laid_out = workspaces.lay_out(attempt(number), Isolation::CopyOnWrite, target, &Control::none());
            laid_out.unwrap()
        };
        let first = lay_out(1);
        rustix::fs::sync();
        let before = xfs.free();
        let second = lay_out(2);
        rustix::fs::sync();
        assert!(
            before.saturating_sub(xfs.free()) < (LARGE / 8) as u64,
            "its bytes are shared"
        );
        fs::write(second.path().join("large"), "mine").unwrap();
        assert!(fs::read(first.path().join("large")).unwrap() == large);
        assert!(fs::read(lay_out(3).path().join("large")).unwrap() == large);
        drop((first, second));
        drop(workspaces);
        drop(fixture);
    }

    #[test]
    fn two_attempts_never_share_an_isolated_workspace() {
        let fixture = fixture();
        let workspaces = open(&fixture);
        let a = workspaces
            .lay_out(attempt(1), Isolation::Isolated, None, &Control::none())
            .unwrap();
        let b = workspaces
            .lay_out(attempt(1), Isolation::Isolated, None, &Control::none())
            .unwrap();
        assert_ne!(a.path(), b.path());
    }

    #[test]
    fn a_failed_unpacking_leaves_nothing_behind() {
        let fixture = fixture();
        let workspaces = open(&fixture);
        let missing = TargetRef {
            id: "0".repeat(64),
            name: "missing".into(),
        };
        for isolation in [Isolation::Isolated, Isolation::Shared] {
            assert!(
                workspaces
                    .lay_out(attempt(1), isolation, Some(&missing), &Control::none())
                    .is_err()
            );
        }
        drop(workspaces);
        let left: Vec<_> = fs::read_dir(fixture.dir.path().join("work"))
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(left.len(), 1, "only the gate file stays: {left:?}");
    }

    #[test]
    fn leftovers_of_a_killed_worker_are_removed_and_those_of_a_live_one_are_not() {
        let fixture = fixture();
        let leftover = fixture.dir.path().join("work/4242-killed/run.step-1.0");
        fs::create_dir_all(&leftover).unwrap();
        fs::write(leftover.parent().unwrap().join(LOCK), "").unwrap();
        let live = open(&fixture);
        let workspace = live
            .lay_out(attempt(1), Isolation::Isolated, None, &Control::none())
            .unwrap();
        let _other = open(&fixture);
        assert!(!leftover.exists());
        assert!(workspace.path().exists());
    }

    #[test]
    fn ids_with_path_separators_stay_inside_the_work_folder() {
        assert_eq!(file_name_part("../../etc/passwd"), "______etc_passwd");
        assert_eq!(file_name_part("scan[2]"), "scan_2_");
    }
}
