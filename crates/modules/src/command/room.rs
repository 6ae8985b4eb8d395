//! Where one run of a command may write, and what it left there.

use std::fs;
use std::path::{Path, PathBuf};

use helve_toolbox::Bundle;
use helve_toolbox::command::COMPONENT;

use super::run::unreadable;
use crate::ModuleError;

/// The private folders of one run of a command; gone when it is dropped.
pub(crate) struct Room(tempfile::TempDir);

impl Room {
    pub(super) fn new(scratch: &Path, bundle: &Bundle) -> Result<Self, ModuleError> {
        let dir = tempfile::Builder::new()
            .prefix("command-")
            .tempdir_in(scratch)
            .map_err(|e| unreadable(scratch, e))?;
        let room = Self(dir);
        for folder in [room.out(), room.home(), room.files()] {
            fs::create_dir(&folder).map_err(|e| unreadable(&folder, e))?;
        }
        for (name, text) in &bundle.files {
            let path = room.files().join(name);
            let fine = !name.split('/').any(|part| part.is_empty() || part == "..");
            let folder = path.parent().filter(|_| fine);
            let folder =
                folder.ok_or_else(|| ModuleError::Internal(format!("a file of the module is called `{name}`")))?;
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&path, text))
                .map_err(|e| unreadable(&path, e))?;
        }
        if let Some(component) = &bundle.component {
            let path = room.files().join(COMPONENT);
            fs::write(&path, component).map_err(|e| unreadable(&path, e))?;
        }
        Ok(room)
    }

    pub(super) fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    pub(super) fn files(&self) -> PathBuf {
        self.0.path().join("files")
    }

    /// The name of a file in `out`, as people and reports see it.
    pub(super) fn name(&self, path: &Path) -> String {
        let relative = path.strip_prefix(self.out()).unwrap_or(path);
        relative.to_string_lossy().into_owned()
    }

    /// Files in `out` that match, sorted; `*` stands for any part of a name.
    pub(super) fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        if !pattern.contains('*') {
            let path = self.out().join(pattern);
            return path.exists().then_some(path).into_iter().collect();
        }
        let Ok(glob) = globset::GlobBuilder::new(pattern).literal_separator(true).build() else {
            return Vec::new();
        };
        let (matcher, out) = (glob.compile_matcher(), self.out());
        let walk = ignore::WalkBuilder::new(&out)
            .standard_filters(false)
            .follow_links(false)
            .build();
        let mut paths: Vec<PathBuf> = walk
            .flatten()
            .map(ignore::DirEntry::into_path)
            .filter(|path| path.strip_prefix(&out).is_ok_and(|relative| matcher.is_match(relative)) && path.is_file())
            .collect();
        paths.sort();
        paths
    }
}
