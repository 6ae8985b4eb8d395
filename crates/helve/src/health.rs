//! Questions over HTTP for whoever looks after a process: does it live (`/healthz`), is it of use (`/readyz`), and what has it
//! counted (`/metrics`)?

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use helve_metrics::Registry;
use helve_worker::Pulse;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
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
    /// Answers at this address, which `option` gave. A process without a worker is of use as long as it lives.
    pub(crate) async fn serve(
        address: SocketAddr,
        option: &str,
        pulse: Option<Pulse>,
        metrics: Registry,
    ) -> Result<Self> {
        let cannot = |error: io::Error| {
            Problem::new(format!("cannot listen on {address}: {error}")).help(format!(
                "choose another address with {option}, such as 127.0.0.1:0 for any free port"
            ))
        };
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let task = tokio::spawn(accept(listener, Answers { pulse, metrics })).abort_handle();
        Ok(Self { address, task })
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What there is to say.
#[derive(Clone)]
struct Answers {
    pulse: Option<Pulse>,
    metrics: Registry,
}

async fn accept(listener: TcpListener, answers: Answers) {
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
        let answers = answers.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| answer(request, answers.clone()));
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

async fn answer(request: Request<Incoming>, answers: Answers) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut kind = "text/plain; charset=utf-8";
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "alive\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match answers.ready().await {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        (&Method::GET | &Method::HEAD, "/metrics") => {
            kind = helve_metrics::MEDIA_TYPE;
            (StatusCode::OK, answers.counted().await)
        }
        (_, "/healthz" | "/readyz" | "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz and /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

impl Answers {
    async fn ready(&self) -> Result<(), String> {
        match &self.pulse {
            Some(pulse) => pulse.is_ready().await,
            None => Ok(()),
        }
    }

    async fn counted(&self) -> String {
        let (looks, within) = self.metrics.looks();
        // What could not be looked up in time is as it was.
        let _ = tokio::time::timeout(within, looks).await;
        self.metrics.text()
    }
}
