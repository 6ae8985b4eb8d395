//! Suppressions: why a finding does not count. They never remove it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Location;

/// Where a suppression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressionKind {
    /// In a comment beside the finding.
    InSource,
    /// Elsewhere: in the suppressions file, in a triage.
    External,
}

/// What was decided about a suppressed finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It is true, and somebody lives with it. What a suppression means that does not say.
    #[default]
    AcceptedRisk,
    /// It is not true.
    FalsePositive,
    /// It is true of the component and does not touch what uses it.
    NotAffected,
}

impl Decision {
    /// All decisions.
    pub const ALL: [Decision; 3] = [Decision::AcceptedRisk, Decision::FalsePositive, Decision::NotAffected];

    /// The name used in files and every format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Decision::AcceptedRisk => "accepted-risk",
            Decision::FalsePositive => "false-positive",
            Decision::NotAffected => "not-affected",
        }
    }
}

/// One reason why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Suppression {
    /// Where it is written.
    pub kind: SuppressionKind,
    /// What was decided.
    pub decision: Decision,
    /// Why, for people; a comment need not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who decided, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The place where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    /// The last day on which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
}

impl Suppression {
    /// `accepted-risk: only test data (alice, .helve/suppressions.yaml:3, until 2027-01-31)`, for people.
    pub fn summary(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was given");
        let mut facts: Vec<String> = self.by.iter().cloned().collect();
        facts.extend(self.place.as_ref().map(|place| match place.region {
            Some(region) => format!("{}:{}", place.path, region.start_line),
            None => place.path.clone(),
        }));
        facts.extend(self.expires.map(|date| format!("until {date}")));
        let facts = match facts.is_empty() {
            true => String::new(),
            false => format!(" ({})", facts.join(", ")),
        };
        format!("{}: {reason}{facts}", self.decision.as_str())
    }
}
