//! What modules may read of a worker's machine beside their target and what programs need to run.
//!
//! Whoever starts a run writes its parameters, and these may name files: a folder of advisories, of rules. The worker's
//! owner says which of the machine's files they may name.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Files and folders, with all that is in them. None by default.
#[derive(Debug, Clone, Default)]
pub struct Allowed(Vec<PathBuf>);

/// Where something is that a configuration names. Links are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the target.
    Target(PathBuf),
    /// Elsewhere on the machine, where modules may read.
    Machine(PathBuf),
}

impl Place {
    /// The path without links.
    pub fn path(&self) -> &Path {
        match self {
            Self::Target(path) | Self::Machine(path) => path,
        }
    }
}

/// A configuration names what modules may not read; what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAllowed(PathBuf);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display();
        if self.0.is_relative() {
            return write!(
                f,
                "`{path}` leads out of the target; name a file of the worker by its absolute path, which its owner can allow \
                 with `--allow-read`"
            );
        }
        write!(
            f,
            "`{path}` is not in the target, and not among what this worker lets modules read; its owner can allow it with \
             `--allow-read {path}`"
        )
    }
}

impl Allowed {
    /// Absolute paths; those that do not exist yet may do so later.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().collect())
    }

    /// Where `path` is, which may not exist. A relative one is in the target, unless it leads out of it.
    ///
    /// # Errors
    ///
    /// When it is outside of the target and of what is allowed. The same whether it exists or not.
    pub fn place(&self, workspace: &Path, path: &Path) -> Result<Place, NotAllowed> {
        let named = workspace.join(path);
        let refused = || NotAllowed(path.to_owned());
        let real = real(&named).ok_or_else(refused)?;
        if self::real(workspace).is_some_and(|workspace| real.starts_with(workspace)) {
            return Ok(Place::Target(real));
        }
        let roots = self.0.iter().filter_map(|root| self::real(root));
        match roots.into_iter().any(|root| real.starts_with(root)) {
            true => Ok(Place::Machine(real)),
            false => Err(refused()),
        }
    }
}

/// The path with all links resolved, as far as it exists. None if what does not exist climbs.
fn real(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    // A link that leads nowhere may lead somewhere later.
    if path.is_symlink() {
        return None;
    }
    match path.components().next_back()? {
        Component::Normal(name) => Some(real(path.parent()?)?.join(name)),
        _ => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_configuration_names_what_is_in_the_target_or_allowed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["work/rules", "rules/a", "rules-of-others", "home/.ssh"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let work = root.join("work");
        // Hostile targets hold links.
        symlink(root.join("home"), work.join("out")).unwrap();
        symlink("rules", work.join("in")).unwrap();
        symlink(root.join("rules/a"), work.join("allowed")).unwrap();
        symlink(root.join("nowhere"), work.join("dangling")).unwrap();
        // So may the owner's machine.
        symlink(root.join("rules"), root.join("alias")).unwrap();
        symlink(root.join("home"), root.join("rules/link")).unwrap();
        let allowed = Allowed::new([root.join("alias")]);
        let place = |path: &str| allowed.place(&work, Path::new(path));
        let target = |path: &str| Ok(Place::Target(work.join(path)));
        let machine = |path: &str| Ok(Place::Machine(root.join(path)));
        let absolute = |path: &str| root.join(path).to_string_lossy().into_owned();
        for (path, wanted) in [
            ("rules".to_owned(), target("rules")),
            ("rules/missing".to_owned(), target("rules/missing")),
            ("in".to_owned(), target("rules")),
            ("../work/rules".to_owned(), target("rules")),
            (absolute("work/rules"), target("rules")),
            ("allowed".to_owned(), machine("rules/a")),
            ("../rules".to_owned(), machine("rules")),
            (absolute("rules"), machine("rules")),
            (absolute("alias/a"), machine("rules/a")),
            (absolute("rules/missing/x"), machine("rules/missing/x")),
        ] {
            assert_eq!(place(&path), wanted, "{path}");
        }
        for path in [
            "out".to_owned(),
            "out/.ssh".to_owned(),
            "out/missing".to_owned(),
            "dangling".to_owned(),
            "..".to_owned(),
            "../home".to_owned(),
            "missing/../../home".to_owned(),
            "/".to_owned(),
            "/etc/passwd".to_owned(),
            absolute("rules-of-others"),
            absolute("rules/link"),
            absolute("rules/link/.ssh"),
            absolute("rules/../home"),
            absolute("no-such/../home"),
            absolute("missing"),
        ] {
            let refused = place(&path).unwrap_err().to_string();
            assert!(refused.contains("--allow-read"), "{path}: {refused}");
            let where_it_is = root.to_string_lossy();
            assert!(
                path.starts_with('/') || !refused.contains(&*where_it_is),
                "the worker's own folders are not named"
            );
        }
        let none = Allowed::default();
        assert!(none.place(&work, Path::new("rules")).is_ok());
        assert!(none.place(&work, &root.join("rules")).is_err());
    }
}
