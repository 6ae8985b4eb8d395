//! Requests to the authority, by the HTTP client that everything here uses.

use std::pin::Pin;

use http_body_util::{BodyExt, Limited};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio_util::bytes::Bytes;
use tonic::codegen::http::{Request, Response};

/// Bytes of an answer at most.
const LARGEST: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct Web(pub(super) reqwest::Client);

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Web {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let sent = client
                .request(parts.method, parts.uri.to_string())
                .headers(parts.headers)
                .body(body)
                .send()
                .await;
            let answer = sent.map_err(|error| Error::Other(innermost(&error).into()))?;
            let (parts, body) = Response::from(answer).into_parts();
            Ok(BytesResponse::from(Response::from_parts(
                parts,
                Limited::new(body, LARGEST),
            )))
        })
    }
}

/// The bottom of the chain: those above say little.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    format!("it cannot be reached: {reason}")
}
