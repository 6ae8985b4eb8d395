//! Versions of tools, as tools print them, and the ranges that modules and verticals ask for.
//!
//! Tools do not agree on a scheme (`1.9.4`, `2.10`, `4.04c`, `v8.30.0-rc1`), so a version is its leading numbers and
//! everything else is for people.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Numbers that are compared. No tool uses more.
const MAX_NUMBERS: usize = 6;

/// The version of a tool.
#[derive(Debug, Clone)]
pub struct Version {
    numbers: Vec<u64>,
    text: String,
}

/// Text that has no number in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: it must begin with a number, such as 1.9.4")]
pub struct NotAVersion(String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let text = text.trim();
        let mut numbers = Vec::new();
        for part in text.trim_start_matches(['v', 'V']).split('.').take(MAX_NUMBERS) {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            match part[..digits].parse() {
                Ok(number) => numbers.push(number),
                Err(_) => break,
            }
            if digits < part.len() {
                break;
            }
        }
        if numbers.is_empty() {
            return Err(NotAVersion(text.to_owned()));
        }
        Ok(Self {
            numbers,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// `1.2` and `1.2.0` are the same version.
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let at = |version: &Self, n: usize| version.numbers.get(n).copied().unwrap_or(0);
        (0..length)
            .map(|n| at(self, n).cmp(&at(other, n)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// Which versions will do: `>=1.7, <2`. All parts must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    parts: Vec<(Comparison, Version)>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    More,
    AtMost,
    Less,
    Exactly,
}

/// Longest first, so that `>=` is not read as `>`.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    (">", Comparison::More),
    ("<", Comparison::Less),
    ("=", Comparison::Exactly),
];

/// Text that is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of versions: write comparisons with commas between them, such as `>=1.7, <2`")]
pub struct NotARange(String);

impl FromStr for VersionRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let wrong = || NotARange(text.to_owned());
        let parts = text
            .split(',')
            .map(|part| {
                let part = part.trim();
                let (sign, comparison) = COMPARISONS
                    .iter()
                    .find(|(sign, _)| part.starts_with(sign))
                    .ok_or_else(wrong)?;
                let version = part[sign.len()..].parse().map_err(|_| wrong())?;
                Ok((*comparison, version))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            parts,
            text: text.trim().to_owned(),
        })
    }
}

impl VersionRange {
    /// Whether the version is in the range.
    pub fn matches(&self, version: &Version) -> bool {
        self.parts.iter().all(|(comparison, bound)| match comparison {
            Comparison::AtLeast => version >= bound,
            Comparison::More => version > bound,
            Comparison::AtMost => version <= bound,
            Comparison::Less => version < bound,
            Comparison::Exactly => version == bound,
        })
    }

    /// Whether the version is below the range: an update would help.
    pub fn is_above(&self, version: &Version) -> bool {
        self.parts.iter().any(|(comparison, bound)| match comparison {
            Comparison::AtLeast | Comparison::Exactly => version < bound,
            Comparison::More => version <= bound,
            Comparison::AtMost | Comparison::Less => false,
        })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for VersionRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_by_their_numbers_whatever_follows() {
        for (older, newer) in [("1.9.4", "1.10"), ("2.9", "2.10"), ("0.59.1", "1"), ("4.03c", "4.04c")] {
            assert!(version(older) < version(newer), "{older} {newer}");
        }
        assert_eq!(version("v1.2"), version("1.2.0-rc1"));
        assert!("unknown".parse::<Version>().is_err());
    }

    #[test]
    fn a_range_holds_when_all_its_parts_hold() {
        let range: VersionRange = ">=1.7, <2".parse().unwrap();
        for (text, matches, too_old) in [
            ("1.7", true, false),
            ("1.9.4", true, false),
            ("1.6.9", false, true),
            ("2.0", false, false),
        ] {
            assert_eq!(range.matches(&version(text)), matches, "{text}");
            assert_eq!(range.is_above(&version(text)), too_old, "{text}");
        }
        for wrong in ["", "1.7", ">=", ">=1,", "~1.2"] {
            assert!(wrong.parse::<VersionRange>().is_err(), "{wrong}");
        }
    }
}
