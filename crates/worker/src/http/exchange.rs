//! One request to one host, and its answer.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use helve_net::Unreachable;
use helve_runtime::http::{HttpAnswer, HttpCall, HttpFailure, HttpFailureKind};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use super::secrets::{Secrets, bad_body};
use super::{MAX_BODY, failure};

/// Longest head of an answer: it travels in the history.
const MAX_HEAD: usize = 32 << 10;
const MAX_HEADERS: usize = 100;
/// What the connection is, which is not the workflow's business.
const OURS: [&str; 7] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "expect",
];

/// A request, with its secrets.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Headers that are for the first host only.
    pub(super) secret_headers: Vec<HeaderName>,
    pub(super) secret_body: bool,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(super) fn of(call: &HttpCall, secrets: &Secrets) -> Result<Self, HttpFailure> {
        let wrong = |kind, message: String| HttpFailure {
            kind,
            message,
            url: Some(call.url.clone()),
        };
        let invalid = |message: String| wrong(HttpFailureKind::InvalidUrl, message);
        let parsed = |text: &str| Url::parse(text).map_err(|error| invalid(format!("it is no address: {error}")));
        let url = parsed(&secrets.put_in_url(&call.url).0)?;
        // Names of hosts are asked of others, and what is refused is named.
        if url.host() != parsed(&call.url)?.host() {
            return Err(invalid("a secret cannot be part of a host's name".to_owned()));
        }
        check(&url)?;
        let method = Method::from_bytes(call.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| wrong(HttpFailureKind::Io, format!("`{}` is not a method", call.method)))?;
        let mut headers = HeaderMap::new();
        let mut secret_headers = Vec::new();
        for (name, value) in &call.headers {
            let bad = || {
                wrong(
                    HttpFailureKind::BadHeader,
                    format!("the header `{name}` cannot be sent"),
                )
            };
            let (value, secret) = secrets.put_in_header(value);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            if OURS.contains(&name.as_str()) {
                continue;
            }
            if secret {
                value.set_sensitive(true);
                secret_headers.push(name.clone());
            }
            headers.append(name, value);
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("helve/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let body = BASE64_STANDARD.decode(&call.body).map_err(|_| bad_body(&call.url))?;
        let (body, secret_body) = secrets.put_in_bytes(body);
        Ok(Self {
            method,
            url,
            headers,
            body: body.into(),
            secret_headers,
            secret_body,
        })
    }
}

/// Whether it is an address that a request can be sent to.
pub(super) fn check(url: &Url) -> Result<(), HttpFailure> {
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("`{}` is neither http nor https", url.scheme());
        return Err(failure(HttpFailureKind::UnknownScheme, message, url));
    }
    if url.host().is_none() {
        return Err(failure(HttpFailureKind::InvalidUrl, "it has no host".to_owned(), url));
    }
    Ok(())
}

impl Answer {
    pub(super) fn into_answer(self, url: &Url) -> HttpAnswer {
        let headers = self.headers.iter();
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        HttpAnswer {
            status: self.status.as_u16(),
            url: url.to_string(),
            headers: headers.filter_map(text).collect(),
            body: BASE64_STANDARD.encode(&self.body),
        }
    }
}

/// Sends it to one of the addresses.
pub(super) async fn send<'a>(
    request: &Request,
    addresses: &[SocketAddr],
    tls: impl FnOnce() -> &'a TlsConnector,
) -> Result<Answer, HttpFailure> {
    let url = &request.url;
    let unreachable = |error: Unreachable| {
        let kind = match &error {
            Unreachable::Name(_) => HttpFailureKind::InvalidUrl,
            Unreachable::Connect(_) | Unreachable::Tls(_) => HttpFailureKind::ConnectionFailed,
        };
        failure(kind, error.to_string(), url)
    };
    let stream = helve_net::connect(addresses).await.map_err(unreachable)?;
    let response = if url.scheme() == "https" {
        let host = url.host_str().unwrap_or_default();
        let stream = helve_net::encrypt(tls(), host, stream).await.map_err(unreachable)?;
        exchange(request, stream).await?
    } else {
        exchange(request, stream).await?
    };
    read(response, url).await
}

async fn exchange<S>(request: &Request, stream: S) -> Result<Response<Incoming>, HttpFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let url = &request.url;
    let broken = |error: hyper::Error| {
        let kind = if error.is_parse() {
            HttpFailureKind::BadStatus
        } else {
            HttpFailureKind::Io
        };
        failure(kind, error.to_string(), url)
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with the answer, or when nobody waits for it any more.
    tokio::spawn(connection);
    sender.send_request(message(request)?).await.map_err(broken)
}

fn message(request: &Request) -> Result<hyper::Request<Full<Bytes>>, HttpFailure> {
    let url = &request.url;
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target = format!("{target}?{query}");
    }
    let invalid = |message: String| failure(HttpFailureKind::InvalidUrl, message, url);
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut message = hyper::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = target.parse().map_err(|error| invalid(format!("{error}")))?;
    *message.headers_mut() = request.headers.clone();
    let host = HeaderValue::from_str(&host).map_err(|error| invalid(error.to_string()))?;
    message.headers_mut().insert(HOST, host);
    Ok(message)
}

async fn read(response: Response<Incoming>, url: &Url) -> Result<Answer, HttpFailure> {
    let (head, body) = response.into_parts();
    let limit = usize::try_from(MAX_BODY).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        let message = match error.is::<http_body_util::LengthLimitError>() {
            true => format!(
                "its answer is longer than {} KiB, more than a workflow's history takes; a module can fetch it",
                MAX_BODY >> 10
            ),
            false => error.to_string(),
        };
        failure(HttpFailureKind::Io, message, url)
    })?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}
