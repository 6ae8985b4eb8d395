//! The merged result of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Finding, ModuleReport, Notification, Rule, Severity, Status};

/// How many findings there are of each severity; every severity has a key, so that readers need no defaults.
pub type Counts = BTreeMap<Severity, u64>;

/// What all modules together say about a target: made by [`crate::merge`], sorted, without duplicates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// One entry per module, sorted by name; findings are in file order.
    pub modules: Vec<ModuleReport>,
    /// What no module could look at: parts of the target that could not be packed, modules that did not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
}

impl Report {
    /// Adds what no module could look at.
    pub fn with_notifications(mut self, notifications: impl IntoIterator<Item = Notification>) -> Self {
        self.notifications.extend(notifications);
        self.notifications.sort();
        self.notifications.dedup();
        self
    }

    /// All findings, most severe first, then in file order.
    pub fn findings(&self) -> Vec<&Finding> {
        let mut all: Vec<&Finding> = self.modules.iter().flat_map(|module| &module.findings).collect();
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.place().cmp(&b.place())));
        all
    }

    /// Every finding, module by module.
    fn each(&self) -> impl Iterator<Item = &Finding> {
        self.modules.iter().flat_map(|module| &module.findings)
    }

    /// Number of findings that nobody suppressed.
    pub fn total(&self) -> u64 {
        self.each().filter(|finding| !finding.is_suppressed()).count() as u64
    }

    /// Number of findings that somebody suppressed.
    pub fn suppressed(&self) -> u64 {
        self.each().filter(|finding| finding.is_suppressed()).count() as u64
    }

    /// Number of findings by severity, without suppressed ones.
    pub fn counts(&self) -> Counts {
        let mut counts: Counts = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
        for finding in self.each().filter(|finding| !finding.is_suppressed()) {
            *counts.entry(finding.severity).or_default() += 1;
        }
        counts
    }

    /// The worst severity among the findings that count: neither suppressed nor in the baseline.
    pub fn worst(&self) -> Option<Severity> {
        self.each()
            .filter(|finding| finding.counts())
            .map(|finding| finding.severity)
            .max()
    }

    /// The report as if nobody had suppressed anything.
    pub fn without_suppressions(mut self) -> Self {
        for finding in self.modules.iter_mut().flat_map(|module| &mut module.findings) {
            finding.suppressions.clear();
        }
        self
    }

    /// The rule with this id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.modules
            .iter()
            .flat_map(|module| &module.rules)
            .find(|rule| rule.id == id)
    }

    /// The modules that could not look at everything, with their reasons: for these, no findings is not "clean".
    pub fn inconclusive(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.iter().filter_map(|module| match &module.status {
            Status::Inconclusive { reason } => Some((module.module.as_str(), reason.as_str())),
            Status::Completed => None,
        })
    }
}
