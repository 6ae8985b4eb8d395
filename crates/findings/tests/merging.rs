//! Many reports become one, whatever their order, and nothing is lost on the way.

mod common;

use common::{any_reports, finding, lines, report, rule};
use helve_findings::{Finding, ModuleReport, Region, Report, Severity, Status, merge};
use proptest::prelude::*;

fn columns(line: u32, from: u32, to: u32) -> Region {
    Region {
        start_line: line,
        start_column: from,
        end_line: line,
        end_column: to,
    }
}

fn rules(report: &Report) -> Vec<Vec<&str>> {
    report
        .findings()
        .into_iter()
        .map(|finding| finding.rule_ids().collect())
        .collect()
}

#[test]
fn a_secret_found_by_two_modules_appears_once_with_both_rules() {
    let (aws, hard_coded) = (rule("secrets/aws", &[798]), rule("sast/hard-coded-password", &[259]));
    let merged = merge([
        report(
            "sast",
            [hard_coded.clone()],
            vec![finding(&hard_coded, "a.py", columns(3, 1, 40), "key = '...'")],
        ),
        report(
            "secrets",
            [aws.clone()],
            vec![finding(&aws, "a.py", columns(3, 8, 28), "s1-abcd")],
        ),
    ]);
    assert_eq!(rules(&merged), [["secrets/aws", "sast/hard-coded-password"]]);
    assert_eq!(merged.total(), 1);
    assert_eq!(
        merged.modules.len(),
        2,
        "a module without findings of its own still says that it ran"
    );
}

#[test]
fn the_most_severe_of_joined_findings_leads() {
    let (aws, hard_coded) = (rule("secrets/aws", &[798]), rule("sast/hard-coded-password", &[259]));
    let narrow = Finding {
        severity: Severity::Low,
        ..finding(&aws, "a.py", columns(3, 8, 28), "s1-abcd")
    };
    let wide = Finding {
        severity: Severity::Critical,
        ..finding(&hard_coded, "a.py", columns(3, 1, 40), "key")
    };
    let merged = merge([
        report("secrets", [aws], vec![narrow]),
        report("sast", [hard_coded], vec![wide]),
    ]);
    assert_eq!(merged.worst(), Some(Severity::Critical));
    assert_eq!(rules(&merged), [["sast/hard-coded-password", "secrets/aws"]]);
}

#[test]
fn different_mistakes_places_or_rules_of_one_module_stay_apart() {
    let secret = rule("secrets/aws", &[798]);
    let others = [rule("sast/sql", &[89]), rule("sast/password", &[259])];
    let merged = merge([
        report(
            "secrets",
            [secret.clone(), rule("secrets/keyword", &[798])],
            vec![
                finding(&secret, "a.py", columns(3, 8, 28), "s1-aaaa"),
                finding(&rule("secrets/keyword", &[798]), "a.py", columns(3, 8, 28), "s1-bbbb"),
            ],
        ),
        report(
            "sast",
            others.clone(),
            vec![
                finding(&others[0], "a.py", columns(3, 1, 40), "query"),
                finding(&others[1], "a.py", columns(9, 1, 40), "password"),
                finding(&others[1], "b.py", columns(3, 8, 28), "password"),
            ],
        ),
    ]);
    assert_eq!(merged.total(), 5);
}

#[test]
fn two_secrets_in_one_flagged_block_stay_two() {
    let (aws, block) = (rule("secrets/aws", &[798]), rule("sast/credentials-in-block", &[798]));
    let merged = merge([
        report(
            "secrets",
            [aws.clone()],
            vec![
                finding(&aws, "a.py", columns(3, 1, 9), "s1-aaaa"),
                finding(&aws, "a.py", columns(4, 1, 9), "s1-bbbb"),
            ],
        ),
        report(
            "sast",
            [block.clone()],
            vec![Finding {
                severity: Severity::Critical,
                ..finding(&block, "a.py", lines(2, 6), "block")
            }],
        ),
    ]);
    assert_eq!(merged.total(), 2);
}

#[test]
fn the_same_rule_at_the_same_place_counts_once() {
    let eval = rule("sast/eval", &[95]);
    let once = finding(&eval, "a.py", lines(1, 1), "eval(x)");
    let weaker = Finding {
        severity: Severity::Low,
        ..once.clone()
    };
    let merged = merge([
        report("sast", [eval.clone()], vec![weaker, once.clone()]),
        report("sast", [eval], vec![once]),
    ]);
    assert_eq!(merged.total(), 1);
    assert_eq!(merged.findings()[0].severity, Severity::High);
}

#[test]
fn findings_come_most_severe_first_then_in_file_order() {
    let eval = rule("sast/eval", &[95]);
    let at = |path: &str, line, severity| Finding {
        severity,
        ..finding(&eval, path, lines(line, line), "eval")
    };
    let merged = merge([report(
        "sast",
        [eval.clone()],
        vec![
            at("b.py", 1, Severity::Low),
            at("b.py", 9, Severity::High),
            at("a.py", 5, Severity::High),
            at("b.py", 3, Severity::High),
        ],
    )]);
    let order: Vec<_> = merged
        .findings()
        .iter()
        .map(|f| (f.location.path.clone(), f.location.region.unwrap().start_line))
        .collect();
    assert_eq!(
        order,
        [
            ("a.py".into(), 5),
            ("b.py".into(), 3),
            ("b.py".into(), 9),
            ("b.py".into(), 1)
        ]
    );
}

#[test]
fn counts_name_every_severity() {
    let counts = merge([]).counts();
    assert_eq!(counts.len(), Severity::ALL.len());
    assert!(counts.values().all(|count| *count == 0));
}

#[test]
fn one_inconclusive_run_of_a_module_makes_it_inconclusive() {
    let stopped = |reason: &str| ModuleReport {
        status: Status::Inconclusive { reason: reason.into() },
        ..ModuleReport::new("sast", "1.0.0")
    };
    let merged = merge([
        ModuleReport::new("sast", "1.0.0"),
        stopped("b"),
        stopped("a"),
        stopped("b"),
    ]);
    assert_eq!(merged.inconclusive().collect::<Vec<_>>(), [("sast", "a; b")]);
}

#[test]
fn findings_without_a_report_of_their_module_are_kept_and_said_to_be_incomplete() {
    let eval = rule("sast/eval", &[95]);
    let merged = merge([report(
        "other",
        [],
        vec![finding(&eval, "a.py", lines(1, 1), "eval(x)")],
    )]);
    assert_eq!(merged.total(), 1);
    assert_eq!(
        merged.inconclusive().map(|(module, _)| module).collect::<Vec<_>>(),
        ["sast"]
    );
}

/// What a report says, without regard to how it was joined.
fn observations(findings: &[Finding]) -> usize {
    findings.iter().map(|finding| 1 + finding.duplicates.len()).sum()
}

proptest! {
    #[test]
    fn merging_is_independent_of_order(
        (reports, mut shuffled) in any_reports().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let merged = merge(reports);
        for report in &mut shuffled {
            report.findings.reverse();
            report.notifications.reverse();
        }
        prop_assert_eq!(merged, merge(shuffled));
    }

    #[test]
    fn merging_again_changes_nothing(reports in any_reports()) {
        let merged = merge(reports.clone());
        prop_assert_eq!(&merged, &merge(merged.modules.clone()));
        let twice = merged.modules.iter().chain(&merged.modules).cloned();
        prop_assert_eq!(&merged, &merge(twice));
        prop_assert_eq!(&merged, &merge(reports.into_iter().chain(merged.modules.clone())));
    }

    #[test]
    fn merging_in_two_steps_is_merging_in_one(left in any_reports(), right in any_reports()) {
        let together = merge(left.iter().chain(&right).cloned());
        let stepwise = merge(merge(left).modules.into_iter().chain(merge(right).modules));
        prop_assert_eq!(together, stepwise);
    }

    #[test]
    fn merging_loses_no_place(reports in any_reports()) {
        let merged = merge(reports.clone());
        let places = |findings: &mut dyn Iterator<Item = &Finding>| -> std::collections::BTreeSet<_> {
            findings.map(|f| (f.rule_id.clone(), f.location.path.clone(), f.location.region)).collect()
        };
        let before = places(&mut reports.iter().flat_map(|report| &report.findings));
        let all: Vec<&Finding> = merged.findings();
        let after = places(&mut all.iter().copied().chain(all.iter().flat_map(|finding| &finding.duplicates)));
        prop_assert_eq!(before, after);
        prop_assert!(all.iter().all(|finding| finding.duplicates.iter().all(|other| other.duplicates.is_empty())));
        let kept: usize = merged.modules.iter().map(|module| observations(&module.findings)).sum();
        prop_assert!(kept <= reports.iter().map(|report| report.findings.len()).sum());
    }

    #[test]
    fn fingerprints_are_unique_within_a_report(reports in any_reports()) {
        let merged = merge(reports);
        let mut seen = std::collections::BTreeSet::new();
        for finding in merged.findings() {
            prop_assert_eq!(finding.fingerprint.len(), 32);
            prop_assert!(seen.insert(finding.fingerprint.clone()));
        }
    }

    #[test]
    fn a_report_survives_json(reports in any_reports()) {
        let merged = merge(reports);
        let text = serde_json::to_string(&merged).unwrap();
        prop_assert_eq!(merged, serde_json::from_str::<Report>(&text).unwrap());
    }
}
