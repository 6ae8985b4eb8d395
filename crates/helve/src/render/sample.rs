//! A result to render in tests.

use std::collections::BTreeMap;

use helve_blobs::Skipped;
use helve_findings::{Report, Severity};
use helve_runs::{Gap, RunResult, TargetFacts};
use serde_json::Value;

/// A run with a bit of everything.
pub(crate) fn sample() -> RunResult {
    let skipped = |path: &str| Skipped {
        path: path.into(),
        reason: "x".into(),
    };
    RunResult {
        run_id: "assessment-1".into(),
        workflow: "assessment".into(),
        workflow_version: "1.0.0".into(),
        status: "completed",
        reason: None,
        engine: "embedded".into(),
        target: Some(TargetFacts {
            id: "00".into(),
            name: "app".into(),
            files: 12,
            bytes: 3400,
            forced: vec![".env".into()],
            forced_total: 1,
            ignored: 2,
            skipped: vec![skipped("a"), skipped("b"), skipped("c"), skipped("d")],
            skipped_total: 7,
        }),
        by_severity: BTreeMap::from([(Severity::Critical, 1), (Severity::Low, 2)]),
        inconclusive: vec![Gap {
            step: "sast".into(),
            reason: "could not parse 2 files".into(),
        }],
        duration_ms: Some(1500),
        ended: None,
        steps: vec![],
        report: Report::default(),
        has_report: true,
        output: Value::Null,
    }
}
