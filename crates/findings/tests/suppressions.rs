//! Suppressions hold for what they name, are shown with their reasons, and are never dropped in silence.

mod common;

use common::{finding, lines, report, rule};
use helve_findings::export::{About, Format, write};
use helve_findings::{
    Annotator, Decision, Finding, ModuleReport, NotificationLevel, Report, SUPPRESSIONS_FILE, SuppressionKind, merge,
};
use serde_json::Value;

/// 2026-11-22.
const TODAY: i64 = 1_795_305_600;

fn modules() -> Vec<ModuleReport> {
    let (eval, exec, key) = (
        rule("sast/eval", &[95]),
        rule("sast/exec", &[78]),
        rule("secrets/key", &[798]),
    );
    vec![
        report(
            "sast",
            [eval.clone(), exec.clone()],
            vec![
                finding(&eval, "src/a.py", lines(2, 2), "eval(a)"),
                finding(&exec, "src/a.py", lines(4, 6), "exec(a)"),
                finding(&eval, "tests/b.py", lines(1, 1), "eval(b)"),
            ],
        ),
        report(
            "secrets",
            [key.clone()],
            vec![finding(&key, "src/a.py", lines(8, 8), "s1-abcd")],
        ),
    ]
}

fn annotated(files: &[(&str, &str)]) -> Report {
    let mut annotator = Annotator::new(merge(modules()), TODAY);
    for (path, text) in files {
        if annotator.wants(path) {
            annotator.read(path, text.as_bytes());
        }
    }
    annotator.finish()
}

/// Rule and line of the suppressed findings.
fn suppressed(report: &Report) -> Vec<(&str, u32)> {
    let findings = report.findings().into_iter().filter(|finding| finding.is_suppressed());
    findings
        .map(|finding| (finding.rule_id.as_str(), finding.location.region.unwrap().start_line))
        .collect()
}

fn notices(report: &Report) -> Vec<&str> {
    report
        .notifications
        .iter()
        .map(|notice| notice.message.as_str())
        .collect()
}

fn with_file(entries: &str) -> Report {
    annotated(&[(SUPPRESSIONS_FILE, &format!("suppressions:\n{entries}"))])
}

fn with_code(code: &str) -> Report {
    annotated(&[("src/a.py", code)])
}

#[test]
fn an_entry_holds_for_what_it_names_and_says_why() {
    let report = with_file(
        "  - rule: sast/eval\n    path: tests/\n    reason: Only test data\n    by: alice\n    expires: 2026-11-22\n    decision: false-positive\n",
    );
    assert_eq!(suppressed(&report), [("sast/eval", 1)]);
    assert!(report.notifications.is_empty());
    let findings = report.findings();
    let suppression = &findings
        .iter()
        .find(|finding| finding.is_suppressed())
        .unwrap()
        .suppressions[0];
    assert_eq!(suppression.kind, SuppressionKind::External);
    assert_eq!(suppression.decision, Decision::FalsePositive);
    assert_eq!(
        suppression.summary(),
        "false-positive: Only test data (alice, .helve/suppressions.yaml:2, until 2026-11-22)"
    );
}

#[test]
fn rules_may_be_modules_and_patterns_and_findings_may_be_named_alone() {
    assert_eq!(suppressed(&with_file("  - {rule: sast, reason: x}\n")).len(), 3);
    assert_eq!(
        suppressed(&with_file("  - {rule: 'sast/e*', path: src/**, reason: x}\n")).len(),
        2
    );
    assert_eq!(suppressed(&with_file("  - {path: '*.py', reason: x}\n")).len(), 4);
    let plain = merge(modules());
    let fingerprint = &plain.modules[0].findings[1].fingerprint;
    let report = with_file(&format!("  - {{fingerprint: {fingerprint}, reason: x}}\n"));
    assert_eq!(suppressed(&report), [("sast/exec", 4)]);
}

#[test]
fn what_is_suppressed_stays_in_the_report_and_does_not_count() {
    let plain = merge(modules());
    let report = with_file("  - {rule: sast, reason: x}\n");
    assert_eq!(report.findings().len(), plain.findings().len());
    assert_eq!((report.total(), report.suppressed()), (1, 3));
    assert_eq!(report.counts().values().sum::<u64>(), 1);
    let all = with_file("  - {path: '*', reason: x}\n");
    assert_eq!(all.worst(), None);
    assert_eq!(all.without_suppressions().worst(), plain.worst());
}

#[test]
fn an_expired_entry_has_no_effect_and_is_told() {
    let report = with_file("  - rule: sast\n    reason: until the rewrite\n    expires: 2026-11-21\n");
    assert!(suppressed(&report).is_empty());
    assert_eq!(
        notices(&report),
        ["line 4, column 14: it expired on 2026-11-21 (until the rewrite); the suppression has no effect"]
    );
    assert_eq!(report.notifications[0].path.as_deref(), Some(SUPPRESSIONS_FILE));
    assert_eq!(report.notifications[0].level, NotificationLevel::Note);
}

#[test]
fn a_wrong_entry_has_no_effect_is_told_with_its_place_and_the_others_hold() {
    for (entry, told) in [
        ("rule: sast", "line 2, column 5: it needs a `reason`"),
        ("{rule: sast, reason: ''}", "line 2, column 26: `reason` must be a text"),
        (
            "reason: x",
            "line 2, column 5: it needs a `rule`, a `path` or a `fingerprint`",
        ),
        (
            "{rule: sast, reasn: x}",
            "line 2, column 25: there is no key `reasn`: use rule, path",
        ),
        ("{rule: [a], reason: x}", "line 2, column 12: `rule` must be a text"),
        (
            "{path: '!a', reason: x}",
            "line 2, column 12: a pattern cannot begin with `!`",
        ),
        (
            "{rule: a, reason: x, expires: soon}",
            "line 2, column 35: `soon` is no date: write it as 2027-01-31",
        ),
        (
            "{rule: a, reason: x, expires: 2027-02-30}",
            "line 2, column 35: `2027-02-30` is no date",
        ),
        (
            "{rule: a, reason: x, decision: wontfix}",
            "line 2, column 36: `wontfix` is no decision: use one of accepted-risk",
        ),
        (
            "{fingerprint: abc, reason: x}",
            "line 2, column 19: `abc` is no fingerprint",
        ),
    ] {
        let report = with_file(&format!("  - {entry}\n  - {{rule: secrets, reason: x}}\n"));
        assert_eq!(suppressed(&report), [("secrets/key", 8)], "{entry}");
        let notices = notices(&report);
        assert!(
            notices.len() == 1 && notices[0].starts_with(told),
            "{entry}: {notices:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_suppresses_nothing_and_is_told() {
    for text in [
        "suppressions:\n  - rule: [\n",
        "suppress: []\n",
        "- rule: x\n",
        "\u{0}",
        "suppressions: 3\n",
    ] {
        let report = annotated(&[(SUPPRESSIONS_FILE, text)]);
        assert!(suppressed(&report).is_empty());
        let notices = notices(&report);
        assert_eq!(notices.len(), 1, "{text:?}");
        assert!(
            notices[0].starts_with("line ") && notices[0].contains("no suppression in the file has an effect"),
            "{notices:?}"
        );
    }
    assert!(
        annotated(&[(SUPPRESSIONS_FILE, "suppressions: []\n")])
            .notifications
            .is_empty()
    );
}

#[test]
fn a_comment_holds_for_its_line_or_for_the_code_below() {
    assert_eq!(
        suppressed(&with_code(
            "\neval(a)  # helve:ignore sast/eval read from our own file\n"
        )),
        [("sast/eval", 2)]
    );
    assert_eq!(
        suppressed(&with_code("# helve:ignore sast/eval\neval(a)\n")),
        [("sast/eval", 2)]
    );
    assert_eq!(
        suppressed(&with_code("\n\n\nexec(\n  a\n)  # helve:ignore sast/exec\n")),
        [("sast/exec", 4)]
    );
    assert!(
        suppressed(&with_code("x = 1  # helve:ignore\neval(a)\n")).is_empty(),
        "the line above has code"
    );
    assert!(
        suppressed(&with_code("\neval('helve:ignore')\n")).is_empty(),
        "no comment"
    );
    assert!(
        suppressed(&with_code("\neval(a)  # helve:ignored\n")).is_empty(),
        "another word"
    );
}

#[test]
fn a_comment_may_be_of_any_language() {
    for code in [
        "eval(a) // helve:ignore",
        "eval(a) /* helve:ignore sast/eval */",
        "<!-- helve:ignore sast/eval ours -->",
        "-- helve:ignore: sast/eval",
        "; helve:ignore",
        "% helve:ignore",
        "' helve:ignore eval",
        "REM helve:ignore sast",
        " * helve:ignore sast/other, sast/eval",
        "{# helve:ignore #}",
    ] {
        assert_eq!(suppressed(&with_code(&format!("\n{code}\n"))).len(), 1, "{code}");
    }
}

#[test]
fn a_comment_holds_for_the_rules_it_names_and_keeps_its_reason() {
    let reason = |comment: &str| {
        let report = with_code(&format!("\neval(a)  # {comment}\n"));
        let findings = report.findings();
        let found = findings.iter().find(|finding| finding.is_suppressed());
        found.map(|finding| finding.suppressions[0].reason.clone().unwrap_or_default())
    };
    assert_eq!(reason("helve:ignore").as_deref(), Some(""));
    assert_eq!(reason("helve:ignore only a demo").as_deref(), Some("only a demo"));
    assert_eq!(
        reason("helve:ignore sast/eval - reviewed in March").as_deref(),
        Some("reviewed in March")
    );
    assert_eq!(reason("helve:ignore eval, exec: reviewed").as_deref(), Some("reviewed"));
    assert_eq!(reason("helve:ignore secrets/key reviewed"), None);
    assert_eq!(reason("helve:ignore sast/exec"), None);
}

#[test]
fn a_secret_behind_the_mark_is_not_repeated_as_its_reason() {
    let key = rule("secrets/key", &[798]);
    let region = helve_findings::Region {
        start_line: 1,
        start_column: 30,
        end_line: 1,
        end_column: 38,
    };
    let mut annotator = Annotator::new(
        merge([report(
            "secrets",
            [key.clone()],
            vec![finding(&key, "a.py", region, "s1-abcd")],
        )]),
        TODAY,
    );
    annotator.read("a.py", b"# helve:ignore secrets/key p='hunter22'\n");
    let report = annotator.finish();
    let suppressions = &report.findings()[0].suppressions;
    assert_eq!((suppressions.len(), &suppressions[0].reason), (1, &None));
}

#[test]
fn a_comment_that_names_no_rule_of_the_run_is_told() {
    let report = with_code("\neval(a)  # helve:ignore sast/evil reviewed\n");
    assert!(suppressed(&report).is_empty());
    assert_eq!(
        notices(&report),
        ["line 2, column 12: no rule of this run is called sast/evil; the `helve:ignore` has no effect"]
    );
    assert!(
        with_code("\neval(a)  # helve:ignore bandit/B307\n")
            .notifications
            .is_empty(),
        "that module did not run"
    );
}

#[test]
fn marks_of_other_scanners_hold_where_they_mean_the_same() {
    let line_2 = |comment: &str| !suppressed(&with_code(&format!("\neval(a)  # {comment}\n"))).is_empty();
    assert!(line_2("nosec") && line_2("NOSONAR") && line_2("nosemgrep") && line_2("nosec reviewed"));
    assert!(
        !line_2("nosec B307") && !line_2("nosemgrep: some.rule"),
        "a rule of another tool"
    );
    assert!(!line_2("gitleaks:allow") && !line_2("diagnosecs"));
    let line_8 =
        |comment: &str| !suppressed(&with_code(&format!("{}key = 1  # {comment}\n", "\n".repeat(7)))).is_empty();
    assert!(line_8("gitleaks:allow") && line_8("pragma: allowlist secret") && line_8("noqa: S105"));
    assert!(!line_8("nosec") && !line_8("noqa"));
}

#[test]
fn one_weakness_is_one_decision_whoever_reported_it() {
    let (ours, theirs) = (rule("sast/eval", &[95]), rule("bandit/B307", &[78, 95]));
    let both = || {
        merge([
            report(
                "sast",
                [ours.clone()],
                vec![finding(&ours, "a.py", lines(1, 1), "eval(a)")],
            ),
            report(
                "bandit",
                [theirs.clone()],
                vec![finding(&theirs, "a.py", lines(1, 1), "eval(a)")],
            ),
        ])
    };
    for rule in ["sast/eval", "bandit/B307"] {
        let mut annotator = Annotator::new(both(), TODAY);
        annotator.read(
            SUPPRESSIONS_FILE,
            format!("suppressions: [{{rule: {rule}, reason: x}}]").as_bytes(),
        );
        assert_eq!(annotator.finish().total(), 0, "{rule}");
        let mut annotator = Annotator::new(both(), TODAY);
        annotator.read("a.py", format!("eval(a)  # helve:ignore {rule}").as_bytes());
        assert_eq!(annotator.finish().total(), 0, "{rule}");
    }
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let code = ("src/a.py", "\neval(a)  # helve:ignore\n");
    let file = (
        SUPPRESSIONS_FILE,
        "suppressions: [{rule: sast/eval, reason: x}, {rule: x}]",
    );
    let owners = (".github/CODEOWNERS", "* @all\n!a @x\n");
    assert_eq!(annotated(&[code, file, owners]), annotated(&[owners, file, code]));
    let report = annotated(&[code, file, owners]);
    let twice: &Finding = &report.modules[0].findings[0];
    assert_eq!(twice.suppressions.len(), 2, "each says why");
}

#[test]
fn owners_come_from_the_first_file_that_is_there() {
    let report = annotated(&[
        ("docs/CODEOWNERS", "* @docs"),
        (".github/CODEOWNERS", "* @all\n/src/ @org/src\n"),
        ("CODEOWNERS", "* @root"),
    ]);
    let owners: Vec<&str> = report
        .findings()
        .iter()
        .map(|finding| finding.owners[0].as_str())
        .collect();
    assert_eq!(owners, ["@org/src", "@org/src", "@org/src", "@all"]);
}

#[test]
fn sarif_has_suppressions_with_kind_justification_and_place() {
    let report = annotated(&[
        ("src/a.py", "\neval(a)  # helve:ignore sast/eval ours\n"),
        (
            SUPPRESSIONS_FILE,
            "suppressions:\n- {rule: sast/exec, reason: x, by: alice}\n",
        ),
    ]);
    let sarif: Value = serde_json::from_str(&write(&report, Format::Sarif, &About::default())).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let inline = &results[0]["suppressions"][0];
    assert_eq!(
        (inline["kind"].as_str(), inline["justification"].as_str()),
        (Some("inSource"), Some("ours"))
    );
    assert_eq!(inline["location"]["physicalLocation"]["region"]["startLine"], 2);
    let external = &results[1]["suppressions"][0];
    assert_eq!(
        (external["kind"].as_str(), external["status"].as_str()),
        (Some("external"), Some("accepted"))
    );
    assert_eq!(external["properties"]["by"], "alice");
    assert_eq!(
        external["location"]["physicalLocation"]["artifactLocation"]["uri"],
        SUPPRESSIONS_FILE
    );
    assert_eq!(results[2]["suppressions"], serde_json::json!([]));
}
