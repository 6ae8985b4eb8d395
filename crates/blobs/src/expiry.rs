//! Removing what is old, and never what is needed.
//!
//! A blob is as old as its last use: storing one that is there already makes it young again. Whoever starts a run first makes
//! its target young ([`BlobStore::touch`], which packing does too) and then starts; the sweep asks for the needs of runs after
//! it has listed, and each removal looks at the time of use once more, in a way that excludes users meanwhile. So a run that
//! starts during a sweep finds its target, or learns at once that it is gone and packs it again. Each removal is whole, so a
//! sweep may be killed anywhere.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::{BlobId, BlobStore, StoreError};

/// Nothing younger than this is removed, whatever the settings say: somebody may be about to use it.
pub const MIN_AGE: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long blobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Packed targets.
    pub targets: Duration,
    /// Everything else: reports and artifacts.
    pub results: Duration,
}

impl Default for Retention {
    /// 7 days for targets, 30 for results.
    fn default() -> Self {
        Retention {
            targets: 7 * DAY,
            results: 30 * DAY,
        }
    }
}

impl Retention {
    /// For a blob of this kind.
    pub fn of(&self, is_target: bool) -> Duration {
        if is_target { self.targets } else { self.results }
    }

    /// The shorter of the two, for each kind.
    pub fn min(self, other: Self) -> Self {
        Retention {
            targets: self.targets.min(other.targets),
            results: self.results.min(other.results),
        }
    }
}

/// One blob of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its id.
    pub id: BlobId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last stored or used.
    pub used: SystemTime,
    /// Whether it is a packed target.
    pub is_target: bool,
}

/// Why a blob that runs refer to is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// An open run needs it.
    Needed,
    /// Closed runs refer to it: as a target it is kept until the first time, as anything else until the second.
    Until {
        /// The end of the time that targets are kept.
        target: SystemTime,
        /// The end of the time that results are kept.
        result: SystemTime,
    },
}

impl Hold {
    /// The hold of two runs that refer to the same blob: the longer one.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Hold::Until { target: a, result: b }, Hold::Until { target: c, result: d }) => Hold::Until {
                target: a.max(c),
                result: b.max(d),
            },
            _ => Hold::Needed,
        }
    }
}

/// A sweep.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    /// The time that counts as now.
    pub now: SystemTime,
    /// For blobs that no run refers to: how long they are kept after their last use.
    pub retention: Retention,
    /// The shortest time that any run keeps its blobs: when all blobs are younger, runs need not be asked.
    pub shortest: Retention,
    /// Only say what would be removed.
    pub dry_run: bool,
}

impl Expiry {
    /// One retention for all.
    pub fn new(now: SystemTime, retention: Retention) -> Self {
        Expiry {
            now,
            retention,
            shortest: retention,
            dry_run: false,
        }
    }

    fn is_older(&self, used: SystemTime, age: Duration) -> bool {
        self.now
            .duration_since(used)
            .is_ok_and(|elapsed| elapsed > age.max(MIN_AGE))
    }
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Blobs that were removed, or would be.
    pub removed: Vec<BlobInfo>,
    /// Old blobs that were kept because open runs need them.
    pub needed: u64,
}

impl Swept {
    /// Bytes of the removed blobs.
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|blob| blob.size).sum()
    }
}

impl BlobStore {
    /// Removes what is old, except what open runs need and closed ones still refer to.
    ///
    /// `holds` is called at most once, after the store was listed; when it fails nothing is removed.
    ///
    /// # Errors
    ///
    /// When the needs are not known, or the store cannot be read or written.
    pub fn expire<E: From<StoreError>>(
        &self,
        expiry: &Expiry,
        holds: impl FnOnce() -> Result<HashMap<BlobId, Hold>, E>,
    ) -> Result<Swept, E> {
        let shortest = expiry.shortest.min(expiry.retention);
        let blobs = self.list()?;
        if !expiry.dry_run {
            self.tidy(&blobs);
        }
        let old: Vec<BlobInfo> = blobs
            .into_iter()
            .filter(|blob| expiry.is_older(blob.used, shortest.of(blob.is_target)))
            .collect();
        let mut swept = Swept::default();
        if old.is_empty() {
            return Ok(swept);
        }
        let holds = holds()?;
        for blob in old {
            let least = match holds.get(&blob.id) {
                Some(Hold::Needed) => {
                    swept.needed += 1;
                    continue;
                }
                Some(Hold::Until { target, result }) => {
                    let end = if blob.is_target { *target } else { *result };
                    if expiry.now <= end {
                        continue;
                    }
                    MIN_AGE
                }
                None => expiry.retention.of(blob.is_target),
            };
            let is_young = |used| !expiry.is_older(used, least);
            let removed = match expiry.dry_run {
                true => !is_young(blob.used),
                false => self.remove_unless(&blob.id, is_young)?,
            };
            if removed {
                swept.removed.push(blob);
            }
        }
        Ok(swept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TargetManifest;

    use std::fs::File;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path()).unwrap();
        (dir, store)
    }

    fn put(store: &BlobStore, text: &str, used: SystemTime) -> BlobId {
        let id = store.put_bytes(text.as_bytes()).unwrap().id;
        File::options()
            .append(true)
            .open(store.dir().join(&id.to_hex()[..2]).join(id.to_hex()))
            .unwrap()
            .set_modified(used)
            .unwrap();
        id
    }

    fn put_target(store: &BlobStore, text: &str, used: SystemTime) -> BlobId {
        let id = put(store, text, used);
        store
            .record_target(&TargetManifest {
                id,
                files: 1,
                bytes: 1,
                packed_bytes: 1,
                name: text.to_owned(),
            })
            .unwrap();
        id
    }

    fn none() -> Result<HashMap<BlobId, Hold>, StoreError> {
        Ok(HashMap::new())
    }

    fn expire(store: &BlobStore, now: SystemTime) -> Swept {
        store.expire(&Expiry::new(now, Retention::default()), none).unwrap()
    }

    fn has(store: &BlobStore, id: &BlobId) -> bool {
        store.contains(id).unwrap()
    }

    #[test]
    fn targets_and_results_expire_each_after_its_time() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let [young, old] = [now - 8 * DAY, now - 31 * DAY];
        let (target, report, old_report) = (
            put_target(&store, "t", young),
            put(&store, "r", young),
            put(&store, "o", old),
        );
        let dry = Expiry {
            dry_run: true,
            ..Expiry::new(now, Retention::default())
        };
        let announced = store.expire(&dry, none).unwrap();
        assert!(has(&store, &target), "a dry run removes nothing");
        let swept = expire(&store, now);
        assert_eq!((&announced, swept.removed.len(), swept.bytes()), (&swept, 2, 2));
        assert!(!has(&store, &target) && has(&store, &report) && !has(&store, &old_report));
        assert_eq!(store.target(&target), None, "what is known of it goes with it");
    }

    #[test]
    fn what_an_open_run_needs_is_never_removed() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put_target(&store, "t", now - 100 * DAY);
        let swept = store
            .expire(&Expiry::new(now, Retention::default()), || {
                Ok::<_, StoreError>(HashMap::from([(id, Hold::Needed)]))
            })
            .unwrap();
        assert_eq!((swept.needed, swept.removed), (1, vec![]));
        assert!(has(&store, &id));
    }

    #[test]
    fn what_closed_runs_refer_to_is_kept_as_long_as_their_namespace_says() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let [long, short, target] = ["long", "short"]
            .map(|text| put(&store, text, now - 40 * DAY))
            .into_iter()
            .chain([put_target(&store, "t", now - 2 * DAY)])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let until = |target, result| Hold::Until { target, result };
        let holds = HashMap::from([
            (long, until(now - DAY, now + DAY)),
            (short, until(now + DAY, now - DAY)),
            (target, until(now - DAY, now + DAY)),
        ]);
        let expiry = Expiry {
            shortest: Retention {
                targets: DAY,
                results: DAY,
            },
            ..Expiry::new(now, Retention::default())
        };
        let swept = store.expire(&expiry, || Ok::<_, StoreError>(holds)).unwrap();
        let mut removed: Vec<BlobId> = swept.removed.iter().map(|blob| blob.id).collect();
        let mut wanted = vec![short, target];
        removed.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(removed, wanted);
    }

    #[test]
    fn of_two_holds_the_longer_one_counts() {
        let time = |days| SystemTime::UNIX_EPOCH + days * DAY;
        let until = |target, result| Hold::Until {
            target: time(target),
            result: time(result),
        };
        assert_eq!(until(1, 4).and(until(2, 3)), until(2, 4));
        assert_eq!(until(1, 4).and(Hold::Needed), Hold::Needed);
        assert_eq!(Hold::Needed.and(until(1, 4)), Hold::Needed);
    }

    #[test]
    fn nothing_is_removed_when_the_needs_are_not_known() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        let unknown = || Err(StoreError::DiskFull { path: "engine".into() });
        assert!(store.expire(&Expiry::new(now, Retention::default()), unknown).is_err());
        assert!(has(&store, &id));
    }

    #[test]
    fn a_blob_that_is_used_during_a_sweep_stays() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        let used_meanwhile = || {
            assert!(store.touch(&id).unwrap());
            none()
        };
        let swept = store
            .expire(&Expiry::new(now, Retention::default()), used_meanwhile)
            .unwrap();
        assert_eq!(swept, Swept::default());
        assert!(has(&store, &id));
    }

    #[test]
    fn storing_again_makes_young_again() {
        let (_dir, store) = store();
        let now = SystemTime::now();
        let id = put(&store, "r", now - 100 * DAY);
        store.put_bytes(b"r").unwrap();
        assert_eq!(expire(&store, now), Swept::default());
        assert!(has(&store, &id));
    }

    #[test]
    fn no_setting_removes_what_was_just_stored() {
        let (_dir, store) = store();
        let id = store.put_bytes(b"r").unwrap().id;
        let nothing = Retention {
            targets: Duration::ZERO,
            results: Duration::ZERO,
        };
        store.expire(&Expiry::new(SystemTime::now(), nothing), none).unwrap();
        assert!(has(&store, &id));
    }
}
