//! Secrets that somebody holds and the ledger recognises: made once, stored hashed.
//!
//! A secret is `PREFIX` + 16 hexadecimal digits that name it + `_` + 64 that nobody can guess. The name finds the row; the
//! rest is compared by its hash, in constant time. A secret of 256 random bits needs no slow hash.

use std::fmt;

use blake3::Hash;

use crate::error::Error;

const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// What a secret is for. The prefix lets people and secret scanners recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Token,
    LoginCode,
    Session,
    Ticket,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Kind::Token => "hlv_",
            Kind::LoginCode => "hlvc_",
            Kind::Session => "hlvs_",
            Kind::Ticket => "hlvj_",
        }
    }

    const fn context(self) -> &'static str {
        match self {
            Kind::Token => "helve ledger v1 token",
            Kind::LoginCode => "helve ledger v1 login code",
            Kind::Session => "helve ledger v1 session",
            Kind::Ticket => "helve ledger v1 ticket",
        }
    }
}

/// A secret in the clear, to be shown once. It cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Secret(text)
    }

    /// The text, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// A new secret: what its holder gets, and what is stored.
pub(crate) struct Minted {
    pub(crate) secret: Secret,
    pub(crate) id: String,
    pub(crate) hash: Hash,
}

pub(crate) fn mint(kind: Kind) -> Result<Minted, Error> {
    let id = hex(&random::<ID_BYTES>()?);
    let secret = hex(&random::<SECRET_BYTES>()?);
    Ok(Minted {
        hash: hash(kind, &secret),
        secret: Secret(format!("{}{id}_{secret}", kind.prefix())),
        id,
    })
}

/// What somebody presents: which one they say it is, and the hash of what they know. None if it cannot be one.
pub(crate) fn parse(kind: Kind, presented: &str) -> Option<(&str, Hash)> {
    let (id, secret) = presented.strip_prefix(kind.prefix())?.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES && is_hex(id) && is_hex(secret);
    fits.then(|| (id, hash(kind, secret)))
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::Limit(format!(
            "the operating system gave no random numbers ({error}): try again"
        ))
    })?;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(kind: Kind, secret: &str) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key(kind.context());
    hasher.update(secret.as_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_by_its_name_and_its_hash() {
        let minted = mint(Kind::Token).unwrap();
        let (id, hash) = parse(Kind::Token, minted.secret.reveal()).unwrap();
        assert_eq!((id, hash), (minted.id.as_str(), minted.hash));
        assert!(minted.secret.reveal().starts_with("hlv_"));
    }

    #[test]
    fn a_secret_of_one_kind_is_none_of_another() {
        let token = mint(Kind::Token).unwrap();
        let rest = token.secret.reveal().strip_prefix("hlv_").unwrap();
        let forged = format!("hlvs_{rest}");
        let (_, hash) = parse(Kind::Session, &forged).unwrap();
        assert_ne!(hash, token.hash);
        assert!(parse(Kind::Session, token.secret.reveal()).is_none());
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_before_any_hash() {
        let minted = mint(Kind::Token).unwrap();
        let good = minted.secret.reveal();
        for bad in [
            "",
            "hlv_",
            "hlv__",
            &good[..good.len() - 1],
            &format!("{good}0"),
            &good.to_uppercase(),
            &format!(" {good}"),
            &good.replace('_', "\u{0}"),
        ] {
            assert!(parse(Kind::Token, bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed_by_accident() {
        let minted = mint(Kind::Token).unwrap();
        assert!(!format!("{:?}", minted.secret).contains(&minted.id));
    }
}
