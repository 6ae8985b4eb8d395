//! Who has a blob whole, and who is to fetch it from whom, so that not everybody fetches it from the node.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use helve_blobs::BlobId;
use iroh::{EndpointAddr, EndpointId};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::pace::Pace;

/// Smaller blobs are here before another endpoint is found.
pub(super) const LEAST: u64 = 4 << 20;
/// Endpoints that fetch a blob from the node at once, as long as nobody else has it; then one. More only as far as more is sent then.
const DIRECT: usize = 3;
/// Endpoints that are sent to another one at once.
pub(super) const SERVED: usize = 4;
/// Endpoints that are named to one that asks.
const NAMED: usize = 3;
/// Addresses of an endpoint, endpoints of a blob, and blobs that are remembered.
const ADDRESSES: usize = 8;
const HOLDERS: usize = 256;
const BLOBS: usize = 1024;
/// Whoever said that it has a blob may have evicted it after this.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// An endpoint that was sent elsewhere and not heard of since is gone after this.
const SENT: Duration = Duration::from_secs(10 * 60);
/// Whom so many could not fetch from is named no more.
const COMPLAINTS: usize = 3;

/// What is known of the blobs that are fetched.
#[derive(Default)]
pub(super) struct Spread {
    blobs: Mutex<HashMap<BlobId, Blob>>,
    changed: Notify,
}

#[derive(Default)]
struct Blob {
    /// Endpoints that fetch it from the node now.
    direct: usize,
    /// Bytes that were sent to such.
    sent: u64,
    pace: Pace,
    holders: Vec<Holder>,
}

struct Holder {
    address: EndpointAddr,
    since: Instant,
    /// Who was sent there, and has not said since that it has the blob.
    sent: Vec<(EndpointId, Instant)>,
    complaints: usize,
}

/// Where to fetch a blob.
pub(super) enum Source<'a> {
    /// From the node.
    Node(Direct<'a>),
    /// From one of these, the best first.
    Others(Vec<EndpointAddr>),
    /// Nowhere at this moment.
    Later,
}

impl Spread {
    /// An endpoint says that it has a blob whole.
    pub(super) fn has(&self, id: BlobId, mut address: EndpointAddr) {
        let asker = address.id;
        // A relay is not to carry what the node can send itself.
        let direct: Vec<_> = address.addrs.into_iter().filter(|address| address.is_ip()).collect();
        address.addrs = direct.into_iter().take(ADDRESSES).collect();
        self.with(|blobs| {
            if blobs.len() >= BLOBS && !blobs.contains_key(&id) {
                blobs.retain(|_, blob| blob.direct > 0 || blob.holders.iter().any(Holder::is_kept));
            }
            if blobs.len() >= BLOBS && !blobs.contains_key(&id) {
                return;
            }
            let blob = blobs.entry(id).or_default();
            blob.arrived(asker);
            blob.holders
                .retain(|holder| holder.is_kept() && holder.address.id != asker);
            if !address.addrs.is_empty() && blob.holders.len() < HOLDERS {
                blob.holders.push(Holder {
                    address,
                    since: Instant::now(),
                    sent: Vec::new(),
                    complaints: 0,
                });
            }
        });
        self.changed.notify_waiters();
    }

    /// An endpoint could not fetch a blob from these.
    pub(super) fn complained(&self, id: BlobId, asker: EndpointId, about: &[EndpointId]) {
        self.with(|blobs| {
            let Some(blob) = blobs.get_mut(&id) else { return };
            blob.arrived(asker);
            for holder in &mut blob.holders {
                holder.complaints += usize::from(about.contains(&holder.address.id));
            }
            blob.holders.retain(|holder| holder.complaints < COMPLAINTS);
        });
        self.changed.notify_waiters();
    }

    /// Fetches from the node, whoever else does.
    pub(super) fn direct(&self, id: BlobId) -> Direct<'_> {
        self.with(|blobs| blobs.entry(id).or_default().direct += 1);
        Direct { spread: self, id }
    }

    /// Where an endpoint is to fetch a blob; `may` says from whom it may.
    pub(super) fn source(&self, id: BlobId, asker: EndpointId, may: impl Fn(EndpointId) -> bool) -> Source<'_> {
        self.with(|blobs| {
            let blob = blobs.entry(id).or_default();
            blob.arrived(asker);
            blob.holders.retain(Holder::is_kept);
            let is_good = |holder: &&mut Holder| holder.address.id != asker && may(holder.address.id);
            let mut others: Vec<_> = blob.holders.iter_mut().filter(is_good).collect();
            let at_once = if others.is_empty() { DIRECT } else { 1 };
            if blob.direct < at_once + blob.pace.more() {
                blob.direct += 1;
                return Source::Node(Direct { spread: self, id });
            }
            others.retain(|holder| holder.sent.len() < SERVED);
            others.sort_by_key(|holder| (holder.complaints, holder.sent.len()));
            others.truncate(NAMED);
            if let Some(first) = others.first_mut() {
                first.sent.push((asker, Instant::now()));
                return Source::Others(others.into_iter().map(|holder| holder.address.clone()).collect());
            }
            match blob.pace.look(Instant::now(), blob.sent, blob.direct) {
                true => {
                    // There may be room for several.
                    self.changed.notify_waiters();
                    blob.direct += 1;
                    Source::Node(Direct { spread: self, id })
                }
                false => Source::Later,
            }
        })
    }

    /// Comes when another answer may be right. To be made before the question.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Comes when the endpoint has said that it has the blob.
    pub(super) async fn until_has(&self, id: BlobId, asker: EndpointId) {
        loop {
            let mut changed = std::pin::pin!(self.changed());
            changed.as_mut().enable();
            let has = |blob: &Blob| blob.holders.iter().any(|holder| holder.address.id == asker);
            if self.with(|blobs| blobs.get(&id).is_some_and(has)) {
                return;
            }
            changed.await;
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<BlobId, Blob>) -> T) -> T {
        look(&mut self.blobs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Blob {
    /// An endpoint is no longer where it was sent.
    fn arrived(&mut self, asker: EndpointId) {
        for holder in &mut self.holders {
            holder.sent.retain(|(who, when)| *who != asker && when.elapsed() < SENT);
        }
    }
}

impl Holder {
    fn is_kept(&self) -> bool {
        self.since.elapsed() < KEPT
    }
}

/// Counts somebody who fetches a blob from the node.
pub(super) struct Direct<'a> {
    spread: &'a Spread,
    id: BlobId,
}

impl Direct<'_> {
    /// So much more was sent.
    pub(super) fn sent(&self, bytes: u64) {
        self.spread.with(|blobs| {
            if let Some(blob) = blobs.get_mut(&self.id) {
                blob.sent += bytes;
            }
        });
    }
}

impl Drop for Direct<'_> {
    fn drop(&mut self) {
        self.spread.with(|blobs| {
            if let Some(blob) = blobs.get_mut(&self.id) {
                blob.direct -= 1;
                if blob.direct == 0 && blob.holders.is_empty() {
                    blobs.remove(&self.id);
                }
            }
        });
        self.spread.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

    fn somebody() -> EndpointAddr {
        EndpointAddr::new(SecretKey::generate().public()).with_ip_addr(([127, 0, 0, 1], 9).into())
    }

    fn ask(spread: &Spread, id: BlobId) -> Source<'_> {
        spread.source(id, somebody().id, |_| true)
    }

    #[test]
    fn few_fetch_from_the_node_and_the_rest_from_those_who_did() {
        let (spread, id) = (Spread::default(), BlobId::of(b"a target"));
        let mut direct: Vec<_> = (0..DIRECT).map(|_| ask(&spread, id)).collect();
        assert!(direct.iter().all(|source| matches!(source, Source::Node(_))));
        assert!(matches!(ask(&spread, id), Source::Later));
        let holder = somebody();
        spread.has(id, holder.clone());
        for _ in 0..SERVED {
            assert!(matches!(ask(&spread, id), Source::Others(named) if named == [holder.clone()]));
        }
        assert!(matches!(ask(&spread, id), Source::Later), "one endpoint serves not all");
        direct.clear();
        let node = ask(&spread, id);
        assert!(matches!(node, Source::Node(_)), "the node does its share");
        assert!(matches!(ask(&spread, id), Source::Later));
    }

    #[test]
    fn nobody_is_named_who_may_not_serve_or_whom_nobody_reached() {
        let (spread, id) = (Spread::default(), BlobId::of(b"a target"));
        let holder = somebody();
        spread.has(id, holder.clone());
        let _direct = spread.direct(id);
        let Source::Node(_second) = spread.source(id, somebody().id, |_| false) else {
            panic!("nobody else may serve it");
        };
        for _ in 0..COMPLAINTS {
            let asker = somebody().id;
            let _third = spread.direct(id);
            assert!(matches!(spread.source(id, asker, |_| true), Source::Others(_)));
            spread.complained(id, asker, &[holder.id]);
        }
        assert!(matches!(ask(&spread, id), Source::Node(_)), "the holder is forgotten");
    }

    #[test]
    fn relays_carry_nothing_between_workers() {
        let (spread, id) = (Spread::default(), BlobId::of(b"a target"));
        let relayed = EndpointAddr::new(somebody().id).with_relay_url("https://relay.example".parse().unwrap());
        spread.has(id, relayed);
        let _direct = spread.direct(id);
        assert!(matches!(ask(&spread, id), Source::Node(_)));
    }
}
