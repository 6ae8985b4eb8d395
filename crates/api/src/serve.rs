//! Connections: bounded in number, and in the time that a request's head may take.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::door::Peer;

/// Connections at a time. The next ones wait to be accepted.
const CONNECTIONS: usize = 8192;
/// How long the head of a request may take, and how long a connection may stay without one.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// How long connections may take to end when the server stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// How long, and for how many bytes, a connection is read that was answered for the last time.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;
/// The most that is read ahead on one connection, and with that the longest head. Hundreds of uploads at a time must fit into
/// little memory.
const BUFFER: usize = 64 << 10;
/// After an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections, with where each comes from, until `stop`; then lets requests that are under way end.
pub async fn serve<S, C, P>(mut incoming: S, router: Router, stop: CancellationToken)
where
    S: Stream<Item = io::Result<(C, P)>> + Unpin,
    P: Into<Peer>,
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = incoming.next() => accepted,
        };
        let (stream, peer): (C, Peer) = match accepted {
            None => break,
            Some(Ok((stream, peer))) => (stream, peer.into()),
            Some(Err(error)) => {
                if !is_of_one_connection(&error) {
                    tracing::warn!(%error, "no connection can be accepted at this moment");
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, peer, router, stop).await;
            drop(permit);
        });
    }
    connections.close();
    let _ = tokio::time::timeout(LEAVE_WITHIN, connections.wait()).await;
}

async fn connection<C>(stream: C, peer: Peer, router: Router, stop: CancellationToken)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let service = TowerToHyperService::new(router.clone());
        let answer: Answer = Box::pin(async move { hyper::service::Service::call(&service, request).await });
        answer
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        () = stop.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|context| connection.poll_without_shutdown(context)).await
        }
    };
    match ended {
        Ok(()) => linger(connection.into_parts().io.into_inner()).await,
        Err(error) => tracing::trace!(%error, "a connection ended"),
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<axum::response::Response, Infallible>> + Send>>;

/// Lets the last answer arrive. A request that was refused by its head may have a body on its way; closing at once would make the
/// client's machine throw the answer away.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let reading = async {
        stream.shutdown().await?;
        let (mut buffer, mut left) = (vec![0; 16 * 1024], LINGER_BYTES);
        while left > 0 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, io::Error>(())
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
