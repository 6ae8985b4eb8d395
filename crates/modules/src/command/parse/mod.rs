//! Formats of findings. A parser reads what is there and says what it could not read; it judges nothing.

mod classes;
mod crashes;
mod json;
mod junit;
mod lines;
mod path;
mod sarif;

use std::collections::BTreeMap;

use helve_findings::{Confidence, Severity, Suppression};
use helve_toolbox::command::Format;

use super::place::RawPlace;

/// What a document says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) findings: Vec<RawFinding>,
    pub(crate) rules: Vec<RawRule>,
    /// What the tool says that it did not look at.
    pub(crate) gaps: Vec<String>,
}

/// A finding as a tool says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawFinding {
    pub(crate) rule: Option<String>,
    pub(crate) message: String,
    pub(crate) place: RawPlace,
    pub(crate) severity: Option<Severity>,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) cwe: Vec<u32>,
    /// Places that led there, the innermost first: the first one in the target counts where `place` is outside of it.
    pub(crate) stack: Vec<RawPlace>,
    /// What it is recognised by, where that is not the text at its place: equal ones are one finding.
    pub(crate) identity: Option<String>,
    /// Files that show it.
    pub(crate) inputs: Vec<String>,
    /// Why it does not count, if the tool says that somebody accepted it.
    pub(crate) accepted: Option<Suppression>,
}

/// A rule as a tool describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawRule {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) severity: Option<Severity>,
    pub(crate) confidence: Option<Confidence>,
    pub(crate) cwe: Vec<u32>,
    pub(crate) tags: Vec<String>,
    pub(crate) remediation: String,
    pub(crate) references: Vec<String>,
}

/// A format, ready to read.
pub(crate) enum Parser {
    Sarif,
    Json(json::Json),
    Lines(lines::Lines),
    Junit,
    Crashes,
}

impl Parser {
    pub(crate) fn new(format: &Format) -> Result<Self, String> {
        Ok(match format {
            Format::Sarif => Self::Sarif,
            Format::Junit => Self::Junit,
            Format::Crashes => Self::Crashes,
            Format::Json(format) => Self::Json(json::Json::new(format)?),
            Format::Lines(format) => Self::Lines(lines::Lines::new(format)?),
        })
    }

    /// Reads a document. An error means that it is not of this format.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Result<Parsed, String> {
        match self {
            Self::Sarif => sarif::parse(bytes),
            Self::Json(json) => json.parse(bytes),
            Self::Lines(lines) => Ok(lines.parse(bytes)),
            Self::Junit => junit::parse(bytes),
            Self::Crashes => Ok(crashes::parse(bytes)),
        }
    }
}

/// A tool's word for a severity.
fn severity(word: &str, words: &BTreeMap<String, String>) -> Option<Severity> {
    let word = word.trim().to_lowercase();
    if let Some(ours) = words.get(&word) {
        return ours.parse().ok();
    }
    match word.as_str() {
        "critical" | "fatal" => Some(Severity::Critical),
        "high" | "error" => Some(Severity::High),
        "medium" | "moderate" | "warning" | "warn" => Some(Severity::Medium),
        "low" => Some(Severity::Low),
        "note" | "info" | "information" | "informational" | "style" => Some(Severity::Note),
        _ => None,
    }
}

/// A tool's word for a confidence.
fn confidence(word: &str) -> Option<Confidence> {
    match word.trim().to_lowercase().as_str() {
        "high" | "very-high" | "certain" => Some(Confidence::High),
        "medium" => Some(Confidence::Medium),
        "low" | "tentative" => Some(Confidence::Low),
        _ => None,
    }
}

/// The numbers in `CWE-79`, `external/cwe/cwe-079`, `CWE-119!/CWE-120`, `79`.
fn cwe(text: &str) -> Vec<u32> {
    let bare = text.trim();
    if let Ok(number) = bare.parse() {
        return if number > 0 { vec![number] } else { Vec::new() };
    }
    let lower = bare.to_lowercase();
    lower
        .match_indices("cwe-")
        .filter_map(|(at, _)| {
            let digits: String = lower[at + 4..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().filter(|number| *number > 0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weaknesses_are_read_however_they_are_written() {
        assert_eq!(cwe("external/cwe/cwe-079"), [79]);
        assert_eq!(cwe("CWE-119!/CWE-120"), [119, 120]);
        assert_eq!(cwe("CWE-78: OS Command Injection"), [78]);
        assert_eq!(cwe("78"), [78]);
        assert!(cwe("security").is_empty());
    }

    #[test]
    fn a_tools_own_words_go_before_the_usual_ones() {
        let words = BTreeMap::from([("error".to_owned(), "low".to_owned())]);
        assert_eq!(severity("Error", &words), Some(Severity::Low));
        assert_eq!(severity("WARNING", &words), Some(Severity::Medium));
        assert_eq!(severity("blue", &words), None);
    }
}
