//! Merging the reports of a run's steps into one report and its SARIF, with what the target says of its findings.

use helve_blobs::{BlobStore, Control, UnpackError, UnpackLimits, peek};
use helve_findings::sarif::{self, SarifOptions};
use helve_findings::{
    Annotator, Confidence, Finding, Location, ModuleReport, Notification, NotificationLevel, Region, Report, Rule,
    Severity, Status, merge,
};
use helve_modules::secrets::Masker;
use helve_toolbox::run::{BlobRef, ReportInput, ReportOutput, StepReport, StepStatus, TargetRef};
use serde::de::DeserializeOwned;

use crate::StepError;

/// Media type of a merged report.
const REPORT_TYPE: &str = "application/vnd.helve.report+json";
/// Media type of SARIF.
const SARIF_TYPE: &str = "application/sarif+json";

/// Where the reports of a run go together.
pub(crate) struct Reporting<'a> {
    pub(crate) blobs: &'a BlobStore,
    /// What may not be shown.
    pub(crate) masker: &'a Masker,
    /// What the target may expand to while it is read.
    pub(crate) unpack: &'a UnpackLimits,
    pub(crate) run_id: &'a str,
    /// When the report was asked for, in seconds of Unix time: retries come to the same result.
    pub(crate) asked_at: i64,
}

/// Merges and stores. Blocking.
pub(crate) fn report(place: &Reporting<'_>, input: &ReportInput) -> Result<ReportOutput, StepError> {
    let Reporting { blobs, run_id, .. } = *place;
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
    let mut report = annotated(merge(reports), input.target.as_ref(), place);
    // What the steps reported is masked already. What the workflow found, why steps failed and what the target says of its
    // findings is not; and fingerprints are computed by now.
    place.masker.merged(&mut report);
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

/// Adds the suppressions and the owners that the target names. A target that cannot be read costs only these: nothing is
/// suppressed then, and the report says so.
fn annotated(report: Report, target: Option<&TargetRef>, place: &Reporting<'_>) -> Report {
    let Some(target) = target else { return report };
    let mut annotator = Annotator::new(report.clone(), place.asked_at);
    match look(target, place, &mut annotator) {
        Ok(()) => annotator.finish(),
        Err(reason) => report.with_notifications([Notification {
            level: NotificationLevel::Note,
            message: format!("the target's suppressions and owners have no effect, since it cannot be read: {reason}"),
            path: None,
        }]),
    }
}

fn look(target: &TargetRef, place: &Reporting<'_>, annotator: &mut Annotator) -> Result<(), String> {
    let id = target
        .id
        .parse()
        .map_err(|error: helve_blobs::InvalidId| error.to_string())?;
    let most = Annotator::MAX_FILE_BYTES;
    let annotator = std::cell::RefCell::new(annotator);
    let wanted = |path: &str| annotator.borrow().wants(path);
    let mut take = |path: &str, content: Option<&[u8]>| match content {
        Some(content) => annotator.borrow_mut().read(path, content),
        None => annotator
            .borrow_mut()
            .skipped(path, &format!("longer than {} MiB", most >> 20)),
    };
    peek(
        place.blobs,
        &id,
        place.unpack,
        most,
        &Control::none(),
        &wanted,
        &mut take,
    )
    .map_err(|error: UnpackError| error.to_string())
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
    use std::sync::LazyLock;

    use helve_toolbox::run::EmittedFinding;

    use super::*;
    use crate::modules::shipped_masker;

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

    const LIMITS: &UnpackLimits = &UnpackLimits {
        entries: 100,
        file_bytes: 1 << 20,
        total_bytes: 1 << 20,
        ratio: 1_000,
        ratio_floor: 1 << 20,
        depth: 16,
        path_bytes: 1_000,
    };

    /// On 2026-11-22.
    fn at(blobs: &BlobStore) -> Reporting<'_> {
        static MASKER: LazyLock<Masker> = LazyLock::new(|| shipped_masker().unwrap());
        Reporting {
            blobs,
            masker: &MASKER,
            unpack: LIMITS,
            run_id: "run-1",
            asked_at: 1_795_305_600,
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
        let output = report(&at(&blobs), &input(vec![failed])).unwrap();
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
        let output = report(&at(&blobs), &input(steps.into())).unwrap();
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
        let output = report(&at(&blobs), &input).unwrap();
        assert_eq!((output.total, output.by_severity["high"]), (2, 2));
        let sarif: serde_json::Value = read(&blobs, &output.sarif).unwrap();
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "assessment/stale");
    }

    #[test]
    fn secrets_in_what_workflows_find_and_steps_fail_with_are_masked_and_fingerprints_stay() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
        let found = EmittedFinding {
            rule: "stale".into(),
            severity: "high".into(),
            message: format!("{token} is old."),
            path: "a.txt".into(),
            line: Some(3),
        };
        let failed = StepStatus::Failed {
            reason: format!("it said {token}"),
        };
        let input = ReportInput {
            findings: vec![found],
            ..input(vec![step("sast", failed, None)])
        };
        let unmasked = merge([of_workflow(&input)]);
        let output = report(&at(&blobs), &input).unwrap();
        for blob in [&output.report, &output.sarif] {
            let text = String::from_utf8(blobs.get(&blob.id.parse().unwrap()).unwrap()).unwrap();
            assert!(!text.contains(&token) && text.contains("ghp_********A5"), "{text}");
        }
        let report: helve_findings::Report = read(&blobs, &output.report).unwrap();
        assert_eq!(report.findings()[0].fingerprint, unmasked.findings()[0].fingerprint);
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
            &at(&blobs),
            &input(vec![step("sast", StepStatus::Completed, Some(gone))]),
        )
        .unwrap_err();
        assert!(error.is_retryable(), "another worker may have it: {error}");
    }

    /// A run whose workflow found something in `a.txt` of a target with these files.
    fn of_target(files: &[(&str, &str)]) -> helve_findings::Report {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for (path, text) in files {
            let path = tree.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let blobs = BlobStore::open(dir.path().join("blobs")).unwrap();
        let packed = helve_blobs::pack(&tree, &Default::default(), &blobs, &Control::none()).unwrap();
        let found = EmittedFinding {
            rule: "stale".into(),
            severity: "high".into(),
            message: "Old.".into(),
            path: "a.txt".into(),
            line: Some(1),
        };
        let input = ReportInput {
            target: Some(TargetRef {
                id: packed.id.to_string(),
                name: "tree".into(),
            }),
            findings: vec![found],
            ..input(Vec::new())
        };
        let output = report(&at(&blobs), &input).unwrap();
        let report: helve_findings::Report = read(&blobs, &output.report).unwrap();
        assert_eq!(output.total, report.total());
        report
    }

    #[test]
    fn what_the_target_says_of_its_findings_is_in_the_report() {
        let suppressions = "suppressions: [{rule: assessment/stale, reason: kept on purpose}]";
        for (files, decided) in [
            (vec![("a.txt", "x")], 0),
            (vec![("a.txt", "x"), (".helve/suppressions.yaml", suppressions)], 1),
            (vec![("a.txt", "x # helve:ignore assessment/stale")], 1),
        ] {
            assert_eq!(of_target(&files).suppressed(), decided, "{files:?}");
        }
        let owned = of_target(&[("a.txt", "x"), (".github/CODEOWNERS", "*.txt @writers")]);
        assert_eq!(owned.findings()[0].owners, ["@writers"]);
    }

    #[test]
    fn a_target_that_cannot_be_read_suppresses_nothing_and_the_report_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let target = TargetRef {
            id: "0".repeat(64),
            name: "gone".into(),
        };
        let input = ReportInput {
            target: Some(target),
            ..input(Vec::new())
        };
        let output = report(&at(&blobs), &input).unwrap();
        let report: helve_findings::Report = read(&blobs, &output.report).unwrap();
        assert!(
            report.notifications[0]
                .message
                .starts_with("the target's suppressions and owners have no effect")
        );
    }
}
