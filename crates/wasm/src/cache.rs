//! Compiled code on disk, by the content of its source.
//!
//! Compiled code is machine code: whoever can write it can do whatever this process can. So it is read only from a
//! folder of our own, never from a toolbox, and what a crash left half-written is found by its checksum.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Length of the checksum before the code.
const CHECKSUM: usize = blake3::OUT_LEN;

/// A folder of compiled code. Several processes may share it.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `fingerprint` names everything that the compiled code depends on besides its source.
    pub(crate) fn open(folder: &Path, fingerprint: u64) -> io::Result<Self> {
        let folder = folder.join(format!("{fingerprint:016x}"));
        fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder })
    }

    /// The compiled code of that source, if it is there and whole.
    pub(crate) fn get(&self, source: &blake3::Hash) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(source)).ok()?;
        let (checksum, code) = bytes.split_at_checked(CHECKSUM)?;
        if blake3::hash(code).as_bytes() != checksum {
            return None;
        }
        bytes.drain(..CHECKSUM);
        Some(bytes)
    }

    /// Keeps it. Readers see all of it or nothing.
    pub(crate) fn put(&self, source: &blake3::Hash, code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)?;
        file.persist(self.path(source))?;
        Ok(())
    }

    fn path(&self, source: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}.cwasm", source.to_hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_a_crash_left_half_written_is_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 7).unwrap();
        let source = blake3::hash(b"source");
        assert_eq!(cache.get(&source), None);
        cache.put(&source, b"machine code").unwrap();
        assert_eq!(cache.get(&source).as_deref(), Some(&b"machine code"[..]));
        for length in [0, 10, CHECKSUM + 3] {
            let whole = fs::read(cache.path(&source)).unwrap();
            fs::write(cache.path(&source), &whole[..length]).unwrap();
            assert_eq!(cache.get(&source), None, "{length} bytes");
            fs::write(cache.path(&source), whole).unwrap();
        }
        assert!(cache.get(&source).is_some());
    }

    #[test]
    fn another_compiler_does_not_see_the_code_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let source = blake3::hash(b"source");
        Cache::open(dir.path(), 7).unwrap().put(&source, b"x").unwrap();
        assert_eq!(Cache::open(dir.path(), 8).unwrap().get(&source), None);
    }
}
