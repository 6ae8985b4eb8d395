//! Trees: making them read-only, cloning them, and getting rid of them.

use std::fs;
use std::io;
use std::path::Path;

/// Takes write permission away from everything below (and including) `root`, so that a step cannot change what other
/// steps read. What could be executed still can. A guard against accidents: a process of the same user can undo it.
#[cfg(unix)]
pub(crate) fn make_read_only(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    visit(root, &mut |path, metadata| {
        let executable = metadata.is_dir() || metadata.permissions().mode() & 0o111 != 0;
        set_mode(path, if executable { 0o555 } else { 0o444 })
    })
}

/// Windows: permissions of directories mean something else, so nothing is done.
#[cfg(not(unix))]
pub(crate) fn make_read_only(_root: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether files below `dir` can share their bytes until one of them is written.
pub(crate) fn can_clone(dir: &Path) -> bool {
    let (from, to) = (dir.join("clone-from"), dir.join("clone-to"));
    let cloned = fs::write(&from, [1; 4096]).and_then(|()| clone_file(&from, &to));
    let _ = fs::remove_file(&from);
    let _ = fs::remove_file(&to);
    cloned.is_ok()
}

/// Clones a tree to a place where there is nothing yet. Permissions are kept, times are not.
pub(crate) fn clone(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            clone(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if kind.is_symlink() {
        #[cfg(unix)]
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    clone_file(from, to)
}

#[cfg(target_os = "linux")]
fn clone_file(from: &Path, to: &Path) -> io::Result<()> {
    let source = fs::File::open(from)?;
    let target = fs::File::options().write(true).create_new(true).open(to)?;
    rustix::fs::ioctl_ficlone(&target, &source)?;
    target.set_permissions(source.metadata()?.permissions())
}

#[cfg(not(target_os = "linux"))]
fn clone_file(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a tree, read-only directories included. A missing tree is fine.
pub(crate) fn remove(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            #[cfg(unix)]
            make_directories_writable(root)?;
            fs::remove_dir_all(root)
        }
    }
}

#[cfg(unix)]
fn make_directories_writable(root: &Path) -> io::Result<()> {
    set_mode(root, 0o700)?;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_directories_writable(&entry.path())?;
        }
    }
    Ok(())
}

// Children first: a directory that was made read-only can still be read, but its parent's mode is set last anyway.
// Symbolic links are left alone: changing their mode would change what they point to.
#[cfg(unix)]
fn visit(path: &Path, change: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            visit(&entry?.path(), change)?;
        }
    }
    change(path, &metadata)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t/a/b")).unwrap();
        fs::write(dir.path().join("t/a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("t/link")).unwrap();
        dir
    }

    #[test]
    fn a_read_only_tree_has_no_write_bits_and_links_are_not_followed() {
        let dir = tree();
        let before = fs::metadata("/etc/passwd").unwrap().permissions().mode();
        make_read_only(&dir.path().join("t")).unwrap();
        for path in ["t", "t/a", "t/a/b", "t/a/b/file"] {
            assert_eq!(
                fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o222,
                0,
                "{path}"
            );
        }
        assert_eq!(fs::metadata("/etc/passwd").unwrap().permissions().mode(), before);
    }

    #[test]
    fn a_read_only_tree_keeps_what_could_be_executed_and_nothing_else_becomes_it() {
        let dir = tree();
        let root = dir.path().join("t");
        for (name, mode, becomes) in [
            ("script", 0o755, 0o555),
            ("own", 0o700, 0o555),
            ("a/b/file", 0o644, 0o444),
        ] {
            let path = root.join(name);
            fs::write(&path, "x").unwrap();
            set_mode(&path, mode).unwrap();
            make_read_only(&root).unwrap();
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                becomes,
                "{name}"
            );
            for directory in [root.clone(), root.join("a"), root.join("a/b")] {
                set_mode(&directory, 0o755).unwrap();
            }
        }
    }

    #[test]
    fn a_clone_has_the_same_files_links_and_permissions_where_the_file_system_can() {
        // Where a file system that can clone is mounted.
        let base = std::env::var_os("HELVE_TEST_CLONE_DIR").map_or_else(std::env::temp_dir, Into::into);
        let dir = tempfile::tempdir_in(base).unwrap();
        if !can_clone(dir.path()) {
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "trying leaves nothing");
            eprintln!("not checked: files cannot be cloned in {}", dir.path().display());
            return;
        }
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::write(from.join("a/file"), "x").unwrap();
        set_mode(&from.join("a/file"), 0o755).unwrap();
        std::os::unix::fs::symlink("a/file", from.join("link")).unwrap();
        clone(&from, &to).unwrap();
        fs::write(to.join("a/file"), "y").unwrap();
        assert_eq!(fs::read_to_string(from.join("link")).unwrap(), "x");
        assert_eq!(fs::read_to_string(to.join("link")).unwrap(), "y");
        assert_eq!(
            fs::metadata(to.join("a/file")).unwrap().permissions().mode() & 0o777,
            0o755
        );
    }

    #[test]
    fn a_read_only_tree_can_be_removed() {
        let dir = tree();
        let root = dir.path().join("t");
        make_read_only(&root).unwrap();
        remove(&root).unwrap();
        assert!(!root.exists());
        remove(&root).unwrap();
    }
}
