//! What a finished run says, as it is given to the index.

use std::collections::BTreeMap;

use helve_findings::{Finding, Notification, NotificationLevel, Report, Rule, Status, SuppressionKind};

use crate::{
    findings::{SuppressedBy, Suppression},
    time::Time,
};

/// What a finished run says of its target.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The namespace of the run.
    pub namespace: String,
    /// What the user called the target: its name, path or address. The same name is the same target, whatever its content.
    pub target: String,
    /// The name of the workflow.
    pub workflow: String,
    /// The run. Within a namespace it is ingested once.
    pub run_id: String,
    /// When the run closed. This, not the time of the ingest, is the order of runs.
    pub at: Time,
    /// How the run ended, for webhooks: `completed`, `failed`, `cancelled`.
    pub outcome: String,
    /// What was looked at.
    pub looks: Vec<ModuleLook>,
    /// Paths that no module could look at (a file, or a folder with all below).
    pub skipped: Vec<String>,
    /// The rules of the findings, and others that ran.
    pub rules: Vec<Rule>,
    /// What was found. Of findings with the same fingerprint the first counts.
    pub findings: Vec<ReportedFinding>,
}

/// Whether a module could look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleLook {
    /// The module.
    pub module: String,
    /// Whether it looked at everything but `skipped`. If not, nothing that is missing is called fixed.
    pub could_look: bool,
    /// Paths that it could not look at (a file, or a folder with all below): nothing in there is called fixed.
    pub skipped: Vec<String>,
}

/// A finding of a run, with what the module does not know.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedFinding {
    /// The finding, fingerprinted and redacted.
    pub finding: Finding,
    /// Who is to look after it: the first owner that the target names.
    pub owner: Option<String>,
    /// That the target says to leave it out.
    pub suppression: Option<Suppression>,
    /// Whether it is a crash that a fuzzer found: its webhooks have an event of their own.
    pub is_crash: bool,
}

impl RunReport {
    /// What a merged report says.
    ///
    /// A module looked if it says so. Warnings and errors that name a path are paths that were skipped; one without a path may
    /// be about anything, so that module did not look everywhere.
    pub fn new(
        namespace: impl Into<String>,
        target: impl Into<String>,
        workflow: impl Into<String>,
        run_id: impl Into<String>,
        at: Time,
        report: Report,
    ) -> Self {
        let (skipped, _) = skipped(&report.notifications);
        let (mut looks, mut findings) = (Vec::new(), Vec::new());
        let mut rules = BTreeMap::new();
        for module in report.modules {
            let (paths, is_vague) = self::skipped(&module.notifications);
            looks.push(ModuleLook {
                module: module.module,
                could_look: module.status == Status::Completed && !is_vague,
                skipped: paths,
            });
            rules.extend(module.rules.into_iter().map(|rule| (rule.id.clone(), rule)));
            findings.extend(module.findings.into_iter().map(ReportedFinding::from));
        }
        RunReport {
            namespace: namespace.into(),
            target: target.into(),
            workflow: workflow.into(),
            run_id: run_id.into(),
            at,
            outcome: "completed".to_owned(),
            looks,
            skipped,
            rules: rules.into_values().collect(),
            findings,
        }
    }

    /// The same, with the owner of each finding as this function says by its path.
    #[must_use]
    pub fn with_owners(mut self, owner: impl Fn(&str) -> Option<String>) -> Self {
        for reported in &mut self.findings {
            reported.owner = owner(&reported.finding.location.path);
        }
        self
    }

    /// The same, with the findings suppressed that this function says.
    #[must_use]
    pub fn with_suppressions(mut self, suppression: impl Fn(&Finding) -> Option<Suppression>) -> Self {
        for reported in &mut self.findings {
            reported.suppression = suppression(&reported.finding);
        }
        self
    }
}

impl From<Finding> for ReportedFinding {
    fn from(finding: Finding) -> Self {
        ReportedFinding {
            is_crash: finding.rule_id.split(['/', '-', '.', '_']).any(|word| word == "crash"),
            owner: finding.owners.first().cloned(),
            suppression: finding.suppressions.first().map(Suppression::from),
            finding,
        }
    }
}

impl From<&helve_findings::Suppression> for Suppression {
    fn from(said: &helve_findings::Suppression) -> Self {
        Suppression {
            by: match said.kind {
                SuppressionKind::InSource => SuppressedBy::Inline,
                SuppressionKind::External => SuppressedBy::File,
            },
            reason: said.reason.clone(),
        }
    }
}

/// The paths that were not looked at, and whether there is something without a path.
fn skipped(notifications: &[Notification]) -> (Vec<String>, bool) {
    let doubts = || {
        notifications
            .iter()
            .filter(|note| note.level != NotificationLevel::Note)
    };
    let mut paths: Vec<String> = doubts().filter_map(|note| note.path.clone()).collect();
    paths.sort();
    paths.dedup();
    (paths, doubts().any(|note| note.path.is_none()))
}

#[cfg(test)]
mod tests {
    use helve_findings::{Annotator, Confidence, Location, ModuleReport, Region, Severity, merge};

    use super::*;

    #[test]
    fn what_the_target_says_of_a_finding_comes_along() {
        let rule = Rule {
            id: "sast/eval".to_owned(),
            name: "Eval".to_owned(),
            description: String::new(),
            severity: Severity::High,
            confidence: Confidence::High,
            cwe: vec![95],
            tags: Vec::new(),
            remediation: String::new(),
            references: Vec::new(),
        };
        let at = |line| Region {
            start_line: line,
            start_column: 1,
            end_line: line,
            end_column: 5,
        };
        let mut module = ModuleReport::new("sast", "1");
        module.findings = [1, 2]
            .map(|line| {
                Finding::new(
                    &rule,
                    "sast",
                    "Eval",
                    Location::region("a.py", at(line)),
                    format!("{line}"),
                )
            })
            .into();
        module.rules.push(rule);
        let mut annotator = Annotator::new(merge([module]), 0);
        annotator.read("a.py", b"eval(1)  # helve:ignore sast/eval ours\neval(2)\n");
        annotator.read("CODEOWNERS", b"*.py @org/a @org/b\n");
        let run = RunReport::new(
            "default",
            "app",
            "scan",
            "run-1",
            Time::from_millis(0),
            annotator.finish(),
        );
        let suppressions: Vec<_> = run
            .findings
            .iter()
            .map(|reported| reported.suppression.clone())
            .collect();
        let ours = Suppression {
            by: SuppressedBy::Inline,
            reason: Some("ours".to_owned()),
        };
        assert_eq!(suppressions, [Some(ours), None]);
        assert!(
            run.findings
                .iter()
                .all(|reported| reported.owner.as_deref() == Some("@org/a"))
        );
    }
}
