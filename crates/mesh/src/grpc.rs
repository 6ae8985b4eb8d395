//! gRPC over a link.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;
use crate::link::Link;
use crate::stream::{Kind, Stream};

/// Bytes of HTTP/2 on their way: QUIC below bounds them already.
const WINDOW: u32 = 8 << 20;
/// A connection that answers nothing for this long is given up; QUIC finds most of that out before.
const SILENCE: Duration = Duration::from_secs(20);

/// A channel of gRPC over the link. It connects when it is used, and again after it broke.
pub fn channel(link: Link) -> Channel {
    Endpoint::from_static("http://mesh.invalid")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(SILENCE)
        .connect_with_connector_lazy(Connector(link))
}

#[derive(Clone)]
struct Connector(Link);

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let link = self.0.clone();
        Box::pin(async move { link.open(Kind::Grpc).await.map(TokioIo::new) })
    }
}
