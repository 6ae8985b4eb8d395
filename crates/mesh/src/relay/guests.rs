//! Who may use a relay.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use iroh::{EndpointId, SecretKey};
use iroh_relay::server::{Access, AccessControl, ClientRequest, ConnectionId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::endpoint::write_private;
use crate::error::Error;
use crate::relays::read_secret;

/// Says which connection a request came with. Whatever a client writes there is replaced.
pub(super) const NUMBER: &str = "x-helve-connection";

/// Who is let in: endpoints by their keys, which the relay has them prove, and whoever shows a secret.
#[derive(Debug, Clone, Default)]
pub struct Guests {
    /// These endpoints.
    pub allowed: HashSet<EndpointId>,
    /// And whoever knows this.
    pub secret: Option<String>,
}

impl Guests {
    fn admits(&self, endpoint: EndpointId, shown: Option<&str>) -> bool {
        let knows = |shown: &str| {
            let secret = self.secret.as_deref();
            // Hashes, so that how long it takes says nothing about how much of it was right.
            secret.is_some_and(|secret| blake3::hash(secret.as_bytes()) == blake3::hash(shown.as_bytes()))
        };
        self.allowed.contains(&endpoint) || shown.is_some_and(knows)
    }
}

/// The secret in this file, which is made when it is not there. Only its owner may read it then.
///
/// # Errors
///
/// When the file cannot be read or made, or holds nothing that can be shown.
pub fn make_or_read_secret(path: &Path) -> Result<String, Error> {
    if matches!(path.try_exists(), Ok(false)) {
        // As random as a key.
        let new = data_encoding::HEXLOWER.encode(&SecretKey::generate().to_bytes());
        write_private(path, &new).map_err(|source| Error::Secret {
            action: "write",
            path: path.display().to_string(),
            source,
        })?;
    }
    read_secret(path)
}

/// The book of those who wait at the door and those who are in: each holds one of the places that there are.
#[derive(Debug, Default)]
pub(super) struct Book {
    guests: Guests,
    waiting: Mutex<HashMap<u64, Waiting>>,
    inside: Mutex<HashMap<ConnectionId, OwnedSemaphorePermit>>,
}

#[derive(Debug)]
struct Waiting {
    place: OwnedSemaphorePermit,
    _decided: oneshot::Sender<()>,
}

impl Book {
    pub(super) fn new(guests: Guests) -> Self {
        Self {
            guests,
            ..Self::default()
        }
    }

    /// Somebody has come. What is returned ends when it was decided whether they come in.
    pub(super) fn comes(&self, number: u64, place: OwnedSemaphorePermit) -> oneshot::Receiver<()> {
        let (decided, told) = oneshot::channel();
        let waiting = Waiting {
            place,
            _decided: decided,
        };
        self.waiting().insert(number, waiting);
        told
    }

    /// They went, or waited for too long.
    pub(super) fn goes(&self, number: u64) {
        self.waiting().remove(&number);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, request: &ClientRequest) -> Access {
        let number = request
            .headers()
            .get(NUMBER)
            .and_then(|number| number.to_str().ok()?.parse().ok());
        let waiting = number.and_then(|number: u64| self.waiting().remove(&number));
        let denied = |reason: &str| Access::Deny {
            reason: Some(reason.to_owned()),
        };
        if !self
            .guests
            .admits(request.endpoint_id(), request.auth_token().as_deref())
        {
            tracing::info!(endpoint = %request.endpoint_id().fmt_short(), "an endpoint may not use this relay");
            return denied("this relay does not know this endpoint, and was not shown its secret");
        }
        let Some(waiting) = waiting else {
            return denied("this took too long");
        };
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.insert(request.connection_id(), waiting.place);
        Access::Allow
    }

    /// Connections that were let in.
    pub(super) fn inside(&self) -> usize {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl AccessControl for Book {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        self.decide(request)
    }

    fn on_disconnect(&self, _: EndpointId, connection: ConnectionId) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.remove(&connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_a_relay_is_made_once_and_is_one_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.secret");
        let made = make_or_read_secret(&path).unwrap();
        assert!(made.len() >= 32);
        assert_eq!(make_or_read_secret(&path).unwrap(), made);
        for wrong in ["", " \n", "two words", "gr\u{fc}n"] {
            std::fs::write(&path, wrong).unwrap();
            let refused = make_or_read_secret(&path).unwrap_err().to_string();
            assert!(refused.contains("one word"), "{refused}");
        }
    }

    #[test]
    fn an_endpoint_comes_in_by_its_key_or_by_the_secret_and_nobody_else_does() {
        let key = |n: u8| SecretKey::from_bytes(&[n; 32]).public();
        let guests = Guests {
            allowed: HashSet::from([key(1)]),
            secret: Some("open sesame".to_owned()),
        };
        assert!(guests.admits(key(1), None));
        assert!(guests.admits(key(1), Some("wrong")));
        assert!(guests.admits(key(2), Some("open sesame")));
        assert!(!guests.admits(key(2), None));
        assert!(!guests.admits(key(2), Some("open")));
        let nobody = Guests::default();
        assert!(!nobody.admits(key(1), None));
        assert!(!nobody.admits(key(1), Some("")));
    }
}
