//! Which language a workflow is written in.

use std::fmt;
use std::path::Path;

use crate::errors::{Problem, Result};

/// A language that workflows are built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    JavaScript,
    Python,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::JavaScript, Self::Python];

    /// The file by which it is known.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::JavaScript => "workflow.js",
            Self::Python => "workflow.py",
        }
    }

    /// The language of that folder.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let is_there = |language: &Self| folder.join(language.file()).is_file();
        let found: Vec<Self> = Self::ALL.into_iter().filter(is_there).collect();
        match found[..] {
            [one] => Ok(one),
            [] => {
                let files: Vec<String> = Self::ALL.iter().map(|one| format!("{} ({one})", one.file())).collect();
                let problem = Problem::new(format!("there is nothing to build in {}", folder.display()));
                Err(problem.help(format!("a workflow's folder has one of {}", files.join(", "))))
            }
            [first, second, ..] => Err(Problem::new(format!(
                "{} has both {} and {}: which one is the workflow?",
                folder.display(),
                first.file(),
                second.file()
            ))),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_file_and_two_are_one_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let error = Language::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("workflow.py (Python)"), "{error}");
        std::fs::write(dir.path().join("workflow.js"), "").unwrap();
        assert_eq!(Language::of(dir.path()).unwrap(), Language::JavaScript);
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let error = Language::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("which one"), "{error}");
    }
}
