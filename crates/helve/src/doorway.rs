//! Ways in: where connections of clients come from. Mostly a socket of this process; in a cluster also another node, which they
//! came to first.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use helve_cluster::CarriedStream;
use helve_tls::Accept;
use temporalio_client::tonic::transport::server::{Connected, TcpConnectInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// A doorway, and the address that leads to it.
pub(crate) struct Way {
    pub(crate) doorway: Doorway,
    pub(crate) address: SocketAddr,
}

/// Where connections come from.
pub(crate) enum Doorway {
    /// An address.
    Tcp(TcpListener),
    /// A socket in the data directory, which only its owner can open.
    #[cfg(unix)]
    Private(UnixListener),
    /// Whoever accepts them for this part of the process.
    Handed(mpsc::Receiver<Connection>),
}

impl Doorway {
    /// Listens on an address; says which it is, if the system chose the port.
    pub(crate) async fn tcp(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((Self::Tcp(listener), address))
    }

    /// Listens on a socket in the data directory. Whoever calls this holds the directory, so one that is there is a leftover.
    #[cfg(unix)]
    pub(crate) fn private(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Private(listener))
    }

    #[cfg(not(unix))]
    pub(crate) fn private(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The next connection.
    pub(crate) async fn next(&mut self) -> io::Result<Connection> {
        match self {
            Doorway::Tcp(listener) => {
                let (stream, peer) = Accept::accept(listener).await?;
                Ok(Connection::new(Line::Tcp(stream), peer))
            }
            #[cfg(unix)]
            Doorway::Private(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Connection::new(Line::Private(stream), SELF))
            }
            Doorway::Handed(connections) => match connections.recv().await {
                Some(connection) => Ok(connection),
                // Whoever serves is told to stop soon.
                None => std::future::pending().await,
            },
        }
    }

    /// With where each comes from.
    pub(crate) fn connections(self) -> impl Stream<Item = io::Result<(Connection, SocketAddr)>> + Send + Unpin {
        Box::pin(futures_util::StreamExt::map(self.streams(), |connection| {
            let connection = connection?;
            let peer = connection.peer;
            Ok((connection, peer))
        }))
    }

    /// As a gRPC server takes them.
    pub(crate) fn streams(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        futures_util::stream::unfold(self, async |mut doorway| {
            let next = doorway.next().await;
            Some((next, doorway))
        })
    }
}

impl Accept for Doorway {
    type Stream = Connection;

    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        let connection = self.next().await?;
        let peer = connection.peer;
        Ok((connection, peer))
    }
}

/// Who comes by a socket of the data directory.
const SELF: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection of a client, and where it comes from.
#[derive(Debug)]
pub(crate) struct Connection {
    line: Line,
    pub(crate) peer: SocketAddr,
}

#[derive(Debug)]
pub(crate) enum Line {
    Tcp(TcpStream),
    #[cfg(unix)]
    Private(UnixStream),
    /// By way of another node, which it came to.
    Carried(Box<CarriedStream>),
}

impl Connection {
    pub(crate) fn new(line: Line, peer: SocketAddr) -> Self {
        Self { line, peer }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(self.peer),
        }
    }
}

/// The same on whichever line it is.
macro_rules! on {
    ($connection:expr, $line:ident => $call:expr) => {
        match &mut $connection.get_mut().line {
            Line::Tcp(line) => {
                let $line = Pin::new(line);
                $call
            }
            #[cfg(unix)]
            Line::Private(line) => {
                let $line = Pin::new(line);
                $call
            }
            Line::Carried(line) => {
                let $line = Pin::new(line);
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on!(self, line => line.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on!(self, line => line.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, line => line.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, line => line.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self, line => line.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.line {
            Line::Tcp(line) => line.is_write_vectored(),
            #[cfg(unix)]
            Line::Private(line) => line.is_write_vectored(),
            Line::Carried(line) => line.is_write_vectored(),
        }
    }
}
