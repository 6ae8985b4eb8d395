//! From an upload to a target in the store.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use helve_blobs::{BlobStore, Control, PackError, PackOptions, Packed, pack};
use helve_runs::TargetFacts;
use jiff::Timestamp;

use super::archive::{ArchiveError, Format, Left, lay_out};
use super::index::KnownTarget;
use super::uploads::Upload;
use crate::notes::create_private;
use crate::problem::Problem;

/// What came of an upload.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The target's id.
    pub(crate) id: helve_blobs::BlobId,
    /// As it is written down.
    pub(crate) target: KnownTarget,
}

/// Turns the bytes of an upload into a target, until `stop` turns true. `scratch` is removed afterwards, whatever happens. Blocking.
pub(crate) fn take_in(
    upload: &Upload,
    data: &Path,
    scratch: &Path,
    blobs: &BlobStore,
    stop: &AtomicBool,
) -> Result<Intake, Problem> {
    let _ = fs::remove_dir_all(scratch);
    let outcome = packed(upload, data, scratch, blobs, stop);
    let _ = fs::remove_dir_all(scratch);
    let (packed, left) = outcome?;
    let mut facts = TargetFacts::new(&packed);
    facts.name.clone_from(&upload.name);
    facts.skipped.extend(left.named);
    facts.skipped_total += left.total;
    if let Some(left_out) = &upload.left_out {
        left_out.add_to(&mut facts);
    }
    Ok(Intake {
        id: packed.id,
        target: KnownTarget {
            facts,
            packed_bytes: packed.packed_bytes,
            at: Timestamp::now(),
            by: upload.by.clone(),
        },
    })
}

fn packed(
    upload: &Upload,
    data: &Path,
    scratch: &Path,
    blobs: &BlobStore,
    stop: &AtomicBool,
) -> Result<(Packed, Left), Problem> {
    let disk = |error: std::io::Error| Problem::internal("the upload cannot be unpacked", error);
    create_private(scratch).map_err(disk)?;
    let options = PackOptions {
        ignore_files: !upload.include_ignored,
        reuse: false,
        ..PackOptions::default()
    };
    let (root, left) = match upload.format {
        Format::File => {
            let file = scratch.join(file_name(&upload.name));
            fs::hard_link(data, &file)
                .or_else(|_| fs::copy(data, &file).map(drop))
                .map_err(disk)?;
            (file, Left::default())
        }
        format => {
            let content = scratch.join("target");
            create_private(&content).map_err(disk)?;
            // The ignore files of a repository that the data directory happens to lie in are not the target's.
            fs::create_dir(scratch.join(".git")).map_err(disk)?;
            let file = fs::File::open(data).map_err(disk)?;
            let left = lay_out(file, format, &content, &options.limits, stop).map_err(refused)?;
            (content, left)
        }
    };
    let progress = |_: helve_blobs::Progress| {};
    let packed = pack(&root, &options, blobs, &Control::new(&progress, stop)).map_err(cannot_pack)?;
    Ok((packed, left))
}

/// The last part of the name, as the name of a file.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = last
        .chars()
        .map(|c| if c.is_control() || c == '\0' { '_' } else { c })
        .take(100)
        .collect();
    match safe.as_str() {
        "" | "." | ".." => "target".to_owned(),
        _ => safe,
    }
}

fn refused(error: ArchiveError) -> Problem {
    match error {
        ArchiveError::Io(error) => Problem::internal("the upload cannot be unpacked", error),
        ArchiveError::Malformed(_) => Problem::unprocessable(format!("{error}: check `format`, and send it again")),
        ArchiveError::TooMuch(_) => Problem::too_large(error.to_string()),
        ArchiveError::Stopped => Problem::unavailable(error.to_string()),
    }
}

fn cannot_pack(error: PackError) -> Problem {
    match error {
        PackError::Cancelled => Problem::unavailable("the server stops; complete the upload again when it is back"),
        PackError::TooLarge { what, limit, .. } => Problem::too_large(format!(
            "the target has more than {limit} {what}: leave a part of it out"
        )),
        // What it says names paths of this machine.
        error => Problem::internal("the target cannot be stored", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_anywhere() {
        for (name, file) in [
            ("app.apk", "app.apk"),
            ("../../etc/passwd", "passwd"),
            ("..", "target"),
            ("a/", "target"),
            ("C:\\x\\y.exe", "y.exe"),
            ("a\u{0}b", "a_b"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }
}
