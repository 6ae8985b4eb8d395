//! Making a data directory of a snapshot.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::files::{copy, inner, make_dir, names, sync_dir};
use crate::manifest::{BLOBS, FILES, Manifest, Snapshot};
use crate::verify::verify;

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Which snapshot.
    pub snapshot: Snapshot,
    /// What it held.
    pub manifest: Manifest,
    /// Where it is now.
    pub to: PathBuf,
}

/// Checks a snapshot, the newest if none is named, and makes a data directory of it. The directory must be new or empty.
///
/// # Errors
///
/// When anything is not as it was backed up, or cannot be written. Then there is no directory, or an empty one as before.
pub fn restore(dir: &Path, name: Option<&str>, to: &Path) -> Result<Restored, Error> {
    let to = std::path::absolute(to).map_err(Error::io("find", to))?;
    let is_there = check_empty(&to)?;
    let verified = verify(dir, name)?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    let building = match is_there {
        // What is mounted there cannot be replaced by a folder beside it.
        true => to.join(".restoring"),
        false => {
            make_dir(parent)?;
            let name = to.file_name().unwrap_or_default().to_string_lossy();
            parent.join(format!(".{name}.restoring-{}", std::process::id()))
        }
    };
    let built = build(dir, &verified.snapshot.path, &verified.manifest, &building).and_then(|()| match is_there {
        true => move_up(&building, &to),
        false => fs::rename(&building, &to)
            .map_err(Error::io("write", &to))
            .and_then(|()| sync_dir(parent)),
    });
    if let Err(error) = built {
        let _ = fs::remove_dir_all(&building);
        if is_there {
            empty(&to);
        }
        return Err(error);
    }
    Ok(Restored {
        snapshot: verified.snapshot,
        manifest: verified.manifest,
        to,
    })
}

fn check_empty(to: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(to) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("read", to)(error)),
        Ok(_) => {}
    }
    match names(to)?.first() {
        None => Ok(true),
        Some(entry) => Err(Error::NotEmpty {
            path: to.to_owned(),
            found: entry.file_name().to_string_lossy().into_owned(),
        }),
    }
}

fn build(dir: &Path, snapshot: &Path, manifest: &Manifest, to: &Path) -> Result<(), Error> {
    make_dir(to)?;
    let mut folders = BTreeSet::from([to.to_owned()]);
    let mut put = |from: &Path, relative: &str, blake3: &str| -> Result<(), Error> {
        let damaged = |what: &str| Error::Damaged(vec![format!("{} {what}", from.display())]);
        let path = inner(to, relative).ok_or_else(|| damaged("leads out of the data directory"))?;
        let above = path.ancestors().skip(1).take_while(|folder| *folder != to);
        folders.extend(above.map(Path::to_owned));
        make_dir(path.parent().expect("it is below a folder"))?;
        // Once more: it was checked a while ago.
        match copy(from, &path)?.1.to_hex().as_str() == blake3 {
            true => Ok(()),
            false => Err(damaged("is not as it was written")),
        }
    };
    for blob in &manifest.blobs {
        let relative = format!("{BLOBS}/{}/{}", &blob.blake3[..2], blob.blake3);
        put(&dir.join(&relative), &relative, &blob.blake3)?;
    }
    for file in &manifest.files {
        put(&snapshot.join(FILES).join(&file.path), &file.path, &file.blake3)?;
    }
    if let Some(place) = &manifest.blobs_elsewhere {
        let path = to.join("blobs.place");
        fs::write(&path, format!("{place}\n")).map_err(Error::io("write", &path))?;
        make_private(&path, 0o600)?;
    }
    // What is inside first.
    for folder in folders.iter().rev() {
        sync_dir(folder)?;
    }
    Ok(())
}

/// Into a directory that was there already; databases last, so that there is none without what it names.
fn move_up(building: &Path, to: &Path) -> Result<(), Error> {
    make_private(to, 0o700)?;
    let mut entries = names(building)?;
    entries.sort_by_key(|entry| entry.path().is_file());
    for entry in entries {
        let path = to.join(entry.file_name());
        fs::rename(entry.path(), &path).map_err(Error::io("write", &path))?;
    }
    fs::remove_dir(building).map_err(Error::io("remove", building))?;
    sync_dir(to)
}

fn make_private(path: &Path, mode: u32) -> Result<(), Error> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
        .map_err(Error::io("protect", path))?;
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}

/// It was empty before: whatever is in it is ours.
fn empty(dir: &Path) {
    for entry in names(dir).unwrap_or_default() {
        let _ = match entry.path().is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
    }
}
