//! The shipped rules: each finds its positive examples and leaves its negative ones alone.

use std::path::Path;

use proptest::prelude::*;

use super::scan::{Candidate, Subject, scan};
use super::spec::Example;
use super::*;

pub(super) fn files() -> Vec<RuleFile> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../toolbox/modules/secrets/rules");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: std::path::PathBuf| RuleFile {
        path: format!("modules/secrets/rules/{}", path.file_name().unwrap().to_str().unwrap()),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(read).collect()
}

fn shipped() -> RuleSet {
    rules::load(&files()).unwrap()
}

fn find(rules: &RuleSet, path: &str, text: &str) -> Vec<Candidate> {
    let subject = Subject {
        path,
        kind: text::kind(path),
        decode: true,
    };
    let mut found = scan(rules, subject, &|_| true, text.as_bytes()).found;
    found.retain(|candidate| candidate.verdict.confidence > Confidence::Low);
    found
}

pub(super) fn example(example: &Example) -> (String, String) {
    let (path, text) = match example {
        Example::Text(text) => ("example", text),
        Example::File { path, text } => (path.as_str(), text),
    };
    (path.to_owned(), text.replace('·', ""))
}

#[test]
fn every_shipped_rule_finds_its_examples_and_spares_its_counterexamples() {
    let rules = shipped();
    let mut problems = Vec::new();
    for file in files() {
        for spec in rules::parse(&file).unwrap().rules {
            let id = format!("secrets/{}", spec.id);
            let hits = |text: &(String, String)| {
                let found = find(&rules, &text.0, &text.1);
                let ids: Vec<String> = found
                    .iter()
                    .map(|found| rules.rules[found.rule].meta.id.clone())
                    .collect();
                (ids.contains(&id), ids)
            };
            assert!(!spec.examples.positive.is_empty(), "{id} has no example");
            for text in spec.examples.positive.iter().map(example) {
                let (hit, others) = hits(&text);
                if !hit {
                    problems.push(format!("{id} misses {text:?}; found {others:?}"));
                }
            }
            for text in spec.examples.negative.iter().map(example) {
                if hits(&text).0 {
                    problems.push(format!("{id} takes {text:?}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn there_are_a_hundred_rules_and_all_compile() {
    let rules = shipped();
    assert!(rules.rules.len() >= 100, "{}", rules.rules.len());
    for rule in &rules.rules {
        if let rules::Matcher::Token(pattern) = &rule.matcher {
            assert!(pattern.regex().is_some(), "{} is too large", rule.meta.id);
        }
    }
}

#[test]
fn a_wrong_rule_is_refused_with_file_line_and_reason() {
    let file = |text: &str| RuleFile {
        path: "modules/secrets/rules/x.yaml".into(),
        text: text.into(),
    };
    let error = rules::load(&[file(
        "rules:\n  - id: a\n    name: A\n    severity: huge\n    confidence: high\n",
    )])
    .err()
    .unwrap();
    assert_eq!(
        (error.file.as_str(), error.line),
        ("modules/secrets/rules/x.yaml", Some(4)),
        "{error}"
    );
    let text = "rules:\n  - id: a\n    name: A\n    severity: high\n    confidence: high\n    keywords: [abc]\n    regex: 'a(b'\n";
    let error = rules::load(&[file(text)]).err().unwrap();
    assert_eq!(error.line, Some(2));
    assert!(error.reason.contains("rule `a`"), "{error}");
    assert!(rules::load(&[]).is_err());
}

#[test]
fn one_secret_at_one_place_is_one_finding_of_the_most_specific_rule() {
    let rules = shipped();
    let token = format!("xoxb-{}-{}-{}", "4820193847", "5019283746", "aQ3rT9wZx7LmK2pVbN8sYd4E");
    let found = find(&rules, "a.py", &format!("slack_token = \"{token}\"\n"));
    assert_eq!(found.len(), 1);
    assert_eq!(rules.rules[found[0].rule].meta.id, "secrets/slack-token");
}

#[test]
fn hidden_secrets_map_back_to_where_they_stand() {
    let rules = shipped();
    let secret = format!("glpat-{}", "x7Kp2mQ9vR4tW8zLb3Ns");
    let b64 = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let rot13 = |text: &str| text.bytes().map(|b| char::from(decode::rot13(b))).collect::<String>();
    let list = |text: &str| text.bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    let chars = |text: &str| text.chars().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
    let calls = |text: &str| {
        text.bytes()
            .map(|b| format!("chr({b})"))
            .collect::<Vec<_>>()
            .join(" . ")
    };
    let escapes = |text: &str| text.bytes().map(|b| format!("\\x{b:02x}")).collect::<String>();
    let percent = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let hidden = [
        b64(&secret),
        b64(&b64(&secret)),
        hex(&secret),
        rot13(&secret),
        secret.chars().rev().collect(),
        format!("{}\" + \"{}", &secret[..9], &secret[9..]),
        format!("{}\"\n  \"{}\"\n  \"{}", &secret[..9], &secret[9..15], &secret[15..]),
        list(&secret),
        chars(&secret),
        calls(&secret),
        escapes(&secret),
        percent(&secret),
    ];
    for inner in hidden {
        let quote = if inner.starts_with('\'') { "" } else { "\"" };
        let text = format!("# ünïcode\nx = \"1\"\nvalue = f({quote}{inner}{quote})\n");
        let found = find(&rules, "a.py", &text);
        assert_eq!(found.len(), 1, "{text}\n{found:?}");
        assert_eq!(found[0].secret, secret.as_bytes());
        let start = text.find(&inner).unwrap();
        assert!(
            found[0].range.start >= start && found[0].range.end <= start + inner.len(),
            "{text}"
        );
        assert!(
            found[0].range.start <= start + 1 && found[0].range.end + 2 >= start + inner.len(),
            "{text}\n{:?}",
            found[0]
        );
    }
}

fn report(rules: &RuleSet, path: &str, text: &[u8]) -> Vec<Finding> {
    let subject = Subject {
        path,
        kind: text::kind(path),
        decode: true,
    };
    let scanned = scan(rules, subject, &|_| true, text);
    report::findings(rules, path, text, &scanned, Confidence::Low)
}

fn shipped_once() -> &'static RuleSet {
    static RULES: std::sync::OnceLock<RuleSet> = std::sync::OnceLock::new();
    RULES.get_or_init(shipped)
}

fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\n]{0,40}",
        "\\PC{0,10}",
        Just("password = \"".to_owned()),
        Just("\" + \"".to_owned()),
        Just("kind: Secret\ndata:\n  a: ".to_owned()),
        Just("<password>".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("chr(65).chr(66)".to_owned()),
        Just("postgres://u:".to_owned()),
        Just("%41%42\\x43".to_owned()),
        "[A-Za-z0-9+/]{20,60}=?",
        "(0x[0-9a-f]{2}, ){0,20}",
        "ghp_[A-Za-z0-9]{36}",
        "['\"@:=,;()<>{}\\[\\]\\\\]{1,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 5000 }))]

    #[test]
    fn no_bytes_make_the_scanner_panic_or_point_outside(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let lines = bytes.iter().filter(|&&b| b == b'\n').count() as u32 + 1;
        for finding in report(shipped_once(), "a.txt", &bytes) {
            prop_assert!(finding.location.region.unwrap().end_line <= lines);
        }
    }

    #[test]
    fn no_text_makes_the_scanner_panic_or_point_outside(parts in proptest::collection::vec(fragment(), 0..14)) {
        let text = parts.concat();
        let lines: Vec<&str> = text.split('\n').collect();
        for path in ["a.py", "a.env", "a.txt"] {
            for finding in report(shipped_once(), path, text.as_bytes()) {
                let region = finding.location.region.unwrap();
                prop_assert!(region.start() <= region.end());
                prop_assert!(region.end_line as usize <= lines.len());
                prop_assert!(region.start_column as usize <= lines[region.start_line as usize - 1].chars().count() + 1);
                prop_assert!(region.end_column as usize <= lines[region.end_line as usize - 1].chars().count() + 1);
            }
        }
    }

    #[test]
    fn no_output_repeats_the_secret(secret in "[A-Za-z][0-9][A-Za-z0-9!#%*]{8,40}", path in prop_oneof![Just("a.py"), Just("a.env"), Just("a.md")]) {
        let text = format!("x {secret}\npassword = \"{secret}\" # {secret}\nurl = 'https://u:{secret}@h.net/{secret}'\n");
        for finding in report(shipped_once(), path, text.as_bytes()) {
            let shown = serde_json::to_string(&finding).unwrap();
            prop_assert!(!shown.contains(&secret), "{shown}");
        }
    }
}
