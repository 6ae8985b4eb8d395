//! One stream between two endpoints, as anything that speaks over bytes takes it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use iroh::EndpointId;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// What a stream carries: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A connection of HTTP/2 with the engine.
    Grpc = 1,
    /// A connection of HTTP/1.1 with the API.
    Http = 2,
    /// One request about a blob, and its answer.
    Blob = 3,
    /// An unknown endpoint that asks to be let in.
    Join = 4,
}

impl Kind {
    pub(crate) fn read(byte: u8) -> Option<Self> {
        [Kind::Grpc, Kind::Http, Kind::Blob, Kind::Join]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whose bytes go first when the line is full: heartbeats and answers before blobs.
    pub(crate) fn priority(self) -> i32 {
        match self {
            Kind::Blob => -1,
            Kind::Grpc | Kind::Http | Kind::Join => 0,
        }
    }
}

/// Who is at the other end: proven by the handshake of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub EndpointId);

/// A stream in both directions.
pub struct Stream {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    peer: EndpointId,
    /// Streams end with their connection.
    _connection: Connection,
}

impl Stream {
    pub(crate) fn new(connection: Connection, send: SendStream, recv: RecvStream) -> Self {
        Self {
            send,
            recv,
            peer: connection.remote_id(),
            _connection: connection,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> EndpointId {
        self.peer
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream")
            .field(&self.peer.fmt_short().to_string())
            .finish()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), cx)
    }
}

impl Connected for Stream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer(self.peer)
    }
}
