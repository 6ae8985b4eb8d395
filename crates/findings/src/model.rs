//! What a module says about a target: rules, findings, and what it could not look at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Confidence, Severity, Suppression};

/// A point in a text file: line and column, both from 1; columns count Unicode code points.
pub type Position = (u32, u32);

/// A stretch of a text file. Lines and columns start at 1, columns count Unicode code points, and `end_column` is the
/// first column *after* the stretch (SARIF's convention).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    /// First line.
    pub start_line: u32,
    /// First column of the first line.
    pub start_column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last one, on the last line.
    pub end_column: u32,
}

impl Region {
    /// Where the region begins.
    pub const fn start(&self) -> Position {
        (self.start_line, self.start_column)
    }

    /// Where the region has ended.
    pub const fn end(&self) -> Position {
        (self.end_line, self.end_column)
    }

    /// Whether the two regions share at least one character, or one is empty and touches the other.
    pub fn overlaps(&self, other: &Region) -> bool {
        let (first, second) = if self.start() <= other.start() {
            (self, other)
        } else {
            (other, self)
        };
        second.start() < first.end() || second.start() == first.start()
    }
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Path relative to the target, with forward slashes.
    pub path: String,
    /// The stretch of the file; none when the finding is about the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The text there, without secrets wherever the report is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

impl Location {
    /// A stretch of a file, without a snippet.
    pub fn region(path: impl Into<String>, region: Region) -> Self {
        Location {
            path: path.into(),
            region: Some(region),
            snippet: None,
        }
    }

    /// A whole file.
    pub fn file(path: impl Into<String>) -> Self {
        Location {
            path: path.into(),
            region: None,
            snippet: None,
        }
    }
}

/// A check that a module can make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Unique across modules: `secrets/aws-access-key-id`, `sast/python-eval-injection`.
    pub id: String,
    /// A short title for people.
    pub name: String,
    /// What the rule looks for and why it matters, in Markdown.
    pub description: String,
    /// Default severity of its findings.
    pub severity: Severity,
    /// Default confidence of its findings.
    pub confidence: Confidence,
    /// Weakness numbers of the Common Weakness Enumeration, most specific first.
    #[serde(default)]
    pub cwe: Vec<u32>,
    /// Free labels (`python`, `injection`).
    #[serde(default)]
    pub tags: Vec<String>,
    /// What to do about a finding, in Markdown.
    #[serde(default)]
    pub remediation: String,
    /// Web addresses to read more.
    #[serde(default)]
    pub references: Vec<String>,
}

/// One weakness at one place.
///
/// Modules fill everything but `occurrence`, `fingerprint` and `duplicates`, which [`crate::merge`] computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the [`Rule`] that matched.
    pub rule_id: String,
    /// Name of the module that reported it.
    pub module: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the module is.
    pub confidence: Confidence,
    /// One or two sentences for people; never contains a raw secret.
    pub message: String,
    /// Where it is.
    pub location: Location,
    /// What the fingerprint recognises the finding by: [`crate::code_anchor`] of the matched code or
    /// [`crate::secret_anchor`] of the secret. Plain text is accepted and sealed by [`crate::merge`].
    pub anchor: String,
    /// Rank among equal findings (same rule, file and anchor), in file order, from 0.
    #[serde(default)]
    pub occurrence: u32,
    /// Stable identity, 32 hexadecimal digits; empty until [`crate::finish`] or [`crate::merge`] ran.
    #[serde(default)]
    pub fingerprint: String,
    /// What to do here, when it differs from the rule's remediation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// Small facts for machines (entropy, decoding chain, captured names); never contains a raw secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Value>,
    /// The same weakness as other modules reported it. Never nested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Finding>,
    /// Why the finding does not count, if somebody accepted it. It stays in the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<Suppression>,
    /// Who answers for the file, as the target's CODEOWNERS says: `@user`, `@org/team` or an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Whether the baseline has it, when the report was compared with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineState>,
}

/// How a finding relates to an earlier report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselineState {
    /// The earlier report does not have it.
    New,
    /// The earlier report has it, too.
    Unchanged,
}

impl BaselineState {
    /// The lowercase name used in every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            BaselineState::New => "new",
            BaselineState::Unchanged => "unchanged",
        }
    }
}

impl Finding {
    /// A finding of `rule` with its defaults.
    pub fn new(
        rule: &Rule,
        module: impl Into<String>,
        message: impl Into<String>,
        location: Location,
        anchor: impl Into<String>,
    ) -> Self {
        Finding {
            rule_id: rule.id.clone(),
            module: module.into(),
            severity: rule.severity,
            confidence: rule.confidence,
            message: message.into(),
            location,
            anchor: anchor.into(),
            occurrence: 0,
            fingerprint: String::new(),
            remediation: None,
            properties: BTreeMap::new(),
            duplicates: Vec::new(),
            suppressions: Vec::new(),
            owners: Vec::new(),
            baseline: None,
        }
    }

    /// Whether somebody accepted it.
    pub fn is_suppressed(&self) -> bool {
        !self.suppressions.is_empty()
    }

    /// Whether it is a reason to act: not suppressed, and not in the baseline.
    pub fn counts(&self) -> bool {
        !self.is_suppressed() && self.baseline != Some(BaselineState::Unchanged)
    }

    /// Its fingerprint, then those of its duplicates.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        let duplicates = self.duplicates.iter().map(|other| other.fingerprint.as_str());
        std::iter::once(self.fingerprint.as_str()).chain(duplicates)
    }

    /// Ids of all the rules that reported this weakness, its own first.
    pub fn rule_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.rule_id.as_str()).chain(self.duplicates.iter().map(|other| other.rule_id.as_str()))
    }
}

/// How serious a [`Notification`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationLevel {
    /// Good to know; nothing was left out.
    Note,
    /// Something was not looked at.
    Warning,
    /// A part of the work failed.
    Error,
}

/// What a module could not look at, or what else a reader of its findings has to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Notification {
    /// How serious it is.
    pub level: NotificationLevel,
    /// What happened, for people.
    pub message: String,
    /// The file it is about, relative to the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Whether a module looked at all it was asked to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Status {
    /// Yes: no findings means clean.
    #[default]
    Completed,
    /// No: no findings means nothing.
    Inconclusive {
        /// Why, for people.
        reason: String,
    },
}

/// Everything one module says about one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleReport {
    /// The module's name.
    pub module: String,
    /// The module's version.
    pub version: String,
    /// Whether it could look.
    pub status: Status,
    /// The rules that ran, also those without findings.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What they found.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What they could not look at.
    #[serde(default)]
    pub notifications: Vec<Notification>,
}

impl ModuleReport {
    /// An empty, completed report.
    pub fn new(module: impl Into<String>, version: impl Into<String>) -> Self {
        ModuleReport {
            module: module.into(),
            version: version.into(),
            status: Status::Completed,
            rules: Vec::new(),
            findings: Vec::new(),
            notifications: Vec::new(),
        }
    }
}
