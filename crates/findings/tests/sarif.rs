//! SARIF files are valid, say what code-scanning pages need, and never call "could not look" clean.

mod common;

use std::sync::LazyLock;

use common::{any_reports, finding, lines, report, rule};
use helve_findings::sarif::{self, SarifOptions};
use helve_findings::{
    Finding, Location, ModuleReport, Notification, NotificationLevel, Report, Rule, Severity, Status, merge,
};
use proptest::prelude::*;
use serde_json::{Value, json};

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("fixtures/sarif-schema-2.1.0.json")).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
});

/// Writes SARIF and checks it against the official schema.
fn valid_sarif(report: &Report, options: &SarifOptions) -> Value {
    let sarif: Value = serde_json::from_str(&sarif::to_string(report, options)).unwrap();
    let errors: Vec<String> = SCHEMA
        .iter_errors(&sarif)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{sarif:#}");
    sarif
}

fn sarif(report: &Report) -> Value {
    valid_sarif(report, &SarifOptions::default())
}

fn example() -> Report {
    let injection = rule("sast/python-eval-injection", &[95, 78]);
    let found = finding(&injection, "src/a b.py", lines(3, 4), "eval(x)");
    merge([report("sast", [injection], vec![found])])
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    assert!(!SCHEMA.is_valid(&json!({ "version": "2.1.0", "runs": [{ "tool": {} }] })));
}

#[test]
fn a_rule_carries_all_that_code_scanning_shows() {
    let sarif = sarif(&example());
    let rule = &sarif["runs"][0]["tool"]["driver"]["rules"][0];
    assert_eq!(rule["id"], "sast/python-eval-injection");
    assert_eq!(rule["name"], "PythonEvalInjection");
    assert_eq!(rule["shortDescription"]["text"], "Title of sast/python-eval-injection");
    assert_eq!(rule["defaultConfiguration"]["level"], "error");
    assert_eq!(rule["properties"]["security-severity"], "8.0");
    assert_eq!(rule["properties"]["precision"], "medium");
    assert_eq!(
        rule["properties"]["tags"],
        json!(["security", "external/cwe/cwe-095", "external/cwe/cwe-078", "python"])
    );
    assert_eq!(rule["helpUri"], "https://example.org/why");
    let help = rule["help"]["markdown"].as_str().unwrap();
    assert!(
        help.contains("Do not do that.") && help.contains("CWE-95: Eval Injection"),
        "{help}"
    );
    assert!(
        rule["help"]["text"]
            .as_str()
            .unwrap()
            .contains("What to do: Do not do that.")
    );
}

#[test]
fn rules_relate_to_the_weakness_taxonomy() {
    let sarif = sarif(&example());
    let run = &sarif["runs"][0];
    let target = &run["tool"]["driver"]["rules"][0]["relationships"][0]["target"];
    let taxonomy = &run["taxonomies"][target["toolComponent"]["index"].as_u64().unwrap() as usize];
    assert_eq!(taxonomy["name"], "CWE");
    assert_eq!(
        taxonomy["taxa"][target["index"].as_u64().unwrap() as usize]["id"],
        target["id"]
    );
    assert_eq!(target["id"], "CWE-95");
}

#[test]
fn a_result_points_to_its_rule_and_place() {
    let sarif = sarif(&example());
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleIndex"], 0);
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"],
        json!({ "uri": "src/a%20b.py", "uriBaseId": "%SRCROOT%" })
    );
    assert_eq!(
        place["region"],
        json!({ "startLine": 3, "startColumn": 1, "endLine": 4, "endColumn": 20 })
    );
    assert_eq!(
        result["partialFingerprints"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["helve/v1"]
    );
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert!(run["originalUriBaseIds"]["%SRCROOT%"].is_object());
    assert_eq!(run["tool"]["driver"]["name"], "Helve sast");
    assert_eq!(run["tool"]["driver"]["version"], "1.2.3");
}

#[test]
fn a_finding_about_a_whole_file_gets_a_line_that_pages_can_show() {
    let permissions = rule("sast/file-mode", &[732]);
    let found = Finding::new(&permissions, "sast", "Too open", Location::file("a.sh"), "mode");
    let sarif = sarif(&merge([report("sast", [permissions], vec![found])]));
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(*region, json!({ "startLine": 1 }));
}

#[test]
fn an_inconclusive_module_is_an_unsuccessful_invocation_with_its_reason() {
    let stopped = ModuleReport {
        status: Status::Inconclusive {
            reason: "the parser ran out of memory".into(),
        },
        ..ModuleReport::new("sast", "1.0.0")
    };
    let sarif = sarif(&merge([stopped]));
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let notice = &invocation["toolExecutionNotifications"][0];
    assert_eq!(notice["level"], "error");
    assert_eq!(notice["descriptor"]["id"], "helve/inconclusive");
    assert!(
        notice["message"]["text"]
            .as_str()
            .unwrap()
            .contains("the parser ran out of memory")
    );
}

#[test]
fn skipped_files_are_notifications_with_their_place() {
    let skipped = |path: &str| Notification {
        level: NotificationLevel::Warning,
        message: "permission denied".into(),
        path: Some(path.into()),
    };
    let module = ModuleReport {
        notifications: vec![skipped("one.py")],
        ..ModuleReport::new("sast", "1.0.0")
    };
    let sarif = sarif(&merge([module]).with_notifications([skipped("two.py")]));
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], true);
    let places: Vec<&Value> = invocation["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| &notice["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        .collect();
    assert_eq!(places, ["one.py", "two.py"]);
    assert_eq!(
        invocation["toolExecutionNotifications"][0]["descriptor"]["id"],
        "helve/not-scanned"
    );
}

#[test]
fn modules_are_runs_of_different_tools_and_categories() {
    let sarif = valid_sarif(
        &merge([ModuleReport::new("sast", "1"), ModuleReport::new("secrets", "1")]),
        &SarifOptions {
            category: Some("assessment".into()),
            run_id: Some("run-1".into()),
            ..SarifOptions::default()
        },
    );
    let ids: Vec<&Value> = sarif["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["automationDetails"]["id"])
        .collect();
    assert_eq!(ids, ["helve/assessment/sast/run-1", "helve/assessment/secrets/run-1"]);
}

#[test]
fn more_modules_than_runs_allowed_share_one_run() {
    let modules = (0..21).map(|number| {
        let own = rule(&format!("m{number}/rule"), &[number]);
        let found = finding(&own, "a.py", lines(1, 1), "x");
        report(&format!("m{number}"), [own], vec![found])
    });
    let sarif = sarif(&merge(modules));
    assert_eq!(sarif["runs"].as_array().unwrap().len(), 1);
    let run = &sarif["runs"][0];
    assert_eq!(run["invocations"].as_array().unwrap().len(), 21);
    for result in run["results"].as_array().unwrap() {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
    }
}

#[test]
fn when_there_are_too_many_results_the_most_severe_stay_and_the_file_says_so() {
    let eval = rule("sast/eval", &[95]);
    let findings = (1..=5).map(|line| {
        let severity = if line == 5 { Severity::Critical } else { Severity::Low };
        Finding {
            severity,
            ..finding(&eval, "a.py", lines(line, line), "eval(x)")
        }
    });
    let merged = merge([report("sast", [eval.clone()], findings.collect())]);
    let sarif = valid_sarif(
        &merged,
        &SarifOptions {
            max_results: 2,
            ..SarifOptions::default()
        },
    );
    let run = &sarif["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 2);
    assert_eq!(run["results"][0]["properties"]["severity"], "critical");
    let notice = run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
        .as_str()
        .unwrap();
    assert!(
        notice.starts_with("3 less severe findings are not in this file"),
        "{notice}"
    );
}

#[test]
fn texts_and_tags_stay_within_the_limits_of_pages() {
    let long = "ä".repeat(20_000);
    let big = Rule {
        name: long.clone(),
        description: long.clone(),
        remediation: long.clone(),
        tags: (0..50).map(|number| format!("tag-{number}")).collect(),
        cwe: (1..40).collect(),
        ..rule("sast/big", &[])
    };
    let mut found = finding(&big, "a.py", lines(1, 1), "x");
    found.message.clone_from(&long);
    found.location.snippet = Some(long);
    let sarif = sarif(&merge([report("sast", [big], vec![found])]));
    let run = &sarif["runs"][0];
    let rule = &run["tool"]["driver"]["rules"][0];
    let length = |text: &Value| text.as_str().unwrap().chars().count();
    assert_eq!(rule["properties"]["tags"].as_array().unwrap().len(), 20);
    assert!(length(&rule["shortDescription"]["text"]) <= 1024);
    assert!(length(&rule["fullDescription"]["text"]) <= 1024);
    assert!(length(&run["results"][0]["message"]["text"]) <= 4000);
}

#[test]
fn a_finding_joined_from_two_modules_names_both_rules() {
    let (aws, hard_coded) = (rule("secrets/aws", &[798]), rule("sast/hard-coded", &[259]));
    let sarif = sarif(&merge([
        report(
            "secrets",
            [aws.clone()],
            vec![finding(&aws, "a.py", lines(3, 3), "s1-abcd")],
        ),
        report(
            "sast",
            [hard_coded.clone()],
            vec![finding(&hard_coded, "a.py", lines(2, 4), "x")],
        ),
    ]));
    let results: Vec<&Value> = sarif["runs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|run| run["results"].as_array().unwrap())
        .collect();
    assert_eq!(results.len(), 1);
    assert_eq!(
        results[0]["properties"]["rules"],
        json!(["secrets/aws", "sast/hard-coded"])
    );
    assert_eq!(
        results[0]["relatedLocations"][0]["message"]["text"],
        "Also reported as sast/hard-coded"
    );
}

#[test]
fn a_finding_whose_rule_was_not_described_still_has_one() {
    let unknown = rule("sast/unknown", &[]);
    let sarif = sarif(&merge([report(
        "sast",
        [],
        vec![finding(&unknown, "a.py", lines(1, 1), "x")],
    )]));
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"], "sast/unknown");
}

#[test]
fn a_report_of_nothing_is_a_valid_file() {
    assert_eq!(sarif(&merge([]))["runs"], json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_report_is_valid_sarif_with_consistent_references(reports in any_reports()) {
        let sarif = sarif(&merge(reports));
        for run in sarif["runs"].as_array().unwrap() {
            for result in run["results"].as_array().unwrap() {
                let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
                prop_assert_eq!(&rule["id"], &result["ruleId"]);
                prop_assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            }
        }
    }
}
