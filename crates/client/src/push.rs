//! A target that was packed here, brought to a server that does not have it yet.

use std::io;
use std::sync::Arc;

use helve_blobs::{BlobStore, Packed};
use helve_runs::TargetFacts;

use crate::error::Error;
use crate::transport::Client;
use crate::upload::{LeftOut, NewUpload, Source};

/// Characters of a target's name, as servers take it.
const LONGEST_NAME: usize = 200;

impl Client {
    /// Whether the server has the target, and knows of all that could not be packed this time.
    pub async fn knows(&self, packed: &Packed) -> Result<bool, Error> {
        let known = self.target(&packed.id.to_hex()).await?;
        Ok(known.is_some_and(|known| known.skipped_total >= packed.skipped_total))
    }

    /// Uploads a packed target from the store that it was packed into, and returns its id there. `progress` hears how many
    /// bytes are there.
    pub async fn push(
        &self,
        packed: &Packed,
        blobs: &BlobStore,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<String, Error> {
        let new = NewUpload {
            name: target_name(packed),
            format: "tar-zst",
            size: packed.packed_bytes,
            // They were applied here.
            include_ignored: true,
            left_out: Some(LeftOut::from(&TargetFacts::new(packed))),
        };
        let (store, id) = (blobs.clone(), packed.id);
        let source: Source = Arc::new(move || {
            let reader = store.reader(&id).map_err(io::Error::other)?;
            Ok(Box::new(reader))
        });
        Ok(self.upload(&new, &source, progress).await?.id)
    }
}

/// What a packed target is called at a server, which takes no control characters and no novels.
pub fn target_name(packed: &Packed) -> String {
    let plain = packed
        .name
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    plain.take(LONGEST_NAME).collect()
}
