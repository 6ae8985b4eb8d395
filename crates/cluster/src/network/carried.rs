//! Connections of clients that one node takes to another, byte by byte.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsStream;

use super::client::{Caller, ask_on};
use super::wire::{Answer, Request};
use crate::setup::refused;
use crate::types::NodeId;

/// A connection that came to another node and is for this one.
#[derive(Debug)]
pub struct Carried {
    /// What it is, in the words of the owners of the nodes.
    pub kind: u8,
    /// Where it came from, in their words.
    pub origin: String,
    /// Which node carries it.
    pub from: NodeId,
    /// What the client says, and is told.
    pub stream: CarriedStream,
}

/// One end of a connection that is carried: encrypted, and between nodes that know the secret.
pub struct CarriedStream {
    stream: TlsStream<TcpStream>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl CarriedStream {
    pub(crate) fn new(stream: TlsStream<TcpStream>, permit: Option<OwnedSemaphorePermit>) -> Self {
        CarriedStream {
            stream,
            _permit: permit,
        }
    }
}

/// Opens a connection to the owner of a node.
pub(crate) async fn carry(
    caller: &Caller,
    target: NodeId,
    address: &str,
    kind: u8,
    origin: String,
) -> io::Result<CarriedStream> {
    let (answer, stream) = ask_on(caller, target, address, Request::Carry { kind, origin }).await?;
    match answer {
        Answer::Done => Ok(CarriedStream::new(stream.into(), None)),
        other => Err(io::Error::other(refused(other))),
    }
}

impl fmt::Debug for CarriedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarriedStream")
    }
}

impl AsyncRead for CarriedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CarriedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
