//! `requirements.txt` and `Pipfile.lock`.

use serde_json::Value;

use super::{Lock, numbered};
use crate::supply::ecosystem::Ecosystem;

/// Requirements are a lock file as far as they name versions exactly; what they do not, they do not tell.
pub(super) fn requirements(text: &str) -> Result<Lock, String> {
    let mut lock = Lock::default();
    let mut continues = false;
    for (number, line) in numbered(text) {
        // Hashes of the requirement before.
        let is_rest = std::mem::replace(&mut continues, line.trim_end().ends_with('\\'));
        let line = line.trim().trim_end_matches('\\');
        let line = line.split(" #").next().unwrap_or(line).trim();
        if is_rest || line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('-') {
            lock.gaps
                .extend(unread(line).map(|file| format!("line {number}: `{file}` is not read")));
            continue;
        }
        // What follows are conditions, and options such as hashes.
        let requirement = line.split(';').next().unwrap_or(line);
        let requirement = requirement.split(" --").next().unwrap_or(requirement);
        let requirement: String = requirement.split_whitespace().collect();
        match requirement.split_once("==") {
            Some((name, version)) if !version.contains(['*', ',']) && !version.is_empty() => {
                let name = name.split('[').next().unwrap_or(name);
                lock.add(Ecosystem::Pypi, name, version.trim_start_matches('='), number);
            }
            _ => {
                let name = requirement
                    .split(['[', '<', '>', '=', '!', '~', '@'])
                    .next()
                    .unwrap_or_default();
                lock.gaps
                    .push(format!("line {number}: `{name}` is not pinned to one version"));
            }
        }
    }
    Ok(lock)
}

/// The file that an option includes, unless it is read for its own name.
fn unread(option: &str) -> Option<&str> {
    let file = option
        .strip_prefix("--requirement")
        .or_else(|| option.strip_prefix("-r"))?
        .trim_start_matches(['=', ' ']);
    let name = file.rsplit('/').next().unwrap_or(file);
    super::kind(name).is_none().then_some(file)
}

pub(super) fn pipfile(text: &str) -> Result<Lock, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut lock = Lock::default();
    let mut line_of = std::collections::HashMap::new();
    for (number, line) in numbered(text) {
        if let Some((key, _)) = line
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split_once("\":"))
        {
            line_of.entry(key).or_insert(number);
        }
    }
    for section in ["default", "develop"] {
        for (name, package) in document[section].as_object().into_iter().flatten() {
            match package["version"]
                .as_str()
                .and_then(|version| version.strip_prefix("=="))
            {
                Some(version) => {
                    let line = line_of.get(name.as_str()).copied().unwrap_or(1);
                    lock.add(Ecosystem::Pypi, name, version, line);
                }
                None => lock.gaps.push(format!("`{name}` is not pinned to one version")),
            }
        }
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_that_name_no_version_are_gaps_and_not_clean() {
        let lock = requirements(concat!(
            "# comment\n-r other.txt\n-r requirements-dev.txt\n",
            "requests[socks]==2.19.0 ; python_version > '3' \\\n    --hash=sha256:00\n",
            "flask>=0.12  # loose\nDjango == 1.0 --hash=sha256:00\n"
        ))
        .unwrap();
        let seen: Vec<_> = lock
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.line))
            .collect();
        assert_eq!(seen, [("requests", "2.19.0", 4), ("Django", "1.0", 7)]);
        assert_eq!(
            lock.gaps,
            [
                "line 2: `other.txt` is not read",
                "line 6: `flask` is not pinned to one version"
            ]
        );
    }

    #[test]
    fn pipfile_locks_are_read() {
        let lock =
            pipfile("{\n \"default\": {\n  \"requests\": {\"version\": \"==2.19.0\"}},\n \"develop\": {}\n}").unwrap();
        assert_eq!(
            (lock.packages[0].version.as_str(), lock.packages[0].line),
            ("2.19.0", 3)
        );
    }
}
