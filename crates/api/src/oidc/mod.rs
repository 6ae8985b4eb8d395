//! Login with an account of an identity provider: OpenID Connect, the authorization code flow with PKCE.
//!
//! A login begins here and ends here, in the same browser: what was asked for is in a sealed cookie ([`seal`]), so nothing is kept
//! for logins that never end. What the provider says of a user is believed when its ID token is good ([`token`]), and lets
//! them in when a rule of the map fits ([`map`]).

mod crypto;
mod map;
mod provider;
mod seal;
#[cfg(test)]
mod tests;
mod token;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use helve_ledger::{Role, Scope};
use serde::{Deserialize, Serialize};
use url::Url;

pub use map::{InvalidMap, OidcMap};
use provider::Provider;
use seal::Sealer;
use token::{Claims, Expected};

/// How long somebody may take to sign in at the provider.
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// Where the provider sends browsers back to, below the public address.
pub(crate) const CALLBACK: &str = "/login/oidc/callback";

/// How users of an identity provider come in.
#[derive(Clone)]
pub struct OidcOptions {
    /// The provider, exactly as its ID tokens name it.
    pub issuer: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// What proves it to the provider; none for a public client.
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// What the button says that one signs in with.
    pub name: String,
    /// Who gets which role.
    pub map: OidcMap,
    /// Where browsers reach this server, without a slash at the end.
    pub public_url: String,
    /// For requests to the provider. It must follow no redirects.
    pub http: reqwest::Client,
}

/// Options that make no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOidc(String);

impl OidcOptions {
    /// Whether they make sense.
    ///
    /// # Errors
    ///
    /// When what the issuer says could not be believed.
    pub fn check(&self) -> Result<(), InvalidOidc> {
        self.issuer().map(drop)
    }

    fn issuer(&self) -> Result<Url, InvalidOidc> {
        let text = &self.issuer;
        let issuer =
            Url::parse(text).map_err(|error| InvalidOidc(format!("the issuer `{text}` is no address: {error}")))?;
        match provider::is_safe(&issuer) {
            true => Ok(issuer),
            false => Err(InvalidOidc(format!(
                "the issuer `{text}` must be an https address (http only on a loopback address)"
            ))),
        }
    }
}

/// The login, ready to be used.
pub(crate) struct Oidc {
    options: OidcOptions,
    provider: Provider,
    sealer: Sealer,
}

/// What a login that has begun must find again when it ends.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
}

/// A login that has begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) location: String,
    /// What it brings back.
    pub(crate) cookie: String,
}

/// Somebody whom the provider vouches for, and whom a rule lets in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) who: Who,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    pub(crate) next: String,
}

/// Whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// The verified e-mail address, or else the subject.
    pub(crate) name: String,
    /// What the provider calls them for ever.
    pub(crate) subject: String,
}

/// Why a login ended without a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It did not begin in this browser, or too long ago.
    #[error("this login did not begin in this browser, or took longer than ten minutes: begin it again")]
    NotAsked,
    /// The provider says so, or the user did.
    #[error("{place} did not sign you in: {why}")]
    ByProvider {
        /// The provider's name.
        place: String,
        /// Its word for it.
        why: String,
    },
    /// The provider cannot be reached, or makes no sense.
    #[error("{0}")]
    Provider(String),
    /// What the provider sent proves nothing.
    #[error("what {place} sent does not prove who you are: {why}")]
    Unproven {
        /// The provider's name.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// It is proven who they are, and no rule lets them in.
    #[error("you are signed in at {place} as {}, and no rule of this server lets you in: ask whoever runs it", who.name)]
    NoRule {
        /// The provider's name.
        place: String,
        /// Whom it vouches for.
        who: Who,
    },
}

/// What the provider sends the browser back with.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) state: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) error: Option<String>,
    /// The provider, as it calls itself.
    pub(crate) iss: Option<String>,
}

impl Oidc {
    pub(crate) fn new(options: OidcOptions) -> Result<Self, InvalidOidc> {
        let issuer = options.issuer()?;
        crypto::install();
        Ok(Self {
            provider: Provider::new(issuer, &options),
            sealer: Sealer::new(),
            options,
        })
    }

    /// What the button says.
    pub(crate) fn place(&self) -> &str {
        &self.options.name
    }

    /// The issuer, for the audit log.
    pub(crate) fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// Begins a login that is to lead to a page of this server.
    pub(crate) async fn begin(&self, next: &str) -> Result<Begun, Refused> {
        let found = self.provider.discovered().await.map_err(Refused::Provider)?;
        let asked = Asked {
            state: crypto::random(),
            nonce: crypto::random(),
            verifier: crypto::random(),
            next: next.to_owned(),
        };
        let mut location = found.authorization_endpoint.clone();
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.options.client_id)
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("scope", &self.scopes())
            .append_pair("state", &asked.state)
            .append_pair("nonce", &asked.nonce)
            .append_pair("code_challenge", &challenge(&asked.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(Begun {
            location: location.into(),
            cookie: self.sealer.seal(&asked, WITHIN),
        })
    }

    /// Ends a login with what the provider sent back and what the browser kept.
    pub(crate) async fn finish(&self, answer: Answer, cookie: Option<&str>) -> Result<Account, Refused> {
        let asked: Asked = cookie
            .and_then(|cookie| self.sealer.open(cookie))
            .ok_or(Refused::NotAsked)?;
        if !crypto::same(answer.state.as_deref().unwrap_or_default(), &asked.state) {
            return Err(Refused::NotAsked);
        }
        if answer.iss.is_some_and(|issuer| issuer != self.options.issuer) {
            return Err(self.unproven("the answer comes from another provider"));
        }
        let code = match (answer.code, answer.error) {
            (Some(code), None) => code,
            (_, error) => {
                let error = error.unwrap_or_else(|| "no code came back".to_owned());
                return Err(Refused::ByProvider {
                    place: self.place().to_owned(),
                    why: error.chars().filter(|c| !c.is_control()).take(200).collect(),
                });
            }
        };
        let redirect = self.redirect_uri();
        let id_token = self.provider.redeem(&code, &redirect, &asked.verifier).await;
        let id_token = id_token.map_err(Refused::Provider)?;
        let claims = self.verify(&id_token, &asked.nonce).await?;
        let who = claims.who().map_err(|why| self.unproven(why))?;
        match self.options.map.grant(&claims.0) {
            Some((role, scope)) => Ok(Account {
                who,
                role,
                scope,
                next: asked.next,
            }),
            None => Err(Refused::NoRule {
                place: self.place().to_owned(),
                who,
            }),
        }
    }

    async fn verify(&self, id_token: &str, nonce: &str) -> Result<Claims, Refused> {
        let expected = Expected {
            issuer: &self.options.issuer,
            client_id: &self.options.client_id,
            nonce,
        };
        let keys = self.provider.keys(false).await.map_err(Refused::Provider)?;
        let error = match token::verify(id_token, &keys, &expected) {
            Ok(claims) => return Ok(claims),
            Err(error) => error,
        };
        if !error.may_be_new_key() {
            return Err(self.unproven(error.to_string()));
        }
        // Providers change their keys, sometimes without a word.
        let keys = self.provider.keys(true).await.map_err(Refused::Provider)?;
        token::verify(id_token, &keys, &expected).map_err(|error| self.unproven(error.to_string()))
    }

    fn unproven(&self, why: impl Into<String>) -> Refused {
        Refused::Unproven {
            place: self.place().to_owned(),
            why: why.into(),
        }
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.options.public_url)
    }

    fn scopes(&self) -> String {
        let scopes = self.options.scopes.iter().map(String::as_str);
        let others = scopes.filter(|scope| *scope != "openid");
        std::iter::once("openid").chain(others).collect::<Vec<_>>().join(" ")
    }
}

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}
