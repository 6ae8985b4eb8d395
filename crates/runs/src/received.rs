//! The result of a run, read back from the document that a server sends of it.

use helve_findings::Report;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::result::{Gap, RunResult, StepSummary, TargetFacts};
use crate::words::{Word, word};

/// What is read of the document of `helve run --json`. The findings come with the report.
#[derive(Debug, Clone, Deserialize)]
pub struct ResultDocument {
    run_id: String,
    workflow: String,
    workflow_version: String,
    #[serde(deserialize_with = "word")]
    status: Word,
    reason: Option<String>,
    engine: String,
    target: Option<TargetFacts>,
    summary: Summary,
    steps: Vec<StepSummary>,
    #[serde(default)]
    output: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Summary {
    inconclusive: Vec<Gap>,
    duration_ms: Option<u64>,
}

impl RunResult {
    /// Puts it together again: the document, the report of the run if it left one, and when it ended.
    pub fn received(document: ResultDocument, report: Option<Report>, ended: Option<Timestamp>) -> Self {
        let has_report = report.is_some();
        let report = report.unwrap_or_default();
        let report = report.with_notifications(document.target.iter().flat_map(TargetFacts::notifications));
        Self {
            by_severity: report.counts(),
            run_id: document.run_id,
            workflow: document.workflow,
            workflow_version: document.workflow_version,
            status: document.status,
            reason: document.reason,
            engine: document.engine,
            target: document.target,
            inconclusive: document.summary.inconclusive,
            duration_ms: document.summary.duration_ms,
            ended,
            steps: document.steps,
            report,
            has_report,
            output: document.output,
        }
    }
}

#[cfg(test)]
mod tests {
    use helve_blobs::Skipped;
    use helve_findings::{Confidence, Finding, Location, ModuleReport, Rule, Severity, merge};
    use helve_toolbox::run::StepState;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_that_went_over_the_wire_is_the_same_document() {
        let rule = Rule {
            id: "m/r".into(),
            name: "r".into(),
            description: String::new(),
            severity: Severity::High,
            confidence: Confidence::Low,
            cwe: vec![],
            tags: vec![],
            remediation: String::new(),
            references: vec![],
        };
        let mut module = ModuleReport::new("m", "1");
        module
            .findings
            .push(Finding::new(&rule, "m", "Bad.", Location::file("a.py"), "x"));
        let report = merge(vec![module]);
        let target = TargetFacts {
            name: "app".into(),
            skipped: vec![Skipped {
                path: "b".into(),
                reason: "cannot be read".into(),
            }],
            skipped_total: 3,
            ..TargetFacts::default()
        };
        let sent = RunResult {
            run_id: "assessment-1".into(),
            workflow: "assessment".into(),
            workflow_version: "1".into(),
            status: "completed",
            reason: None,
            engine: "embedded".into(),
            inconclusive: vec![Gap {
                step: "s".into(),
                reason: "no tool".into(),
            }],
            duration_ms: Some(7),
            ended: None,
            steps: vec![StepSummary {
                id: "s".into(),
                uses: "m".into(),
                status: StepState::Inconclusive,
                reason: Some("no tool".into()),
                attempts: 1,
                duration_ms: Some(5),
                findings: 1,
            }],
            by_severity: report.counts(),
            report: report.clone().with_notifications(target.notifications()),
            target: Some(target),
            has_report: true,
            output: json!({"grade": "B"}),
        };
        let document = serde_json::from_value(sent.to_json()).unwrap();
        let report: Report = serde_json::from_value(json!(report)).unwrap();
        let received = RunResult::received(document, Some(report), None);
        assert_eq!(received.to_json(), sent.to_json());
        assert!(received.has_report);
    }

    #[test]
    fn a_run_without_a_report_has_none_afterwards() {
        let document = json!({
            "run_id": "r", "workflow": "w", "workflow_version": "1", "status": "terminated", "reason": "enough",
            "engine": "embedded", "target": null, "summary": {"inconclusive": [], "duration_ms": null},
            "steps": [], "findings": [], "notifications": [], "output": null,
        });
        let result = RunResult::received(serde_json::from_value(document).unwrap(), None, None);
        assert_eq!((result.status, result.has_report), ("terminated", false));
    }
}
