//! Builds a workflow's code from its sources, whatever the language: one function per language, which leaves a component
//! in a file.

mod javascript;
mod language;
mod python;
mod rust;
mod tools;

use std::path::{Path, PathBuf};

use crate::errors::{Problem, Result};

pub(crate) use language::Language;
pub(crate) use tools::Tools;

/// The interface that every workflow is built for.
const WIT: &str = include_str!("../../../guest/wit/workflow.wit");
const WORLD: &str = "workflow";

/// One build.
pub(crate) struct Build<'a> {
    /// The workflow's folder.
    pub(crate) folder: &'a Path,
    /// Where compilers may keep what they need again.
    pub(crate) cache: PathBuf,
    pub(crate) tools: Tools<'a>,
    /// For what nobody needs afterwards.
    pub(crate) scratch: &'a Path,
}

impl Build<'_> {
    /// Where the code is.
    pub(crate) fn run(&self, language: Language) -> Result<PathBuf> {
        match language {
            Language::Rust => rust::build(self),
            Language::JavaScript => javascript::build(self),
            Language::Python => python::build(self),
        }
    }

    /// A folder with the interface, as the tools want it.
    fn wit(&self) -> Result<PathBuf> {
        let folder = self.scratch.join("wit");
        let file = folder.join("workflow.wit");
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, WIT));
        written.map_err(|error| Problem::io("write", &file, &error))?;
        Ok(folder)
    }
}
