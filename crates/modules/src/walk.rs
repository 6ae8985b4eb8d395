//! The file walk that all modules share: sorted, inside the workspace, and outspoken about what it leaves out.
//!
//! Links are never followed: what a link inside the workspace points to is walked under its own name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use helve_findings::{Notification, NotificationLevel};
use ignore::WalkBuilder;

use crate::ModuleError;

/// How to walk.
#[derive(Debug, Clone)]
pub struct WalkOptions {
    /// Honour `.gitignore` and the like. Off by default: packing a target has already honoured them.
    pub ignore_files: bool,
    /// Larger files are left out, with a notification.
    pub max_file_bytes: u64,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self {
            ignore_files: false,
            max_file_bytes: 16 << 20,
        }
    }
}

/// A regular file of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where to read it.
    pub path: PathBuf,
    /// Path for findings: relative, with forward slashes.
    pub relative: String,
    /// Size.
    pub bytes: u64,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walked {
    /// Files to look at, sorted by `relative`.
    pub entries: Vec<Entry>,
    /// What was left out and why, sorted by path.
    pub skipped: Vec<Notification>,
}

/// Lists the files of the workspace. Only a workspace that cannot be read at all is an error.
pub fn walk(workspace: &Path, options: &WalkOptions) -> Result<Walked, ModuleError> {
    let io = |source| ModuleError::Io {
        path: workspace.to_owned(),
        source,
    };
    let root = workspace.canonicalize().map_err(io)?;
    if root.is_dir() {
        std::fs::read_dir(&root).map_err(io)?;
    }
    let mut walked = Walked::default();
    for item in builder(&root, options).build() {
        match item {
            Ok(item) => visit(&root, &item, options, &mut walked),
            Err(error) => walked.skipped.push(walk_error(&root, &error)),
        }
    }
    walked.entries.sort_by(|a, b| a.relative.cmp(&b.relative));
    walked
        .skipped
        .sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
    Ok(walked)
}

fn builder(root: &Path, options: &WalkOptions) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .standard_filters(options.ignore_files)
        .hidden(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|e| e.depth() == 0 || e.file_name() != ".git");
    if options.ignore_files {
        // What a machine's owner ignores globally, or a directory above says, must not change a finding.
        builder.git_global(false).parents(false);
    }
    builder
}

fn visit(root: &Path, item: &ignore::DirEntry, options: &WalkOptions, walked: &mut Walked) {
    let Some(kind) = item.file_type() else { return };
    if kind.is_dir() {
        return;
    }
    let relative = relative(root, item.path());
    let mut skip = |level, message: String| {
        walked.skipped.push(Notification {
            level,
            message,
            path: Some(relative.clone()),
        });
    };
    if kind.is_symlink() {
        if let Some(message) = link_problem(root, item.path()) {
            skip(NotificationLevel::Note, message);
        }
        return;
    }
    if !kind.is_file() {
        return skip(NotificationLevel::Note, "not a regular file; skipped".to_owned());
    }
    let bytes = match item.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) => return skip(NotificationLevel::Warning, format!("cannot be read: {error}")),
    };
    if bytes > options.max_file_bytes {
        let limit = options.max_file_bytes;
        let message = format!("not scanned: {bytes} bytes is over the limit of {limit} (max_file_bytes)");
        return skip(NotificationLevel::Warning, message);
    }
    walked.entries.push(Entry {
        path: item.path().to_owned(),
        relative,
        bytes,
    });
}

/// Links that stay inside need no word: their target is walked itself.
fn link_problem(root: &Path, link: &Path) -> Option<String> {
    match link.canonicalize() {
        Ok(target) if target.starts_with(root) => None,
        Ok(_) => Some("link leaves the workspace; not followed".to_owned()),
        Err(_) => Some("link leads nowhere; not followed".to_owned()),
    }
}

fn walk_error(root: &Path, error: &ignore::Error) -> Notification {
    let path = error_path(error).map(|path| relative(root, path));
    let cause = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    Notification {
        level: NotificationLevel::Warning,
        message: format!("cannot be read: {cause}"),
        path,
    }
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err),
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let stripped = path.strip_prefix(root).unwrap_or(path);
    // A workspace that is a single file is named by its file name.
    let stripped = if stripped.as_os_str().is_empty() {
        path.file_name().map_or(path, Path::new)
    } else {
        stripped
    };
    let parts: Vec<_> = stripped.components().map(|part| readable(part.as_os_str())).collect();
    parts.join("/")
}

/// A name as text. Bytes that are no UTF-8 are written out, so that two names never become the same.
fn readable(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_are_no_utf8_stay_apart() {
        let name = |bytes: &[u8]| relative(Path::new("/w"), &Path::new("/w/d").join(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"a\xff.py"), "d/a\\xff.py");
        assert_ne!(name(b"a\xff.py"), name(b"a\xfe.py"));
        assert_eq!(name("é.py".as_bytes()), "d/é.py");
    }
}
