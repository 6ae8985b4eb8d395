//! Who comes in: a token or a browser's session becomes a principal, before anything else is looked at.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use helve_ledger::{Asked, Ledger, Names, Principal, Rates, Role, Strangers};
use helve_runs::Client;
use serde_json::Value;

use crate::extract::Query;
use crate::pages::ChosenNamespace;
use crate::problem::{Problem, Result, engine, shown};
use crate::state::Api;

/// The cookie of a browser's session.
pub(crate) const SESSION_COOKIE: &str = "helve_session";
/// Where a connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// An address of a network.
    Network(SocketAddr),
    /// An endpoint of the mesh, whose key was proven: this one.
    Endpoint(String),
    /// Whoever can open a socket in the server's data directory, and with that could read everything there.
    Owner,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer::Network(address)
    }
}

impl Peer {
    /// What those are counted by whom nobody knows. Endpoints are all known.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Network(address) => Some(address.ip()),
            Peer::Endpoint(_) | Peer::Owner => None,
        }
    }
}

/// Lets requests in whose token or session is valid.
pub(crate) async fn door(State(api): State<Api>, mut request: Request, next: Next) -> Result<Response> {
    // Asked before anything is read, so what is read has every change that was acknowledged before the request came.
    if !api.ledger.may_read() {
        return Err(Problem::unavailable(
            "this node does not lead the cluster any more: try again, and the one that leads will answer",
        ));
    }
    let from = request.extensions().get::<Peer>();
    let peer = from.and_then(Peer::ip);
    let identified = identify(&api.ledger, request.method(), request.headers(), from);
    // Who is known comes in, whatever others at the same address do: behind a proxy it is everybody's.
    let principal = identified.map_err(|problem| match peer {
        Some(ip) => {
            let is_wrong = request.headers().contains_key(header::AUTHORIZATION);
            turned_away(&api.strangers, &api.rates, ip, is_wrong, problem)
        }
        None => problem,
    })?;
    api.rates.known(&principal, asked(request.uri().path()))?;
    let principal = match peer {
        Some(ip) => Principal {
            actor: principal.actor.from_address(ip.to_string()),
            ..principal
        },
        None => principal,
    };
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// A job of the queue is many small requests. The stream of a run's events is one, and so is each part of an upload.
fn asked(path: &str) -> Asked {
    match path.starts_with("/api/v1/queue/") || path.starts_with("/api/v1/jobs/") {
        true => Asked::Call,
        false => Asked::Request,
    }
}

/// What somebody is told who was not let in, and whether they presented something that is wrong: that is counted.
fn turned_away(strangers: &Strangers, rates: &Rates, ip: IpAddr, is_wrong: bool, problem: Problem) -> Problem {
    if let Err(problem) = check(strangers, ip) {
        return problem;
    }
    if is_wrong {
        strangers.strike(ip);
    }
    rates.stranger(ip).err().map_or(problem, Problem::from)
}

/// Refuses an address that has presented too many wrong tokens.
pub(crate) fn check(strangers: &Strangers, ip: IpAddr) -> Result<()> {
    match strangers.has_to_wait(ip) {
        true => Err(Problem::too_many(
            "this address has presented too many wrong tokens",
            Strangers::WITHIN.as_secs(),
        )),
        false => Ok(()),
    }
}

fn identify(ledger: &Ledger, method: &Method, headers: &HeaderMap, from: Option<&Peer>) -> Result<Principal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        // What stands before this server may have looked at the other one.
        if given.next().is_some() {
            return Err(Problem::unauthenticated(
                "send one header `Authorization`, and not several",
            ));
        }
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token =
            token.ok_or_else(|| Problem::unauthenticated("write the header as `Authorization: Bearer TOKEN`"))?;
        return Ok(ledger.verify_token(token)?);
    }
    if let Some(Peer::Endpoint(id)) = from {
        return Ok(ledger.verify_peer(id)?);
    }
    if let Some(Peer::Owner) = from {
        return Ok(Principal::system("owner of the data directory"));
    }
    let session = cookie(headers, SESSION_COOKIE).ok_or_else(|| {
        Problem::unauthenticated(
            "send `Authorization: Bearer TOKEN`; on the machine of the server `admin.token` in its data directory has one",
        )
    })?;
    // A browser sends cookies with requests that other sites make; programs send none.
    if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_same_origin(headers) {
        return Err(Problem::forbidden(
            "a session is good for requests of the server's own pages only",
        ));
    }
    Ok(ledger.verify_session(session)?)
}

/// How often it is asked whether who listens may still listen.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Ends when who was let in by these headers would not be let in any more: their token was taken back, their session has ended,
/// or the time of either is over.
pub(crate) async fn shut_out(ledger: Ledger, headers: HeaderMap, from: Option<Peer>, namespace: String) {
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        let may = identify(&ledger, &Method::GET, &headers, from.as_ref())
            .and_then(|principal| Ok(principal.require(Role::Viewer, &namespace)?));
        if may.is_err() {
            return;
        }
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether the browser says that a page of this server makes the request.
fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, text(header::HOST)) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Who asks, and in which namespace.
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) namespace: String,
    /// To the engine, in that namespace.
    pub(crate) client: Client,
    ledger: Ledger,
}

/// `?namespace=`.
#[derive(Debug, serde::Deserialize)]
struct InNamespace {
    namespace: Option<String>,
}

impl Caller {
    /// Refuses who does not have the role.
    pub(crate) fn require(&self, role: Role) -> Result<()> {
        Ok(self.principal.require(role, &self.namespace)?)
    }

    /// Writes into the audit log what is about to be changed. Changes of the ledger's own have their rows already.
    pub(crate) async fn record(&self, action: &'static str, subject: &str, detail: Value) -> Result<()> {
        let (actor, namespace) = (&self.principal.actor, Some(self.namespace.as_str()));
        Ok(self.ledger.record(actor, action, namespace, subject, detail).await?)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let principal = principal(parts)?;
        let Query(asked) = Query::<InNamespace>::from_request_parts(parts, api).await?;
        // What a browser shows, it chose once.
        let chosen = parts.extensions.get::<ChosenNamespace>().map(|chosen| chosen.0.clone());
        let namespace = match (asked.namespace.or(chosen), &principal.scope.namespaces) {
            (Some(namespace), _) => namespace,
            // Who has one namespace need not name it.
            (None, Names::Only(names)) if names.len() == 1 => names.iter().next().cloned().unwrap_or_default(),
            (None, _) => api.client.namespace.clone(),
        };
        principal.require(Role::Viewer, &namespace)?;
        let client = api.client.of_namespace(&namespace);
        client.check_namespace().await.map_err(|status| match status.code() {
            temporalio_client::tonic::Code::NotFound | temporalio_client::tonic::Code::InvalidArgument => {
                Problem::no_namespace(&namespace)
            }
            _ => engine(&format!("cannot look up namespace `{}`", shown(&namespace)), &status),
        })?;
        Ok(Self {
            principal,
            namespace,
            client,
            ledger: api.ledger.clone(),
        })
    }
}

/// Who asks, where it is not about one namespace.
pub(crate) struct Anyone(pub(crate) Principal);

impl FromRequestParts<Api> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self> {
        let principal = principal(parts)?;
        // A worker's token is for gRPC.
        if principal.role == Role::Worker {
            return Err(Problem::forbidden(
                "the token of a worker is good for polling its queues, and for nothing else",
            ));
        }
        Ok(Self(principal))
    }
}

fn principal(parts: &Parts) -> Result<Principal> {
    let principal = parts.extensions.get::<Principal>().cloned();
    principal.ok_or_else(|| Problem::unauthenticated("send `Authorization: Bearer TOKEN`"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use helve_ledger::{Actor, NewSession, NewToken, Scope, Secret, Time, Via};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn who_is_turned_away_too_often_is_told_so_and_who_presents_nothing_is_not_counted() {
        let (strangers, rates) = (Strangers::default(), Rates::new(0));
        let (wrong, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let status = |ip, is_wrong| {
            let problem = Problem::unauthenticated("who are you?");
            turned_away(&strangers, &rates, ip, is_wrong, problem).status
        };
        for _ in 0..100 {
            assert_eq!(status(wrong, false), 401);
        }
        let told = (0..100).find(|_| status(wrong, true) == 429);
        assert_eq!(told, Some(30));
        assert_eq!(status(wrong, false), 429, "nor does who presents nothing hear more");
        assert_eq!(status(other, true), 401);
    }

    #[test]
    fn a_cookie_is_found_among_others_and_not_by_half_its_name() {
        let headers = headers(&[("cookie", "a=1; xhelve_session=no; helve_session=yes")]);
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("yes"));
    }

    #[test]
    fn a_request_that_another_site_makes_is_told_from_our_own() {
        for (pairs, ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://h:1"),
                    ("host", "h:1"),
                ],
                false,
            ),
            (&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true),
            (&[("origin", "http://evil.example"), ("host", "localhost:8080")], false),
            (&[("origin", "null"), ("host", "localhost:8080")], false),
            (&[("host", "localhost:8080")], false),
        ] {
            assert_eq!(is_same_origin(&headers(pairs)), ours, "{pairs:?}");
        }
    }

    #[tokio::test]
    async fn who_listens_is_shut_out_when_what_let_them_in_is_good_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db"), helve_ledger::Options::default())
            .await
            .unwrap();
        let actor = Actor::system("test");
        let maker = Principal::system("test");
        let token = |name: &str, lasts: Option<Duration>| NewToken {
            name: name.to_owned(),
            role: Role::Viewer,
            scope: Scope::namespaces(["default"]),
            expires_at: lasts.map(|lasts| Time::now().after(lasts)),
        };
        let lasting = ledger.create_token(&maker, token("lasting", None)).await.unwrap();
        let short = token("short", Some(ASK_AGAIN));
        let short = ledger.create_token(&maker, short).await.unwrap();
        let session = NewSession {
            name: "browser".to_owned(),
            role: Role::Viewer,
            scope: Scope::all(),
            lasts: Duration::from_secs(3600),
        };
        let session = ledger.open_session(session, None, None).await.unwrap();
        let Via::Session(session_id) = session.principal.actor.via else {
            panic!("it is a session");
        };
        let listen = |name, value: String, namespace: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(&value).unwrap());
            tokio::spawn(shut_out(ledger.clone(), headers, None, namespace.to_owned()))
        };
        let bearer = |secret: &Secret| format!("Bearer {}", secret.reveal());
        let by_token = listen(header::AUTHORIZATION, bearer(&lasting.secret), "default");
        let cookie = format!("{SESSION_COOKIE}={}", session.secret.reveal());
        let by_session = listen(header::COOKIE, cookie, "default");
        let elsewhere = listen(header::AUTHORIZATION, bearer(&lasting.secret), "other");
        let by_short = listen(header::AUTHORIZATION, bearer(&short.secret), "default");
        elsewhere.await.unwrap();
        by_short.await.unwrap();
        // They have been looked at meanwhile, and may stay.
        assert!(!by_token.is_finished() && !by_session.is_finished());
        ledger.revoke_token(&actor, &lasting.token.id).await.unwrap();
        by_token.await.unwrap();
        assert!(!by_session.is_finished());
        ledger.end_session(&actor, &session_id).await.unwrap();
        by_session.await.unwrap();
    }
}
