//! When a blob of a bucket was used last, and removing those that were not, without a lock.
//!
//! S3 cannot lock and cannot change an object's time. So whoever uses a blob again writes a mark, and whoever removes one
//! announces it; both write first and look for the other afterwards. Whatever the order, one of the two sees the other:
//! either the sweep sees the mark and lets the blob be, or the user sees the announcement, waits until it is gone, and finds
//! out whether the blob is. An announcement whose sweep was killed counts for nothing after a while, and a sweep that was
//! stopped for nearly that long gives up.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::{Remote, id_of};
use crate::{BlobId, BlobInfo, MIN_AGE, StoreError, Upstream};

/// A blob that is younger is in no danger: nothing below [`MIN_AGE`] is ever removed. The rest is for clocks that differ.
const SAFE_AGE: Duration = MIN_AGE.checked_div(2).expect("two is not zero");
/// An announcement of this age has no living sweep.
const ANNOUNCED: Duration = Duration::from_secs(10 * 60);
/// A sweep that took this long between its announcement and the removal gives up.
const ACT_WITHIN: Duration = Duration::from_secs(2 * 60);
/// Long enough for somebody to look at what became of a damaged object.
const DAMAGED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often to look whether a sweep is done with a blob.
const LOOK: Duration = Duration::from_millis(200);

impl Remote {
    pub(super) fn used_key(&self, id: &BlobId) -> Key {
        self.key("used").join(id.to_hex())
    }

    fn doomed_key(&self, id: &BlobId) -> Key {
        self.key("doomed").join(id.to_hex())
    }

    /// Says at `now` that a blob of this size is used; `false` when it is not there, or is not of this size.
    pub(crate) fn touch(&self, id: &BlobId, size: Option<u64>, now: SystemTime) -> Result<bool, StoreError> {
        let Some(meta) = self.head(self.blob_key(id))? else {
            return Ok(false);
        };
        if size.is_some_and(|size| size != meta.size) {
            return Ok(false);
        }
        if is_younger(&meta, SAFE_AGE, now) {
            return Ok(true);
        }
        self.put(self.used_key(id), Bytes::new())?;
        self.wait_for_sweeps(id, self.used_key(id))?;
        Ok(self.head(self.blob_key(id))?.is_some())
    }

    /// Waits until no sweep is about to remove the blob. Whether one was. `written` is what says to sweeps that somebody uses
    /// it, the mark or the blob itself, and was written just now.
    pub(super) fn wait_for_sweeps(&self, id: &BlobId, written: Key) -> Result<bool, StoreError> {
        // Announcements have the server's times. Ours may differ by more than a sweep lives.
        let written = self.head(written)?.map(|meta| SystemTime::from(meta.last_modified));
        let (written, began) = (written.unwrap_or_else(SystemTime::now), Instant::now());
        let mut waited = false;
        loop {
            let announced = self.list_folder(self.doomed_key(id))?;
            let now = written + began.elapsed();
            if !announced.iter().any(|meta| is_younger(meta, ANNOUNCED, now)) {
                return Ok(waited);
            }
            waited = true;
            thread::sleep(LOOK);
        }
    }

    /// Removes a blob unless it was used at a time that `keeps` says yes to. Whether it was removed.
    pub(crate) fn remove_unless(&self, id: &BlobId, keeps: impl Fn(SystemTime) -> bool) -> Result<bool, StoreError> {
        let began = Instant::now();
        let announcement = self.doomed_key(id).join(uuid::Uuid::new_v4().to_string());
        self.put(announcement.clone(), Bytes::new())?;
        let removed = self.remove_announced(id, keeps, began);
        // Left behind when this fails: it counts for nothing after a while, and the next sweep removes it.
        let withdrawn = self.delete(announcement);
        let removed = removed?;
        withdrawn?;
        Ok(removed)
    }

    fn remove_announced(
        &self,
        id: &BlobId,
        keeps: impl Fn(SystemTime) -> bool,
        began: Instant,
    ) -> Result<bool, StoreError> {
        let times = [self.head(self.used_key(id))?, self.head(self.blob_key(id))?];
        let [_, Some(_)] = times else { return Ok(false) };
        let used = times
            .into_iter()
            .flatten()
            .map(|meta| SystemTime::from(meta.last_modified))
            .max();
        if used.is_none_or(keeps) || began.elapsed() > ACT_WITHIN {
            return Ok(false);
        }
        self.remove(id)?;
        Ok(true)
    }

    /// Removes what killed sweeps left: announcements, and marks and facts without their blob; and damaged objects after a while.
    pub(super) fn tidy(&self, blobs: &[BlobInfo]) -> Result<(), StoreError> {
        let there: HashSet<BlobId> = blobs.iter().map(|blob| blob.id).collect();
        let now = SystemTime::now();
        let is_old = |meta: &ObjectMeta, age| !is_younger(meta, age, now);
        for meta in self.list_folder(self.key("doomed"))? {
            // Long after the last sweep that could act on it, whatever this machine's clock says.
            if is_old(&meta, MIN_AGE) {
                self.delete(meta.location)?;
            }
        }
        for meta in self.list_folder(self.key("damaged"))? {
            if is_old(&meta, DAMAGED) {
                self.delete(meta.location)?;
            }
        }
        for folder in ["used", "targets"] {
            for meta in self.list_folder(self.key(folder))? {
                let has_blob = id_of(&meta).is_none_or(|id| there.contains(&id));
                // Young ones may belong to a blob that is on its way.
                if !has_blob && is_old(&meta, MIN_AGE) {
                    self.delete(meta.location)?;
                }
            }
        }
        Ok(())
    }
}

/// A time in the future is young: then the server's clock is ahead.
fn is_younger(meta: &ObjectMeta, age: Duration, now: SystemTime) -> bool {
    now.duration_since(meta.last_modified.into())
        .map_or(true, |elapsed| elapsed < age)
}
