//! A finding keeps its identity while the code around it changes, and gives no secret away.

mod common;

use std::collections::BTreeSet;

use common::{finding, lines, report, rule};
use helve_findings::{Finding, code_anchor, finish, merge, secret_anchor};

fn fingerprints(findings: Vec<Finding>) -> Vec<String> {
    let rules = [rule("sast/eval", &[95]), rule("secrets/password", &[798])];
    let mut findings = findings;
    finish(&mut findings, &rules);
    findings.into_iter().map(|finding| finding.fingerprint).collect()
}

#[test]
fn a_line_shift_and_a_move_within_the_file_keep_the_fingerprint() {
    let eval = rule("sast/eval", &[95]);
    let before = fingerprints(vec![finding(&eval, "a.py", lines(10, 10), "eval(x)")]);
    let shifted = fingerprints(vec![finding(&eval, "a.py", lines(510, 510), "eval(x)")]);
    assert_eq!(before, shifted);
}

#[test]
fn reindentation_keeps_the_fingerprint() {
    let eval = rule("sast/eval", &[95]);
    let before = fingerprints(vec![finding(&eval, "a.py", lines(1, 2), "eval(\n  x,\n  y)")]);
    let after = fingerprints(vec![finding(&eval, "a.py", lines(1, 1), "\t\teval(x, y)")]);
    assert_eq!(before, after);
}

#[test]
fn a_new_wording_or_severity_keeps_the_fingerprint() {
    let eval = rule("sast/eval", &[95]);
    let mut changed = finding(&eval, "a.py", lines(1, 1), "eval(x)");
    changed.message = "Better said".into();
    changed.severity = helve_findings::Severity::Low;
    let before = fingerprints(vec![finding(&eval, "a.py", lines(1, 1), "eval(x)")]);
    assert_eq!(before, fingerprints(vec![changed]));
}

#[test]
fn another_finding_in_the_file_does_not_change_the_fingerprint() {
    let eval = rule("sast/eval", &[95]);
    let alone = fingerprints(vec![finding(&eval, "a.py", lines(9, 9), "eval(x)")]);
    let both = fingerprints(vec![
        finding(&eval, "a.py", lines(1, 1), "eval(other)"),
        finding(&eval, "a.py", lines(9, 9), "eval(x)"),
    ]);
    assert_eq!(alone[0], both[1]);
}

#[test]
fn equal_matches_in_one_file_are_told_apart_by_their_order() {
    let eval = rule("sast/eval", &[95]);
    let second = finding(&eval, "a.py", lines(9, 9), "eval(x)");
    let first = finding(&eval, "a.py", lines(2, 2), "eval(x)");
    let prints = fingerprints(vec![second, first.clone()]);
    assert_ne!(prints[0], prints[1]);
    assert_eq!(
        prints[1],
        fingerprints(vec![first])[0],
        "the first one is the first one, whatever follows"
    );
}

#[test]
fn rule_path_and_code_each_make_another_finding() {
    let (eval, password) = (rule("sast/eval", &[95]), rule("secrets/password", &[798]));
    let prints: BTreeSet<String> = fingerprints(vec![
        finding(&eval, "a.py", lines(1, 1), "x"),
        finding(&eval, "b.py", lines(1, 1), "x"),
        finding(&password, "a.py", lines(1, 1), "x"),
        finding(&eval, "a.py", lines(1, 1), "y"),
    ])
    .into_iter()
    .collect();
    assert_eq!(prints.len(), 4);
}

#[test]
fn no_raw_secret_survives_in_a_merged_report() {
    let secret = "correct-horse-battery-staple";
    let hard_coded = rule("sast/hard-coded-password", &[259]);
    let careless = finding(&hard_coded, "a.py", lines(1, 1), &format!("password = '{secret}'"));
    let text = serde_json::to_string(&merge([report("sast", [hard_coded], vec![careless])])).unwrap();
    assert!(!text.contains(secret));
}

#[test]
fn the_anchor_of_a_credential_confirms_no_guess() {
    let hard_coded = rule("sast/hard-coded-password", &[259]);
    let merged = merge([report(
        "sast",
        [hard_coded.clone()],
        vec![
            finding(&hard_coded, "a.py", lines(1, 1), "password = 'hunter2'"),
            finding(&hard_coded, "b.py", lines(1, 1), &code_anchor("password = 'hunter2'")),
            finding(&hard_coded, "c.py", lines(1, 1), &secret_anchor("hunter2")),
        ],
    )]);
    for finding in merged.findings() {
        assert!(
            finding.anchor.len() <= 8,
            "{} carries more than a few bits of the secret",
            finding.anchor
        );
    }
}

#[test]
fn a_finding_whose_rule_is_unknown_is_treated_as_one_that_holds_a_secret() {
    let unknown = rule("other/unknown", &[]);
    let merged = merge([report(
        "other",
        [],
        vec![finding(&unknown, "a.py", lines(1, 1), "token = 'x'")],
    )]);
    assert!(merged.findings()[0].anchor.len() <= 8);
}

/// Changing the recipe would turn all known findings into new ones: this may fail only on purpose.
#[test]
fn the_recipe_of_fingerprints_does_not_change() {
    let prints = fingerprints(vec![
        finding(&rule("sast/eval", &[95]), "src/a.py", lines(1, 1), "eval( x )"),
        finding(
            &rule("secrets/password", &[798]),
            "src/a.py",
            lines(2, 2),
            &secret_anchor("hunter2"),
        ),
    ]);
    assert_eq!(
        prints,
        ["1ae56d4cb726e09b00394dcdcfee4714", "124f3fdeb7161b1cc79de05a5d5d5dbe"]
    );
}
