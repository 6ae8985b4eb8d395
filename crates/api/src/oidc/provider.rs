//! The identity provider: where its endpoints are, its keys, and the exchange of a code for an ID token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use reqwest::header;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Host, Url};

use super::OidcOptions;

/// What the provider says of itself and its keys is asked for again after this time.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// After a failure nobody asks again for so long: an outage is not to be made worse.
const PAUSE: Duration = Duration::from_secs(3);
/// Bytes of an answer at most.
const LARGEST: usize = 1 << 20;

pub(super) struct Provider {
    issuer: Url,
    /// As it was given: it is compared letter by letter.
    name: String,
    client_id: String,
    client_secret: Option<String>,
    http: reqwest::Client,
    found: Mutex<Kept<Discovered>>,
    keys: Mutex<Kept<Vec<Jwk>>>,
}

/// Where the provider has what.
pub(super) struct Discovered {
    pub(super) authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    /// Whether it takes the secret in the form only.
    secret_in_form: bool,
}

struct Kept<T> {
    good: Option<(Instant, Arc<T>)>,
    failed: Option<(Instant, String)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            good: None,
            failed: None,
        }
    }
}

impl<T> Kept<T> {
    fn fresh(&self) -> Option<Result<Arc<T>, String>> {
        if let Some((_, good)) = self.good.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Some(Ok(Arc::clone(good)));
        }
        self.paused().map(Err)
    }

    fn paused(&self) -> Option<String> {
        let failed = self.failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE);
        failed.map(|(_, error)| error.clone())
    }

    fn keep(&mut self, fetched: Result<T, String>) -> Result<Arc<T>, String> {
        match fetched {
            Ok(good) => {
                let good = Arc::new(good);
                self.good = Some((Instant::now(), Arc::clone(&good)));
                self.failed = None;
                Ok(good)
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

impl Provider {
    pub(super) fn new(issuer: Url, options: &OidcOptions) -> Self {
        Self {
            issuer,
            name: options.issuer.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            http: options.http.clone(),
            found: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// What the provider says of itself. Only one asks at a time; the others wait for its answer.
    pub(super) async fn discovered(&self) -> Result<Arc<Discovered>, String> {
        let mut found = self.found.lock().await;
        if let Some(fresh) = found.fresh() {
            return fresh;
        }
        let fetched = self.discover().await;
        found.keep(fetched)
    }

    async fn discover(&self) -> Result<Discovered, String> {
        let address = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let metadata = self.get(&address).await?;
        let metadata: Metadata =
            serde_json::from_value(metadata).map_err(|error| format!("what {address} says cannot be used: {error}"))?;
        if metadata.issuer != self.name {
            return Err(format!(
                "{address} is of the issuer `{}`, not of `{}`: the issuer must be given exactly as the provider writes it",
                printable(&metadata.issuer),
                self.name
            ));
        }
        let endpoint = |text: &str| {
            let good = Url::parse(text).ok().filter(|url| {
                // A provider on a loopback address is one for trying things out.
                is_safe(url) && (url.scheme() == "https" || self.issuer.scheme() == "http")
            });
            good.ok_or_else(|| format!("{address} names an address that is not https: {}", printable(text)))
        };
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let takes = |method: &str| methods.iter().any(|known| known == method);
        Ok(Discovered {
            secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
            authorization_endpoint: endpoint(&metadata.authorization_endpoint)?,
            token_endpoint: endpoint(&metadata.token_endpoint)?,
            jwks_uri: endpoint(&metadata.jwks_uri)?,
        })
    }

    /// The keys that the provider signs with. `anew` asks for them whatever is known.
    pub(super) async fn keys(&self, anew: bool) -> Result<Arc<Vec<Jwk>>, String> {
        let found = self.discovered().await?;
        let mut keys = self.keys.lock().await;
        if let Some(fresh) = keys.fresh().filter(|_| !anew) {
            return fresh;
        }
        if let Some(error) = keys.paused() {
            return Err(error);
        }
        let fetched = self.get(found.jwks_uri.as_str()).await.and_then(|set| {
            let all = set.get("keys").and_then(Value::as_array);
            let all = all.ok_or_else(|| format!("{} holds no keys", found.jwks_uri))?;
            // Keys of kinds that are not known here are no reason to refuse those that are.
            Ok(all.iter().filter_map(|key| Jwk::deserialize(key).ok()).collect())
        });
        keys.keep(fetched)
    }

    /// Gives the code of a login for the ID token.
    pub(super) async fn redeem(&self, code: &str, redirect_uri: &str, verifier: &str) -> Result<String, String> {
        let found = self.discovered().await?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.post(found.token_endpoint.clone());
        match &self.client_secret {
            Some(secret) if !found.secret_in_form => {
                // RFC 6749, 2.3.1: each as in a form, then both as in HTTP.
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let both = format!("{}:{}", encoded(&self.client_id), encoded(secret));
                let mut value = header::HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)))
                    .map_err(|_| "the client's secret fits into no header".to_owned())?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
            Some(secret) => {
                form.extend([("client_id", &*self.client_id), ("client_secret", secret)]);
            }
            None => {
                form.push(("client_id", &self.client_id));
            }
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(body);
        let (ok, answer) = self.send(found.token_endpoint.as_str(), request).await?;
        match answer.get("id_token").and_then(Value::as_str) {
            Some(token) if ok => Ok(token.to_owned()),
            _ => {
                let error = answer.get("error").and_then(Value::as_str).unwrap_or("no ID token");
                Err(format!(
                    "the provider refused the code of this login: {}",
                    printable(error)
                ))
            }
        }
    }

    async fn get(&self, address: &str) -> Result<Value, String> {
        let request = self.http.get(address).header(header::ACCEPT, "application/json");
        match self.send(address, request).await? {
            (true, answer) => Ok(answer),
            (false, _) => Err(format!("{address} answers with an error")),
        }
    }

    /// Whether it went well, and the answer.
    async fn send(&self, address: &str, request: reqwest::RequestBuilder) -> Result<(bool, Value), String> {
        let failed = |error: reqwest::Error| {
            let mut reason: &dyn std::error::Error = &error;
            while let Some(source) = reason.source() {
                reason = source;
            }
            format!("the identity provider cannot be reached at {address}: {reason}")
        };
        let mut answer = request.send().await.map_err(failed)?;
        let ok = answer.status().is_success();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("{address} answers with more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        match serde_json::from_slice(&body) {
            Ok(value) => Ok((ok, value)),
            Err(_) if !ok => Ok((false, Value::Null)),
            Err(error) => Err(format!("{address} does not answer with JSON: {error}")),
        }
    }
}

/// Whether what is said there can be believed: by TLS, or on this machine.
pub(super) fn is_safe(address: &Url) -> bool {
    let is_here = match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match address.scheme() {
        "https" => address.host().is_some(),
        "http" => is_here,
        _ => false,
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
