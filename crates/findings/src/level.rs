//! How bad a finding is and how sure we are of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How bad a finding is if it is true, from `note` (worth knowing) to `critical` (act now).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, not a weakness by itself.
    Note,
    /// A weakness that needs unusual circumstances to matter.
    Low,
    /// A weakness to plan a fix for.
    Medium,
    /// A weakness that an attacker can probably use.
    High,
    /// Act now: a live credential, remote code execution.
    Critical,
}

impl Severity {
    /// All severities, least severe first.
    pub const ALL: [Severity; 5] = [
        Severity::Note,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    /// The lowercase name used in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The score that code-scanning pages read as `security-severity`.
    ///
    /// GitHub translates: over 9.0 critical, 7.0 to 8.9 high, 4.0 to 6.9 medium, 0.1 to 3.9 low. Each value sits
    /// inside its band. A note has no band; SARIF leaves its score out.
    pub const fn security_severity(self) -> f32 {
        match self {
            Severity::Note => 0.0,
            Severity::Low => 3.0,
            Severity::Medium => 5.5,
            Severity::High => 8.0,
            Severity::Critical => 9.5,
        }
    }

    /// The SARIF level (`error`, `warning`, `note`) that shows this severity.
    pub const fn sarif_level(self) -> &'static str {
        match self {
            Severity::Note | Severity::Low => "note",
            Severity::Medium => "warning",
            Severity::High | Severity::Critical => "error",
        }
    }
}

/// How sure a rule is that a match is a real weakness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Often a false alarm; read before acting.
    Low,
    /// Usually right.
    Medium,
    /// Nearly always right.
    High,
}

impl Confidence {
    /// All confidences, least sure first.
    pub const ALL: [Confidence; 3] = [Confidence::Low, Confidence::Medium, Confidence::High];

    /// The lowercase name used in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{given}`: use one of {known}")]
pub struct UnknownName {
    kind: &'static str,
    given: String,
    known: &'static str,
}

impl UnknownName {
    pub(crate) fn new(kind: &'static str, given: &str, known: &'static str) -> Self {
        UnknownName {
            kind,
            given: given.to_owned(),
            known,
        }
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Severity::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownName::new("severity", text, "note, low, medium, high, critical"))
    }
}

impl FromStr for Confidence {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Confidence::ALL
            .into_iter()
            .find(|confidence| confidence.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownName::new("confidence", text, "low, medium, high"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
