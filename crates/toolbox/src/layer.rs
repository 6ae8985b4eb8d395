//! Where a toolbox's files come from: the binary, or a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::command::COMPONENT;
use crate::embedded;
use crate::problem::Problem;

/// Longest file of a toolbox.
const MAX_FILE: u64 = 8 << 20;
/// Longest code of a workflow or module. Languages that bring their interpreter make some 20 MiB.
const MAX_CODE: u64 = 64 << 20;
const BUILD_HINT: &str = "build it for the target wasm32-wasip2";
/// The code of a workflow, in its folder.
pub(crate) const CODE_FILE: &str = "workflow.wasm";
/// Most files in one layer: more is surely a mistaken `--toolbox /`.
const MAX_FILES: usize = 20_000;
/// How deep folders may lie below `workflows` and the like.
const MAX_DEPTH: usize = 4;
/// What a toolbox has in it.
const PARTS: [&str; 3] = ["workflows", "modules", "verticals"];
/// Folders that programs leave beside what people write.
const LITTER: [&str; 3] = ["__pycache__", "node_modules", "target"];

/// One source of workflows and modules. A later layer's folder shadows an earlier one's of the same name.
#[derive(Debug, Clone)]
pub struct Layer {
    origin: String,
    files: BTreeMap<String, String>,
    /// Code of workflows and modules, by path.
    code: BTreeMap<String, Arc<[u8]>>,
    unreadable: BTreeMap<String, Problem>,
}

/// A directory that cannot be used as a toolbox.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It cannot be read.
    #[error("cannot read the toolbox directory {}: {source}", path.display())]
    Read {
        /// The directory, or what is in it.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{} is not a toolbox: it has neither `workflows` nor `modules` nor `verticals` in it; give the directory that holds them",
        path.display()
    )]
    NotAToolbox {
        /// The directory.
        path: PathBuf,
    },
    /// There is too much in it.
    #[error("{} has more than {MAX_FILES} files in it: is that a toolbox?", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
}

impl Layer {
    /// The shipped toolbox.
    pub fn embedded() -> Self {
        let files = embedded::FILES
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Self {
            origin: "built-in".to_owned(),
            files,
            code: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// A directory with `workflows`, `modules` or both.
    pub fn dir(path: impl AsRef<Path>) -> Result<Self, LayerError> {
        let root = path.as_ref();
        let read = |path: &Path, source| LayerError::Read {
            path: path.to_owned(),
            source,
        };
        fs::read_dir(root).map_err(|e| read(root, e))?;
        let mut layer = Self {
            origin: root.display().to_string(),
            files: BTreeMap::new(),
            code: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        };
        let mut any = false;
        for part in PARTS {
            if root.join(part).is_dir() {
                any = true;
                layer.collect(root, part)?;
            }
        }
        if any {
            Ok(layer)
        } else {
            Err(LayerError::NotAToolbox { path: root.to_owned() })
        }
    }

    /// Files held in memory, by their path within the toolbox.
    pub fn memory(origin: &str, files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            origin: origin.to_owned(),
            files: files.into_iter().collect(),
            code: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        }
    }

    /// Adds a workflow's code to files held in memory.
    #[must_use]
    pub fn with_code(mut self, workflow: &str, code: impl Into<Arc<[u8]>>) -> Self {
        self.code.insert(code_path(workflow), code.into());
        self
    }

    /// Adds the component of a module of kind `wasm`.
    #[must_use]
    pub fn with_component(mut self, module: &str, component: impl Into<Arc<[u8]>>) -> Self {
        self.code.insert(component_path(module), component.into());
        self
    }

    /// Where it comes from, for people.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A file as messages name it.
    pub(crate) fn display(&self, path: &str) -> String {
        format!("{}/{path}", self.origin.trim_end_matches('/'))
    }

    pub(crate) fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// The code of the workflow in that folder.
    pub(crate) fn code(&self, folder: &str) -> Option<&Arc<[u8]>> {
        self.code.get(&code_path(folder))
    }

    /// The component of the module in that folder.
    pub(crate) fn component(&self, folder: &str) -> Option<&Arc<[u8]>> {
        self.code.get(&component_path(folder))
    }

    /// What is wrong with the component of the module in that folder, which `wants` one or not.
    pub(crate) fn problem_of_component(&self, folder: &str, wants: bool) -> Option<Problem> {
        let (message, hint) = match (self.component(folder), wants) {
            (None, true) => ("the module is of kind `wasm` and there is no module.wasm", BUILD_HINT),
            (Some(_), false) => (
                "the module is not of kind `wasm` and has a module.wasm",
                "write `kind: wasm` in module.yaml",
            ),
            (Some(code), true) if !code.starts_with(b"\0asm") => ("the file is not WebAssembly", BUILD_HINT),
            _ => return None,
        };
        Some(Problem {
            file: self.display(&component_path(folder)),
            line: 1,
            column: 1,
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        })
    }

    /// What is wrong with a folder whose workflow is code.
    pub(crate) fn problems_of_code(&self, folder: &str) -> Vec<Problem> {
        let problem = |file: &str, message: &str, hint: &str| Problem {
            file: self.display(&format!("workflows/{folder}/{file}")),
            line: 1,
            column: 1,
            message: message.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let mut problems = Vec::new();
        if self.files.contains_key(&format!("workflows/{folder}/workflow.yaml")) {
            problems.push(problem(
                "workflow.yaml",
                "the workflow is code already: there is a workflow.wasm beside this file",
                "remove one of the two",
            ));
        }
        if self.code(folder).is_some_and(|code| !code.starts_with(b"\0asm")) {
            problems.push(problem(CODE_FILE, "the file is not WebAssembly", BUILD_HINT));
        }
        problems
    }

    /// Files that are there but cannot be read, by path.
    pub(crate) fn unreadable(&self) -> &BTreeMap<String, Problem> {
        &self.unreadable
    }

    /// Names of the folders in `workflows` or `modules`, sorted.
    pub(crate) fn folders(&self, part: &str) -> Vec<String> {
        let prefix = format!("{part}/");
        let mut names: Vec<String> = self
            .files
            .keys()
            .chain(self.code.keys())
            .chain(self.unreadable.keys())
            .filter_map(|path| {
                path.strip_prefix(&prefix)?
                    .split_once('/')
                    .map(|(name, _)| name.to_owned())
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn collect(&mut self, root: &Path, relative: &str) -> Result<(), LayerError> {
        let dir = root.join(relative);
        let entries = fs::read_dir(&dir).map_err(|source| LayerError::Read {
            path: dir.clone(),
            source,
        })?;
        for entry in entries {
            let entry = entry.map_err(|source| LayerError::Read {
                path: dir.clone(),
                source,
            })?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|n| !n.starts_with('.') && !LITTER.contains(n)) else {
                continue;
            };
            let path = format!("{relative}/{name}");
            // A user may keep a workflow elsewhere and link its folder. Links below that could lead anywhere.
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let depth = relative.matches('/').count();
            let Ok(kind) = fs::metadata(entry.path()) else { continue };
            if kind.is_dir() && depth < MAX_DEPTH && (!is_link || depth == 0) {
                if let Err(LayerError::Read { path: dir, source }) = self.collect(root, &path) {
                    self.note_unreadable(path, format!("the folder {} cannot be read: {source}", dir.display()));
                }
            } else if kind.is_file() && is_code(&path) {
                self.read_code(root, path, kind.len());
            } else if kind.is_file() && (relative.starts_with("modules/") || is_yaml(name)) {
                // Whatever lies in a module's folder belongs to the module: rules, scripts, settings of its tool.
                self.read(root, path, kind.len());
            }
            if self.files.len() > MAX_FILES {
                return Err(LayerError::TooMany { path: root.to_owned() });
            }
        }
        Ok(())
    }

    /// Lengths, times and numbers of everything that [`Self::dir`] would read: it changes when the layer may have.
    pub(crate) fn stamp(root: &Path) -> u64 {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        for part in PARTS {
            stamp(&root.join(part), 0, &mut hasher);
        }
        hasher.finish()
    }

    // A file that cannot be read is a problem of its workflow, not of the whole toolbox.
    fn read(&mut self, root: &Path, path: String, size: u64) {
        let text = match size > MAX_FILE {
            true => Err(format!("the file is longer than {} MiB", MAX_FILE >> 20)),
            false => fs::read(root.join(&path))
                .map_err(|e| format!("the file cannot be read: {e}"))
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())),
        };
        match text {
            Ok(text) => {
                self.files.insert(path, text);
            }
            Err(message) => self.note_unreadable(path, message),
        }
    }

    fn read_code(&mut self, root: &Path, path: String, size: u64) {
        let bytes = match size > MAX_CODE {
            true => Err(format!("the file is longer than {} MiB", MAX_CODE >> 20)),
            false => fs::read(root.join(&path)).map_err(|e| format!("the file cannot be read: {e}")),
        };
        match bytes {
            Ok(bytes) => {
                self.code.insert(path, bytes.into());
            }
            Err(message) => self.note_unreadable(path, message),
        }
    }

    fn note_unreadable(&mut self, path: String, message: String) {
        let file = self.display(&path);
        let problem = Problem {
            file,
            line: 1,
            column: 1,
            message,
            hint: None,
        };
        self.unreadable.insert(path, problem);
    }
}

fn code_path(folder: &str) -> String {
    format!("workflows/{folder}/{CODE_FILE}")
}

fn component_path(folder: &str) -> String {
    format!("modules/{folder}/{COMPONENT}")
}

/// Whether the file may be anything but text.
fn is_code(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let depth = folder.matches('/').count();
    depth == 1
        && (folder.starts_with("workflows/") && name == CODE_FILE
            || folder.starts_with("modules/") && name == COMPONENT)
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn stamp(dir: &Path, depth: usize, hasher: &mut impl std::hash::Hasher) {
    use std::hash::Hash;
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names.iter().take(MAX_FILES) {
        let path = dir.join(name);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        (name, metadata.len(), metadata.modified().ok()).hash(hasher);
        #[cfg(unix)]
        std::os::unix::fs::MetadataExt::ino(&metadata).hash(hasher);
        let own = name
            .to_str()
            .is_some_and(|n| !n.starts_with('.') && !LITTER.contains(&n));
        if metadata.is_dir() && own && depth < MAX_DEPTH {
            stamp(&path, depth + 1, hasher);
        }
    }
}
