//! Where the databases of a node are: in a directory that one small file names, so that all of them are replaced at once.

use std::io;
use std::path::{Path, PathBuf};

use helve_db::OpenError;

use crate::log::{read_small, sync_dir, write_small};

const CURRENT: &str = "current";

/// The directories of a node's databases.
pub(crate) struct Files {
    root: PathBuf,
    generation: u64,
}

impl Files {
    /// Finds the databases of a node, and removes what an unfinished replacement left beside them.
    pub(crate) fn open(root: &Path) -> Result<Self, OpenError> {
        let explain = |error: io::Error| OpenError::Io {
            path: root.to_owned(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(root).map_err(explain)?;
        let generation = match read_small(&root.join(CURRENT)).map_err(explain)? {
            Some(generation) => generation,
            None => {
                std::fs::create_dir_all(root.join("1")).map_err(explain)?;
                write_small(&root.join(CURRENT), &1u64).map_err(explain)?;
                1
            }
        };
        let files = Files {
            root: root.to_owned(),
            generation,
        };
        if !files.current().is_dir() {
            return Err(OpenError::Io {
                path: files.current(),
                reason: "the databases of this node are gone; remove it from the cluster and let it join again"
                    .to_owned(),
            });
        }
        files.tidy().map_err(explain)?;
        Ok(files)
    }

    /// The directory that holds.
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join(self.generation.to_string())
    }

    /// An empty directory beside it.
    pub(crate) fn beside(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.root.join(name);
        remove(&dir)?;
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Makes a directory with all databases, synced, the one that holds. The old one is gone when this returns, and not before
    /// the new one is sure to be there after a crash.
    pub(crate) fn replace(&mut self, new: &Path) -> io::Result<()> {
        let next = self.generation + 1;
        let place = self.root.join(next.to_string());
        remove(&place)?;
        std::fs::rename(new, place)?;
        sync_dir(&self.root)?;
        write_small(&self.root.join(CURRENT), &next)?;
        self.generation = next;
        self.tidy()
    }

    /// Removes every directory but the one that holds.
    fn tidy(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.is_dir() && path != self.current() {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Lays down databases for a node that has none yet, from files of these names. They are synced by then.
pub(crate) fn place(root: &Path, files: &[(&str, PathBuf)]) -> io::Result<PathBuf> {
    let dir = root.join("1");
    std::fs::create_dir_all(&dir)?;
    for (name, from) in files {
        std::fs::copy(from, dir.join(name))?;
        std::fs::File::open(dir.join(name))?.sync_all()?;
    }
    sync_dir(&dir)?;
    write_small(&root.join(CURRENT), &1u64)?;
    Ok(dir)
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
