//! What holds for every request and every answer: which host it is meant for, how slowly it may come, what browsers are told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::figures::ApiFigures;
use crate::problem::{Problem, shown};
use crate::state::{Api, Hosts};

/// Told to browsers with every answer. Pages may say more about scripts and styles themselves.
const HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];
/// Where nothing else is said: an answer is data, and nothing in it is run or shown.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Told to browsers that come by TLS: for a year to come by nothing else.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Checks the host and where the body ends, slows nobody down, and adds the headers.
pub(crate) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let only_tls = api.secure && has_a_name(request.headers());
    let checked = check_host(&api.hosts, request.uri(), request.headers()).and_then(|()| check_end(request.headers()));
    let mut response = match checked {
        Ok(()) => {
            let (parts, body) = request.into_parts();
            // What has no body must go on to have none.
            let body = match body.is_end_stream() {
                true => body,
                false => Body::from_stream(counted(
                    in_time(body.into_data_stream(), api.limits.body_idle),
                    api.figures.clone(),
                )),
            };
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if only_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(NO_CONTENT));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check_host(hosts: &Hosts, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let Hosts::Loopback(names) = hosts else { return Ok(()) };
    let mut given = headers.get_all(header::HOST).iter();
    let host = match (uri.authority(), given.next(), given.next()) {
        (Some(authority), ..) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    let name = host.map(without_port).unwrap_or_default();
    let is_known = name.eq_ignore_ascii_case("localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
        || names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match is_known {
        true => Ok(()),
        false => Err(Problem::misdirected(format!(
            "this server listens on a loopback address and does not go by the name `{}`: use http://127.0.0.1, or allow the \
             name with --http-host",
            shown(name)
        ))),
    }
}

/// Refuses a body that another server may have read to another end, as far as that is to be seen here: of equal lengths the
/// library below keeps one, of different ones none, and a length beside chunks it drops, and with it the connection.
fn check_end(headers: &HeaderMap) -> Result<(), Problem> {
    let (lengths, codings) = (
        headers.get_all(header::CONTENT_LENGTH).iter().count(),
        headers.get_all(header::TRANSFER_ENCODING).iter().count(),
    );
    if lengths + codings > 1 {
        return Err(Problem::bad_request(
            "send one header `Content-Length` or `Transfer-Encoding`, and not several",
        ));
    }
    match headers.get(header::TRANSFER_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Err(Problem::bad_request(
            "the only `Transfer-Encoding` that is understood is `chunked`",
        )),
        _ => Ok(()),
    }
}

/// Whether the request names a host that is only this server. Browsers remember for the whole host, so for `localhost` it would
/// be said of every other server of the machine; for addresses they do not.
fn has_a_name(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.map(without_port).is_some_and(|name| {
        !name.eq_ignore_ascii_case("localhost") && name.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The body, which ends with an error when its next bytes do not come in time.
fn in_time(
    body: BodyDataStream,
    idle: Duration,
) -> impl futures_util::Stream<Item = Result<Bytes, axum::BoxError>> + Send {
    futures_util::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(idle, body.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(body))),
            Ok(Some(Err(error))) => Some((Err(axum::BoxError::from(error)), None)),
            Ok(None) => None,
            Err(_) => {
                let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the next bytes did not come in time");
                Some((Err(error.into()), None))
            }
        }
    })
}

/// The body, whose bytes are counted as they come.
fn counted<E>(
    body: impl futures_util::Stream<Item = Result<Bytes, E>> + Send,
    figures: Arc<ApiFigures>,
) -> impl futures_util::Stream<Item = Result<Bytes, E>> + Send {
    body.inspect(move |bytes| {
        if let Ok(bytes) = bytes {
            figures.received(bytes.len());
        }
    })
}

/// Whether a body broke off because its bytes came too slowly.
pub(crate) fn is_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(here) = error {
        if here
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
        {
            return true;
        }
        error = here.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let hosts = Hosts::Loopback(vec!["helve.test".to_owned()]);
        check_host(&hosts, &Uri::from_static("/"), &headers).is_ok()
    }

    #[test]
    fn a_loopback_server_goes_by_no_strange_name() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:8080",
            "[::1]",
            "helve.test:80",
        ] {
            assert!(allowed(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]:1",
            "127.0.0.1.nip.io",
            "",
        ] {
            assert!(!allowed(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_body_that_stands_still_ends_with_an_error_that_says_so() {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"some"))]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        let body = Body::from_stream(in_time(body.into_data_stream(), Duration::from_millis(10)));
        let mut body = body.into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "some");
        let error = body.next().await.unwrap().unwrap_err();
        assert!(is_slow(&error), "{error}");
        assert!(body.next().await.is_none());
    }

    #[test]
    fn only_a_name_of_its_own_is_promised_to_be_served_by_tls() {
        for (host, promised) in [
            ("helve.example", true),
            ("helve.example:8443", true),
            ("localhost:8080", false),
            ("127.0.0.1:8080", false),
            ("[::1]", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(has_a_name(&headers), promised, "{host}");
        }
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(check_host(&Hosts::Loopback(vec![]), &Uri::from_static("/"), &headers).is_err());
    }

    #[test]
    fn a_body_has_one_end() {
        let is_clear = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check_end(&headers).is_ok()
        };
        let (length, coding) = ("content-length", "transfer-encoding");
        assert!(is_clear(&[]));
        assert!(is_clear(&[(length, "5")]));
        assert!(is_clear(&[(coding, "Chunked")]));
        assert!(!is_clear(&[(length, "5"), (length, "5")]));
        assert!(!is_clear(&[(length, "5"), (coding, "chunked")]));
        assert!(!is_clear(&[(coding, "chunked"), (coding, "chunked")]));
        assert!(!is_clear(&[(coding, "gzip, chunked")]));
        assert!(!is_clear(&[(coding, "identity")]));
    }
}
