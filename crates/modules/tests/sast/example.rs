//! The example target: everything planted is found, and nothing else.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::support::{places, root, scan};

#[derive(Deserialize)]
struct Expected {
    must_find: Vec<Planted>,
    must_not_find: Vec<Correct>,
}

#[derive(Deserialize)]
struct Planted {
    rule: Option<String>,
    file: String,
    line: u32,
}

#[derive(Deserialize)]
struct Correct {
    file: String,
    line: u32,
}

#[test]
fn the_example_app_gives_exactly_the_planted_findings() {
    let labels = std::fs::read_to_string(root().join("examples/expected/vulnerable-app.json")).unwrap();
    let expected: Expected = serde_json::from_str(&labels).unwrap();
    let output = scan(&root().join("examples/vulnerable-app"), &Value::Null).unwrap();
    let found: BTreeSet<String> = places(&output).into_iter().collect();

    let planted = expected.must_find.iter();
    let planted = planted.filter_map(|p| p.rule.as_ref().map(|rule| format!("{rule} {}:{}", p.file, p.line)));
    let planted: BTreeSet<String> = planted.collect();
    assert!(planted.len() >= 40, "too few labels: {}", planted.len());
    let missed: Vec<_> = planted.difference(&found).collect();
    assert!(missed.is_empty(), "not found: {missed:#?}");

    let correct: BTreeSet<String> = expected
        .must_not_find
        .iter()
        .map(|c| format!("{}:{}", c.file, c.line))
        .collect();
    let wrong: Vec<_> = found
        .iter()
        .filter(|f| f.split_once(' ').is_some_and(|(_, at)| correct.contains(at)))
        .collect();
    assert!(wrong.is_empty(), "correct code was reported: {wrong:#?}");
    let extra: Vec<_> = found.difference(&planted).collect();
    assert!(extra.is_empty(), "neither planted nor labelled as correct: {extra:#?}");
}

#[test]
fn findings_carry_place_snippet_and_origin() {
    let output = scan(&root().join("examples/vulnerable-app"), &Value::Null).unwrap();
    let finding = output
        .report
        .findings
        .iter()
        .find(|finding| finding.rule_id == "sast/python-ssrf")
        .unwrap();
    assert_eq!(finding.location.path, "api/app.py");
    assert!(
        finding
            .location
            .snippet
            .as_deref()
            .unwrap()
            .starts_with("answer = requests.get("),
        "{finding:?}"
    );
    assert_eq!(finding.properties["source"]["text"], "request.args");
    assert_eq!(
        finding.confidence,
        helve_findings::Confidence::High,
        "outside data reaches the call"
    );
    assert!(!finding.anchor.is_empty());
}
