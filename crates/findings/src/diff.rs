//! Two reports compared: what is new, what is still there, what is gone.
//!
//! Findings are the same when they share a fingerprint, their own or that of a duplicate: a module that joins later may
//! lead the finding, which stays what it was. What is gone is *fixed* only if somebody looked: when its module is missing
//! in the later report, could not look at everything, or skipped the file or a folder above it, nobody knows. A warning
//! that names no path may be about any.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{BaselineState, FINGERPRINT_KEY, Finding, Notification, NotificationLevel, Report, Status};

/// How a later report differs from an earlier one. Most severe first, then in file order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff<'a> {
    /// Only in the later report.
    pub new: Vec<&'a Finding>,
    /// In both, as the later one has them.
    pub unchanged: Vec<&'a Finding>,
    /// Only in the earlier report, and the later one looked.
    pub fixed: Vec<&'a Finding>,
    /// Only in the earlier report, but the later one did not look there.
    pub unknown: Vec<&'a Finding>,
}

/// Compares two reports. Suppressed findings take part as any other.
pub fn diff<'a>(before: &'a Report, after: &'a Report) -> Diff<'a> {
    let (old, now) = (Baseline::from(before), Baseline::from(after));
    let (unchanged, new) = after.findings().into_iter().partition(|finding| old.has(finding));
    let gone = before.findings().into_iter().filter(|finding| !now.has(finding));
    let (fixed, unknown) = gone.partition(|finding| looked(after, finding));
    Diff {
        new,
        unchanged,
        fixed,
        unknown,
    }
}

/// Whether one of the modules that reported the finding looked at its file again.
fn looked(report: &Report, finding: &Finding) -> bool {
    let path = finding.location.path.as_str();
    let is_above = |folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let skipped = |notifications: &[Notification]| {
        let gaps = notifications
            .iter()
            .filter(|notice| notice.level != NotificationLevel::Note);
        gaps.map(|notice| notice.path.as_deref())
            .any(|path| path.is_none_or(is_above))
    };
    let modules = std::iter::once(finding)
        .chain(&finding.duplicates)
        .map(|version| &version.module);
    let mut looked = modules
        .filter_map(|name| report.modules.iter().find(|module| module.module == *name))
        .filter(|module| module.status == Status::Completed && !skipped(&module.notifications));
    !skipped(&report.notifications) && looked.next().is_some()
}

/// The findings that an earlier report knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline(BTreeSet<String>);

/// A file that cannot serve as a baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is neither SARIF nor Helve's own document.
    #[error("it is neither SARIF nor a report of Helve")]
    UnknownFormat,
    /// Its results cannot be recognised again.
    #[error("{0} of its results have no fingerprint of Helve (`partialFingerprints` with the key `{FINGERPRINT_KEY}`)")]
    NoFingerprints(usize),
}

impl From<&Report> for Baseline {
    fn from(report: &Report) -> Self {
        let findings = report.modules.iter().flat_map(|module| &module.findings);
        Baseline(findings.flat_map(Finding::fingerprints).map(str::to_owned).collect())
    }
}

impl Baseline {
    /// Reads a file that Helve wrote: SARIF or JSON.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let document: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| BaselineError::NotJson(error.to_string()))?;
        let list = |value: &Value| value.as_array().cloned();
        let results: Vec<Value> = match (list(&document["runs"]), list(&document["findings"])) {
            (Some(runs), _) => runs.iter().filter_map(|run| list(&run["results"])).flatten().collect(),
            (_, Some(findings)) => findings,
            _ => return Err(BaselineError::UnknownFormat),
        };
        let mut known = BTreeSet::new();
        let mut without = 0;
        for result in &results {
            let own = result["partialFingerprints"][FINGERPRINT_KEY]
                .as_str()
                .or(result["fingerprint"].as_str());
            match own.filter(|text| !text.is_empty()) {
                Some(fingerprint) => known.insert(fingerprint.to_owned()),
                None => {
                    without += 1;
                    continue;
                }
            };
            let joined = result["properties"]["fingerprints"].as_array().into_iter().flatten();
            let duplicates = result["duplicates"].as_array().into_iter().flatten();
            let others = joined.chain(duplicates.map(|other| &other["fingerprint"]));
            known.extend(others.filter_map(Value::as_str).map(str::to_owned));
        }
        match without {
            0 => Ok(Baseline(known)),
            _ => Err(BaselineError::NoFingerprints(without)),
        }
    }

    /// Whether it knows the finding.
    pub fn has(&self, finding: &Finding) -> bool {
        finding.fingerprints().any(|fingerprint| self.0.contains(fingerprint))
    }

    /// Marks each finding of a report as new or unchanged.
    pub fn mark(&self, report: &mut Report) {
        for finding in report.modules.iter_mut().flat_map(|module| &mut module.findings) {
            finding.baseline = Some(match self.has(finding) {
                true => BaselineState::Unchanged,
                false => BaselineState::New,
            });
        }
    }
}
