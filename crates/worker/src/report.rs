//! Merging the reports of a run's steps into one report and its SARIF.

use helve_blobs::BlobStore;
use helve_findings::sarif::{self, SarifOptions};
use helve_findings::{
    Confidence, Finding, Location, ModuleReport, Notification, NotificationLevel, Region, Rule, Severity, Status, merge,
};
use helve_toolbox::run::{BlobRef, ReportInput, ReportOutput, StepReport, StepStatus};
use serde::de::DeserializeOwned;

use crate::StepError;

/// Media type of a merged report.
const REPORT_TYPE: &str = "application/vnd.helve.report+json";
/// Media type of SARIF.
const SARIF_TYPE: &str = "application/sarif+json";

/// Merges and stores. Blocking.
pub(crate) fn report(blobs: &BlobStore, run_id: &str, input: &ReportInput) -> Result<ReportOutput, StepError> {
    let mut reports = Vec::with_capacity(input.steps.len());
    for step in &input.steps {
        reports.push(match &step.report {
            Some(blob) => read::<ModuleReport>(blobs, blob)?,
            None => without_report(step),
        });
    }
    if !input.findings.is_empty() {
        reports.push(of_workflow(input));
    }
    let report = merge(reports);
    let options = SarifOptions {
        category: Some(input.workflow.clone()),
        run_id: Some(run_id.to_owned()),
        ..SarifOptions::default()
    };
    let sarif = sarif::to_string(&report, &options);
    let store = |bytes: &[u8], media_type: &str| -> Result<BlobRef, StepError> {
        let stored = blobs.put_bytes(bytes)?;
        Ok(BlobRef {
            id: stored.id.to_string(),
            size: stored.size,
            media_type: media_type.to_owned(),
        })
    };
    let json = serde_json::to_vec(&report).map_err(|source| StepError::Json {
        what: "the report cannot be written as JSON".to_owned(),
        source,
    })?;
    Ok(ReportOutput {
        report: store(&json, REPORT_TYPE)?,
        sarif: store(sarif.as_bytes(), SARIF_TYPE)?,
        total: report.total(),
        by_severity: report
            .counts()
            .into_iter()
            .map(|(severity, count)| (severity.to_string(), count))
            .collect(),
    })
}

fn read<T: DeserializeOwned>(blobs: &BlobStore, blob: &BlobRef) -> Result<T, StepError> {
    let bytes = blobs.get(&blob.id.parse()?)?;
    serde_json::from_slice(&bytes).map_err(|source| StepError::Json {
        what: format!("the report {} cannot be read", blob.id),
        source,
    })
}

/// What the workflow itself found, as the report of a module of its name.
fn of_workflow(input: &ReportInput) -> ModuleReport {
    let mut report = ModuleReport::new(&input.workflow, &input.version);
    for found in &input.findings {
        let rule = Rule {
            id: format!("{}/{}", input.workflow, found.rule),
            name: found.rule.clone(),
            description: format!("A conclusion of the workflow `{}`.", input.workflow),
            severity: found.severity.parse().unwrap_or(Severity::Medium),
            confidence: Confidence::Medium,
            cwe: Vec::new(),
            tags: Vec::new(),
            remediation: String::new(),
            references: Vec::new(),
        };
        let location = match found.line {
            Some(line) => {
                let region = Region {
                    start_line: line,
                    start_column: 1,
                    end_line: line,
                    end_column: 1,
                };
                Location::region(&found.path, region)
            }
            None => Location::file(&found.path),
        };
        let finding = Finding::new(&rule, &input.workflow, &found.message, location, &found.message);
        report.findings.push(finding);
        if report.rules.iter().all(|known| known.id != rule.id) {
            report.rules.push(rule);
        }
    }
    report
}

/// A step that left no report did not look: the merged report must not read as "clean".
fn without_report(step: &StepReport) -> ModuleReport {
    let reason = match &step.status {
        StepStatus::Failed { reason } => format!("step `{}` failed: {reason}", step.step),
        StepStatus::Cancelled => format!("step `{}` was cancelled", step.step),
        StepStatus::Skipped { reason } => format!("step `{}` was skipped: {reason}", step.step),
        StepStatus::Inconclusive { reason } => reason.clone(),
        StepStatus::Completed => format!("step `{}` left no report", step.step),
    };
    ModuleReport {
        status: Status::Inconclusive { reason: reason.clone() },
        notifications: vec![Notification {
            level: NotificationLevel::Error,
            message: reason,
            path: None,
        }],
        ..ModuleReport::new(&step.module, "")
    }
}

#[cfg(test)]
mod tests {
    use helve_toolbox::run::EmittedFinding;

    use super::*;

    fn input(steps: Vec<StepReport>) -> ReportInput {
        ReportInput {
            workflow: "assessment".into(),
            version: "1".into(),
            digest: "0".into(),
            target: None,
            steps,
            findings: Vec::new(),
        }
    }

    fn step(step: &str, status: StepStatus, report: Option<BlobRef>) -> StepReport {
        StepReport {
            step: step.into(),
            module: step.into(),
            status,
            report,
        }
    }

    #[test]
    fn a_failed_step_makes_the_report_inconclusive_and_not_clean() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let failed = step(
            "sast",
            StepStatus::Failed {
                reason: "out of memory".into(),
            },
            None,
        );
        let output = report(&blobs, "run-1", &input(vec![failed])).unwrap();
        let report: helve_findings::Report = read(&blobs, &output.report).unwrap();
        assert_eq!(
            report.inconclusive().collect::<Vec<_>>(),
            [("sast", "step `sast` failed: out of memory")]
        );
        assert_eq!(output.total, 0);
    }

    #[test]
    fn reports_of_all_steps_are_merged_and_stored_with_their_sarif() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let store = |module: &str| {
            let stored = blobs
                .put_bytes(&serde_json::to_vec(&ModuleReport::new(module, "1")).unwrap())
                .unwrap();
            BlobRef {
                id: stored.id.to_string(),
                size: stored.size,
                media_type: crate::step::REPORT_TYPE.into(),
            }
        };
        let steps = ["sast", "secrets"].map(|name| step(name, StepStatus::Completed, Some(store(name))));
        let output = report(&blobs, "run-1", &input(steps.into())).unwrap();
        let sarif: serde_json::Value = read(&blobs, &output.sarif).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        assert_eq!(sarif["runs"].as_array().unwrap().len(), 2);
        assert_eq!(output.by_severity["critical"], 0);
    }

    #[test]
    fn what_the_workflow_itself_found_is_in_the_report() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let found = |path: &str| EmittedFinding {
            rule: "stale".into(),
            severity: "high".into(),
            message: "Old.".into(),
            path: path.into(),
            line: Some(3),
        };
        let input = ReportInput {
            findings: vec![found("a.txt"), found("b.txt")],
            ..input(Vec::new())
        };
        let output = report(&blobs, "run-1", &input).unwrap();
        assert_eq!((output.total, output.by_severity["high"]), (2, 2));
        let sarif: serde_json::Value = read(&blobs, &output.sarif).unwrap();
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "assessment/stale");
    }

    #[test]
    fn a_report_that_went_missing_is_an_error_and_not_an_empty_report() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let gone = BlobRef {
            id: "0".repeat(64),
            size: 1,
            media_type: String::new(),
        };
        let error = report(
            &blobs,
            "run-1",
            &input(vec![step("sast", StepStatus::Completed, Some(gone))]),
        )
        .unwrap_err();
        assert!(error.is_retryable(), "another worker may have it: {error}");
    }
}
