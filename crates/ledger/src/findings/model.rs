//! What the index knows of findings, in the words of its callers.

use std::{fmt, str::FromStr};

use helve_findings::{Confidence, Finding, Rule, Severity};
use serde::{Deserialize, Serialize};

use crate::{Actor, error::Error, time::Time};

macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The name used in every format.
            pub const fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| {
                    let known = Self::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
                    Error::invalid(format!("unknown {} `{text}`: use one of {known}", $what))
                })
            }
        }
    };
}

/// What the last run that had a say says of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// That run was the first to see it.
    New,
    /// It was seen again.
    StillThere,
    /// It looked where the finding was, with the module that had found it, and it is gone.
    Fixed,
    /// It was gone (or called fixed by somebody), and was seen again.
    Reopened,
}

named!(Status, "status", New => "new", StillThere => "still_there", Fixed => "fixed", Reopened => "reopened");

impl Status {
    /// Whether the finding is in the target, as far as is known.
    pub const fn is_there(self) -> bool {
        !matches!(self, Status::Fixed)
    }
}

/// What people decided about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Triage {
    /// Nothing yet.
    Open,
    /// It is true, and to be fixed.
    Confirmed,
    /// It is not true.
    FalsePositive,
    /// It is true, and left as it is, perhaps until a certain time.
    AcceptedRisk,
    /// Somebody says it is fixed. A later run that sees it opens it again.
    Fixed,
}

named!(
    Triage, "triage state",
    Open => "open", Confirmed => "confirmed", FalsePositive => "false_positive", AcceptedRisk => "accepted_risk",
    Fixed => "fixed"
);

impl Triage {
    /// Whether somebody still has to do something about it.
    pub const fn is_due(self) -> bool {
        matches!(self, Triage::Open | Triage::Confirmed)
    }
}

/// Where it is said that a finding is to be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedBy {
    /// In a file of suppressions in the target.
    File,
    /// In a comment beside the code.
    Inline,
}

named!(SuppressedBy, "way of suppression", File => "file", Inline => "inline");

/// That a finding is suppressed in the target itself, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Where it is said.
    pub by: SuppressedBy,
    /// The reason given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A run that saw a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The run.
    pub run_id: String,
    /// The time of the run.
    pub at: Time,
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingSummary {
    /// 32 hexadecimal digits made of namespace, target name and fingerprint.
    pub id: String,
    /// The finding's identity within its target.
    pub fingerprint: String,
    /// Name of the target.
    pub target: String,
    /// The workflow that saw it last.
    pub workflow: String,
    /// Id of the rule.
    pub rule: String,
    /// Title of the rule; its id if nobody told one.
    pub rule_name: String,
    /// The module that reported it last.
    pub module: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure the module is.
    pub confidence: Confidence,
    /// For people.
    pub message: String,
    /// The file, relative to the target.
    pub path: String,
    /// First line, if it is at one.
    pub line: Option<u32>,
    /// What the runs say.
    pub status: Status,
    /// What people say.
    pub triage: Triage,
    /// When the accepted risk ends.
    pub accepted_until: Option<Time>,
    /// Whether the target itself says to leave it out.
    pub suppressed: Option<SuppressedBy>,
    /// Who is to look after it.
    pub owner: Option<String>,
    /// The first run that saw it.
    pub first_seen: Sighting,
    /// The last one.
    pub last_seen: Sighting,
    /// Counts what happened to it (not mere sightings): for ETags, and what a triage is conditional on.
    pub version: i64,
}

/// All of a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingDetail {
    /// What lists show.
    #[serde(flatten)]
    pub summary: FindingSummary,
    /// What the last run that saw it reported. Long texts are cut.
    pub finding: Finding,
    /// Its rule.
    pub rule: Option<Rule>,
    /// Why the target says to leave it out.
    pub suppression: Option<Suppression>,
    /// What happened to it, newest first; at most [`MAX_HISTORY`] entries.
    pub history: Vec<FindingEvent>,
}

/// Entries of [`FindingDetail::history`] at most.
pub const MAX_HISTORY: usize = 200;

/// Something that happened to a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingEvent {
    /// When: the time of the run, or of the decision.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened to a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happened {
    /// A run saw it for the first time.
    New {
        /// The run.
        run_id: String,
    },
    /// A run looked for it and did not see it any more.
    Fixed {
        /// The run.
        run_id: String,
    },
    /// A run saw it again after it was gone.
    Reopened {
        /// The run.
        run_id: String,
    },
    /// A run saw it with another severity.
    SeverityChanged {
        /// The run.
        run_id: String,
        /// Before.
        from: Severity,
        /// Now.
        to: Severity,
    },
    /// The target says since this run that it is to be left out, or does not say it any more.
    SuppressionChanged {
        /// The run.
        run_id: String,
        /// How it is now.
        suppressed: Option<SuppressedBy>,
    },
    /// Somebody decided.
    Triaged {
        /// Who.
        by: Actor,
        /// Before.
        from: Triage,
        /// Now.
        to: Triage,
        /// When an accepted risk ends.
        until: Option<Time>,
        /// Why.
        comment: String,
    },
    /// Somebody said something.
    Commented {
        /// Who.
        by: Actor,
        /// What.
        comment: String,
    },
    /// The accepted risk ended, so it is open again.
    AcceptanceExpired,
}
