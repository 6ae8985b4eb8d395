//! `helve backup` and `helve restore`.

use std::path::Path;

use helve_backup::{Blobs, Error, Made, Manifest, Options, Source, back_up, snapshots, verify};
use helve_blobs::Place;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::app::App;
use crate::cli::{BackupArgs, BackupVerb, RestoreArgs};
use crate::cluster::Settings;
use crate::errors::{FAILED, Problem, Result};
use crate::paths::DataDir;
use crate::render::{bytes, count, duration};
use crate::terminal::{eprint_line, print, print_json};

pub(crate) fn backup(app: &App, args: &BackupArgs) -> Result<u8> {
    match (&args.verb, &args.dir) {
        (Some(BackupVerb::List { dir }), _) => list(dir, app.global.json),
        (Some(BackupVerb::Verify { dir, snapshot }), _) => check(dir, snapshot.as_deref(), app.global.json),
        (None, Some(dir)) => make(app, dir, args),
        (None, None) => Err(Problem::new("say where to back up to").help("helve backup DIR")),
    }
}

fn make(app: &App, dir: &Path, args: &BackupArgs) -> Result<u8> {
    let root = DataDir::path(app.global.data_dir.as_deref())?;
    if !root.is_dir() {
        return Err(problem(&Error::NoData(root)));
    }
    let data = app.data_dir()?;
    if Settings::find(&data)?.is_some() {
        return Err(
            Problem::new(format!("{} is a node of a cluster", data.root().display()))
                .help("`helve cluster snapshot DIR` copies what all nodes have, while they run"),
        );
    }
    let source = Source {
        data: data.root().to_owned(),
        blobs: match app.place(&data)? {
            Place::Directory(dir) => Blobs::Directory(dir),
            bucket @ Place::S3 { .. } => Blobs::Elsewhere(bucket.to_string()),
        },
    };
    let options = Options {
        helve: env!("CARGO_PKG_VERSION").to_owned(),
        keep: args.keep.get(),
    };
    let made = block_in_place(|| back_up(&source, dir, &options)).map_err(|error| problem(&error))?;
    match app.global.json {
        true => print_json(&made_json(&made, dir)),
        false => print(&said(&made, dir)),
    }
    warn(&made.manifest);
    // The rest is there, but whoever runs this every night must not miss it.
    Ok(if made.manifest.damaged.is_empty() { 0 } else { FAILED })
}

fn said(made: &Made, dir: &Path) -> String {
    let manifest = &made.manifest;
    let size: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let (blobs, copied) = made.copied;
    let mut text = format!(
        "backup   {}, snapshot {}\n         {} with {}; {}, of which {} ({}) new\n",
        dir.display(),
        made.name,
        count(manifest.files.len() as u64, "file"),
        bytes(size),
        count(manifest.blobs.len() as u64, "blob"),
        blobs,
        bytes(copied),
    );
    if let Some(before) = made.before {
        text.push_str(&format!("         the one before it is {} old\n", age(before)));
    }
    if !made.removed.is_empty() {
        let removed = count(made.removed.len() as u64, "old snapshot");
        text.push_str(&format!("         {removed} removed\n"));
    }
    text
}

/// What somebody who needs the backup would be surprised by.
fn warn(manifest: &Manifest) {
    if let Some(place) = &manifest.blobs_elsewhere {
        eprint_line(&format!(
            "WARNING  blobs are in {place} and not in the backup: keep that bucket's versions by its own means"
        ));
    }
    for path in &manifest.left_out {
        eprint_line(&format!("WARNING  left out: {path}"));
    }
    for blob in &manifest.damaged {
        eprint_line(&format!(
            "WARNING  the blob {blob} of the data directory is damaged and not in the backup: an earlier snapshot may have it"
        ));
    }
}

fn made_json(made: &Made, dir: &Path) -> Value {
    let mut value = summary(&made.manifest);
    value["backup"] = json!(dir);
    value["snapshot"] = json!(made.name);
    value["copied_blobs"] = json!({"count": made.copied.0, "bytes": made.copied.1});
    value["before"] = json!(made.before);
    value["removed"] = json!(made.removed);
    value
}

fn summary(manifest: &Manifest) -> Value {
    let files: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let blobs: u64 = manifest.blobs.iter().map(|blob| blob.bytes).sum();
    json!({
        "began_at": manifest.began_at,
        "ended_at": manifest.ended_at,
        "helve": manifest.helve,
        "files": {"count": manifest.files.len(), "bytes": files},
        "blobs": {"count": manifest.blobs.len(), "bytes": blobs},
        "blobs_elsewhere": manifest.blobs_elsewhere,
        "damaged": manifest.damaged,
        "left_out": manifest.left_out,
    })
}

fn list(dir: &Path, json: bool) -> Result<u8> {
    let found = snapshots(dir).map_err(|error| problem(&error))?;
    if json {
        let rows = found
            .iter()
            .map(|snapshot| json!({"snapshot": snapshot.name, "began_at": snapshot.began_at}));
        print_json(&rows.collect());
    } else if found.is_empty() {
        return Err(problem(&Error::NoBackup(dir.to_owned())));
    }
    for snapshot in found.iter().filter(|_| !json) {
        print(&format!("{}  {} old\n", snapshot.name, age(snapshot.began_at)));
    }
    Ok(0)
}

fn check(dir: &Path, snapshot: Option<&str>, json: bool) -> Result<u8> {
    let verified = block_in_place(|| verify(dir, snapshot)).map_err(|error| problem(&error))?;
    let mut value = summary(&verified.manifest);
    value["snapshot"] = json!(verified.snapshot.name);
    match json {
        true => print_json(&value),
        false => print(&format!(
            "{} is whole: {} and {}, {} old\n",
            verified.snapshot.name,
            count(verified.manifest.files.len() as u64, "file"),
            count(verified.manifest.blobs.len() as u64, "blob"),
            age(verified.snapshot.began_at)
        )),
    }
    Ok(0)
}

pub(crate) fn restore(app: &App, args: &RestoreArgs) -> Result<u8> {
    let to = DataDir::path(app.global.data_dir.as_deref())?;
    let restored = block_in_place(|| helve_backup::restore(&args.dir, args.snapshot.as_deref(), &to));
    let restored = restored.map_err(|error| problem(&error))?;
    let mut value = summary(&restored.manifest);
    value["snapshot"] = json!(restored.snapshot.name);
    value["data_dir"] = json!(restored.to);
    match app.global.json {
        true => print_json(&value),
        false => print(&format!(
            "restored {} from {}, {} old\n         `helve up` goes on from there, and writes a new admin.token\n",
            restored.to.display(),
            restored.snapshot.name,
            age(restored.snapshot.began_at)
        )),
    }
    if let Some(place) = &restored.manifest.blobs_elsewhere {
        eprint_line(&format!(
            "WARNING  blobs are expected in {place}, which was not part of the backup"
        ));
    }
    Ok(0)
}

fn age(at: Timestamp) -> String {
    let millis = Timestamp::now().as_millisecond() - at.as_millisecond();
    duration(u64::try_from(millis).unwrap_or(0))
}

fn problem(error: &Error) -> Problem {
    let problem = Problem::new(error.to_string());
    match error {
        Error::Damaged(_) => problem.help(
            "make another backup to it: damaged blobs are copied again; or take an older snapshot (`helve backup list`), or another \
             backup",
        ),
        Error::NoBackup(_) => problem.help("`helve backup DIR` makes one"),
        _ => problem,
    }
}
