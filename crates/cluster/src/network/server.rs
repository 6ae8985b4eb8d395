//! Answering other nodes.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::Caller;
use super::frame;
use super::tls::ANY;
use super::wire::{Answer, Envelope, Request};
use crate::types::{SnapshotMeta, Vote};

/// Who has not proved by then that it knows the secret is let go.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// So many connections at once; a cluster of five nodes needs a few dozen.
const MAX_CONNECTIONS: usize = 256;
/// A node that sends a snapshot and pauses for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// What answers.
pub(crate) trait Served: Send + Sync + 'static {
    /// Which directory this is.
    fn identity(&self) -> u128;

    /// Answers all that is one question and one answer.
    fn answer(&self, request: Request) -> impl Future<Output = Answer> + Send;

    /// Where files of a snapshot may be laid.
    fn incoming(&self) -> io::Result<std::path::PathBuf>;

    /// Takes the files of a snapshot.
    fn install(&self, vote: Vote, meta: SnapshotMeta, dir: std::path::PathBuf) -> impl Future<Output = Answer> + Send;
}

/// The listener of a node, until it is dropped.
pub(crate) struct Listener {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    pub(crate) fn start(listener: TcpListener, caller: Caller, served: Arc<impl Served>) -> Self {
        Listener {
            task: tokio::spawn(accept(listener, caller, served)),
        }
    }
}

async fn accept(listener: TcpListener, caller: Caller, served: Arc<impl Served>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let receiving = Arc::new(tokio::sync::Mutex::new(()));
    // Dropped with this task, and with it all connections.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection of another node was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (caller, served, receiving) = (caller.clone(), served.clone(), receiving.clone());
        connections.spawn(async move {
            if let Err(error) = converse(stream, &caller, &*served, &receiving).await {
                tracing::debug!(%error, "a connection of another node ended");
            }
            drop(permit);
        });
    }
}

async fn converse(
    stream: TcpStream,
    caller: &Caller,
    served: &impl Served,
    receiving: &tokio::sync::Mutex<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = timeout(HANDSHAKE, caller.tls.acceptor.accept(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no handshake in time"))??;
    while let Some(Envelope {
        from,
        to,
        identity,
        request,
    }) = frame::receive(&mut stream).await?
    {
        let answer =
            if (to != caller.node && to != ANY) || identity.is_some_and(|identity| identity != served.identity()) {
                Answer::Refused(
                "this is not the node that the cluster knows under that number: it has another directory. Remove that \
                 one from the cluster, then let this one join"
                    .to_owned(),
            )
            } else if let Request::Snapshot { vote, meta, files } = request {
                // One at a time: they all go to the same place.
                let _alone = receiving.lock().await;
                let dir = served.incoming()?;
                receive_files(&mut stream, &files, &dir).await?;
                served.install(vote, meta, dir).await
            } else {
                served.answer(request).await
            };
        if !caller.links.is_open(caller.node, from) {
            return Ok(());
        }
        frame::send(&mut stream, &answer).await?;
    }
    Ok(())
}

/// Writes the files of a snapshot into a directory, checks and syncs them.
async fn receive_files(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
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
                .ok_or_else(|| io::Error::other("a file of a snapshot is longer than was said"))?;
            digest.update(&bytes);
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
    }
    if next(stream).await? != digest.finalize().as_bytes() {
        return Err(io::Error::other("a snapshot arrived damaged"));
    }
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || crate::log::sync_dir(&dir))
        .await
        .map_err(io::Error::other)?
}

async fn next(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    timeout(SILENCE, frame::receive_bytes(stream))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the rest of a snapshot does not come"))??
        .ok_or_else(super::client::gone)
}
