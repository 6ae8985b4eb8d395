//! Answering other nodes.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::carried::{Carried, CarriedStream};
use super::client::Caller;
use super::tls::ANY;
use super::wire::{Answer, Envelope, Request};
use super::{files, frame};
use crate::machine::Copied;
use crate::types::{NodeId, SnapshotMeta, Vote};

/// Who has not proved by then that it knows the secret is let go.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// So many connections at once; a cluster of five nodes needs a few dozen.
const MAX_CONNECTIONS: usize = 256;
/// So many connections at once are carried for clients of other nodes.
const MAX_CARRIED: usize = 8192;

/// What answers.
pub(crate) trait Served: Send + Sync + 'static {
    /// Which directory this is.
    fn identity(&self) -> u128;

    /// Answers all that is one question and one answer.
    fn answer(&self, request: Request) -> impl Future<Output = Answer> + Send;

    /// Where files of a snapshot may be laid.
    fn incoming(&self) -> io::Result<std::path::PathBuf>;

    /// Copies of the databases as they are now.
    fn copy(&self) -> impl Future<Output = io::Result<Copied>> + Send;

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
    pub(crate) fn start(
        listener: TcpListener,
        caller: Caller,
        served: Arc<impl Served>,
        carried: Option<mpsc::Sender<Carried>>,
    ) -> Self {
        let taken = carried.map(|to| Taken {
            to,
            room: Arc::new(Semaphore::new(MAX_CARRIED)),
        });
        Listener {
            task: tokio::spawn(accept(listener, caller, served, taken)),
        }
    }
}

/// Who takes what is carried.
#[derive(Clone)]
struct Taken {
    to: mpsc::Sender<Carried>,
    room: Arc<Semaphore>,
}

async fn accept(listener: TcpListener, caller: Caller, served: Arc<impl Served>, taken: Option<Taken>) {
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
        let taken = taken.clone();
        connections.spawn(async move {
            if let Err(error) = converse(stream, &caller, &*served, &receiving, taken).await {
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
    taken: Option<Taken>,
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
                files::receive(&mut stream, &files, &dir).await?;
                served.install(vote, meta, dir).await
            } else if let Request::Copy = request {
                let copied = served.copy().await?;
                frame::send(&mut stream, &Answer::Files(copied.files.clone())).await?;
                return files::send(&mut stream, copied.path(), &copied.files, || Ok(())).await;
            } else if let Request::Carry { kind, origin } = request {
                return carry(stream, kind, origin, from, taken).await;
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

/// Hands a connection over, which counts no longer as one between nodes.
async fn carry(
    mut stream: TlsStream<TcpStream>,
    kind: u8,
    origin: String,
    from: NodeId,
    taken: Option<Taken>,
) -> io::Result<()> {
    let refused = |why: &str| Answer::Refused(why.to_owned());
    let Some(Taken { to, room }) = taken else {
        return frame::send(&mut stream, &refused("nothing is carried to this node")).await;
    };
    let Ok(permit) = room.try_acquire_owned() else {
        return frame::send(&mut stream, &refused("too many connections are carried to this node")).await;
    };
    frame::send(&mut stream, &Answer::Done).await?;
    let carried = Carried {
        kind,
        origin,
        from,
        stream: CarriedStream::new(stream.into(), Some(permit)),
    };
    to.send(carried).await.map_err(io::Error::other)
}
