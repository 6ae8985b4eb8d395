//! Two questions over HTTP for whoever looks after a worker: does it live (`/healthz`), and is it of use (`/readyz`)?

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use helve_worker::Pulse;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::errors::{Problem, Result};

/// Connections at a time. Each asks one question.
const MOST: usize = 16;

/// Answers until it is dropped.
pub(crate) struct Health {
    pub(crate) address: SocketAddr,
    task: AbortHandle,
}

impl Health {
    /// Answers at this address.
    pub(crate) async fn serve(address: SocketAddr, pulse: Pulse) -> Result<Self> {
        let cannot = |error: io::Error| {
            Problem::new(format!("cannot listen on {address}: {error}"))
                .help("choose another address with --health, such as 127.0.0.1:0 for any free port")
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let task = tokio::spawn(accept(listener, pulse)).abort_handle();
        Ok(Self { address, task })
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, pulse: Pulse) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MOST {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // No file left for it; somebody will close one.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let pulse = pulse.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(request, pulse.clone()));
            // Whoever says nothing is not waited for.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(5))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, pulse: Pulse) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "alive".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match pulse.is_ready().await {
            Ok(()) => (StatusCode::OK, "ready".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}")),
        },
        (_, "/healthz" | "/readyz") => (StatusCode::METHOD_NOT_ALLOWED, "only GET".to_owned()),
        _ => (StatusCode::NOT_FOUND, "there are /healthz and /readyz".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    Ok(response)
}
