//! `vouched/<id>`: empty files that say which blobs somebody vouches for.

use std::fs;
use std::path::PathBuf;

use super::Directory;
use crate::{BlobId, StoreError};

impl Directory {
    fn voucher(&self, id: &BlobId) -> PathBuf {
        self.root.join("vouched").join(id.to_hex())
    }

    /// Durable when this returns.
    pub(crate) fn vouch(&self, id: &BlobId) -> Result<(), StoreError> {
        match self.is_vouched(id)? {
            true => Ok(()),
            false => self.persist(self.temporary()?, &self.voucher(id)).map(drop),
        }
    }

    pub(crate) fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError> {
        let path = self.voucher(id);
        fs::exists(&path).map_err(|e| StoreError::io("read", &path, e))
    }
}
