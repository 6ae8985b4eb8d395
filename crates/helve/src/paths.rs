//! Where things are in the data directory.

use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::errors::{Problem, Result};
use crate::grants::Grants;

/// The data directory of this command.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The given directory or the platform's; made when it is not there, readable by its owner only.
    pub(crate) fn open(given: Option<&Path>) -> Result<Self> {
        let root = Self::path(given)?;
        create_private(&root).map_err(|error| {
            Problem::io("create the data directory", &root, &error)
                .help("choose a directory that you may write to with --data-dir DIR")
        })?;
        Ok(Self { root })
    }

    /// Where the given directory or the platform's is, whether it is there or not.
    pub(crate) fn path(given: Option<&Path>) -> Result<PathBuf> {
        match given {
            Some(dir) => std::path::absolute(dir).map_err(|error| Problem::io("find", dir, &error)),
            None => Ok(etcetera::choose_base_strategy()
                .map_err(|_| {
                    Problem::new("this account has no home directory, so there is no default data directory")
                        .help("name one with --data-dir DIR or HELVE_DATA_DIR")
                })?
                .data_dir()
                .join("helve")),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Packed targets, reports, artifacts.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Blobs that were fetched from a bucket.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Holds where the blobs are, when that was given once.
    pub(crate) fn place(&self) -> PathBuf {
        self.root.join("blobs.place")
    }

    /// What the engine keeps.
    pub(crate) fn engine(&self) -> PathBuf {
        self.root.join("engine.db")
    }

    /// All that a node of a cluster has.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// What makes this the data directory of a node.
    pub(crate) fn cluster_settings(&self) -> PathBuf {
        self.cluster().join("settings.json")
    }

    /// Findings, tokens, the audit log.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    /// The token of the person who runs the server.
    pub(crate) fn admin_token(&self) -> PathBuf {
        self.root.join("admin.token")
    }

    /// What the HTTP API keeps: unfinished uploads, and which targets each namespace has.
    pub(crate) fn http(&self) -> PathBuf {
        self.root.join("http")
    }

    /// The account at an authority of certificates, and the certificate with its key.
    pub(crate) fn acme(&self) -> PathBuf {
        self.root.join("acme")
    }

    /// Says where `helve up` serves.
    pub(crate) fn served_note(&self) -> PathBuf {
        self.root.join("served.json")
    }

    /// Held as long as it does.
    pub(crate) fn served_lock(&self) -> PathBuf {
        self.root.join("served.lock")
    }

    /// The key by which this data directory is known in the mesh.
    pub(crate) fn mesh_key(&self) -> PathBuf {
        self.root.join("mesh.key")
    }

    /// What a relay asks for, if nobody names another file.
    pub(crate) fn relay_secret(&self) -> PathBuf {
        self.root.join("relay.secret")
    }

    /// Blobs while they come from workers over the mesh.
    pub(crate) fn coming(&self) -> PathBuf {
        self.root.join("coming")
    }

    /// Workspaces of running steps.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Compiled code of workflows.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// What runs that were started here may read of this machine.
    pub(crate) fn grants(&self) -> Grants {
        Grants::in_folder(self.root.join("reads"))
    }

    /// Where the HTTP API listens for other `helve` commands.
    pub(crate) fn http_socket(&self) -> PathBuf {
        self.root.join("http.sock")
    }

    /// Where the process that holds the engine listens for other `helve` commands.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("engine.sock")
    }
}

#[cfg(unix)]
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_made_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(&dir.path().join("a/b"))).unwrap();
        assert!(data.root().is_dir());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(data.root()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_data_directory_below_a_file_is_one_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = DataDir::open(Some(&dir.path().join("file/data")))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot create the data directory"), "{error}");
    }
}
