//! The shipped rules keep their promises, and wrong rule files are refused with a reason.

use std::collections::BTreeSet;

use helve_modules::{LoadError, RuleFile, sast};

use crate::support::{module, scan_files, shipped};

const LANGUAGES: &[&str] = &["python", "javascript", "java", "go", "php", "ruby", "rust", "c", "cpp"];

#[test]
fn every_snippet_of_every_rule_does_what_it_says() {
    let result = sast::self_test(&shipped()).unwrap();
    let failures: Vec<String> = result.failures.iter().map(ToString::to_string).collect();
    assert!(
        failures.is_empty(),
        "{} of {} snippets:\n{}",
        failures.len(),
        result.snippets,
        failures.join("\n\n")
    );
    assert!(result.rules >= 120, "only {} rules", result.rules);
}

#[test]
fn every_rule_says_what_where_and_what_to_do() {
    let output = scan_files(&[], &serde_json::Value::Null);
    let rules = &output.report.rules;
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids.len(), rules.len(), "ids are unique");
    for rule in rules {
        assert!(rule.id.starts_with("sast/"), "{}", rule.id);
        assert!(!rule.cwe.is_empty() && !rule.references.is_empty(), "{}", rule.id);
        assert!(
            rule.description.len() > 20 && rule.remediation.len() >= 12,
            "{}",
            rule.id
        );
        assert!(
            !rule.description.contains("$F") && rule.references.iter().all(|r| r.starts_with("https://")),
            "{}",
            rule.id
        );
    }
    for language in LANGUAGES {
        assert!(
            rules.iter().any(|rule| rule.tags.iter().any(|tag| tag == language)),
            "no rule for {language}"
        );
    }
}

#[test]
fn the_module_describes_itself() {
    let module = module();
    assert_eq!(module.metadata().name, "sast");
    assert!(module.metadata().config_schema.is_object());
    assert!(module.metadata().outputs.contains_key("files_scanned"));
}

/// The shipped manifest with one rule file.
fn load(text: &str) -> Result<(), LoadError> {
    let mut files: Vec<RuleFile> = shipped()
        .into_iter()
        .filter(|file| file.path.ends_with("module.yaml"))
        .collect();
    files.push(RuleFile {
        path: "modules/sast/rules/mine.yaml".to_owned(),
        text: text.to_owned(),
    });
    sast::load(&files).map(|_| ())
}

const GOOD: &str = "\
id: mine
name: Mine
languages: [python]
severity: high
confidence: high
cwe: [95]
message: No `$X`.
remediation: Do not.
rule: {pattern: 'bad($X)'}
tests: {positive: ['bad(1)'], negative: ['good(1)']}
";

#[test]
fn a_wrong_rule_file_is_refused_with_file_line_and_reason() {
    load(GOOD).unwrap();
    let second = format!("# Two rules.\n{GOOD}---\n{GOOD}");
    let cases = [
        (GOOD.replace("cwe: [95]", "cwe: []"), 6, "CWE"),
        (GOOD.replace("[python]", "[cobol]"), 3, "unknown language `cobol`"),
        (GOOD.replace("severity: high", "severity: awful"), 4, "awful"),
        (
            GOOD.replace("message: No `$X`.", "message: ''"),
            7,
            "`message` must not be empty",
        ),
        (
            GOOD.replace("{pattern: 'bad($X)'}", "{kind: no_such_node}"),
            9,
            "no_such_node",
        ),
        (GOOD.replace("{pattern: 'bad($X)'}", "{regex: bad}"), 9, "kind of node"),
        (
            GOOD.replace("{pattern: 'bad($X)'}", "{kind: call, regex: '(a'}"),
            9,
            "regular expression `(a`",
        ),
        (
            GOOD.replace("tests: {", "flow: {Y: built}\ntests: {"),
            10,
            "`$Y` is not a metavariable",
        ),
        (GOOD.replace("['good(1)']", "[]"), 10, "negative snippet"),
        (GOOD.replace("id: mine", "id: Mine!"), 1, "lowercase"),
        (GOOD.replace("name: Mine", "nome: Mine"), 2, "nome"),
        (second, 13, "already used in modules/sast/rules/mine.yaml"),
        ("id: [".to_owned(), 1, ""),
    ];
    for (text, line, reason) in cases {
        let error = load(&text).expect_err(reason);
        assert_eq!(error.file, "modules/sast/rules/mine.yaml");
        assert!(error.reason.contains(reason), "expected `{reason}` in: {error}");
        assert_eq!(error.line, Some(line), "{error}");
    }
}

#[test]
fn rules_without_a_manifest_are_refused() {
    let Err(error) = sast::load(&[]) else {
        panic!("loaded nothing at all")
    };
    assert!(error.reason.contains("manifest is missing"), "{error}");
}
