//! Exports are valid, lose nothing that matters, and never call "could not look" clean.

mod common;

use std::sync::LazyLock;

use common::{any_reports, finding, lines, report, rule};
use helve_findings::export::{About, Format, write};
use helve_findings::{
    BaselineState, Decision, Finding, ModuleReport, Report, Rule, Severity, Status, Suppression, SuppressionKind, merge,
};
use jsonschema::{Retrieve, Uri, Validator};
use proptest::prelude::*;
use serde_json::{Value, json};

static REPORT_SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/schemas/report.schema.json")).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
});

static CYCLONEDX_SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("fixtures/cyclonedx-bom-1.6.schema.json")).unwrap();
    jsonschema::options().with_retriever(Elsewhere).build(&schema).unwrap()
});

/// Licences and signatures, which no document here has, are defined in other files.
struct Elsewhere;

impl Retrieve for Elsewhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(json!({"definitions": {"signature": false}}))
    }
}

fn about() -> About {
    About {
        run_id: "assessment-1".into(),
        workflow: "assessment".into(),
        workflow_version: "1.0.0".into(),
        status: "completed".into(),
        target: Some("app".into()),
        finished_at: Some("2026-11-22T18:30:00Z".into()),
    }
}

#[track_caller]
fn valid(schema: &Validator, text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

fn json(report: &Report) -> Value {
    valid(&REPORT_SCHEMA, &write(report, Format::Json, &about()))
}

fn vex(report: &Report) -> Value {
    valid(&CYCLONEDX_SCHEMA, &write(report, Format::Vex, &about()))
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let text = write(report, Format::Csv, &about());
    assert_eq!(
        text.matches('\n').count(),
        text.lines().count(),
        "the last line ends, too"
    );
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
    rows.collect()
}

fn accepted(decision: Decision) -> Suppression {
    Suppression {
        kind: SuppressionKind::External,
        decision,
        reason: Some("only test data".into()),
        by: Some("alice".into()),
        place: None,
        expires: Some("2027-01-31".parse().unwrap()),
    }
}

fn inconclusive(module: &str) -> ModuleReport {
    ModuleReport {
        status: Status::Inconclusive {
            reason: "the parser <ran> out of memory".into(),
        },
        ..ModuleReport::new(module, "1.0.0")
    }
}

/// One finding that counts, one that is suppressed, one of the baseline, and a module that could not look.
fn example() -> Report {
    let eval = rule("sast/eval", &[95]);
    let mut report = merge([
        report(
            "sast",
            [eval.clone()],
            vec![
                finding(&eval, "a.py", lines(1, 1), "eval(a)"),
                finding(&eval, "b.py", lines(2, 2), "eval(b)"),
                finding(&eval, "c.py", lines(3, 3), "eval(c)"),
            ],
        ),
        inconclusive("secrets"),
    ]);
    let findings = &mut report.modules[0].findings;
    findings[0].owners = vec!["@org/team".into(), "bob@example.org".into()];
    findings[0].baseline = Some(BaselineState::New);
    findings[1].suppressions = vec![accepted(Decision::FalsePositive)];
    findings[2].baseline = Some(BaselineState::Unchanged);
    report
}

fn flaw(id: &str, purl: &str, line: u32, severity: Severity) -> (Rule, Finding) {
    let rule = Rule {
        tags: vec![id.to_owned(), "CVE-2024-1234".to_owned(), "someone's own".to_owned()],
        severity,
        ..rule(&format!("supply-chain/{id}"), &[400, 0])
    };
    let mut found = finding(&rule, "Cargo.lock", lines(line, line), purl);
    found.properties.insert("purl".into(), json!(purl));
    found.remediation = Some("Update `time` to 0.2.23 or later.".into());
    (rule, found)
}

#[test]
fn json_says_what_is_known_of_run_findings_and_gaps() {
    let json = json(&example());
    assert_eq!(json["run"]["id"], "assessment-1");
    assert_eq!(json["summary"]["total"], 2);
    assert_eq!(json["summary"]["suppressed"], 1);
    assert_eq!(json["summary"]["by_severity"]["high"], 2);
    assert_eq!(json["summary"]["baseline"], json!({"new": 1, "unchanged": 1}));
    assert_eq!(json["summary"]["inconclusive"][0]["module"], "secrets");
    assert_eq!(json["findings"][0]["owners"], json!(["@org/team", "bob@example.org"]));
    assert_eq!(json["findings"][1]["suppressions"][0]["expires"], "2027-01-31");
    assert_eq!(json["modules"][1]["status"]["state"], "inconclusive");
}

#[test]
fn a_table_has_a_row_for_each_finding_and_for_each_module_that_could_not_look() {
    let rows = rows(&example());
    let column = |name: &str| rows[0].iter().position(|cell| cell == name).unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[1][column("record")], "inconclusive");
    assert_eq!(rows[1][column("module")], "secrets");
    assert!(rows[1][column("message")].contains("out of memory"));
    let paths: Vec<&str> = rows[2..].iter().map(|row| row[column("path")].as_str()).collect();
    assert_eq!(paths, ["a.py", "b.py", "c.py"]);
    assert_eq!(
        rows[2][column("owners")],
        "'@org/team; bob@example.org",
        "a mention is a formula to a spreadsheet"
    );
    assert_eq!(rows[3][column("state")], "suppressed");
    assert!(rows[3][column("suppression")].starts_with("false-positive: only test data (alice"));
    assert_eq!(rows[4][column("baseline")], "unchanged");
}

#[test]
fn no_cell_of_a_table_is_a_formula_whatever_a_target_calls_its_files() {
    let eval = rule("sast/eval", &[95]);
    let mut found = finding(&eval, "=HYPERLINK(\"http://x\",\"y\").py", lines(1, 1), "eval(a)");
    found.message = "@SUM(1)\r\n,\"=1\"".into();
    let rows = rows(&merge([report("sast", [eval], vec![found])]));
    assert!(rows[1].contains(&"'=HYPERLINK(\"http://x\",\"y\").py".to_owned()));
    assert!(rows[1].contains(&"'@SUM(1)\r\n,\"=1\"".to_owned()));
}

#[test]
fn junit_fails_what_counts_skips_what_does_not_and_has_an_error_for_what_could_not_look() {
    let text = write(&example(), Format::Junit, &about());
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    for (name, count) in [("tests", "5"), ("failures", "1"), ("errors", "1"), ("skipped", "2")] {
        assert_eq!(root.attribute(name), Some(count), "{name}");
        let tag = match name {
            "tests" => "testcase",
            "failures" => "failure",
            "errors" => "error",
            _ => "skipped",
        };
        let found = document.descendants().filter(|node| node.has_tag_name(tag)).count();
        assert_eq!(found.to_string(), count, "{name}");
    }
    let failed = document
        .descendants()
        .find(|node| node.has_tag_name("failure"))
        .unwrap();
    let case = failed.parent_element().unwrap();
    assert_eq!(
        (case.attribute("classname"), case.attribute("name")),
        (Some("sast/eval"), Some("a.py:1:1"))
    );
    assert!(failed.text().unwrap().contains("Owners: @org/team"));
    let error = document.descendants().find(|node| node.has_tag_name("error")).unwrap();
    assert_eq!(error.attribute("message"), Some("the parser <ran> out of memory"));
}

#[test]
fn junit_of_a_clean_scan_has_passed_tests_and_not_none() {
    let text = write(&merge([ModuleReport::new("sast", "1")]), Format::Junit, &about());
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().attribute("tests"), Some("1"));
    assert_eq!(document.root_element().attribute("failures"), Some("0"));
}

#[test]
fn vex_lists_flaws_of_components_and_nothing_else() {
    let (rule_a, found) = flaw("RUSTSEC-2020-0071", "pkg:cargo/time@0.1.44", 4, Severity::High);
    let eval = rule("sast/eval", &[95]);
    let other = finding(&eval, "a.py", lines(1, 1), "eval(a)");
    let vex = vex(&merge([
        report("supply-chain", [rule_a], vec![found]),
        report("sast", [eval], vec![other]),
    ]));
    assert_eq!(vex["specVersion"], "1.6");
    let components = vex["components"].as_array().unwrap();
    assert_eq!(components.len(), 1);
    assert_eq!(components[0]["name"], "time");
    assert_eq!(components[0]["version"], "0.1.44");
    let flaws = vex["vulnerabilities"].as_array().unwrap();
    assert_eq!(flaws.len(), 1);
    assert_eq!(flaws[0]["id"], "RUSTSEC-2020-0071");
    assert_eq!(flaws[0]["analysis"]["state"], "in_triage");
    assert_eq!(flaws[0]["affects"][0]["ref"], "pkg:cargo/time@0.1.44");
    assert_eq!(flaws[0]["cwes"], json!([400]));
    assert_eq!(flaws[0]["references"][0]["id"], "CVE-2024-1234");
    assert_eq!(flaws[0]["recommendation"], "Update `time` to 0.2.23 or later.");
}

#[test]
fn vex_carries_what_was_decided_apart_for_each_component() {
    let purls = ["pkg:npm/%40a/x@1.0.0", "pkg:npm/y@2.0.0", "pkg:npm/z@3.0.0"];
    let (rule, _) = flaw("GHSA-aaaa-bbbb-cccc", purls[0], 1, Severity::High);
    let findings = [1, 2, 3].map(|line| flaw("GHSA-aaaa-bbbb-cccc", purls[line as usize - 1], line, Severity::High).1);
    let mut report = merge([report("supply-chain", [rule], findings.into())]);
    report.modules[0].findings[0].suppressions = vec![accepted(Decision::NotAffected)];
    report.modules[0].findings[1].suppressions = vec![accepted(Decision::AcceptedRisk)];
    let vex = vex(&report);
    let mut states: Vec<(&str, &str)> = vex["vulnerabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|flaw| {
            (
                flaw["analysis"]["state"].as_str().unwrap(),
                flaw["affects"][0]["ref"].as_str().unwrap(),
            )
        })
        .collect();
    states.sort_unstable();
    assert_eq!(
        states,
        [
            ("exploitable", purls[1]),
            ("in_triage", purls[2]),
            ("not_affected", purls[0])
        ]
    );
    assert_eq!(vex["components"][0]["name"], "@a/x");
}

#[test]
fn vex_says_which_modules_could_not_look() {
    let vex = vex(&merge([inconclusive("supply-chain")]));
    let properties = vex["metadata"]["properties"].as_array().unwrap();
    assert!(properties.contains(&json!({
        "name": "helve:inconclusive",
        "value": "supply-chain: the parser <ran> out of memory"
    })));
}

#[test]
fn formats_are_found_by_their_names() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse::<Format>(), Ok(format));
    }
    assert_eq!(
        "pdf".parse::<Format>().unwrap_err().to_string(),
        "unknown format `pdf`: use one of sarif, json, csv, junit, html, vex"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_report_gives_valid_documents_the_same_each_time(reports in any_reports(), purl in any::<String>()) {
        let mut report = merge(reports);
        for finding in report.modules.iter_mut().flat_map(|module| &mut module.findings).take(2) {
            finding.properties.insert("purl".into(), json!(format!("pkg:npm/{purl}")));
        }
        json(&report);
        vex(&report);
        prop_assert_eq!(rows(&report).len() as u64, 1 + report.total() + report.inconclusive().count() as u64);
        let junit = write(&report, Format::Junit, &about());
        prop_assert!(roxmltree::Document::parse(&junit).is_ok(), "{}", junit);
        for format in Format::ALL {
            prop_assert_eq!(write(&report, format, &about()), write(&report, format, &about()));
        }
    }
}
