//! ID tokens: believed when everything about them is right.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{Who, crypto};

/// How far the provider's clock may be off, in seconds.
const LEEWAY: u64 = 60;
/// Longer than any ID token.
const LONGEST: usize = 256 * 1024;

/// What the token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// What the provider says of a user, after all of it was verified.
#[derive(Debug)]
pub(super) struct Claims(pub(super) Map<String, Value>);

/// Why a token proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    #[error("it is no ID token")]
    NoToken,
    #[error("it is signed in a way that is not accepted here")]
    Algorithm,
    #[error("it is signed with a key that the provider does not publish")]
    NoKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is for somebody else")]
    Audience,
    #[error("it is from somebody else")]
    Issuer,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Immature,
    #[error("it answers another login")]
    Nonce,
    #[error("it lacks `{0}`")]
    Lacks(&'static str),
}

impl Unproven {
    /// Whether the provider may have a key that is newer than those that are known.
    pub(super) fn may_be_new_key(&self) -> bool {
        matches!(self, Unproven::NoKey | Unproven::Signature)
    }
}

/// Verifies a token by the keys of its provider.
pub(super) fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Claims, Unproven> {
    if token.len() > LONGEST {
        return Err(Unproven::NoToken);
    }
    // A word for an algorithm that the library does not know, such as `none`, makes the header unreadable.
    let header = decode_header(token).map_err(|_| Unproven::Algorithm)?;
    if !crypto::ALGORITHMS.contains(&header.alg) {
        return Err(Unproven::Algorithm);
    }
    let fitting: Vec<&Jwk> = keys
        .iter()
        .filter(|key| header.kid.is_none() || key.common.key_id == header.kid)
        .filter(|key| is_for(key, header.alg))
        .collect();
    let mut outcome = Err(Unproven::NoKey);
    for key in fitting {
        outcome = verify_by(token, key, header.alg, expected);
        // Without the key's name each may be the one.
        if outcome != Err(Unproven::Signature) {
            break;
        }
    }
    Ok(Claims(outcome?))
}

fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_to_sign = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let named = key.common.key_algorithm;
    let is_named = named.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    is_to_sign && is_named && DecodingKey::from_jwk(key).is_ok_and(|key| key.family() == algorithm.family())
}

fn verify_by(
    token: &str,
    key: &Jwk,
    algorithm: Algorithm,
    expected: &Expected<'_>,
) -> Result<Map<String, Value>, Unproven> {
    let key = DecodingKey::from_jwk(key).map_err(|_| Unproven::NoKey)?;
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY;
    rules.validate_nbf = true;
    rules.set_audience(&[expected.client_id]);
    rules.set_issuer(&[expected.issuer]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Map<String, Value>>(token, &key, &rules).map_err(|error| reason(error.kind()))?;
    let claims = claims.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // Stricter than the library, which takes lists of issuers.
    if text("iss") != Some(expected.issuer) {
        return Err(Unproven::Issuer);
    }
    let several = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|all| all.len() > 1);
    match (claims.contains_key("azp"), text("azp")) {
        (true, Some(azp)) if azp == expected.client_id => {}
        (false, _) if !several => {}
        _ => return Err(Unproven::Audience),
    }
    let nonce = text("nonce").ok_or(Unproven::Lacks("nonce"))?;
    if !crypto::same(nonce, expected.nonce) {
        return Err(Unproven::Nonce);
    }
    Ok(claims)
}

fn reason(kind: &ErrorKind) -> Unproven {
    match kind {
        ErrorKind::InvalidSignature => Unproven::Signature,
        ErrorKind::InvalidAudience => Unproven::Audience,
        ErrorKind::InvalidIssuer => Unproven::Issuer,
        ErrorKind::ExpiredSignature => Unproven::Expired,
        ErrorKind::ImmatureSignature => Unproven::Immature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Unproven::Algorithm,
        ErrorKind::MissingRequiredClaim(name) => Unproven::Lacks(match name.as_str() {
            "exp" => "exp",
            "iss" => "iss",
            "aud" => "aud",
            _ => "sub",
        }),
        _ => Unproven::NoToken,
    }
}

impl Claims {
    /// Who it is: an address that is not verified could be anybody's.
    pub(super) fn who(&self) -> Result<Who, String> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str);
        let subject = text("sub").unwrap_or_default();
        let email = text("email").filter(|_| self.0.get("email_verified") == Some(&Value::Bool(true)));
        let name = email.unwrap_or(subject);
        let is_name = |name: &str| !name.trim().is_empty() && name.len() <= 320 && !name.chars().any(char::is_control);
        match is_name(subject) && is_name(name) {
            true => Ok(Who {
                name: name.to_owned(),
                subject: subject.to_owned(),
            }),
            false => Err("it names nobody".to_owned()),
        }
    }
}
