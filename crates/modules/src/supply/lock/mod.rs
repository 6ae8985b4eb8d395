//! Lock files: which packages, in which versions, a project was built with.

mod cargo;
mod go;
mod maven;
mod npm;
mod python;

use super::ecosystem::Ecosystem;

/// A package as a lock file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) ecosystem: Ecosystem,
    pub(crate) name: String,
    pub(crate) version: String,
    /// 1-based line of the lock file that names it.
    pub(crate) line: u32,
    /// Characters of that line.
    pub(crate) width: u32,
    /// Whether it comes from the ecosystem's registry, which is what advisories speak of.
    pub(crate) from_registry: bool,
}

/// What a lock file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) packages: Vec<Package>,
    /// What cannot be told from it, such as a dependency without a version.
    pub(crate) gaps: Vec<String>,
}

impl Lock {
    fn add(&mut self, ecosystem: Ecosystem, name: &str, version: &str, line: u32) {
        self.packages.push(Package {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            line,
            width: 1,
            from_registry: true,
        });
    }
}

/// Reads a lock file.
pub(crate) type Reader = fn(&str) -> Result<Lock, String>;

/// What a file is, by its name.
pub(crate) enum Kind {
    Lock(Reader),
    /// A lock file that is not read, with the manager whose it is.
    Unread(&'static str),
}

/// What a file is to us; None for a file that is no lock file.
pub(crate) fn kind(file_name: &str) -> Option<Kind> {
    let reader: Reader = match file_name {
        "Cargo.lock" => cargo::cargo,
        "poetry.lock" | "uv.lock" | "pdm.lock" => cargo::python,
        "package-lock.json" | "npm-shrinkwrap.json" => npm::package_lock,
        "yarn.lock" => npm::yarn,
        "Pipfile.lock" => python::pipfile,
        "go.mod" => go::modules,
        "pom.xml" => maven::pom,
        "gradle.lockfile" => maven::gradle,
        "pnpm-lock.yaml" => return Some(Kind::Unread("pnpm")),
        "bun.lock" | "bun.lockb" => return Some(Kind::Unread("Bun")),
        "Gemfile.lock" => return Some(Kind::Unread("Bundler")),
        "composer.lock" => return Some(Kind::Unread("Composer")),
        "Package.resolved" => return Some(Kind::Unread("Swift")),
        "packages.lock.json" => return Some(Kind::Unread("NuGet")),
        name if name.starts_with("requirements") && name.ends_with(".txt") => python::requirements,
        _ => return None,
    };
    Some(Kind::Lock(reader))
}

/// The lines of a text with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines())
}
