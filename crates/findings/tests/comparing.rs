//! Reports compared: what is new, what stays, and what is fixed only because somebody looked.

mod common;

use common::{any_reports, finding, lines, report, rule};
use helve_findings::export::{About, Format, write};
use helve_findings::{
    Baseline, BaselineError, BaselineState, Finding, ModuleReport, Notification, NotificationLevel, Report, Status,
    diff, merge,
};
use proptest::prelude::*;

fn scan(codes: &[&str]) -> Report {
    merge([module(codes)])
}

fn module(codes: &[&str]) -> ModuleReport {
    let eval = rule("sast/eval", &[95]);
    let findings = codes
        .iter()
        .zip(1..)
        .map(|(code, line)| finding(&eval, "src/a.py", lines(line, line), code));
    report("sast", [eval.clone()], findings.collect())
}

fn lines_of(findings: &[&Finding]) -> Vec<u32> {
    findings
        .iter()
        .map(|finding| finding.location.region.unwrap().start_line)
        .collect()
}

#[test]
fn new_unchanged_and_fixed_are_told_by_the_code_and_not_by_the_line() {
    let (before, after) = (scan(&["x", "y"]), scan(&["new", "y"]));
    let diff = diff(&before, &after);
    assert_eq!(
        (lines_of(&diff.new), lines_of(&diff.unchanged), lines_of(&diff.fixed)),
        (vec![1], vec![2], vec![1])
    );
    assert!(diff.unknown.is_empty());
}

#[test]
fn what_nobody_looked_at_again_is_not_fixed() {
    let before = scan(&["x"]);
    let gone = |after: ModuleReport| {
        let after = merge([after]);
        let diff = diff(&before, &after);
        (diff.fixed.len(), diff.unknown.len())
    };
    assert_eq!(gone(module(&[])), (1, 0));
    let stopped = ModuleReport {
        status: Status::Inconclusive {
            reason: "out of memory".into(),
        },
        ..module(&[])
    };
    assert_eq!(gone(stopped), (0, 1), "the module could not finish");
    assert_eq!(
        gone(ModuleReport::new("secrets", "1")),
        (0, 1),
        "the module did not run"
    );
    let told = |level, path: Option<&str>| ModuleReport {
        notifications: vec![Notification {
            level,
            message: "x".into(),
            path: path.map(str::to_owned),
        }],
        ..module(&[])
    };
    assert_eq!(
        gone(told(NotificationLevel::Warning, Some("src/a.py"))),
        (0, 1),
        "the file was skipped"
    );
    assert_eq!(
        gone(told(NotificationLevel::Warning, Some("src"))),
        (0, 1),
        "its folder was skipped"
    );
    assert_eq!(
        gone(told(NotificationLevel::Error, None)),
        (0, 1),
        "something was skipped"
    );
    assert_eq!(
        gone(told(NotificationLevel::Warning, Some("src/a"))),
        (1, 0),
        "another file was skipped"
    );
    assert_eq!(
        gone(told(NotificationLevel::Note, Some("src/a.py"))),
        (1, 0),
        "nothing was skipped"
    );
}

#[test]
fn a_finding_stays_the_same_when_another_module_begins_to_report_it() {
    let before = scan(&["eval(x)"]);
    let other = rule("bandit/B307", &[95]);
    let mut leading = finding(&other, "src/a.py", lines(1, 1), "eval(x)");
    leading.severity = helve_findings::Severity::Critical;
    let after = merge([module(&["eval(x)"]), report("bandit", [other], vec![leading])]);
    assert_eq!(after.findings()[0].rule_id, "bandit/B307");
    assert_eq!(diff(&before, &after).unchanged.len(), 1);
    assert_eq!(diff(&after, &before).unchanged.len(), 1);
    let sarif = write(&after, Format::Sarif, &About::default());
    assert!(Baseline::parse(&sarif).unwrap().has(before.findings()[0]));
}

#[test]
fn only_new_findings_count_against_a_baseline() {
    let mut after = scan(&["x", "y"]);
    Baseline::from(&scan(&["x", "y"])).mark(&mut after);
    assert_eq!((after.worst(), after.total()), (None, 2));
    let mut after = scan(&["x", "new"]);
    Baseline::from(&scan(&["x"])).mark(&mut after);
    assert!(after.worst().is_some());
    let states: Vec<_> = after.findings().iter().map(|finding| finding.baseline).collect();
    assert_eq!(states, [Some(BaselineState::Unchanged), Some(BaselineState::New)]);
    let sarif: serde_json::Value = serde_json::from_str(&write(&after, Format::Sarif, &About::default())).unwrap();
    assert_eq!(sarif["runs"][0]["results"][1]["baselineState"], "new");
}

#[test]
fn a_file_that_cannot_be_a_baseline_is_refused() {
    assert!(matches!(Baseline::parse("x"), Err(BaselineError::NotJson(_))));
    assert_eq!(Baseline::parse("{}"), Err(BaselineError::UnknownFormat));
    let foreign = r#"{"version": "2.1.0", "runs": [{"results": [{"ruleId": "x"}, {"ruleId": "y"}]}]}"#;
    assert_eq!(Baseline::parse(foreign), Err(BaselineError::NoFingerprints(2)));
    assert_eq!(
        Baseline::parse(r#"{"runs": [{"results": []}]}"#),
        Ok(Baseline::default())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_written_is_a_baseline_for_what_it_was_written_from(reports in any_reports()) {
        let report = merge(reports);
        for format in [Format::Sarif, Format::Json] {
            let baseline = Baseline::parse(&write(&report, format, &About::default())).unwrap();
            prop_assert!(report.findings().iter().all(|finding| baseline.has(finding)));
        }
    }

    #[test]
    fn each_finding_of_both_reports_is_in_one_list(a in any_reports(), b in any_reports()) {
        let (before, after) = (merge(a), merge(b));
        let diff = diff(&before, &after);
        prop_assert_eq!(diff.new.len() + diff.unchanged.len(), after.findings().len());
        prop_assert!(diff.fixed.len() + diff.unknown.len() <= before.findings().len());
    }
}
