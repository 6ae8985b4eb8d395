//! A directory or a file as one deterministic blob: a tar archive of sorted entries with normalised metadata, compressed.
//!
//! The same tree gives the same bytes on any machine: names in byte order, mode 0755 or 0644 by the executable bit, no
//! owner, no times, one compression level. (A new version of the compression library may give other bytes, hence another id;
//! that costs one more upload and nothing else.) Memory does not grow with the tree, only with its largest directory.
//!
//! What is taken is decided in [`rules`]; what cannot be taken is reported, never dropped silently.

mod archive;
mod rules;
mod seen;
mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::directory::Seen;
use crate::{BlobId, BlobRef, BlobStore, Control, PackError, TargetManifest, UnpackLimits};
use archive::Archive;
use seen::Place;
use walk::{Found, Sink, Stop, Walk};

/// How many skipped or forced paths are listed; the counts go on.
const MAX_LISTED: usize = 10_000;

/// Entries read ahead of the compressor: with files of up to [`archive::SMALL`] bytes, at most 16 MiB.
const READ_AHEAD: usize = 128;

/// How to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackOptions {
    /// Leave out what `.gitignore`, `.ignore` and `.helveignore` files in the tree name (and those above it, up to the
    /// root of its git repository), and version control directories such as `.git`. Off takes everything.
    pub ignore_files: bool,
    /// Recognise a target whose metadata did not change since it was packed, and do not pack it again.
    pub reuse: bool,
    /// What a target may have at most.
    pub limits: PackLimits,
}

/// What a target may have at most: what [`crate::unpack`] takes by default.
pub type PackLimits = UnpackLimits;

impl Default for PackOptions {
    fn default() -> Self {
        PackOptions {
            ignore_files: true,
            reuse: true,
            limits: PackLimits::default(),
        }
    }
}

/// A packed target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The target's id: that of the blob.
    pub id: BlobId,
    /// The target's name: the last part of its path.
    pub name: String,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Size of the blob.
    pub packed_bytes: u64,
    /// Files that `.gitignore` or `.ignore` exclude but that were taken since they usually hold secrets (the first
    /// 10,000).
    pub forced: Vec<String>,
    /// How many forced files there are.
    pub forced_total: u64,
    /// How many entries ignore files excluded; a directory counts once.
    pub ignored: u64,
    /// What could not be taken, and why (the first 10,000). A scan has to say so: it did not look there.
    pub skipped: Vec<Skipped>,
    /// How many entries could not be taken.
    pub skipped_total: u64,
    /// The target was known, unchanged, and not packed again.
    #[serde(default)]
    pub reused: bool,
}

impl Packed {
    fn blob(&self) -> BlobRef {
        BlobRef {
            id: self.id,
            size: self.packed_bytes,
        }
    }
}

/// Something that could not be packed, or not completely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its path below the target, with forward slashes, lossily.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

/// Packs a directory or a file into the store.
pub fn pack(path: &Path, options: &PackOptions, store: &BlobStore, control: &Control<'_>) -> Result<Packed, PackError> {
    pack_at(SystemTime::now(), path, options, store, control)
}

fn pack_at(
    now: SystemTime,
    path: &Path,
    options: &PackOptions,
    store: &BlobStore,
    control: &Control<'_>,
) -> Result<Packed, PackError> {
    let target = Target::open(path)?;
    let place = Place::of(&target.root, options);
    if options.reuse
        && let Some(seen) = store.seen(place.key())
        && seen.metadata == metadata_digest(&target, options, control)?
        // Young again, so that it is not removed before the run begins; gone, then it is packed again.
        && store.touch_whole(&seen.packed.blob())?
    {
        return Ok(Packed {
            reused: true,
            ..seen.packed
        });
    }
    let (blob, tally) = write_archive(&target, options, store, control)?;
    let metadata = tally.metadata.digest();
    let settled = tally.metadata.is_settled(now);
    let packed = tally.into_packed(&target, blob);
    check_ratio(&packed, &target, &options.limits)?;
    store.record_target(&TargetManifest {
        id: packed.id,
        files: packed.files,
        bytes: packed.bytes,
        packed_bytes: packed.packed_bytes,
        name: packed.name.clone(),
    })?;
    if settled {
        store.record_seen(
            place.key(),
            &Seen {
                metadata,
                packed: packed.clone(),
            },
        )?;
    }
    Ok(packed)
}

/// What is to be packed: its real place, its name, and whether it is one file.
struct Target {
    root: PathBuf,
    name: String,
    is_file: bool,
}

impl Target {
    fn open(path: &Path) -> Result<Self, PackError> {
        let root = fs::canonicalize(path).map_err(|e| root_error(path, e))?;
        let metadata = fs::metadata(&root).map_err(|e| root_error(path, e))?;
        if metadata.is_dir() {
            fs::read_dir(&root).map_err(|e| root_error(path, e))?;
        } else if metadata.is_file() {
            fs::File::open(&root).map_err(|e| root_error(path, e))?;
        } else {
            return Err(PackError::NotAFileOrDirectory(path.to_owned()));
        }
        let name = root
            .file_name()
            .map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Target {
            root,
            name,
            is_file: metadata.is_file(),
        })
    }
}

fn root_error(path: &Path, source: io::Error) -> PackError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => PackError::NotFound(path.to_owned()),
        io::ErrorKind::PermissionDenied => PackError::PermissionDenied(path.to_owned()),
        _ => PackError::Io {
            path: path.to_owned(),
            source,
        },
    }
}

/// What the walk counted on its way.
#[derive(Default)]
struct Tally {
    files: u64,
    bytes: u64,
    forced: Vec<String>,
    forced_total: u64,
    ignored: u64,
    skipped: Vec<Skipped>,
    skipped_total: u64,
    metadata: seen::Metadata,
}

impl Tally {
    fn skip(&mut self, path: &Path, reason: impl Into<String>) {
        let skipped = Skipped {
            path: display(path),
            reason: reason.into(),
        };
        self.metadata.add_skipped(&skipped);
        self.skipped_total += 1;
        if self.skipped.len() < MAX_LISTED {
            self.skipped.push(skipped);
        }
    }

    fn force(&mut self, path: &Path) {
        self.forced_total += 1;
        if self.forced.len() < MAX_LISTED {
            self.forced.push(display(path));
        }
    }

    fn into_packed(self, target: &Target, blob: BlobRef) -> Packed {
        Packed {
            id: blob.id,
            name: target.name.clone(),
            files: self.files,
            bytes: self.bytes,
            packed_bytes: blob.size,
            forced: self.forced,
            forced_total: self.forced_total,
            ignored: self.ignored,
            skipped: self.skipped,
            skipped_total: self.skipped_total,
            reused: false,
        }
    }
}

/// A path below the target as reports show it.
fn display(path: &Path) -> String {
    let text = path.to_string_lossy();
    if cfg!(windows) {
        text.replace('\\', "/")
    } else {
        text.into_owned()
    }
}

/// Reads on one thread, compresses and stores on the other.
fn write_archive(
    target: &Target,
    options: &PackOptions,
    store: &BlobStore,
    control: &Control<'_>,
) -> Result<(BlobRef, Tally), PackError> {
    let (sender, receiver) = sync_channel(READ_AHEAD);
    let mut archive = Archive::new(store.writer()?, &options.limits)?;
    thread::scope(|scope| {
        let walker = scope.spawn(move || {
            let mut reader = Reader { sender };
            Walk::new(target, options, control, &mut reader).run()
        });
        let written = receiver.into_iter().try_for_each(|item| archive.append(item, control));
        let walked = walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What ended the archive is the cause; the walk then only noticed that nobody listens.
        written.map_err(|error| below(target, error))?;
        let mut tally = walked?;
        for (path, reason) in archive.take_troubles() {
            tally.skip(&path, reason);
        }
        // What went in counts, not what was announced: files change.
        (tally.files, tally.bytes) = (archive.progress().files, archive.progress().bytes);
        Ok((archive.finish(control)?, tally))
    })
}

/// Opens and reads what the walk finds and hands it to the archive.
struct Reader {
    sender: std::sync::mpsc::SyncSender<archive::Item>,
}

impl Sink for Reader {
    fn take(&mut self, path: &Path, found: Found<'_>) -> Result<(), Stop> {
        let item = archive::Item::read(path, found).map_err(Stop::Skip)?;
        self.sender.send(item).map_err(|_| Stop::Abort)
    }
}

/// Walks without reading any file.
fn metadata_digest(target: &Target, options: &PackOptions, control: &Control<'_>) -> Result<String, PackError> {
    struct Nothing;
    impl Sink for Nothing {
        fn take(&mut self, _: &Path, _: Found<'_>) -> Result<(), Stop> {
            Ok(())
        }
    }
    Ok(Walk::new(target, options, control, &mut Nothing)
        .run()?
        .metadata
        .digest())
}

/// An archive that unpacking would take for a bomb is better refused now than on a worker.
fn check_ratio(packed: &Packed, target: &Target, limits: &PackLimits) -> Result<(), PackError> {
    if packed.bytes <= limits.most_bytes(packed.packed_bytes) {
        return Ok(());
    }
    Err(too_dense(target.root.clone(), limits))
}

/// A file, or a target, that unpacking would take for a bomb.
fn too_dense(path: PathBuf, limits: &PackLimits) -> PackError {
    PackError::TooLarge {
        path,
        what: "bytes for each compressed byte",
        limit: limits.ratio,
    }
}

/// Names a file of the target in full.
fn below(target: &Target, error: PackError) -> PackError {
    match error {
        PackError::TooLarge { path, what, limit } if !target.is_file => PackError::TooLarge {
            path: target.root.join(path),
            what,
            limit,
        },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_unchanged_target_is_not_packed_twice() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for (name, content) in [("a", "1"), (".gitignore", ".env"), (".env", "KEY=1")] {
            fs::write(tree.join(name), content).unwrap();
        }
        let store = BlobStore::open(dir.path().join("store")).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let pack_with = |now, options: &PackOptions| pack_at(now, &tree, options, &store, &Control::none()).unwrap();
        let pack = |now| pack_with(now, &PackOptions::default());

        pack(SystemTime::now());
        let first = pack(later);
        assert!(
            !first.reused,
            "files that young could change again without a trace, so they were not remembered"
        );
        let again = pack(later);
        assert_eq!(
            again,
            Packed {
                reused: true,
                ..first.clone()
            }
        );
        assert!(
            !pack_with(
                later,
                &PackOptions {
                    reuse: false,
                    ..PackOptions::default()
                }
            )
            .reused
        );
        assert!(
            !pack_with(
                later,
                &PackOptions {
                    ignore_files: false,
                    ..PackOptions::default()
                }
            )
            .reused
        );

        fs::write(tree.join("a"), "2").unwrap();
        let changed = pack(later);
        assert!(!changed.reused);
        assert_ne!(changed.id, first.id);
    }
}
