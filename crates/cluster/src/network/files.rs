//! Files behind a question or an answer: one after the other in frames, then a digest of all their bytes.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::client::gone;
use super::frame;

/// Files are sent in frames of this size.
const CHUNK: usize = 256 << 10;
/// Who pauses for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Sends files of a directory, of these names and lengths. `may_go_on` is asked before each frame.
pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    dir: &Path,
    files: &[(String, u64)],
    may_go_on: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut digest = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    for (name, length) in files {
        let mut file = tokio::fs::File::open(dir.join(name)).await?;
        let mut left = *length;
        while left > 0 {
            let part = left.min(CHUNK as u64) as usize;
            file.read_exact(&mut chunk[..part]).await?;
            digest.update(&chunk[..part]);
            may_go_on()?;
            in_time(frame::send_bytes(stream, &chunk[..part])).await?;
            left -= part as u64;
        }
    }
    in_time(frame::send_bytes(stream, digest.finalize().as_bytes())).await
}

/// Writes the files that come into a directory, checks and syncs them.
pub(crate) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    files: &[(String, u64)],
    dir: &Path,
) -> io::Result<()> {
    let mut digest = blake3::Hasher::new();
    for (name, length) in files {
        // It comes from a node that knows the secret, but a path out of the directory is never right.
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(io::Error::other(format!("`{name}` is no name of a database")));
        }
        let mut file = tokio::fs::File::create_new(dir.join(name)).await?;
        let mut left = *length;
        while left > 0 {
            let bytes = next(stream).await?;
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| io::Error::other("a file is longer than was said"))?;
            digest.update(&bytes);
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
    }
    if next(stream).await? != digest.finalize().as_bytes() {
        return Err(io::Error::other("files arrived damaged"));
    }
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || crate::log::sync_dir(&dir))
        .await
        .map_err(io::Error::other)?
}

async fn next(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    in_time(frame::receive_bytes(stream)).await?.ok_or_else(gone)
}

/// Waits for a part, but not for ever.
pub(crate) async fn in_time<T>(part: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(SILENCE, part)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the other node does not go on")))
}
