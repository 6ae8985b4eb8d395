//! The side that is called: who comes in, and what they want.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use iroh::EndpointId;
use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::endpoint::Endpoint;
use crate::frame;
use crate::join::{self, Answer, Asked};
use crate::stream::{Kind, Stream};

/// The code that a connection is closed with whose endpoint is not let in; the reason is for the person who reads it.
pub(crate) const NOT_LET_IN: u32 = 403;
/// The code of an endpoint that leaves.
pub(crate) const LEAVING: u32 = 0;
/// Connections that are there at once.
const CONNECTIONS: usize = 10_000;
/// Handshakes that are under way at once.
const HANDSHAKES: usize = 256;
/// How long a handshake, or the first byte of a stream, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an endpoint that nobody knows may stay to ask.
const STRANGERS_STAY: Duration = Duration::from_secs(60);
/// How soon an endpoint is gone that was let in and is not any more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Streams that wait until somebody takes them.
const WAITING: usize = 64;

/// Decides who comes in.
pub trait Door: Send + Sync + 'static {
    /// Whether this endpoint is known now. Asked often, so it must not wait for anything.
    ///
    /// # Errors
    ///
    /// Why not, for the person at the other end.
    fn admits(&self, peer: EndpointId) -> Result<(), String>;

    /// An endpoint asks to be known from now on.
    fn join(&self, peer: EndpointId, asked: Asked) -> BoxFuture<'_, Answer>;
}

/// Streams that were let in, by what they carry.
pub struct Incoming {
    /// Connections with the engine.
    pub grpc: mpsc::Receiver<Stream>,
    /// Connections with the API.
    pub http: mpsc::Receiver<Stream>,
    /// Requests about blobs.
    pub blobs: mpsc::Receiver<Stream>,
}

/// Somebody who is connected.
#[derive(Debug, Clone)]
pub struct Present {
    /// Since when.
    pub since: SystemTime,
    /// Connections; more than one only for a moment.
    pub connections: usize,
}

/// The open gate. Dropping it closes it.
pub struct Gate {
    shared: Arc<Shared>,
    stop: CancellationToken,
    connections: TaskTracker,
}

struct Shared {
    door: Arc<dyn Door>,
    grpc: mpsc::Sender<Stream>,
    http: mpsc::Sender<Stream>,
    blobs: mpsc::Sender<Stream>,
    present: Mutex<HashMap<EndpointId, Present>>,
}

impl Gate {
    /// Lets endpoints in that the door admits.
    pub fn open(endpoint: &Endpoint, door: Arc<dyn Door>) -> (Self, Incoming) {
        let (grpc, http, blobs) = (mpsc::channel(WAITING), mpsc::channel(WAITING), mpsc::channel(WAITING));
        let shared = Arc::new(Shared {
            door,
            grpc: grpc.0,
            http: http.0,
            blobs: blobs.0,
            present: Mutex::default(),
        });
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        connections.spawn(accept(
            endpoint.clone(),
            Arc::clone(&shared),
            stop.clone(),
            connections.clone(),
        ));
        let gate = Self {
            shared,
            stop,
            connections,
        };
        let incoming = Incoming {
            grpc: grpc.1,
            http: http.1,
            blobs: blobs.1,
        };
        (gate, incoming)
    }

    /// Who is connected and was let in.
    pub fn present(&self) -> HashMap<EndpointId, Present> {
        let present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.clone()
    }

    /// Lets nobody in any more, and says goodbye to those who are here.
    pub async fn close(&self) {
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>, stop: CancellationToken, connections: TaskTracker) {
    let (room, handshakes) = (
        Arc::new(Semaphore::new(CONNECTIONS)),
        Arc::new(Semaphore::new(HANDSHAKES)),
    );
    loop {
        let incoming = tokio::select! {
            () = stop.cancelled() => return,
            incoming = endpoint.0.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        // Whoever is too many finds out at once, and costs nothing.
        let (Ok(permit), Ok(handshake)) = (
            Arc::clone(&room).try_acquire_owned(),
            Arc::clone(&handshakes).try_acquire_owned(),
        ) else {
            incoming.refuse();
            continue;
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let greeted = timeout(PATIENCE, incoming).await;
            drop(handshake);
            if let Ok(Ok(connection)) = greeted {
                serve(connection, shared, stop).await;
            }
            drop(permit);
        });
    }
}

async fn serve(connection: Connection, shared: Arc<Shared>, stop: CancellationToken) {
    let peer = connection.remote_id();
    let mut visit = None::<Visit>;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let leave_by = tokio::time::Instant::now() + STRANGERS_STAY;
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                connection.close(LEAVING.into(), b"this node leaves");
                return;
            }
            _ = look.tick() => match shared.door.admits(peer) {
                Ok(()) => if visit.is_none() {
                    visit = Some(Visit::begin(Arc::clone(&shared), peer));
                },
                Err(why) => if visit.is_some() || tokio::time::Instant::now() >= leave_by {
                    turn_away(&connection, &why);
                    return;
                },
            },
            stream = connection.accept_bi() => {
                let Ok((send, recv)) = stream else { return };
                tokio::spawn(take(connection.clone(), send, recv, Arc::clone(&shared)));
            }
        }
    }
}

fn turn_away(connection: &Connection, why: &str) {
    tracing::debug!(peer = %connection.remote_id().fmt_short(), why, "an endpoint is not let in");
    connection.close(VarInt::from_u32(NOT_LET_IN), why.as_bytes());
}

/// Hands a stream to whoever is there for its kind; one of an endpoint that is not known ends its connection.
async fn take(connection: Connection, send: SendStream, mut recv: RecvStream, shared: Arc<Shared>) {
    let peer = connection.remote_id();
    let Ok(Ok(byte)) = timeout(PATIENCE, recv.read_u8()).await else {
        return;
    };
    let kind = Kind::read(byte);
    if kind == Some(Kind::Join) {
        let answered = timeout(PATIENCE, answer(send, recv, peer, &shared)).await;
        if let Ok(Err(error)) = answered {
            tracing::debug!(peer = %peer.fmt_short(), %error, "an endpoint that asked to join did not hear the answer");
        }
        return;
    }
    if let Err(why) = shared.door.admits(peer) {
        return turn_away(&connection, &why);
    }
    let Some(kind) = kind else {
        // Dropped: the other side sees the end of a stream that this version does not know.
        return tracing::debug!(peer = %peer.fmt_short(), byte, "a stream of an unknown kind");
    };
    let _ = send.set_priority(kind.priority());
    let to = match kind {
        Kind::Grpc => &shared.grpc,
        Kind::Http => &shared.http,
        Kind::Blob | Kind::Join => &shared.blobs,
    };
    // Fails when nobody is there for this kind: the stream is dropped.
    let _ = to.send(Stream::new(connection, send, recv)).await;
}

async fn answer(mut send: SendStream, mut recv: RecvStream, peer: EndpointId, shared: &Shared) -> io::Result<()> {
    let asked: Asked = frame::read(&mut recv, join::LIMIT).await?;
    let answer = match shared.door.admits(peer) {
        // Known already, and with a ticket that is used up by now: whoever restarts a worker need not think of that.
        Ok(()) => shared.door.join(peer, Asked { secret: None, ..asked }).await,
        Err(_) => shared.door.join(peer, asked).await,
    };
    frame::write(&mut send, &answer).await?;
    send.finish().map_err(io::Error::other)?;
    // The connection may end with this task.
    let _ = send.stopped().await;
    Ok(())
}

/// Counts somebody as present.
struct Visit {
    shared: Arc<Shared>,
    peer: EndpointId,
}

impl Visit {
    fn begin(shared: Arc<Shared>, peer: EndpointId) -> Self {
        let mut present = shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = present.entry(peer).or_insert_with(|| Present {
            since: SystemTime::now(),
            connections: 0,
        });
        entry.connections += 1;
        drop(present);
        Self { shared, peer }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = present.get_mut(&self.peer) {
            entry.connections -= 1;
            if entry.connections == 0 {
                present.remove(&self.peer);
            }
        }
    }
}
