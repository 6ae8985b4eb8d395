//! The package registries that lock files point to.

use std::borrow::Cow;

/// A registry, with its own names and its own order of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ecosystem {
    Cargo,
    Go,
    Maven,
    Npm,
    Pypi,
}

impl Ecosystem {
    pub(crate) const ALL: [Self; 5] = [Self::Cargo, Self::Go, Self::Maven, Self::Npm, Self::Pypi];

    /// As the Open Source Vulnerability format calls it.
    pub(crate) fn osv(self) -> &'static str {
        match self {
            Self::Cargo => "crates.io",
            Self::Go => "Go",
            Self::Maven => "Maven",
            Self::Npm => "npm",
            Self::Pypi => "PyPI",
        }
    }

    /// The ecosystem of that name in an advisory. Some names carry a suffix: `Maven:https://…`.
    pub(crate) fn from_osv(name: &str) -> Option<Self> {
        let name = name.split(':').next().unwrap_or(name);
        Self::ALL.into_iter().find(|ecosystem| ecosystem.osv() == name)
    }

    /// The spelling by which two names are the same package.
    pub(crate) fn canonical(self, name: &str) -> Cow<'_, str> {
        match self {
            // PEP 503: case does not count, and runs of `-`, `_`, `.` are one `-`.
            Self::Pypi => {
                let mut canonical = String::with_capacity(name.len());
                for c in name.chars() {
                    match c {
                        '-' | '_' | '.' if canonical.ends_with('-') => {}
                        '-' | '_' | '.' => canonical.push('-'),
                        other => canonical.extend(other.to_lowercase()),
                    }
                }
                Cow::Owned(canonical)
            }
            _ => Cow::Borrowed(name),
        }
    }

    /// The package URL, which bills of materials use as an identity.
    pub(crate) fn purl(self, name: &str, version: &str) -> String {
        let (kind, path) = match self {
            Self::Cargo => ("cargo", encoded(name)),
            Self::Go => ("golang", encoded(&name.to_lowercase())),
            Self::Maven => ("maven", encoded(&name.replacen(':', "/", 1))),
            Self::Npm => ("npm", encoded(name)),
            Self::Pypi => ("pypi", encoded(&self.canonical(name))),
        };
        format!("pkg:{kind}/{path}@{}", encoded(version))
    }
}

/// Percent-encoded, but for the slashes that part a name.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_written_as_their_specification_says() {
        for (ecosystem, name, version, purl) in [
            (Ecosystem::Npm, "@babel/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
            (Ecosystem::Pypi, "Zope.Interface", "5.0", "pkg:pypi/zope-interface@5.0"),
            (Ecosystem::Maven, "org.a:b", "1+2", "pkg:maven/org.a/b@1%2B2"),
            (
                Ecosystem::Go,
                "github.com/A/b",
                "v1.0.0",
                "pkg:golang/github.com/a/b@v1.0.0",
            ),
        ] {
            assert_eq!(ecosystem.purl(name, version), purl);
        }
    }
}
