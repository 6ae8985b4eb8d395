//! What is taken: ignore files, version control directories, files that hold secrets.
//!
//! - `.helveignore`, `.ignore` and `.gitignore` have git's syntax and apply wherever they lie, in a git repository or not;
//!   an earlier kind in this list wins over a later one, a deeper file over a higher one. Machine-wide git settings and
//!   `.git/info/exclude` do not count: the same tree must give the same target everywhere.
//! - Files above the target count up to the root of the git repository around it, unless they exclude the target itself:
//!   who names an ignored directory wants it scanned.
//! - Version control directories are never taken, so their objects and hooks are not scanned.
//! - A file that `.gitignore` or `.ignore` excludes is taken nevertheless when its name says that it holds secrets
//!   (`data/secret-files.txt`), also below excluded directories, but not below excluded dependency directories
//!   (`data/dependency-dirs.txt`). `.helveignore` is a word to Helve alone, and is obeyed.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Kinds of ignore files, strongest first.
const KINDS: [&str; 3] = [".helveignore", ".ignore", ".gitignore"];
const HELVE: usize = 0;

const VERSION_CONTROL: [&str; 5] = [".git", ".hg", ".svn", ".jj", ".bzr"];

const SECRET_FILES: &str = include_str!("../../data/secret-files.txt");
const DEPENDENCY_DIRS: &str = include_str!("../../data/dependency-dirs.txt");

/// What the rules say about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it.
    Take,
    /// Leave it out, but look for secret files in it, or take it if it is one.
    Ignored,
    /// Leave it out.
    Excluded,
}

/// The rules in force in one directory: those of the directories around it and its own.
pub(super) struct Rules {
    levels: Vec<[Option<Gitignore>; KINDS.len()]>,
    enabled: bool,
}

impl Rules {
    /// Takes everything.
    pub(super) fn none() -> Self {
        Rules {
            levels: Vec::new(),
            enabled: false,
        }
    }

    /// The rules that hold at `root`, from above it.
    pub(super) fn above(root: &Path) -> Self {
        let mut rules = Rules {
            levels: Vec::new(),
            enabled: true,
        };
        let Some(repository) = root.ancestors().find(|dir| dir.join(".git").exists()) else {
            return rules;
        };
        let mut above: Vec<&Path> = root
            .ancestors()
            .skip(1)
            .take_while(|dir| dir.starts_with(repository))
            .collect();
        above.reverse();
        for dir in above.into_iter().chain([root]) {
            if dir != repository && rules.verdict(dir, true) != Verdict::Take {
                rules.levels.clear();
                return rules;
            }
            if dir != root {
                rules.enter(dir);
            }
        }
        rules
    }

    /// What shapes the verdicts beside the tree itself, for recognising an unchanged target.
    pub(super) fn fixed_inputs(root: &Path) -> Vec<Vec<u8>> {
        let mut inputs = vec![SECRET_FILES.as_bytes().to_vec(), DEPENDENCY_DIRS.as_bytes().to_vec()];
        for dir in root.ancestors().skip(1) {
            inputs.push(vec![u8::from(dir.join(".git").exists())]);
            inputs.extend(KINDS.iter().filter_map(|kind| fs::read(dir.join(kind)).ok()));
        }
        inputs
    }

    /// Adds the ignore files of a directory. One that cannot be read or has broken patterns excludes less, never more.
    pub(super) fn enter(&mut self, dir: &Path) {
        let load = |kind: &str| {
            let file = dir.join(kind);
            if !self.enabled || !file.is_file() {
                return None;
            }
            let mut builder = GitignoreBuilder::new(dir);
            builder.add(file);
            builder.build().ok().filter(|patterns| !patterns.is_empty())
        };
        let level = KINDS.map(load);
        self.levels.push(level);
    }

    /// Drops what the last [`Rules::enter`] added.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// What to do with an entry of the current directory, given by its full path.
    pub(super) fn verdict(&self, path: &Path, is_dir: bool) -> Verdict {
        if !self.enabled {
            return Verdict::Take;
        }
        let name = path.file_name().unwrap_or_default();
        if VERSION_CONTROL.iter().any(|known| name == *known) {
            return Verdict::Excluded;
        }
        for kind in 0..KINDS.len() {
            for patterns in self.levels.iter().rev().filter_map(|level| level[kind].as_ref()) {
                match patterns.matched(path, is_dir) {
                    Match::None => {}
                    Match::Whitelist(_) => return Verdict::Take,
                    Match::Ignore(_) if kind == HELVE || (is_dir && is_dependency_dir(path)) => {
                        return Verdict::Excluded;
                    }
                    Match::Ignore(_) => return Verdict::Ignored,
                }
            }
        }
        Verdict::Take
    }

    /// Like [`Rules::verdict`] below an ignored directory, where everything is ignored and patterns that take entries back
    /// have, as in git, no force.
    pub(super) fn verdict_below_ignored(&self, path: &Path, is_dir: bool) -> Verdict {
        match self.verdict(path, is_dir) {
            Verdict::Take if is_dir && is_dependency_dir(path) => Verdict::Excluded,
            Verdict::Take => Verdict::Ignored,
            verdict => verdict,
        }
    }
}

/// Whether a file's name says that it holds secrets.
pub(super) fn holds_secrets(relative: &Path) -> bool {
    static PATTERNS: LazyLock<Gitignore> = LazyLock::new(|| {
        let mut builder = GitignoreBuilder::new("");
        builder.case_insensitive(true).expect("a setting that always works");
        for line in SECRET_FILES.lines() {
            builder
                .add_line(None, line)
                .expect("the list of secret files has valid patterns");
        }
        builder.build().expect("the list of secret files has valid patterns")
    });
    PATTERNS.matched(relative, false).is_ignore()
}

fn is_dependency_dir(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    DEPENDENCY_DIRS
        .lines()
        .any(|line| !line.is_empty() && !line.starts_with('#') && name == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_secrets_are_known_by_name() {
        for name in [
            ".env",
            ".env.production",
            "a/b/.ENV",
            "server.pem",
            "tls/server.key",
            "id_rsa",
            "credentials",
            "credentials.json",
            ".npmrc",
            ".pypirc",
            "prod.tfvars",
            "x.kubeconfig",
            "release.jks",
            "a/.aws/config",
            ".aws/credentials",
            ".docker/config.json",
            "home/.ssh/known_hosts",
        ] {
            assert!(holds_secrets(Path::new(name)), "{name}");
        }
        for name in [
            "main.rs",
            "environment.ts",
            "keyboard.ts",
            "id_rsa.pub",
            "README",
            "config.json",
            "log.txt",
        ] {
            assert!(!holds_secrets(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn dependency_directories_are_known_by_their_last_name() {
        assert!(is_dependency_dir(Path::new("/x/node_modules")));
        assert!(!is_dependency_dir(Path::new(
            "/x/# Directories that package managers and build tools fill"
        )));
        assert!(!is_dependency_dir(Path::new("/node_modules/src")));
    }
}
