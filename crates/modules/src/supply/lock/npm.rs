//! The lock files of npm and Yarn.

use serde_json::{Map, Value};

use super::{Lock, Package, numbered};
use crate::supply::ecosystem::Ecosystem;

pub(super) fn package_lock(text: &str) -> Result<Lock, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let lines = Lines::new(text);
    let mut lock = Lock::default();
    if let Some(packages) = document.get("packages").and_then(Value::as_object) {
        for (path, package) in packages {
            // The project itself, its workspaces, and links to them.
            let Some((_, name)) = path.rsplit_once("node_modules/") else {
                continue;
            };
            if package["link"] == true {
                continue;
            }
            let name = package["name"].as_str().unwrap_or(name);
            entry(name, package, lines.of(path), &mut lock);
        }
    } else if let Some(dependencies) = document.get("dependencies").and_then(Value::as_object) {
        nested(dependencies, &lines, &mut lock);
    } else if document.get("lockfileVersion").is_none() {
        return Err("it has neither `packages` nor `dependencies`".to_owned());
    }
    Ok(lock)
}

/// The form of npm 6 and before: dependencies in dependencies.
fn nested(dependencies: &Map<String, Value>, lines: &Lines<'_>, lock: &mut Lock) {
    for (name, package) in dependencies {
        entry(name, package, lines.of(name), lock);
        if let Some(inner) = package.get("dependencies").and_then(Value::as_object) {
            nested(inner, lines, lock);
        }
    }
}

fn entry(name: &str, package: &Value, line: u32, lock: &mut Lock) {
    let Some(version) = package["version"].as_str() else {
        lock.gaps.push(format!("`{name}` has no version"));
        return;
    };
    // An alias says which package it stands for: `npm:lodash@4.17.21`.
    let (name, version) = match version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@')) {
        Some((name, version)) if !name.is_empty() => (name, version),
        _ => (name, version),
    };
    let place = package["resolved"].as_str().unwrap_or(version);
    let from_elsewhere = ["git", "file:", "link:"].iter().any(|start| place.starts_with(start));
    lock.packages.push(Package {
        ecosystem: Ecosystem::Npm,
        name: name.to_owned(),
        version: version.to_owned(),
        line,
        width: 1,
        from_registry: !from_elsewhere,
    });
}

/// Lines of a JSON document that begin with a key.
struct Lines<'a>(std::collections::HashMap<&'a str, u32>);

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let mut lines = std::collections::HashMap::new();
        for (number, line) in numbered(text) {
            let key = line
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split_once("\":"));
            if let Some((key, _)) = key {
                lines.entry(key).or_insert(number);
            }
        }
        Self(lines)
    }

    /// The first line where the key stands; 1 in a document without line breaks.
    fn of(&self, key: &str) -> u32 {
        self.0.get(key).copied().unwrap_or(1)
    }
}

/// Yarn's own format: keys such as `"lodash@^4.0.0":`, with `version "4.17.21"` (or `version: 4.17.21`) below.
pub(super) fn yarn(text: &str) -> Result<Lock, String> {
    let mut lock = Lock::default();
    let mut current: Option<(String, u32)> = None;
    for (number, line) in numbered(text) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            let key = line.trim_end_matches(':').trim_matches('"');
            let first = key.split(',').next().unwrap_or(key).trim().trim_matches('"');
            // The name of a scoped package begins with `@`.
            let at = first.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
            current = at
                .filter(|at| !first[at + 1..].starts_with("workspace:"))
                .map(|at| (first[..at].to_owned(), number));
            continue;
        }
        let Some(version) = line.strip_prefix("  version") else {
            continue;
        };
        let version = version.trim_start_matches(':').trim().trim_matches('"');
        if let Some((name, line)) = current.take() {
            lock.add(Ecosystem::Npm, &name, version, line);
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(lock: &Lock) -> Vec<(&str, &str, u32, bool)> {
        let packages = lock.packages.iter();
        packages
            .map(|p| (p.name.as_str(), p.version.as_str(), p.line, p.from_registry))
            .collect()
    }

    #[test]
    fn package_locks_of_both_forms_are_read() {
        let new = package_lock(
            r#"{"lockfileVersion": 3, "packages": {
 "": {"name": "app", "version": "1.0.0"},
 "node_modules/@s/a": {"version": "1.0.0"},
 "node_modules/@s/a/node_modules/b": {"version": "2.0.0", "resolved": "git+ssh://example.org/b.git"},
 "node_modules/own": {"link": true, "resolved": "packages/own"}
}}"#,
        )
        .unwrap();
        assert_eq!(seen(&new), [("@s/a", "1.0.0", 3, true), ("b", "2.0.0", 4, false)]);
        let old = package_lock(
            r#"{"lockfileVersion": 1, "dependencies": {
 "a": {"version": "1.0.0", "dependencies": {
  "b": {"version": "npm:c@3.0.0"}}}
}}"#,
        )
        .unwrap();
        assert_eq!(seen(&old), [("a", "1.0.0", 2, true), ("c", "3.0.0", 3, true)]);
        assert!(package_lock("{").is_err());
    }

    #[test]
    fn yarn_locks_of_both_forms_are_read() {
        let classic = "# yarn lockfile v1\n\n\"@s/a@^1.0.0\", \"@s/a@~1.1.0\":\n  version \"1.1.2\"\n  dependencies:\n    version \"^9\"\n";
        assert_eq!(seen(&yarn(classic).unwrap()), [("@s/a", "1.1.2", 3, true)]);
        let berry = "__metadata:\n  version: 8\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n\n\"b@npm:^2.0.0\":\n  version: 2.3.4\n";
        assert_eq!(seen(&yarn(berry).unwrap()), [("b", "2.3.4", 7, true)]);
    }
}
