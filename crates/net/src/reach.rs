//! Connecting.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longest wait for one address of several.
const CONNECT_TIME: Duration = Duration::from_secs(15);

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// None of the addresses answers.
    #[error("{0}")]
    Connect(String),
    /// The name cannot be in a certificate.
    #[error("{0}")]
    Name(String),
    /// It does not show that it is who it should be.
    #[error("{0}")]
    Tls(String),
}

/// Connects to the first of the addresses that answers.
///
/// # Errors
///
/// When none does.
pub async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Unreachable> {
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => reason = format!("{address}: {error}"),
            Err(_) => reason = format!("{address}: no answer within {} s", CONNECT_TIME.as_secs()),
        }
    }
    Err(Unreachable::Connect(reason))
}

/// Encrypts a connection to a host of that name. An IPv6 address has its brackets.
///
/// # Errors
///
/// When the host shows no certificate for the name that is trusted.
pub async fn encrypt(tls: &TlsConnector, host: &str, stream: TcpStream) -> Result<impl Stream + 'static, Unreachable> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_owned()).map_err(|error| Unreachable::Name(error.to_string()))?;
    let stream = tls.connect(name, stream).await;
    stream.map_err(|error| Unreachable::Tls(error.to_string()))
}
