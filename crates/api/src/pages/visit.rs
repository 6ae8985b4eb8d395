//! Who looks at a page, and what their forms send.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use helve_ledger::{Principal, Time};
use helve_web::{Frame, THEME_COOKIE, Theme, User};

use super::words;
use crate::door::{Caller, SESSION_COOKIE, cookie};
use crate::extract::read;
use crate::problem::{Problem, Result};
use crate::routes::namespaces;
use crate::state::Api;

/// The namespace that the browser shows.
#[derive(Debug, Clone)]
pub(crate) struct ChosenNamespace(pub(crate) String);

/// The field of every form that proves that a page of ours made it.
const CSRF: &str = "csrf";

/// What of the cookies every page needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Cookies {
    csrf: String,
    theme: Option<Theme>,
}

impl Cookies {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            csrf: cookie(headers, SESSION_COOKIE).map(csrf).unwrap_or_default(),
            theme: cookie(headers, THEME_COOKIE).and_then(Theme::from_name),
        }
    }

    /// Before a login there is no session: what the forms hold comes from a cookie of its own.
    pub(super) fn with_seed(mut self, seed: &str) -> Self {
        self.csrf = csrf(seed);
        self
    }
}

/// What the forms of a session hold. Nobody who does not have the cookie can make it, and it does not tell the cookie.
pub(super) fn csrf(secret: &str) -> String {
    let key = blake3::derive_key("helve 2026-11-22 forms of a browser session", secret.as_bytes());
    blake3::Hash::from_bytes(key).to_hex().to_string()
}

/// What all pages need.
pub(super) fn frame(
    who: Option<&Principal>,
    namespace: &str,
    namespaces: Vec<String>,
    cookies: &Cookies,
    here: &str,
) -> Frame {
    Frame {
        now: Time::now().millis(),
        user: who.map(|who| User {
            name: who.actor.name.clone(),
            role: words::role(who.role),
        }),
        namespace: namespace.to_owned(),
        namespaces,
        csrf: cookies.csrf.clone(),
        theme: cookies.theme.unwrap_or(Theme::System),
        notice: None,
        here: here.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The login, and back to where one was.
pub(super) fn sign_in(here: &str) -> String {
    match here {
        "/" => "/login".to_owned(),
        here => format!("/login?next={}", crate::extract::encoded(here)),
    }
}

/// Who looks at a page, and its frame.
pub(super) struct Visit {
    pub(super) caller: Caller,
    pub(super) frame: Frame,
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let namespaces = namespaces::of(api, &caller.principal).await?;
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str());
        let frame = frame(
            Some(&caller.principal),
            &caller.namespace,
            namespaces,
            &Cookies::of(&parts.headers),
            here,
        );
        Ok(Self { caller, frame })
    }
}

/// The pairs of a query, as they come.
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl FromRequestParts<Api> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self> {
        Ok(Self(pairs(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

impl Pairs {
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first of that name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        first(&self.0, name)
    }

    pub(super) fn cursor(&self) -> Option<String> {
        Some(self.get("cursor").to_owned()).filter(|cursor| !cursor.is_empty())
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs
        .iter()
        .find(|(field, _)| field == name)
        .map_or("", |(_, value)| value)
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// What a filter was written as in a query.
pub(super) fn query_pairs(text: &str) -> Pairs {
    Pairs(pairs(text.as_bytes()))
}

/// What a form of our own pages sent.
pub(super) struct Sent(Vec<(String, String)>);

impl FromRequest<Api> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        let wanted = cookie(request.headers(), SESSION_COOKIE).map(csrf);
        let sent = Self::unchecked(request, api).await?;
        check(wanted.as_deref(), sent.get(CSRF))?;
        Ok(sent)
    }
}

impl Sent {
    /// Without looking at its token.
    pub(super) async fn unchecked(request: Request, api: &Api) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(Problem::unsupported_media_type("send the form of the page"));
        }
        let body = read(request.into_body(), api.limits.json_bytes, api.limits.body_idle).await?;
        Ok(Self(pairs(&body)))
    }

    /// The field of that name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        first(&self.0, name).trim()
    }

    /// All fields of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// What proves where the form comes from.
    pub(super) fn token(&self) -> &str {
        self.get(CSRF)
    }
}

/// Refuses what no page of ours made.
pub(super) fn check(wanted: Option<&str>, sent: &str) -> Result<()> {
    // Hashes compare in constant time.
    let is_same = wanted.is_some_and(|wanted| blake3::hash(wanted.as_bytes()) == blake3::hash(sent.as_bytes()));
    match is_same {
        true => Ok(()),
        false => Err(Problem::forbidden(
            "this form is from another session or another site: go back, load the page again and send it once more",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_good_for_one_session() {
        let wanted = csrf("session-1");
        assert!(check(Some(&wanted), &csrf("session-1")).is_ok());
        for wrong in [csrf("session-2"), String::new(), "session-1".to_owned()] {
            assert!(check(Some(&wanted), &wrong).is_err(), "{wrong}");
        }
        assert!(check(None, "").is_err());
    }

    #[test]
    fn a_login_leads_back() {
        assert_eq!(sign_in("/"), "/login");
        assert_eq!(sign_in("/runs?a=b"), "/login?next=%2Fruns%3Fa%3Db");
    }
}
