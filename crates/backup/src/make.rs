//! Making a snapshot.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use helve_db::OpenError;
use jiff::{Timestamp, Unit};

use crate::Error;
use crate::files::{copy, create, digest, make_dir, names, sync_dir};
use crate::manifest::{BLOBS, BlobEntry, Database, FILES, FileEntry, Manifest, SNAPSHOTS, name_of, snapshots};

/// What says how far something got: older than what it is about, so that nothing is taken for done that is not there.
const FIRST: &[&str] = &["http/ingested.json"];
/// Then databases: what the ledger tells of, the engine has.
const LEDGER: &str = "ledger.db";
const ENGINE: &str = "engine.db";
/// Made anew where they are missing; of this machine; or, for the token, made anew and kept out of the backup.
const LEFT_OUT: &[&str] = &[
    "work",
    "compiled",
    "cache",
    "tools",
    "http/uploads",
    "blobs",
    "blobs.place",
    "engine.lock",
    "engine.json",
    "engine.sock",
    "http.sock",
    "admin.token",
];
/// A file that only backups have.
const MARKER: &str = "helve-backup.txt";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What to back up.
#[derive(Debug, Clone)]
pub struct Source {
    /// The data directory.
    pub data: PathBuf,
    /// Its blobs.
    pub blobs: Blobs,
}

/// Where blobs are.
#[derive(Debug, Clone)]
pub enum Blobs {
    /// In this directory: they are copied.
    Directory(PathBuf),
    /// In this bucket: they are not.
    Elsewhere(String),
}

/// How to back up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which Helve does it.
    pub helve: String,
    /// Snapshots that are kept, the new one among them.
    pub keep: usize,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Made {
    /// The snapshot's name.
    pub name: String,
    /// What it holds.
    pub manifest: Manifest,
    /// Blobs that were not there yet, and their bytes.
    pub copied: (u64, u64),
    /// When the one before it was begun.
    pub before: Option<Timestamp>,
    /// Snapshots that are not kept any more.
    pub removed: Vec<String>,
}

/// Makes a snapshot of a data directory, whether or not somebody is using it.
///
/// # Errors
///
/// When something cannot be read or written. The snapshots that were there still are.
pub fn back_up(source: &Source, to: &Path, options: &Options) -> Result<Made, Error> {
    // As exact as a snapshot's name is.
    let began_at = Timestamp::now()
        .round(Unit::Microsecond)
        .expect("it is far from the end of time");
    let data = fs::canonicalize(&source.data).map_err(|_| Error::NoData(source.data.clone()))?;
    if !data.join(ENGINE).is_file() {
        return Err(Error::NoData(data));
    }
    check_outside(&data, to)?;
    check_ours(to)?;
    make_dir(to)?;
    mark(to)?;
    make_dir(&to.join(SNAPSHOTS))?;
    make_dir(&to.join(BLOBS))?;
    let _only = lock(to)?;
    remove_partial(to)?;
    let before = snapshots(to)?.pop().map(|snapshot| snapshot.began_at);

    let partial = to.join(SNAPSHOTS).join(format!(".partial-{}", std::process::id()));
    let name = name_of(began_at);
    let mut copying = Copying {
        data: &data,
        files_to: partial.join(FILES),
        files: Vec::new(),
        left_out: Vec::new(),
    };
    make_dir(&copying.files_to)?;
    let filled = copying.all().and_then(|()| match &source.blobs {
        Blobs::Directory(dir) => {
            copying.facts_of_targets(dir)?;
            copying.vouchers(dir)?;
            copy_blobs(dir, &to.join(BLOBS))
        }
        Blobs::Elsewhere(_) => Ok(CopiedBlobs::default()),
    });
    let (blobs, Copying { files, left_out, .. }) = match filled {
        Ok(blobs) => (blobs, copying),
        Err(error) => {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
    };
    let manifest = Manifest {
        format: Manifest::FORMAT,
        helve: options.helve.clone(),
        began_at,
        ended_at: Timestamp::now(),
        files,
        blobs: blobs.all,
        blobs_elsewhere: match &source.blobs {
            Blobs::Directory(_) => None,
            Blobs::Elsewhere(place) => Some(place.clone()),
        },
        damaged: blobs.damaged,
        left_out,
    };
    let path = to.join(SNAPSHOTS).join(&name);
    let published = manifest
        .write(&partial)
        .and_then(|()| fs::rename(&partial, &path).map_err(Error::io("write", &path)));
    if let Err(error) = published {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    sync_dir(&to.join(SNAPSHOTS))?;
    let removed = forget(to, options.keep)?;
    Ok(Made {
        name,
        manifest,
        copied: blobs.copied,
        before,
        removed,
    })
}

fn check_outside(data: &Path, to: &Path) -> Result<(), Error> {
    let absolute = std::path::absolute(to).map_err(Error::io("find", to))?;
    // What is not there yet has no canonical form: the part of it that is there has one.
    let known = absolute.ancestors().find_map(|path| fs::canonicalize(path).ok());
    match known {
        Some(known) if known.starts_with(data) => Err(Error::Inside(absolute)),
        _ => Ok(()),
    }
}

/// Whether a folder may be written to, and old snapshots and blobs removed from it: it is a backup, or there is nothing in it.
fn check_ours(to: &Path) -> Result<(), Error> {
    let entries = names(to)?;
    if entries.is_empty() || to.join(MARKER).is_file() {
        return Ok(());
    }
    // Earlier versions left no mark. Theirs have these three, and nothing but snapshots with manifests.
    let is_of_ours = |name: &str| matches!(name, SNAPSHOTS | BLOBS | "lock");
    let all_ours = entries
        .iter()
        .all(|entry| is_of_ours(&entry.file_name().to_string_lossy()));
    let known = snapshots(to)?;
    let all_whole = known.iter().all(|snapshot| Manifest::read(&snapshot.path).is_ok());
    match all_ours && all_whole && !known.is_empty() {
        true => Ok(()),
        false => Err(Error::Foreign(to.to_owned())),
    }
}

/// Says what the folder is, to this program and to whoever finds it.
fn mark(to: &Path) -> Result<(), Error> {
    let path = to.join(MARKER);
    if path.is_file() {
        return Ok(());
    }
    let text = b"A backup of Helve: `helve backup list` lists what is in it, `helve restore` brings it back.\n";
    create(&path)?.write_all(text).map_err(Error::io("write", &path))
}

fn lock(to: &Path) -> Result<File, Error> {
    let path = to.join("lock");
    let file = File::create(&path).map_err(Error::io("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy(to.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

/// What a backup that was killed left behind.
fn remove_partial(to: &Path) -> Result<(), Error> {
    for entry in names(&to.join(SNAPSHOTS))? {
        if entry.file_name().to_string_lossy().starts_with(".partial-") {
            fs::remove_dir_all(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
    }
    for entry in names(&to.join(BLOBS))? {
        if entry.file_name().to_string_lossy().starts_with(".partial-") {
            fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

struct Copying<'a> {
    data: &'a Path,
    files_to: PathBuf,
    files: Vec<FileEntry>,
    left_out: Vec<String>,
}

impl Copying<'_> {
    fn all(&mut self) -> Result<(), Error> {
        for path in FIRST {
            self.file(&self.data.join(path), path)?;
        }
        let mut found = Vec::new();
        self.find(self.data, "", &mut found)?;
        let (databases, others): (Vec<String>, Vec<String>) = found.into_iter().partition(|path| {
            // Those that must be databases are copied as such whatever they look like: damage is then found out.
            let must_be = path == LEDGER || path == ENGINE;
            must_be || path.ends_with(".db") && is_database(&self.data.join(path))
        });
        let mut databases: Vec<String> = databases;
        databases.sort_by_key(|path| match path.as_str() {
            LEDGER => 0,
            ENGINE => 2,
            _ => 1,
        });
        for path in databases {
            self.database(&path)?;
        }
        for path in others {
            self.file(&self.data.join(&path), &path)?;
        }
        Ok(())
    }

    /// Everything that is not left out on purpose: what is new in a data directory is not forgotten here.
    fn find(&mut self, dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), Error> {
        for entry in names(dir)? {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                self.left_out
                    .push(format!("{prefix}{}: its name is no text", entry.file_name().display()));
                continue;
            };
            let path = format!("{prefix}{name}");
            let is_of_database = name.ends_with(".db-wal") || name.ends_with(".db-shm");
            if LEFT_OUT.contains(&path.as_str()) || FIRST.contains(&path.as_str()) || is_of_database {
                continue;
            }
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                // It is gone again.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", &entry.path())(error)),
            };
            if kind.is_dir() {
                self.find(&entry.path(), &format!("{path}/"), found)?;
            } else if kind.is_file() {
                found.push(path);
            } else {
                self.left_out.push(format!("{path}: it is no file"));
            }
        }
        Ok(())
    }

    fn target(&self, path: &str) -> Result<PathBuf, Error> {
        let to = self.files_to.join(path);
        make_dir(to.parent().expect("it is below a folder"))?;
        Ok(to)
    }

    fn database(&mut self, path: &str) -> Result<(), Error> {
        let to = self.target(path)?;
        let copied = helve_db::copy(&self.data.join(path), &to)?;
        // An empty file is a database without anything.
        if copied.version == 0 && (path == LEDGER || path == ENGINE) {
            return Err(Error::Database(OpenError::Corrupt {
                path: self.data.join(path),
                reason: "it holds nothing".to_owned(),
            }));
        }
        File::open(&to)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("write", &to))?;
        let (bytes, hash) = digest(&to)?;
        self.files.push(FileEntry {
            path: path.to_owned(),
            bytes,
            blake3: hash.to_hex().to_string(),
            database: Some(Database {
                application_id: copied.application_id,
                schema: copied.version,
            }),
        });
        Ok(())
    }

    /// One that is gone is not missed: whoever removed it did not need it.
    fn file(&mut self, from: &Path, path: &str) -> Result<(), Error> {
        let to = self.target(path)?;
        match copy(from, &to) {
            Ok((bytes, hash)) => self.files.push(FileEntry {
                path: path.to_owned(),
                bytes,
                blake3: hash.to_hex().to_string(),
                database: None,
            }),
            Err(Error::Io {
                action: "read", reason, ..
            }) if reason.kind() == ErrorKind::NotFound => {
                fs::remove_file(&to).map_err(Error::io("remove", &to))?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What is known of packed targets lies beside the blobs.
    fn facts_of_targets(&mut self, blobs: &Path) -> Result<(), Error> {
        for entry in names(&blobs.join("targets"))? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".json") && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                self.file(&entry.path(), &format!("{BLOBS}/targets/{name}"))?;
            }
        }
        Ok(())
    }

    /// So does what is vouched for: without it, runs of older versions of modules could not go on.
    fn vouchers(&mut self, blobs: &Path) -> Result<(), Error> {
        let folder = blobs.join("vouched");
        if !folder.is_dir() {
            return Ok(());
        }
        for entry in names(&folder)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            self.file(&entry.path(), &format!("{BLOBS}/vouched/{name}"))?;
        }
        Ok(())
    }
}

fn is_database(path: &Path) -> bool {
    let mut start = [0; 16];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok()
        && &start == MAGIC
}

#[derive(Default)]
struct CopiedBlobs {
    all: Vec<BlobEntry>,
    copied: (u64, u64),
    damaged: Vec<String>,
}

fn copy_blobs(from: &Path, to: &Path) -> Result<CopiedBlobs, Error> {
    let mut blobs = CopiedBlobs::default();
    for folder in names(from)? {
        let prefix = folder.file_name().to_string_lossy().into_owned();
        if prefix.len() != 2 || !folder.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let into = to.join(&prefix);
        make_dir(&into)?;
        for entry in names(&folder.path())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if blake3::Hash::from_hex(&name).is_ok() && name.starts_with(&prefix) {
                copy_blob(&entry.path(), &name, to, &into, &mut blobs)?;
            }
        }
        sync_dir(&into)?;
    }
    sync_dir(to)?;
    Ok(blobs)
}

fn copy_blob(from: &Path, name: &str, root: &Path, into: &Path, blobs: &mut CopiedBlobs) -> Result<(), Error> {
    let to = into.join(name);
    let is_gone = |error: &std::io::Error| error.kind() == ErrorKind::NotFound;
    let size = match fs::metadata(from) {
        Ok(metadata) => metadata.len(),
        // It has expired meanwhile.
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(Error::io("read", from)(error)),
    };
    if !fs::metadata(&to).is_ok_and(|there| there.len() == size) {
        let partial = root.join(format!(".partial-{name}"));
        let (read, hash) = match copy(from, &partial) {
            Ok(copied) => copied,
            Err(error) => {
                let _ = fs::remove_file(&partial);
                return match error {
                    Error::Io {
                        action: "read", reason, ..
                    } if is_gone(&reason) => Ok(()),
                    error => Err(error),
                };
            }
        };
        if hash.to_hex().as_str() != name {
            fs::remove_file(&partial).map_err(Error::io("remove", &partial))?;
            blobs.damaged.push(name.to_owned());
            return Ok(());
        }
        fs::rename(&partial, &to).map_err(Error::io("write", &to))?;
        blobs.copied.0 += 1;
        blobs.copied.1 += read;
    }
    blobs.all.push(BlobEntry {
        blake3: name.to_owned(),
        bytes: size,
    });
    Ok(())
}

/// Removes the oldest snapshots, and the blobs that none of the others has.
fn forget(to: &Path, keep: usize) -> Result<Vec<String>, Error> {
    let known = snapshots(to)?;
    let over = known.len().saturating_sub(keep.max(1));
    if over == 0 {
        return Ok(Vec::new());
    }
    let mut needed = HashSet::new();
    for snapshot in &known[over..] {
        // A manifest that cannot be read may need any blob: then none is removed.
        let Ok(manifest) = Manifest::read(&snapshot.path) else {
            return Ok(Vec::new());
        };
        needed.extend(manifest.blobs.into_iter().map(|blob| blob.blake3));
    }
    let mut removed = Vec::new();
    for snapshot in &known[..over] {
        // Out of sight first: half of a snapshot is none.
        let hidden = to.join(SNAPSHOTS).join(format!(".partial-{}", snapshot.name));
        fs::rename(&snapshot.path, &hidden).map_err(Error::io("remove", &snapshot.path))?;
        fs::remove_dir_all(&hidden).map_err(Error::io("remove", &hidden))?;
        removed.push(snapshot.name.clone());
    }
    for folder in names(&to.join(BLOBS))? {
        for entry in names(&folder.path())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if blake3::Hash::from_hex(&name).is_ok() && !needed.contains(&name) {
                fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
            }
        }
    }
    Ok(removed)
}
