//! Targets and artifacts as text and as JSON.

use helve_blobs::{Swept, TargetManifest};
use helve_runs::{Artifact, Target};
use serde_json::{Value, json};

use super::table::{Cell, table};
use super::{bytes, count, grouped, time};
use crate::terminal::{Style, clean};

/// Digits of an id that lists show: enough to tell targets apart, and to name one.
const SHOWN_DIGITS: usize = 12;

/// What the manifest of a target says, if it has one.
fn known(target: &Target, show: impl FnOnce(&TargetManifest) -> String) -> String {
    let text = target.manifest.as_ref().map(show).unwrap_or_default();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// `helve targets list`.
pub(crate) fn targets(targets: &[Target], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = targets
        .iter()
        .map(|target| {
            vec![
                target.blob.id.to_hex()[..SHOWN_DIGITS].into(),
                known(target, |manifest| grouped(manifest.files)).into(),
                known(target, |manifest| bytes(manifest.bytes)).into(),
                bytes(target.blob.size).into(),
                time(target.used()).into(),
                known(target, |manifest| clean(&manifest.name)).into(),
            ]
        })
        .collect();
    table(
        &["TARGET", "FILES", "SIZE", "PACKED", "LAST USED (UTC)", "NAME"],
        &rows,
        style,
    )
}

/// `helve targets show`.
pub(crate) fn target(target: &Target, runs: &[String]) -> String {
    let mut text = format!("target     {}\n", target.blob.id);
    let mut line = |key: &str, value: String| text.push_str(&format!("{key:<10} {value}\n"));
    line("name", known(target, |manifest| clean(&manifest.name)));
    line("files", known(target, |manifest| grouped(manifest.files)));
    line("size", known(target, |manifest| bytes(manifest.bytes)));
    line("packed", bytes(target.blob.size));
    line("last used", format!("{} (UTC)", time(target.used())));
    line(
        "runs",
        match runs {
            [] => "none that the engine still knows".to_owned(),
            runs => clean(&runs.join(", ")),
        },
    );
    text
}

/// `helve targets prune`.
pub(crate) fn swept(swept: &Swept, dry_run: bool) -> String {
    let targets = swept.removed.iter().filter(|blob| blob.is_target).count() as u64;
    let results = swept.removed.len() as u64 - targets;
    let what = format!(
        "{} and {} ({})",
        count(targets, "target"),
        count(results, "result"),
        bytes(swept.bytes())
    );
    let kept = match swept.needed {
        0 => String::new(),
        needed => format!("; {} kept for open runs", count(needed, "old blob")),
    };
    match dry_run {
        true => format!("would remove {what}{kept}\n"),
        false => format!("removed {what}{kept}\n"),
    }
}

pub(crate) fn swept_json(swept: &Swept, dry_run: bool) -> Value {
    let removed: Vec<Value> = swept
        .removed
        .iter()
        .map(
            |blob| json!({"id": blob.id, "bytes": blob.size, "kind": if blob.is_target { "target" } else { "result" }}),
        )
        .collect();
    json!({"dry_run": dry_run, "removed": removed, "bytes": swept.bytes(), "needed": swept.needed})
}

/// `helve artifacts list`.
pub(crate) fn artifacts(artifacts: &[Artifact], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = artifacts
        .iter()
        .map(|artifact| {
            vec![
                clean(artifact.step.as_deref().unwrap_or("-")).into(),
                clean(&artifact.name).into(),
                bytes(artifact.size).into(),
                clean(&artifact.media_type).into(),
            ]
        })
        .collect();
    table(&["STEP", "NAME", "SIZE", "TYPE"], &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_blobs::{BlobId, BlobInfo};
    use std::time::SystemTime;

    fn blob(is_target: bool) -> BlobInfo {
        BlobInfo {
            id: BlobId::of(b"x"),
            size: 1_500,
            used: SystemTime::UNIX_EPOCH,
            is_target,
        }
    }

    #[test]
    fn a_sweep_says_what_went_and_what_stayed() {
        let done = Swept {
            removed: vec![blob(true), blob(false), blob(false)],
            needed: 1,
        };
        assert_eq!(
            swept(&done, false),
            "removed 1 target and 2 results (4.5 kB); 1 old blob kept for open runs\n"
        );
        assert!(swept(&Swept::default(), true).starts_with("would remove 0 targets"));
    }

    #[test]
    fn a_target_that_an_older_helve_packed_is_listed_without_what_is_not_known() {
        let text = targets(
            &[Target {
                blob: blob(true),
                manifest: None,
            }],
            Style::stdout(),
        );
        assert!(text.contains("1.5 kB") && text.contains("1970-01-01"), "{text}");
    }
}
