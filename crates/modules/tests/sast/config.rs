//! The configuration of a step does what its schema says, and mistakes name the field.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use helve_findings::Severity;
use helve_modules::{Allowed, Context, ModuleError};
use serde_json::{Value, json};

use crate::support::{module, places, scan, scan_files};

const EVAL: (&str, &[u8]) = ("a.py", b"def f(x):\n    return eval(x)\n");
const HASH: (&str, &[u8]) = ("lib/b.js", b"const h = crypto.createHash('md5');\n");

#[test]
fn rules_languages_and_files_can_be_left_out() {
    let all = scan_files(&[EVAL, HASH], &Value::Null);
    assert_eq!(
        places(&all),
        ["sast/python-eval a.py:2", "sast/javascript-weak-hash lib/b.js:1"]
    );
    let only = |config: Value| places(&scan_files(&[EVAL, HASH], &config));
    assert_eq!(
        only(json!({ "languages": ["javascript"] })),
        ["sast/javascript-weak-hash lib/b.js:1"]
    );
    assert_eq!(only(json!({ "min_severity": "medium" })), ["sast/python-eval a.py:2"]);
    assert_eq!(only(json!({ "exclude": ["lib/**"] })), ["sast/python-eval a.py:2"]);
    assert_eq!(
        only(json!({ "rules": { "disable": ["sast/python-eval"] } })),
        ["sast/javascript-weak-hash lib/b.js:1"]
    );
    let high = scan_files(&[EVAL], &json!({ "min_severity": "high" }));
    assert!(high.report.rules.iter().all(|rule| rule.severity >= Severity::High));
}

#[test]
fn a_wrong_configuration_names_the_field() {
    let fails = |config: Value| match scan(Path::new("."), &config) {
        Err(ModuleError::Config { field, message, .. }) => (field, message),
        other => panic!("{:?}", other.map(|output| output.summary)),
    };
    assert_eq!(fails(json!({ "min_severity": "awful" })).0, "min_severity");
    assert_eq!(fails(json!({ "max_file_bytes": "big" })).0, "max_file_bytes");
    assert_eq!(fails(json!({ "exclude": ["a[b"] })).0, "exclude");
    let (field, message) = fails(json!({ "rules": { "disable": ["no-such-rule"] } }));
    assert_eq!(
        (field.as_str(), message.as_str()),
        ("rules.disable", "there is no rule `sast/no-such-rule`")
    );
}

#[test]
fn what_is_not_scanned_is_said() {
    let big = format!("x = '{}'\n", "a b ".repeat(2_000));
    let config = json!({ "max_file_bytes": 4_000 });
    let output = scan_files(
        &[("big.py", big.as_bytes()), ("logo.png", big.as_bytes()), EVAL],
        &config,
    );
    let notes: Vec<_> = output
        .report
        .notifications
        .iter()
        .filter_map(|n| n.path.as_deref())
        .collect();
    assert_eq!(notes, ["big.py"], "only code is worth a note");
    assert_eq!(output.summary["files_scanned"], 1);
    assert_eq!(output.summary["files_skipped"], 1);
    let minified = format!("var a=[{}];eval(b)", "1,".repeat(4_000));
    let output = scan_files(
        &[("app.js", minified.as_bytes()), ("lib.py", b"\0\0binary")],
        &Value::Null,
    );
    let messages: Vec<_> = output.report.notifications.iter().map(|n| n.message.as_str()).collect();
    assert!(
        messages[0].contains("minified") && messages[1].contains("binary"),
        "{messages:?}"
    );
}

#[test]
fn code_that_does_not_parse_is_noted() {
    let broken = "def f(:\n  ((( eval(x\n} else { ;; ) => $ %% @@ !\n".repeat(5);
    let output = scan_files(&[("broken.py", broken.as_bytes())], &Value::Null);
    let note = &output.report.notifications[0];
    assert!(note.message.contains("could not be parsed"), "{note:?}");
}

#[test]
fn a_comment_that_accepts_a_finding_does_not_hide_it() {
    let code = b"def f(x):\n    eval(x)  # helve:ignore sast/python-eval reviewed\n";
    let output = scan_files(&[("a.py", code)], &Value::Null);
    assert_eq!(
        places(&output),
        ["sast/python-eval a.py:2"],
        "it is the report that marks it"
    );
}

#[test]
fn scripts_without_extension_and_php_in_html_are_scanned() {
    let script: (&str, &[u8]) = (
        "bin/run",
        b"#!/usr/bin/env python3\nimport os, sys\nos.system('ls ' + sys.argv[1])\n",
    );
    let page: (&str, &[u8]) = ("index.php", b"<body>\n<?= $_GET['q'] ?>\n</p>\n");
    let output = scan_files(&[script, page], &Value::Null);
    assert_eq!(
        places(&output),
        ["sast/python-os-command bin/run:3", "sast/php-xss index.php:2"]
    );
}

#[test]
fn snippets_do_not_carry_credentials() {
    let code = b"import jwt\njwt.decode(token, password='hunter2hunter2', verify=False)\n";
    let output = scan_files(&[("a.py", code)], &Value::Null);
    let snippet = output.report.findings[0].location.snippet.as_deref().unwrap();
    assert!(
        !snippet.contains("hunter2") && snippet.contains("verify=False"),
        "{snippet}"
    );
}

#[test]
fn progress_is_reported_and_cancelling_stops() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.py"), EVAL.1).unwrap();
    let done = AtomicU64::new(0);
    let progress = |p: helve_modules::Progress| done.store(p.done, Ordering::Relaxed);
    let cancelled = AtomicBool::new(false);
    let cx = Context {
        workspace: directory.path(),
        progress: &progress,
        cancelled: &cancelled,
        allowed: &Allowed::default(),
    };
    module().execute(&cx, &Value::Null).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 1);
    cancelled.store(true, Ordering::Relaxed);
    assert!(matches!(
        module().execute(&cx, &Value::Null),
        Err(ModuleError::Cancelled)
    ));
}
