//! Requests to a server of the test's own.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use helve_runtime::http::{HttpAnswer, HttpCall, HttpEnd, HttpFailureKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{Http, HttpOptions};
use crate::StepError;

/// A variable that cargo sets for every test, and its value.
const SECRET: (&str, &str) = ("CARGO_PKG_NAME", "helve-worker");
const STAND_IN: &str = "helve-secret-0123";

/// A server that answers by path. It keeps what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Answers one request.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: &Mutex<Vec<String>>, own: &str) {
    let mut bytes = Vec::new();
    while !is_whole(&bytes) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let answer = answer(&text, own);
    seen.lock().unwrap().push(text);
    if let Some(answer) = answer {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    } else {
        std::future::pending::<()>().await;
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One whose certificate is for `localhost`, from an authority of the test's own.
    async fn start_tls() -> Self {
        let chain = vec![certificate(include_bytes!("testdata/localhost.pem"))];
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/localhost.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, own) = (Arc::clone(&asked), address.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, own, tls) = (Arc::clone(&seen), own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &seen, &own).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &seen, &own).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn certificate(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

/// Head and body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// None answers nothing.
fn answer(asked: &str, own: &str) -> Option<String> {
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let body = |status: &str, headers: &str, body: &str| {
        Some(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    match path {
        "/hello" => body("200 OK", "x-answer: 42\r\n", "hello"),
        "/missing" => body("404 Not Found", "", "no"),
        "/again" => body("302 Found", "location: /hello\r\n", ""),
        "/keep" => body("307 Temporary Redirect", "location: /echo\r\n", ""),
        "/round" => body("302 Found", "location: /round\r\n", ""),
        "/out" => body("302 Found", "location: http://127.0.0.2:9/x\r\n", ""),
        "/other" => {
            let port = own.rsplit(':').next().unwrap_or_default();
            body("302 Found", &format!("location: http://localhost:{port}/echo\r\n"), "")
        }
        "/long" => body("200 OK", "", &"x".repeat(300 << 10)),
        "/never" => None,
        "/garbage" => Some("SSH-2.0-x\r\n\r\n".to_owned()),
        _ => body("200 OK", "", asked),
    }
}

fn call(url: String) -> HttpCall {
    HttpCall {
        method: "GET".to_owned(),
        url,
        headers: Vec::new(),
        body: String::new(),
        timeout_ms: 20_000,
        body_limit: 10_000_000,
        idempotent: false,
        secrets: Default::default(),
    }
}

fn http(allow: &[&str]) -> Http {
    Http::new(HttpOptions {
        allow: allow.iter().map(|host| host.parse().unwrap()).collect(),
        secrets: vec![SECRET.0.to_owned()],
    })
}

#[track_caller]
fn answered(end: Result<HttpEnd, StepError>) -> (HttpAnswer, String) {
    match end.unwrap() {
        HttpEnd::Answered(answer) => {
            let body = String::from_utf8(BASE64_STANDARD.decode(&answer.body).unwrap()).unwrap();
            (answer, body)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn failed(end: Result<HttpEnd, StepError>) -> (HttpFailureKind, String) {
    match end.unwrap() {
        HttpEnd::Failed(failure) => (failure.kind, failure.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_requested_unless_it_was_allowed() {
    let server = Server::start().await;
    for http in [Http::default(), http(&["example.org", "127.0.0.1", "*"])] {
        let error = http.call(&call(server.url("/hello"))).await.unwrap_err();
        assert!(!error.is_retryable());
        assert!(
            error.to_string().contains(&format!("--allow-http {}", server.address)),
            "{error}"
        );
    }
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn an_answer_comes_back_whole_whatever_its_status() {
    let server = Server::start().await;
    let http = http(&[&server.address]);
    let (answer, body) = answered(http.call(&call(server.url("/hello"))).await);
    assert_eq!((answer.status, body.as_str()), (200, "hello"));
    assert!(answer.headers.contains(&("x-answer".to_owned(), "42".to_owned())));
    assert_eq!(answered(http.call(&call(server.url("/missing"))).await).0.status, 404);
    let request = &server.asked()[0];
    assert!(request.contains(&format!("host: {}\r\n", server.address)), "{request}");
    assert!(request.contains("user-agent: helve/"), "{request}");
}

#[tokio::test]
async fn redirections_are_followed_where_it_is_allowed_and_not_for_ever() {
    let server = Server::start().await;
    let http = http(&[&server.address]);
    let (answer, body) = answered(http.call(&call(server.url("/again"))).await);
    assert_eq!((answer.url, body), (server.url("/hello"), "hello".to_owned()));
    assert_eq!(
        failed(http.call(&call(server.url("/round"))).await).0,
        HttpFailureKind::TooManyRedirects
    );
    let (kind, message) = failed(http.call(&call(server.url("/out"))).await);
    assert_eq!(kind, HttpFailureKind::ConnectionFailed);
    assert!(
        message.contains("redirected to a host that may not be requested"),
        "{message}"
    );
    let mut post = call(server.url("/keep"));
    post.method = "POST".to_owned();
    post.body = BASE64_STANDARD.encode("data");
    let (_, echo) = answered(http.call(&post).await);
    assert!(echo.starts_with("POST /echo") && echo.ends_with("data"), "{echo}");
}

#[tokio::test]
async fn what_was_meant_for_one_host_is_not_told_to_another() {
    let server = Server::start().await;
    let port = server.address.rsplit(':').next().unwrap();
    let http = http(&[&server.address, &format!("localhost:{port}")]);
    let mut request = call(server.url("/other"));
    request.headers = [
        ("authorization", "x"),
        ("cookie", "y"),
        ("x-plain", "z"),
        ("x-key", STAND_IN),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    request.secrets.insert(STAND_IN.to_owned(), SECRET.0.to_owned());
    let (_, echo) = answered(http.call(&request).await);
    assert!(echo.contains("x-plain: z"), "{echo}");
    for header in ["authorization", "cookie", "x-key"] {
        assert!(!echo.contains(header), "{echo}");
        assert!(server.asked()[0].contains(header));
    }
}

#[tokio::test]
async fn who_shows_no_certificate_for_its_name_from_a_trusted_authority_is_told_nothing() {
    let server = Server::start_tls().await;
    let port = server.address.rsplit(':').next().unwrap();
    let (name, address) = (format!("localhost:{port}"), server.address.clone());
    let trusting = || {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate(include_bytes!("testdata/authority.pem")))
            .unwrap();
        let http = http(&[&name, &address]);
        assert!(http.tls.set(helve_net::trusting(roots)).is_ok());
        http
    };
    let request = |host: &str, path: &str| {
        let mut request = call(format!("https://{host}{path}"));
        request.headers = vec![("x-key".to_owned(), STAND_IN.to_owned())];
        request.secrets.insert(STAND_IN.to_owned(), SECRET.0.to_owned());
        request
    };
    for (http, host) in [(http(&[&name]), &name), (trusting(), &address)] {
        let (kind, message) = failed(http.call(&request(host, "/hello")).await);
        assert_eq!(kind, HttpFailureKind::ConnectionFailed);
        assert!(message.contains("certificate"), "{message}");
    }
    assert_eq!(server.asked(), [""; 0]);
    let (_, body) = answered(trusting().call(&request(&name, "/hello")).await);
    assert_eq!(body, "hello");
    assert!(server.asked()[0].contains(&format!("x-key: {}", SECRET.1)));
}

#[tokio::test]
async fn a_secret_is_never_part_of_a_hosts_name() {
    let http = http(&["*", &format!("{}.localhost", SECRET.1)]);
    for url in [
        format!("http://{STAND_IN}.example.org/"),
        format!("http://{STAND_IN}.localhost/"),
        format!("https://{STAND_IN}/"),
    ] {
        let mut request = call(url.clone());
        request.secrets.insert(STAND_IN.to_owned(), SECRET.0.to_owned());
        let said = match http.call(&request).await {
            Ok(HttpEnd::Failed(failure)) => format!("{failure:?}"),
            Ok(answered) => panic!("{answered:?}"),
            Err(error) => error.to_string(),
        };
        assert!(!said.contains(SECRET.1), "{url}: {said}");
    }
    let mut request = call(format!("http://{STAND_IN}.localhost/"));
    request.secrets.insert(STAND_IN.to_owned(), SECRET.0.to_owned());
    let (kind, message) = failed(http.call(&request).await);
    assert_eq!(kind, HttpFailureKind::InvalidUrl);
    assert!(message.contains("part of a host's name"), "{message}");
}

#[tokio::test]
async fn a_secret_is_sent_and_does_not_come_back() {
    let server = Server::start().await;
    let http = http(&[&server.address]);
    let mut request = call(server.url(&format!("/echo?key={STAND_IN}")));
    request.method = "POST".to_owned();
    request.headers = vec![
        ("x-token".to_owned(), format!("Bearer {STAND_IN}")),
        (
            "authorization".to_owned(),
            format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{STAND_IN}"))),
        ),
    ];
    request.body = BASE64_STANDARD.encode(format!("body {STAND_IN}"));
    request.secrets.insert(STAND_IN.to_owned(), SECRET.0.to_owned());
    let (answer, echo) = answered(http.call(&request).await);
    let sent = &server.asked()[0];
    let password = BASE64_STANDARD.encode(format!("ann:{}", SECRET.1));
    for text in [
        format!("key={}", SECRET.1),
        format!("Bearer {}", SECRET.1),
        format!("body {}", SECRET.1),
        password.clone(),
    ] {
        assert!(sent.contains(&text), "{sent}");
    }
    let told = format!("{echo} {}", answer.url);
    assert!(!told.contains(SECRET.1) && !told.contains(&password), "{told}");
    assert_eq!(told.matches(STAND_IN).count(), 4, "{told}");

    request.secrets.insert(STAND_IN.to_owned(), "PATH".to_owned());
    let error = http.call(&request).await.unwrap_err().to_string();
    assert!(error.contains("--allow-secret PATH"), "{error}");
    assert!(http.has_secret(SECRET.0).unwrap());
}

#[tokio::test]
async fn size_and_time_are_bounded() {
    let server = Server::start().await;
    let http = http(&[&server.address]);
    let (kind, message) = failed(http.call(&call(server.url("/long"))).await);
    assert_eq!(kind, HttpFailureKind::Io);
    assert!(message.contains("longer than 256 KiB"), "{message}");
    let mut short = call(server.url("/hello"));
    short.body_limit = 2;
    assert_eq!(answered(http.call(&short).await).1, "he");
    let mut slow = call(server.url("/never"));
    slow.timeout_ms = 100;
    let (kind, message) = failed(http.call(&slow).await);
    assert_eq!(kind, HttpFailureKind::Io);
    assert!(message.contains("timed out"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_sent_or_read_is_said_in_a_word() {
    let server = Server::start().await;
    let http = http(&[&server.address, "127.0.0.1:1"]);
    let kind = async |url: String| failed(http.call(&call(url)).await).0;
    assert_eq!(kind("nonsense".to_owned()).await, HttpFailureKind::InvalidUrl);
    assert_eq!(
        kind("file:///etc/passwd".to_owned()).await,
        HttpFailureKind::UnknownScheme
    );
    assert_eq!(
        kind("http://127.0.0.1:1/".to_owned()).await,
        HttpFailureKind::ConnectionFailed
    );
    assert_eq!(kind(server.url("/garbage")).await, HttpFailureKind::BadStatus);
    let mut request = call(server.url("/hello"));
    request.headers = vec![("x-a".to_owned(), "b\r\nhost: other".to_owned())];
    assert_eq!(failed(http.call(&request).await).0, HttpFailureKind::BadHeader);
}
