//! Small files that are there as a whole or as they were before, under a checksum.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

/// Replaces the file; on disk when this returns.
pub(crate) fn write_small(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(&seal(value))?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&new, path)?;
    sync_dir(path.parent().expect("a file is in a directory"))
}

/// What was written there, or nothing if nothing ever was.
pub(crate) fn read_small<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    unseal(&bytes).map(Some).ok_or_else(|| {
        let text = format!("{} is damaged: its checksum does not fit", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// The checksum, and what it is of.
pub(crate) fn seal(value: &impl Serialize) -> Vec<u8> {
    let body = postcard::to_stdvec(value).expect("only a map of unknown length cannot be written, and there is none");
    let mut bytes = crc32fast::hash(&body).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (checksum, body) = bytes.split_at_checked(4)?;
    let (value, rest) = postcard::take_from_bytes(body).ok()?;
    let used = &body[..body.len() - rest.len()];
    (crc32fast::hash(used).to_le_bytes() == checksum).then_some(value)
}

/// Waits until the names in a directory are on disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
