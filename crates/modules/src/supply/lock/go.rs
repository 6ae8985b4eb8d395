//! `go.mod`: since Go 1.17 it names every module that the build needs. `go.sum` does not say which version is used.

use super::{Lock, numbered};
use crate::supply::ecosystem::Ecosystem;

pub(super) fn modules(text: &str) -> Result<Lock, String> {
    let mut lock = Lock::default();
    let mut replaced: Vec<(String, Option<(String, String)>)> = Vec::new();
    let mut block: Option<String> = None;
    let mut is_module = false;
    for (number, line) in numbered(text) {
        let line = line.split("//").next().unwrap_or(line).trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, words) = match (&block, words.as_slice()) {
            (_, []) => continue,
            (Some(_), [")"]) => {
                block = None;
                continue;
            }
            (Some(verb), words) => (verb.clone(), words.to_vec()),
            (None, [verb, "("]) => {
                block = Some((*verb).to_owned());
                continue;
            }
            (None, [verb, words @ ..]) => ((*verb).to_owned(), words.to_vec()),
        };
        match (verb.as_str(), words.as_slice()) {
            ("module", _) => is_module = true,
            ("require", [name, version, ..]) => lock.add(Ecosystem::Go, name, version, number),
            ("replace", words) => {
                let Some(arrow) = words.iter().position(|word| *word == "=>") else {
                    return Err(format!("line {number}: a replacement without `=>`"));
                };
                let with = match &words[arrow + 1..] {
                    [name, version] => Some(((*name).to_owned(), (*version).to_owned())),
                    _ => None,
                };
                replaced.push((words[0].to_owned(), with));
            }
            _ => {}
        }
    }
    if !is_module {
        return Err("it names no module".to_owned());
    }
    for (name, with) in replaced {
        for package in lock.packages.iter_mut().filter(|package| package.name == name) {
            match &with {
                Some((name, version)) => (package.name, package.version) = (name.clone(), version.clone()),
                // A folder: no advisory speaks of it.
                None => package.from_registry = false,
            }
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_modules_are_read_and_replacements_count() {
        let lock = modules(concat!(
            "module example.org/app\n\ngo 1.21\n\nrequire golang.org/x/text v0.3.5 // indirect\n\nrequire (\n",
            "\tgithub.com/a/b v1.0.0\n\tgithub.com/c/d v1.2.0+incompatible\n)\n\n",
            "replace github.com/a/b => github.com/a/fork v1.0.1\nreplace github.com/c/d => ./d\n"
        ))
        .unwrap();
        let seen: Vec<_> = lock
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.line, p.from_registry))
            .collect();
        assert_eq!(
            seen,
            [
                ("golang.org/x/text", "v0.3.5", 5, true),
                ("github.com/a/fork", "v1.0.1", 8, true),
                ("github.com/c/d", "v1.2.0+incompatible", 9, false)
            ]
        );
    }
}
