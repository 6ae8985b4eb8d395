//! A socket of this machine that leads to the API of a server of the mesh, for an HTTP client that knows sockets only.

use std::path::PathBuf;

use helve_mesh::{Kind, Link};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use crate::errors::{Problem, Result};

/// The socket, in a folder that only its owner can look into. Dropping it closes it.
pub(crate) struct Forward {
    dir: TempDir,
    _server: AbortOnDropHandle<()>,
}

impl Forward {
    /// Listens.
    pub(crate) fn open(link: Link) -> Result<Self> {
        // Made for its owner alone, with a short path: sockets have no room for long ones.
        let dir = tempfile::Builder::new().prefix("helve-").tempdir();
        let dir = dir.map_err(|error| Problem::io("make a folder in", &std::env::temp_dir(), &error))?;
        let path = dir.path().join("http.sock");
        let listener = UnixListener::bind(&path).map_err(|error| Problem::io("listen on", &path, &error))?;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, link.clone()));
            }
        });
        Ok(Self {
            dir,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("http.sock")
    }
}

/// One connection. When the server cannot be reached the client sees one that ends at once, and tries again.
async fn carry(mut here: UnixStream, link: Link) {
    match link.open(Kind::Http).await {
        Ok(mut there) => {
            let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        }
        Err(error) => tracing::warn!(%error, "the server cannot be reached over the mesh"),
    }
}
