//! gRPC over a link.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use hyper_util::rt::TokioIo;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{HeaderMap, Uri};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

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

/// Calls `rpc` of `service` (its full name) with an encoded message; answers with the response's headers and encoded message.
///
/// # Errors
///
/// What the service says, or that it cannot be reached: UNAVAILABLE, and PERMISSION_DENIED when it does not let this endpoint in.
pub async fn call(
    channel: Channel,
    service: &str,
    rpc: &str,
    headers: HeaderMap,
    message: Bytes,
) -> Result<(HeaderMap, Bytes), Status> {
    let mut grpc = Grpc::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| unreachable(&error))?;
    let path = PathAndQuery::try_from(format!("/{service}/{rpc}"));
    let path = path.map_err(|error| Status::invalid_argument(format!("no name of a call: {error}")))?;
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let answer = grpc.unary(request, path, Raw).await?;
    let (metadata, message, _) = answer.into_parts();
    Ok((metadata.into_headers(), message))
}

/// That nobody answers is what a caller tries again after; that it is not let in is not.
fn unreachable(error: &(dyn std::error::Error + 'static)) -> Status {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(mesh) = error.downcast_ref::<Error>() {
            return match mesh.is_refusal() {
                true => Status::permission_denied(mesh.to_string()),
                false => Status::unavailable(mesh.to_string()),
            };
        }
        cause = error.source();
    }
    Status::unavailable(error.to_string())
}

/// Messages that are encoded already.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
