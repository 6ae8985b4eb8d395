//! Connections after their handshakes.
//!
//! Handshakes are tasks of their own, so a client that is slow with its one is in nobody's way. When there are too many, the one
//! that has waited longest gives way: a client that means it is done within a few round trips, a client that stalls is not.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::acme::PROTOCOL;
use crate::server::{For, Server};

/// Where connections come from.
pub trait Accept: Send + 'static {
    /// What is said over one.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one, and says where it comes from. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

/// A connection whose handshake is done, and where it comes from.
pub type Accepted<S = TcpStream> = (TlsStream<S>, SocketAddr);

/// After an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of it there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Handshakes at a time.
    pub(crate) handshakes: usize,
    /// Connections that wait for the server to take them. While there are as many, no further ones are accepted.
    pub(crate) waiting: usize,
    /// How long a handshake may take.
    pub(crate) within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshakes: 256,
            waiting: 64,
            within: Duration::from_secs(10),
        }
    }
}

/// Connections of a listener, after their handshakes, until it is dropped.
pub struct Incoming<S = TcpStream> {
    accepted: mpsc::Receiver<Accepted<S>>,
    _accepting: AbortOnDropHandle<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Incoming<S> {
    pub(crate) fn new(listener: impl Accept<Stream = S>, server: Server, wanted: For, bounds: Bounds) -> Self {
        let (sender, accepted) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, server, wanted, bounds, sender));
        Self {
            accepted,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// The connections alone, as a gRPC server takes them.
    pub fn streams(self) -> impl Stream<Item = io::Result<TlsStream<S>>> + Send {
        futures_util::StreamExt::map(self, |accepted| accepted.map(|(stream, _)| stream))
    }
}

impl<S> Stream for Incoming<S> {
    type Item = io::Result<Accepted<S>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(context).map(|accepted| accepted.map(Ok))
    }
}

async fn accept<A: Accept>(
    mut listener: A,
    server: Server,
    wanted: For,
    bounds: Bounds,
    sender: mpsc::Sender<Accepted<A::Stream>>,
) {
    let mut handshakes = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    let mut ready: VecDeque<Accepted<A::Stream>> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            permit = sender.reserve(), if !ready.is_empty() => {
                let Ok(permit) = permit else { return };
                if let Some(accepted) = ready.pop_front() {
                    permit.send(accepted);
                }
                continue;
            }
            Some(done) = handshakes.join_next() => {
                ready.extend(done.ok().flatten());
                continue;
            }
            accepted = listener.accept(), if ready.len() < bounds.waiting => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if oldest_first.len() >= bounds.handshakes {
                    oldest_first.retain(|handshake| !handshake.is_finished());
                }
                if oldest_first.len() >= bounds.handshakes
                    && let Some(oldest) = oldest_first.pop_front()
                {
                    oldest.abort();
                }
                let acceptor = TlsAcceptor::from(server.config(wanted));
                oldest_first.push_back(handshakes.spawn(shake(acceptor, stream, peer, bounds.within)));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at this moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: TlsAcceptor,
    stream: S,
    peer: SocketAddr,
    within: Duration,
) -> Option<Accepted<S>> {
    match tokio::time::timeout(within, acceptor.accept(stream)).await {
        // The authority has seen what it came for.
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(PROTOCOL) => None,
        Ok(Ok(stream)) => Some((stream, peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
