//! One delivery to one receiver.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use helve_ledger::Delivery;
use helve_net::{Policy, Refusal, Unreachable};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::sign::sign;

/// Longest head of an answer.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 100;
/// Bytes of an answer's body that are read, for the receiver to be able to end its sentence. They are thrown away.
const MAX_ANSWER: usize = 4 << 10;

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Taken(String),
    /// It did not, for this reason; it may have said when to come again.
    Failed(String, Option<Duration>),
}

/// An address as it may be shown: some receivers are given their secret in what is left out.
pub fn shown(url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return "(no address)".to_owned();
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let user = match url.username().is_empty() && url.password().is_none() {
        true => "",
        false => "***@",
    };
    let query = match url.query().is_some() {
        true => "?***",
        false => "",
    };
    format!("{}://{user}{host}{port}{}{query}", url.scheme(), url.path())
}

/// Why there was no answer. What of it is about our own network is for the log only: whoever made the webhook is not told what
/// is at which address there.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("its address cannot be read")]
    Url,
    #[error("its host is at no public address; whoever runs Helve can allow it with --webhook-allow")]
    NotAllowed(Refusal),
    #[error("its host cannot be found")]
    Lookup(Refusal),
    #[error("it cannot be connected to")]
    Connect(Unreachable),
    #[error("its certificate is not good for its name: {0}")]
    Tls(Unreachable),
    #[error("its answer cannot be read: {0}")]
    Http(hyper::Error),
}

impl From<Unreachable> for Failed {
    fn from(error: Unreachable) -> Self {
        match error {
            Unreachable::Connect(_) => Self::Connect(error),
            Unreachable::Name(_) | Unreachable::Tls(_) => Self::Tls(error),
        }
    }
}

/// Tells it, in that time.
pub(crate) async fn post(delivery: &Delivery, policy: &Policy, tls: &TlsConnector, within: Duration) -> Outcome {
    let since = Instant::now();
    let asked = tokio::time::timeout(within, ask(delivery, policy, tls)).await;
    let took = since.elapsed().as_millis();
    match asked {
        Ok(Ok(answer)) => answered(&answer, took),
        Ok(Err(error)) => {
            let delivery = delivery.id.as_str();
            match &error {
                Failed::NotAllowed(refusal) | Failed::Lookup(refusal) => {
                    tracing::debug!(delivery, %refusal, "a webhook was not told");
                }
                Failed::Connect(reason) => tracing::debug!(delivery, %reason, "a webhook was not told"),
                _ => {}
            }
            Outcome::Failed(error.to_string(), None)
        }
        Err(_) => Outcome::Failed(format!("no answer within {} s", within.as_secs()), None),
    }
}

struct Answer {
    status: hyper::StatusCode,
    retry_after: Option<Duration>,
}

fn answered(answer: &Answer, took: u128) -> Outcome {
    let said = format!("{} after {took} ms", answer.status);
    if answer.status.is_success() {
        Outcome::Taken(said)
    } else if answer.status.is_redirection() {
        let said = format!("{said}: redirections are not followed, give the address that it leads to");
        Outcome::Failed(said, None)
    } else {
        Outcome::Failed(said, answer.retry_after)
    }
}

async fn ask(delivery: &Delivery, policy: &Policy, tls: &TlsConnector) -> Result<Answer, Failed> {
    let url = Url::parse(&delivery.url).map_err(|_| Failed::Url)?;
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses = policy.addresses(host, port).await.map_err(|refusal| match refusal {
        Refusal::Lookup(_) | Refusal::NoAddress => Failed::Lookup(refusal),
        _ => Failed::NotAllowed(refusal),
    })?;
    let message = message(delivery, &url).ok_or(Failed::Url)?;
    let stream = helve_net::connect(&addresses).await?;
    match url.scheme() {
        "https" => exchange(helve_net::encrypt(tls, host, stream).await?, message).await,
        _ => exchange(stream, message).await,
    }
}

fn message(delivery: &Delivery, url: &Url) -> Option<hyper::Request<Full<Bytes>>> {
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let host = url.host_str()?;
    let host = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let signature = sign(delivery.secret.reveal(), &delivery.id, seconds, &delivery.body);
    let mut message = hyper::Request::builder()
        .method(Method::POST)
        .uri(format!("{}{query}", url.path()))
        .header(HOST, host)
        .header(USER_AGENT, concat!("helve/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .header("webhook-id", &delivery.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature);
    if !url.username().is_empty() || url.password().is_some() {
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let pair = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
        let mut basic = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
        basic.set_sensitive(true);
        message = message.header(AUTHORIZATION, basic);
    }
    message.body(Full::new(Bytes::from(delivery.body.clone()))).ok()
}

async fn exchange<S>(stream: S, message: hyper::Request<Full<Bytes>>) -> Result<Answer, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failed::Http)?;
    // Ends with the answer, or when nobody waits for it any more.
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(message).await.map_err(Failed::Http)?;
    let answer = Answer {
        status: response.status(),
        retry_after: retry_after(&response),
    };
    // The status says it all: a body that breaks off, lies about its length or never ends changes nothing.
    let _ = tokio::time::timeout(Duration::from_secs(1), read(response.into_body())).await;
    drop(connection);
    Ok(answer)
}

/// In seconds; a date is not read.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > MAX_ANSWER {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_of_an_address_is_not_shown() {
        for (url, safe) in [
            ("https://ann:pw@x.org:8443/a?key=1#f", "https://***@x.org:8443/a?***"),
            ("http://x.org", "http://x.org/"),
            ("https://:pw@x.org/a", "https://***@x.org/a"),
            ("nonsense", "(no address)"),
        ] {
            assert_eq!(shown(url), safe);
        }
    }
}
