//! The toolbox of a long-running process: replaced as a whole when its folders change.
//!
//! Folders are looked at by polling lengths and times. A toolbox has some hundred files, so a look costs less than a
//! millisecond, and unlike file notifications it works on every file system and in containers, and needs no thread.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::layer::{Layer, LayerError};
use crate::problem::Problem;
use crate::set::{Loaded, Toolbox};

/// Looks in which the folders may go on changing before they are read all the same.
const PATIENCE: u32 = 2;

/// The toolbox as it stands. Clones see the same.
#[derive(Debug, Clone)]
pub struct Shelf(Arc<RwLock<Arc<Toolbox>>>);

impl Shelf {
    /// The toolbox as it stands. Whoever does several things that belong together asks once.
    pub fn current(&self) -> Arc<Toolbox> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, toolbox: Toolbox) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(toolbox);
    }
}

impl From<Arc<Toolbox>> for Shelf {
    /// A toolbox that does not change.
    fn from(toolbox: Arc<Toolbox>) -> Self {
        Self(Arc::new(RwLock::new(toolbox)))
    }
}

/// Keeps a [`Shelf`] in step with its folders.
#[derive(Debug)]
pub struct Keeper {
    shelf: Shelf,
    /// Layers below the folders.
    base: Vec<Layer>,
    folders: Vec<PathBuf>,
    /// Of what is on the shelf.
    loaded: u64,
    /// Of the last look, and how many looks the folders have been changing.
    seen: u64,
    restless: u32,
}

/// What a look found.
#[derive(Debug)]
pub struct Change {
    /// What serves new runs in another version from now on, such as `workflow nightly`.
    pub changed: Vec<String>,
    /// What is broken and stays on its last good version.
    pub kept: Vec<String>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Why a folder could not be read at all; then nothing has changed.
    pub error: Option<LayerError>,
}

impl Keeper {
    /// Loads everything for the first time; later folders shadow earlier ones.
    pub fn new(base: Vec<Layer>, folders: Vec<PathBuf>) -> Result<(Self, Loaded), LayerError> {
        // The stamp first: what changes while we read is seen by the next look.
        let stamp = stamp(&folders);
        let loaded = load(&base, &folders)?;
        let keeper = Self {
            shelf: Shelf::from(Arc::new(loaded.toolbox.clone())),
            base,
            folders,
            loaded: stamp,
            seen: stamp,
            restless: 0,
        };
        Ok((keeper, loaded))
    }

    /// What it keeps.
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// Looks at the folders, and loads them when they have changed and come to rest. Blocking. Reading waits for rest
    /// because an editor writes a file in several steps, and half a file is not a version.
    pub fn look(&mut self) -> Option<Change> {
        let now = stamp(&self.folders);
        let moving = now != self.seen;
        self.seen = now;
        if now == self.loaded {
            self.restless = 0;
            return None;
        }
        if moving && self.restless < PATIENCE {
            self.restless += 1;
            return None;
        }
        self.restless = 0;
        self.loaded = now;
        let before = self.shelf.current();
        let Loaded { mut toolbox, problems } = match load(&self.base, &self.folders) {
            Ok(loaded) => loaded,
            Err(error) => {
                return Some(Change {
                    changed: Vec::new(),
                    kept: Vec::new(),
                    problems: Vec::new(),
                    error: Some(error),
                });
            }
        };
        let kept = toolbox.keep_last_good(&before);
        let changed = toolbox.differences(&before);
        self.shelf.replace(toolbox);
        let worth_a_word = !(changed.is_empty() && kept.is_empty() && problems.is_empty());
        worth_a_word.then_some(Change {
            changed,
            kept,
            problems,
            error: None,
        })
    }
}

fn load(base: &[Layer], folders: &[PathBuf]) -> Result<Loaded, LayerError> {
    let mut layers = base.to_vec();
    for folder in folders {
        layers.push(Layer::dir(folder)?);
    }
    Ok(Toolbox::load(&layers))
}

fn stamp(folders: &[PathBuf]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for folder in folders {
        Layer::stamp(folder).hash(&mut hasher);
    }
    hasher.finish()
}
