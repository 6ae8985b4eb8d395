//! Requests: sent, sent again where that does no harm, and read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Refusal};
use crate::server::Server;
use crate::tls;
use crate::token::Token;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may say nothing: it sends a sign of life every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// How long making a target of an upload may take.
const WORK: Duration = Duration::from_secs(60 * 60);
/// Waits before a request is sent again. A server that is being started again, or a cluster that chooses another leader, takes a
/// few seconds.
const AGAIN_AFTER: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
];
/// So often a server is tried again at whose address nobody listens.
const KNOCKS: usize = 3;
/// A server that asks to wait longer than this is not waited for. Seconds.
const LONGEST_WAIT: u64 = 5;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the server is.
    pub server: Server,
    /// What is presented; nothing, where the connection itself says who comes.
    pub token: Option<Token>,
    /// Certificates to trust instead of the system's, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// The namespace; the server's choice when nothing is said.
    pub namespace: Option<String>,
    /// A socket of this machine through which the server is reached, whatever its address says.
    pub socket: Option<PathBuf>,
}

/// A token at a server. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    server: Server,
    namespace: Option<String>,
    /// Gives up when nothing comes.
    http: reqwest::Client,
    /// For what takes long on the server.
    patient: reqwest::Client,
}

/// A request before it is sent.
pub(crate) struct Call {
    method: Method,
    url: Url,
    key: Option<String>,
    json: Option<Vec<u8>>,
    takes_long: bool,
}

impl Call {
    /// Sends it under a key, so that it can be sent again.
    pub(crate) fn keyed(mut self) -> Self {
        self.key = Some(uuid::Uuid::new_v4().simple().to_string());
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.json = Some(serde_json::to_vec(body).expect("a request is plain data"));
        self
    }

    /// The server works on it for long before it answers, and the same request gives the same answer.
    pub(crate) fn takes_long(mut self) -> Self {
        self.takes_long = true;
        self
    }

    fn may_be_sent_again(&self) -> bool {
        self.method == Method::GET || self.method == Method::DELETE || self.key.is_some() || self.takes_long
    }
}

#[cfg(unix)]
fn through(builder: reqwest::ClientBuilder, socket: Option<&Path>) -> reqwest::ClientBuilder {
    match socket {
        Some(socket) => builder.unix_socket(socket),
        None => builder,
    }
}

#[cfg(not(unix))]
fn through(builder: reqwest::ClientBuilder, _: Option<&Path>) -> reqwest::ClientBuilder {
    builder
}

impl Client {
    /// Opens no connection yet.
    ///
    /// # Errors
    ///
    /// When the certificates cannot be used.
    pub fn new(options: Options) -> Result<Self, Error> {
        let tls = tls::config(options.authorities.as_deref())?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &options.token {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
                .map_err(|_| Error::Setup("the token cannot be sent: it is no token".to_owned()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let builder = || {
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .default_headers(headers.clone())
                .user_agent(concat!("helve/", env!("CARGO_PKG_VERSION")))
                // A token goes where it was meant to go, and nowhere else.
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT);
            let builder = match options.server.is_loopback() {
                true => builder.no_proxy(),
                false => builder,
            };
            through(builder, options.socket.as_deref())
        };
        let made = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| Error::Setup(format!("the client cannot be made: {}", innermost(&error))))
        };
        Ok(Self(Arc::new(Inner {
            http: made(builder().read_timeout(SILENCE))?,
            patient: made(builder().timeout(WORK))?,
            server: options.server,
            namespace: options.namespace,
        })))
    }

    /// Where it is.
    pub fn server(&self) -> &Server {
        &self.0.server
    }

    /// The namespace that was asked for.
    pub fn namespace(&self) -> Option<&str> {
        self.0.namespace.as_deref()
    }

    pub(crate) fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Call {
        Call {
            method,
            url: self.url(path, query),
            key: None,
            json: None,
            takes_long: false,
        }
    }

    pub(crate) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let namespace = self.namespace().map(|name| ("namespace", name));
        let all: Vec<_> = query.iter().copied().chain(namespace).collect();
        self.0.server.api(path, &all)
    }

    /// `GET` of JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Error> {
        self.read(self.call(Method::GET, path, query)).await
    }

    /// `POST` of JSON that may not be sent again.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.read(self.call(Method::POST, path, &[]).json(body)).await
    }

    /// `POST` without a body whose answer says nothing more.
    pub(crate) async fn poke(&self, path: &[&str]) -> Result<(), Error> {
        self.send(self.call(Method::POST, path, &[])).await.map(drop)
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        self.send(self.call(Method::DELETE, path, &[])).await.map(drop)
    }

    /// Sends a request and reads the JSON of its answer.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.strange(&error))
    }

    /// Sends a request and reads all of its answer.
    pub(crate) async fn bytes(&self, call: Call) -> Result<bytes::Bytes, Error> {
        let response = self.send(call).await?;
        response.bytes().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends a request until there is an answer that is no refusal.
    pub(crate) async fn send(&self, call: Call) -> Result<Response, Error> {
        let waits = match call.may_be_sent_again() {
            true => &AGAIN_AFTER[..],
            false => &[],
        };
        let mut waits = waits.iter().enumerate();
        loop {
            let error = match self.once(&call).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let Some((tries, wait)) = waits.next() else {
                return Err(error);
            };
            let wait = match &error {
                Error::Unreachable { is_absent: true, .. } if tries >= KNOCKS => return Err(error),
                Error::Unreachable { .. } => *wait,
                Error::Refused(refusal) => match (refusal.status, refusal.retry_after) {
                    (429 | 503, Some(seconds)) if seconds <= LONGEST_WAIT => Duration::from_secs(seconds).max(*wait),
                    _ => return Err(error),
                },
                _ => return Err(error),
            };
            tracing::debug!(%error, "a request is sent again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Response, Error> {
        let http = match call.takes_long {
            true => &self.0.patient,
            false => &self.0.http,
        };
        let mut request = http.request(call.method.clone(), call.url.clone());
        if let Some(key) = &call.key {
            request = request.header(KEY, key);
        }
        if let Some(json) = &call.json {
            request = request.header(CONTENT_TYPE, "application/json").body(json.clone());
        }
        self.answer(request.send().await).await
    }

    /// An answer that is no refusal.
    pub(crate) async fn answer(&self, sent: Result<Response, reqwest::Error>) -> Result<Response, Error> {
        let response = sent.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() {
            return Err(self.strange("it points elsewhere; name that address"));
        }
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.unwrap_or_default();
        Err(Error::Refused(Box::new(Refusal::read(status.as_u16(), after, &body))))
    }

    /// A request with a body or an answer that is worked on as it comes.
    pub(crate) fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.0.http.request(method, url)
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable {
            is_absent: error.is_connect(),
            server: self.0.server.to_string(),
            reason: match error.is_timeout() {
                true => "it does not answer".to_owned(),
                false => innermost(error),
            },
        }
    }

    pub(crate) fn strange(&self, reason: impl ToString) -> Error {
        Error::Strange {
            server: self.0.server.to_string(),
            reason: reason.to_string(),
        }
    }
}

/// The error at the bottom of the chain: the ones above repeat the address and say little else.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((said, _)) => said.to_lowercase(),
        None => text,
    }
}
