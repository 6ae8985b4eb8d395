//! What a control plane allows an endpoint to fetch from others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use helve_blobs::BlobId;
use iroh::{EndpointId, SecretKey, Signature};
use serde::{Deserialize, Serialize};

/// What is signed begins with this, so that nothing else that the key signs is ever taken for a grant.
const PURPOSE: &[u8] = b"helve: one endpoint may fetch one blob from others, 1\0";
/// How long it is good: whoever was shut out in between fetches nothing any more after that.
pub(super) const LASTS: Duration = Duration::from_secs(60);

/// One endpoint may fetch one blob from some others, for a moment. Whoever has it but not the key of that endpoint has nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    words: Words,
    by: EndpointId,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Words {
    id: BlobId,
    to: EndpointId,
    from: Vec<EndpointId>,
    /// Seconds since 1970.
    until: u64,
}

/// Why a grant is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoGrant {
    /// Or to fetch from somebody else.
    #[error("it allows somebody else to fetch")]
    Another,
    /// By the clock of this machine.
    #[error("it has expired; or the clocks of two machines differ by more than a minute")]
    Expired,
    /// Not by a node of the ticket.
    #[error("nobody signed it whom this endpoint trusts")]
    Unsigned,
}

impl Grant {
    /// Signs one.
    pub(super) fn new(key: &SecretKey, id: BlobId, to: EndpointId, from: Vec<EndpointId>, until: SystemTime) -> Self {
        let until = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let words = Words { id, to, from, until };
        Self {
            signature: key.sign(&words.signed()).to_bytes().to_vec(),
            by: key.public(),
            words,
        }
    }

    /// Which blob `to` may fetch from `from`, if one of those that are trusted says so.
    pub(super) fn allows(
        &self,
        to: EndpointId,
        from: EndpointId,
        trusted: &[EndpointId],
        now: SystemTime,
    ) -> Result<BlobId, NoGrant> {
        let signature = <[u8; 64]>::try_from(self.signature.as_slice()).map_err(|_| NoGrant::Unsigned)?;
        let signature = Signature::from_bytes(&signature);
        if !trusted.contains(&self.by) || self.by.verify(&self.words.signed(), &signature).is_err() {
            return Err(NoGrant::Unsigned);
        }
        if self.words.to != to || !self.words.from.contains(&from) {
            return Err(NoGrant::Another);
        }
        match UNIX_EPOCH + Duration::from_secs(self.words.until) >= now {
            true => Ok(self.words.id),
            false => Err(NoGrant::Expired),
        }
    }
}

impl Words {
    fn signed(&self) -> Vec<u8> {
        let words = postcard::to_stdvec(self).expect("words of known types");
        [PURPOSE, &words].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_good_for_one_blob_one_endpoint_and_a_moment_alone() {
        let [node, asker, holder, other] = std::array::from_fn(|_| SecretKey::generate());
        let (id, now) = (BlobId::of(b"a target"), SystemTime::now());
        let make = |key: &SecretKey| Grant::new(key, id, asker.public(), vec![holder.public()], now + LASTS);
        let trusted = [node.public()];
        let ask = |grant: &Grant, to: &SecretKey, from: &SecretKey, now| {
            grant.allows(to.public(), from.public(), &trusted, now)
        };
        let good = make(&node);
        assert_eq!(ask(&good, &asker, &holder, now), Ok(id));
        assert_eq!(ask(&good, &other, &holder, now), Err(NoGrant::Another));
        assert_eq!(ask(&good, &asker, &other, now), Err(NoGrant::Another));
        assert_eq!(ask(&good, &asker, &holder, now + LASTS * 2), Err(NoGrant::Expired));
        assert_eq!(ask(&make(&other), &asker, &holder, now), Err(NoGrant::Unsigned));
        let mut changed = good.clone();
        changed.words.id = BlobId::of(b"something else");
        assert_eq!(ask(&changed, &asker, &holder, now), Err(NoGrant::Unsigned));
        let mut claimed = make(&other);
        claimed.by = node.public();
        assert_eq!(ask(&claimed, &asker, &holder, now), Err(NoGrant::Unsigned));
        let mut short = good;
        short.signature.truncate(10);
        assert_eq!(ask(&short, &asker, &holder, now), Err(NoGrant::Unsigned));
    }
}
