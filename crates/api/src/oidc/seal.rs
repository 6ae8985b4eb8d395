//! What a browser keeps for this server, which nobody can make or change but this process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::crypto;

/// Longer than anything that was sealed here.
const LONGEST: usize = 4096;

/// Seals with a key that ends with the process.
pub(super) struct Sealer([u8; 32]);

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    until: u64,
    what: T,
}

impl Sealer {
    pub(super) fn new() -> Self {
        Self(blake3::derive_key(
            "helve 2026-11-23 seal of logins",
            crypto::random().as_bytes(),
        ))
    }

    /// `BODY.SEAL`. It is good for so long.
    pub(super) fn seal<T: Serialize>(&self, what: &T, lasts: Duration) -> String {
        let sealed = Sealed {
            until: now() + lasts.as_secs(),
            what,
        };
        let json = serde_json::to_vec(&sealed).expect("plain data is always JSON");
        let body = URL_SAFE_NO_PAD.encode(json);
        let seal = self.of(&body).to_hex();
        format!("{body}.{seal}")
    }

    /// None if this process did not seal it, or it is too old.
    pub(super) fn open<T: DeserializeOwned>(&self, text: &str) -> Option<T> {
        let (body, seal) = text.split_once('.').filter(|_| text.len() <= LONGEST)?;
        // Hashes compare in constant time.
        if blake3::Hash::from_hex(seal).ok()? != self.of(body) {
            return None;
        }
        let sealed: Sealed<T> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (sealed.until > now()).then_some(sealed.what)
    }

    fn of(&self, body: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.0, body.as_bytes())
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        let sealer = Sealer::new();
        let good = sealer.seal(&"what", Duration::from_secs(60));
        assert_eq!(sealer.open::<String>(&good).as_deref(), Some("what"));
        let (body, seal) = good.split_once('.').unwrap();
        let other = Sealer::new().seal(&"what", Duration::from_secs(60));
        let forged = URL_SAFE_NO_PAD.encode(br#"{"until":99999999999,"what":"x"}"#);
        for bad in [
            other,
            format!("{forged}.{seal}"),
            format!("{body}."),
            body.to_owned(),
            String::new(),
            format!("{body}.{}", "0".repeat(64)),
            format!("{}.{seal}", "A".repeat(1 << 20)),
            sealer.seal(&"what", Duration::ZERO),
        ] {
            assert_eq!(sealer.open::<String>(&bad), None, "{:.60}", bad);
        }
    }
}
