//! Small things that the API writes down under a name, such as which targets a namespace has.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where they are kept. Names are of the form `FOLDER/NAME`, without anything in them that a file could not be called. All calls
/// block.
pub trait Notes: Send + Sync {
    /// Writes it; safe when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// What it says, if it is there.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names of all in a folder, or of all there are when none is named.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Gives it another name; whether it was there.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn rename(&self, from: &str, to: &str) -> io::Result<bool>;
}

/// In files of a directory.
pub(crate) struct FileNotes {
    dir: PathBuf,
}

impl FileNotes {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        create_private(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl Notes for FileNotes {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name);
        create_private(path.parent().unwrap_or(&self.dir))?;
        write_whole(&path, bytes)
    }

    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let folders = match folder {
            "" => names(&self.dir)?,
            folder => vec![folder.to_owned()],
        };
        let mut found = Vec::new();
        for folder in folders {
            let names = names(&self.dir.join(&folder))?;
            found.extend(names.iter().map(|name| format!("{folder}/{name}")));
        }
        Ok(found)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
        let to = self.dir.join(to);
        match fs::rename(self.dir.join(from), &to) {
            Ok(()) => sync_dir(to.parent().unwrap_or(&self.dir)).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let named = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    named.filter_map(Result::transpose).collect()
}

/// A file that is whole or not there, also after a power cut.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

#[cfg(unix)]
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(crate) fn create_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
pub(crate) fn create_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}
