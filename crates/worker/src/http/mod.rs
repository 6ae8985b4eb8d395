//! HTTP requests of workflows.
//!
//! A workflow decides what is requested, and its author may be anybody, so a worker requests nothing unless it was told
//! which hosts it may: see [`Allow`]. `helve-net` looks at every address before it is connected to, also those of redirections;
//! size, time and redirections are bounded. Secrets stay here: a request has stand-ins for them (see `secrets`), and what
//! comes back has none either.

mod exchange;
mod redirect;
mod secrets;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use helve_net::{Allow, Policy, Refusal};
use helve_runtime::http::{HttpCall, HttpEnd, HttpFailure, HttpFailureKind};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::StepError;
use exchange::Request;
use redirect::Next;
use secrets::Secrets;

/// Longest time of a request with all its redirections.
const MAX_TIME: Duration = Duration::from_secs(300);
/// Longest body of an answer: it travels in the history.
const MAX_BODY: u64 = 256 << 10;
/// Redirections that are followed.
const MAX_REDIRECTS: usize = 5;

/// What workflows may do on the network of this worker. By default, nothing.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Hosts that may be requested.
    pub allow: Vec<Allow>,
    /// Names of environment variables that workflows may use as secrets.
    pub secrets: Vec<String>,
}

/// The requests of one worker.
pub(crate) struct Http {
    policy: Policy,
    secrets: Vec<String>,
    tls: OnceLock<TlsConnector>,
}

/// Why a request was not sent, or has no answer.
enum Refused {
    /// The workflow is told, and decides what to do.
    Failure(HttpFailure),
    /// The worker's owner has to decide: the run fails.
    Forbidden(StepError),
}

impl From<HttpFailure> for Refused {
    fn from(failure: HttpFailure) -> Self {
        Self::Failure(failure)
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new(HttpOptions::default())
    }
}

impl Http {
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self {
            policy: Policy::Only(options.allow),
            secrets: options.secrets,
            tls: OnceLock::new(),
        }
    }

    /// Whether there is a secret of that name.
    pub(crate) fn has_secret(&self, name: &str) -> Result<bool, StepError> {
        secrets::read(&self.secrets, name).map(|secret| secret.is_some())
    }

    /// Sends a request and follows its redirections. An error means that this worker must not send it.
    pub(crate) async fn call(&self, call: &HttpCall) -> Result<HttpEnd, StepError> {
        let secrets = Secrets::of(&self.secrets, call)?;
        let limit = Duration::from_millis(call.timeout_ms).min(MAX_TIME);
        let end = match tokio::time::timeout(limit, self.follow(call, &secrets)).await {
            Ok(Ok(end)) => end,
            Ok(Err(Refused::Failure(failure))) => HttpEnd::Failed(failure),
            Ok(Err(Refused::Forbidden(error))) => return Err(error),
            Err(_) => HttpEnd::Failed(HttpFailure {
                kind: HttpFailureKind::Io,
                message: format!("the request timed out after {} ms", limit.as_millis()),
                url: Some(call.url.clone()),
            }),
        };
        Ok(secrets.hide(end, call.body_limit))
    }

    async fn follow(&self, call: &HttpCall, secrets: &Secrets) -> Result<HttpEnd, Refused> {
        let mut request = Request::of(call, secrets)?;
        let mut redirects = 0;
        loop {
            let addresses = self.addresses(&request.url, redirects > 0).await?;
            let answer = exchange::send(&request, &addresses, || self.tls()).await?;
            request = match redirect::next(&request, &answer)? {
                Next::Answer => return Ok(HttpEnd::Answered(answer.into_answer(&request.url))),
                Next::Request(_) if redirects == MAX_REDIRECTS => {
                    let message = format!("it was redirected more than {MAX_REDIRECTS} times");
                    return Err(failure(HttpFailureKind::TooManyRedirects, message, &request.url).into());
                }
                Next::Request(next) => *next,
            };
            redirects += 1;
        }
    }

    /// The addresses of a host that may be requested.
    async fn addresses(&self, url: &Url, redirected: bool) -> Result<Vec<std::net::SocketAddr>, Refused> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let refused = |reason: String| match redirected {
            true => failure(
                HttpFailureKind::ConnectionFailed,
                format!("it was redirected to a host that {reason}"),
                url,
            )
            .into(),
            false => Refused::Forbidden(StepError::NotAllowed(format!("the host `{host}` {reason}"))),
        };
        let dns = |message: String| failure(HttpFailureKind::Dns, message, url).into();
        self.policy
            .addresses(host, port)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Host => {
                    let ask = if matches!(port, 80 | 443) {
                        host.to_owned()
                    } else {
                        format!("{host}:{port}")
                    };
                    refused(format!(
                        "may not be requested by workflows on this worker; `--allow-http {ask}` allows it"
                    ))
                }
                Refusal::Named { .. } | Refusal::NotPublic(_) => refused(refusal.to_string()),
                Refusal::NoAddress => dns("it has no address".to_owned()),
                Refusal::Lookup(reason) => dns(reason),
            })
    }

    fn tls(&self) -> &TlsConnector {
        self.tls.get_or_init(helve_net::connector)
    }
}

fn failure(kind: HttpFailureKind, message: String, url: &Url) -> HttpFailure {
    HttpFailure {
        kind,
        message,
        url: Some(url.to_string()),
    }
}
