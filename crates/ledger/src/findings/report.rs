//! What a finished run says, as it is given to the index.

use std::collections::BTreeMap;

use helve_findings::{Finding, Notification, NotificationLevel, Report, Rule, Status};

use crate::{findings::Suppression, time::Time};

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
    /// Who is to look after it.
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
            finding,
            owner: None,
            suppression: None,
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
