//! A relay of one's own: carries what endpoints say to each other where no direct way leads, by TCP alone.
//!
//! It sees who speaks to whom, when and how much, and nothing of what: endpoints encrypt for each other. The protocol is iroh's;
//! connections are accepted and bounded here.

mod guests;
#[cfg(test)]
mod tests;

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::{Service, service_fn};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use iroh_relay::KeyCache;
use iroh_relay::http::{RELAY_PATH, RELAY_PROBE_PATH};
use iroh_relay::server::http_server::{BytesBody, RelayServiceWithNotify};
use iroh_relay::server::streams::MaybeTlsStream;
use iroh_relay::server::{
    ClientRateLimit, DynAccessControl, Handlers, Metrics, QuicConfig, RelayService, Server, ServerConfig,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use guests::{Book, NUMBER};
pub use guests::{Guests, make_or_read_secret};

/// Connections at a time, of whoever was let in and of those who still have to show who they are.
const CONNECTIONS: usize = 20_000;
/// How long somebody may take to show it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Keys of endpoints that need not be read anew with each packet.
const KEYS: usize = 16 << 10;

/// How somebody came.
pub enum Arrival {
    /// Without encryption.
    Plain(TcpStream),
    /// By TLS, after the handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a relay has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Connections of endpoints that are there now.
    pub connected: usize,
    /// Bytes that came from endpoints.
    pub received: u64,
    /// Bytes that were passed on to others.
    pub sent: u64,
    /// Packets for endpoints that were not there.
    pub dropped: u64,
}

/// A relay. Cheap to clone.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    service: RelayService,
    book: Arc<Book>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    numbers: AtomicU64,
    patience: Duration,
}

impl Relay {
    /// One for these endpoints; `limit` is how many bytes a second each of them may have carried.
    pub fn new(guests: Guests, limit: Option<NonZeroU32>) -> Self {
        Self::with_patience(guests, limit, PATIENCE)
    }

    fn with_patience(guests: Guests, limit: Option<NonZeroU32>, patience: Duration) -> Self {
        let book = Arc::new(Book::new(guests));
        let metrics = Arc::new(Metrics::default());
        let mut handlers = Handlers::default();
        // Endpoints ask for this to find out whether the relay is there, and how far away.
        handlers.insert(
            (Method::GET, RELAY_PROBE_PATH),
            Box::new(|_, answer| {
                let nothing: BytesBody = Box::<http_body_util::Full<bytes::Bytes>>::default();
                Ok(answer.body(nothing)?)
            }),
        );
        let service = RelayService::new(
            handlers,
            HeaderMap::new(),
            limit.map(ClientRateLimit::new),
            KeyCache::new(KEYS),
            Arc::clone(&book) as Arc<dyn DynAccessControl>,
            Arc::clone(&metrics),
        );
        Self(Arc::new(Inner {
            service,
            book,
            metrics,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            numbers: AtomicU64::default(),
            patience,
        }))
    }

    /// Serves these connections, until it is to stop; then everybody is told.
    pub async fn serve(&self, arrivals: impl Stream<Item = io::Result<Arrival>>, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut arrivals = std::pin::pin!(arrivals);
        loop {
            let arrival = tokio::select! {
                () = stop.cancelled() => break,
                arrival = arrivals.next() => arrival,
            };
            let arrival = match arrival {
                Some(Ok(arrival)) => arrival,
                Some(Err(error)) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    continue;
                }
                None => break,
            };
            // Whoever is too many finds out at once.
            let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
                tracing::warn!("more endpoints want to use this relay than {CONNECTIONS}");
                continue;
            };
            let (relay, stop) = (self.clone(), stop.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = relay.greet(arrival, place) => {}
                }
            });
        }
        connections.close();
        connections.wait().await;
        self.0.service.shutdown().await;
    }

    /// Stays until it is decided whether somebody may come in. From then on the connection is the service's.
    async fn greet(&self, arrival: Arrival, place: OwnedSemaphorePermit) {
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let by = Instant::now() + self.0.patience;
        let (stream, hold) = arrival.held();
        let decided = self.0.book.comes(number, place);
        let asks = Arc::new(AtomicBool::new(false));
        let answer = {
            let (relay, asks) = (self.clone(), Arc::clone(&asks));
            service_fn(move |request| relay.answer(request, number, &asks))
        };
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer)
            .with_upgrades();
        let served = timeout_at(by, served).await;
        // The connection is out of reach from here on, and nothing in the protocol makes a client go on.
        if served.is_ok() && asks.load(Ordering::Relaxed) && timeout_at(by, decided).await.is_err() {
            hold.cut();
        }
        self.0.book.goes(number);
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        number: u64,
        asks: &AtomicBool,
    ) -> Ready<io::Result<Response<BytesBody>>> {
        if request.uri().path() == RELAY_PATH {
            asks.store(true, Ordering::Relaxed);
        }
        request.headers_mut().insert(NUMBER, HeaderValue::from(number));
        let answered = RelayServiceWithNotify::new(self.0.service.clone(), Arc::default()).call(request);
        ready(answered.into_inner().map_err(io::Error::other))
    }

    /// What it has carried.
    pub fn carried(&self) -> Carried {
        let metrics = &self.0.metrics;
        Carried {
            connected: self.0.book.inside(),
            received: metrics.bytes_recv.get(),
            sent: metrics.bytes_sent.get(),
            dropped: metrics.send_packets_dropped.get(),
        }
    }
}

impl Arrival {
    fn held(self) -> (MaybeTlsStream, Hold) {
        match self {
            Self::Plain(stream) => {
                let hold = Hold::on(&stream);
                (MaybeTlsStream::Plain(stream), hold)
            }
            Self::Tls(stream) => {
                let hold = Hold::on(stream.get_ref().0);
                (MaybeTlsStream::Tls(*stream), hold)
            }
        }
    }
}

/// A second handle on a connection that somebody else will have.
struct Hold(Option<std::net::TcpStream>);

impl Hold {
    #[cfg(unix)]
    fn on(stream: &TcpStream) -> Self {
        use std::os::fd::AsFd;
        Self(stream.as_fd().try_clone_to_owned().ok().map(Into::into))
    }

    #[cfg(not(unix))]
    fn on(_: &TcpStream) -> Self {
        Self(None)
    }

    fn cut(self) {
        if let Some(stream) = self.0 {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Tells endpoints what their address looks like from here, by UDP: so that two of them behind routers may find a direct way.
/// Whoever asks is told nothing but their own address.
pub struct Mirror(Server);

impl Mirror {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn open(address: SocketAddr, tls: &rustls::ServerConfig) -> Result<Self, Error> {
        let mut quic = QuicConfig::new(address);
        quic.server_config = Some(tls.clone());
        let mut config = ServerConfig::default();
        config.quic = Some(quic);
        let opened = Server::spawn(config).await;
        opened.map(Self).map_err(|error| Error::Bind {
            address: format!("{address} (UDP)"),
            reason: error.to_string(),
        })
    }

    /// Says goodbye.
    pub async fn close(self) {
        let _ = self.0.shutdown().await;
    }
}
