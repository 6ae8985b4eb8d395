//! `Cargo.lock`, and the Python managers' lock files of the same make: tables `[[package]]` in TOML as programs write it.
//!
//! Only what these programs write is read: a key and a value per line. Text that is not of that form is refused, not
//! guessed at.

use super::{Lock, Package, numbered};
use crate::supply::ecosystem::Ecosystem;

/// The registry of Rust packages, under the names that it had and has.
const CRATES_IO: [&str; 2] = [
    "registry+https://github.com/rust-lang/crates.io-index",
    "sparse+https://index.crates.io/",
];

/// A table `[[package]]`.
#[derive(Default)]
struct Table {
    line: u32,
    name: Option<String>,
    version: Option<String>,
    source: Option<String>,
}

pub(super) fn cargo(text: &str) -> Result<Lock, String> {
    read(text, Ecosystem::Cargo, |source| match source {
        // The project's own packages have no source.
        None => Origin::Own,
        Some(source) if CRATES_IO.contains(&source) => Origin::Registry,
        Some(_) => Origin::Elsewhere,
    })
}

pub(super) fn python(text: &str) -> Result<Lock, String> {
    read(text, Ecosystem::Pypi, |source| match source {
        None => Origin::Registry,
        Some(source) if source.contains("virtual") || source.contains("editable") => Origin::Own,
        Some(source) if source.contains("registry") || source.contains("legacy") => Origin::Registry,
        Some(_) => Origin::Elsewhere,
    })
}

/// Where in a table a line stands.
enum Place {
    Package,
    Source,
    Elsewhere,
}

/// Where a package comes from.
enum Origin {
    Own,
    Registry,
    Elsewhere,
}

fn read(text: &str, ecosystem: Ecosystem, origin: impl Fn(Option<&str>) -> Origin) -> Result<Lock, String> {
    let mut lock = Lock::default();
    let mut current: Option<Table> = None;
    let mut at = Place::Elsewhere;
    let mut recognised = false;
    let finish = |table: Option<Table>, lock: &mut Lock| -> Result<(), String> {
        let Some(table) = table else { return Ok(()) };
        let name = table
            .name
            .ok_or_else(|| format!("line {}: a package without a name", table.line))?;
        let from_registry = match origin(table.source.as_deref()) {
            Origin::Own => return Ok(()),
            Origin::Registry => true,
            Origin::Elsewhere => false,
        };
        let version = table
            .version
            .ok_or_else(|| format!("line {}: `{name}` has no version", table.line))?;
        lock.packages.push(Package {
            ecosystem,
            name,
            version,
            line: table.line,
            width: 1,
            from_registry,
        });
        Ok(())
    };
    for (number, line) in numbered(text) {
        let line = line.trim_end();
        if line == "[[package]]" {
            finish(current.take(), &mut lock)?;
            current = Some(Table {
                line: number,
                ..Table::default()
            });
            (at, recognised) = (Place::Package, true);
        } else if line.starts_with('[') {
            at = match line {
                "[package.source]" => Place::Source,
                _ => Place::Elsewhere,
            };
            if !line.starts_with("[package.") && !line.starts_with("[[package.") {
                finish(current.take(), &mut lock)?;
            }
        } else if line.starts_with("version = ") || line.starts_with("content-hash = ") {
            recognised = true;
        }
        let Some(table) = &mut current else { continue };
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        match (&at, key) {
            (Place::Package, "name") => {
                table.name = Some(string(value, number)?);
                table.line = number;
            }
            (Place::Package, "version") => table.version = Some(string(value, number)?),
            // uv writes an inline table: `{ registry = "…" }`. Cargo writes a string, Poetry a table of its own.
            (Place::Package, "source") => table.source = Some(value.trim_matches('"').to_owned()),
            (Place::Source, "type") => table.source = Some(string(value, number)?),
            _ => {}
        }
    }
    finish(current.take(), &mut lock)?;
    match recognised || text.trim().is_empty() {
        true => Ok(lock),
        false => Err("it holds no table `[[package]]`".to_owned()),
    }
}

fn string(value: &str, line: u32) -> Result<String, String> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner
        .filter(|text| !text.contains(['"', '\\']))
        .map(str::to_owned)
        .ok_or_else(|| format!("line {line}: expected a plain string, not {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_locks_tell_registry_packages_from_own_and_from_git() {
        let lock = cargo(concat!(
            "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"time\",\n]\n\n",
            "[[package]]\nname = \"time\"\nversion = \"0.1.42\"\n",
            "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"00\"\n\n",
            "[[package]]\nname = \"fork\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/fork#0\"\n",
        ))
        .unwrap();
        let seen: Vec<_> = lock
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.line, p.from_registry))
            .collect();
        assert_eq!(seen, [("time", "0.1.42", 11, true), ("fork", "1.0.0", 17, false)]);
        assert!(cargo("version = 4\n[[package]]\nversion = \"1\"\n").is_err());
        assert!(cargo("this is no lock file\n").is_err());
    }

    #[test]
    fn poetry_and_uv_locks_are_read() {
        let poetry = python(concat!(
            "[[package]]\nname = \"requests\"\nversion = \"2.19.0\"\noptional = false\nfiles = [\n    {file = \"a\"},\n]\n\n",
            "[package.dependencies]\nidna = \">=2.5\"\n\n[package.extras]\nsocks = [\"x\"]\n\n",
            "[metadata]\nlock-version = \"2.0\"\n",
        ))
        .unwrap();
        assert_eq!(
            (poetry.packages.len(), poetry.packages[0].version.as_str()),
            (1, "2.19.0")
        );
        let uv = python(concat!(
            "version = 1\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\nsource = { virtual = \".\" }\n\n",
            "[[package]]\nname = \"flask\"\nversion = \"0.12\"\nsource = { registry = \"https://example.org\" }\n",
            "dependencies = [\n    { name = \"jinja2\" },\n]\n",
        ))
        .unwrap();
        assert_eq!((uv.packages.len(), uv.packages[0].name.as_str()), (1, "flask"));
    }
}
