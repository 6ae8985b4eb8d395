//! What the modules of one worker share: where tools are, how programs are started, and where they may write.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use helve_toolbox::command::ToolRequirement;

use super::runner::Runner;
use super::tool::{Found, Missing, Search, absent};

/// The machine as modules see it.
pub struct Host {
    /// Where programs are looked up.
    pub search: Search,
    /// A folder for the private folders of running steps; whoever owns it cleans up after a crash.
    pub scratch: PathBuf,
    /// Starts programs.
    pub runner: Box<dyn Runner>,
    /// Starts components; None means that this worker runs none.
    pub components: Option<Box<dyn Runner>>,
    probed: Mutex<HashMap<Asked, Result<Found, Missing>>>,
}

/// A program's file, when it was changed, and what was wanted of it.
type Asked = (PathBuf, Option<SystemTime>, String);

impl Host {
    /// A host that has not looked for anything yet.
    pub fn new(search: Search, scratch: impl AsRef<Path>, runner: Box<dyn Runner>) -> Self {
        Self {
            search,
            scratch: scratch.as_ref().to_owned(),
            runner,
            components: None,
            probed: Mutex::default(),
        }
    }

    /// The same, and components are started by that.
    #[must_use]
    pub fn with_components(mut self, runner: Box<dyn Runner>) -> Self {
        self.components = Some(runner);
        self
    }

    /// The tool, if it is there and fit, which `probe` finds out of the program of that path. Asking a program for its
    /// version takes as long as starting it, so the answer is kept until the program's file changes.
    pub(crate) fn tool<E>(
        &self,
        requirement: &ToolRequirement,
        probe: impl FnOnce(&Path) -> Result<Result<Found, Missing>, E>,
    ) -> Result<Result<Found, Missing>, E> {
        let Some(path) = self.search.tool(requirement) else {
            return Ok(Err(absent(requirement)));
        };
        let changed = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        let key = (path, changed, format!("{requirement:?}"));
        if let Some(known) = self.probed.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let found = probe(&key.0)?;
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        probed.insert(key, found.clone());
        Ok(found)
    }
}
