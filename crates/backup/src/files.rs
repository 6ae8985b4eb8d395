//! Files and folders, private and on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use crate::Error;

const CHUNK: usize = 1 << 20;

/// Makes a folder, with those above it, that nobody else can look into.
pub(crate) fn make_dir(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(Error::io("make the folder", path))
}

/// A new file that nobody else can read.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(Error::io("write", path))
}

/// What a folder holds is on disk.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io("write", path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Size and digest of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, blake3::Hash), Error> {
    pass(path, |_| Ok(()))
}

/// Copies a file into a new one, to disk. Returns its size and digest.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(u64, blake3::Hash), Error> {
    let mut target = create(to)?;
    let read = pass(from, |bytes| target.write_all(bytes).map_err(Error::io("write", to)))?;
    target.sync_all().map_err(Error::io("write", to))?;
    Ok(read)
}

fn pass(path: &Path, mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(u64, blake3::Hash), Error> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if read == 0 {
            return Ok((size, hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        each(&buffer[..read])?;
        size += read as u64;
    }
}

/// A relative path of a manifest as one of this machine; none if it leads out of where it should.
pub(crate) fn inner(root: &Path, relative: &str) -> Option<PathBuf> {
    let path = Path::new(relative);
    let is_inner = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_inner && !relative.is_empty()).then(|| root.join(path))
}

/// Names in a folder; of one that is not there, none.
pub(crate) fn names(dir: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(Error::io("read", dir))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}
