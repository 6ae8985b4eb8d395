//! The configuration of a step does what its schema says, and mistakes name the field.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use helve_findings::Severity;
use helve_modules::{Allowed, Context, ModuleError};
use serde_json::{Value, json};

use crate::support::{files_of, module, places, scan, scan_files};

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

#[test]
fn no_secret_beside_a_flaw_is_left_in_its_finding_not_even_when_the_message_cuts_it() {
    // Put together here, so that no scanner finds them in this file.
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
    let key = format!("AKIA{}", "QYLPMN5HFZ3XG6WJ");
    let password = format!("S3cr3t{}", "Rk7qWv2");
    let code = format!(
        "import os, subprocess\n\n\ndef run(name):\n    \
         os.system(\"curl -H 'Authorization: token {token}' https://acme.net/\" + name)\n    \
         os.system(\"curl --silent --location https://acme.net/a/b/c {token} \" + name)\n    \
         eval(\"f('{key}', \" + name)\n    \
         eval(\"get('https://bot:{password}@acme.net/x')\" + name)\n    \
         subprocess.run(\"mysqldump -u root -p{password} app | gzip -9 > /var/backups/app.sql.gz; \" + name, shell=True)\n"
    );
    let workspace = tempfile::tempdir().unwrap();
    std::fs::write(workspace.path().join("leak.py"), code).unwrap();
    let mut report = scan(workspace.path(), &Value::Null).unwrap().report;
    let lines: std::collections::BTreeSet<u32> = report
        .findings
        .iter()
        .filter_map(|found| Some(found.location.region?.start_line))
        .collect();
    assert_eq!(lines, [5, 6, 7, 8, 9].into());
    let before = report.clone();
    let masker = helve_modules::secrets::Masker::load(&files_of("secrets")).unwrap();
    masker.report(&mut report, Some(workspace.path()));
    let text = serde_json::to_string(&report.findings).unwrap();
    for secret in [&token[..9], &key[..9], &password[..5]] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for shown in [
        "ghp_********A5",
        "AKIA********WJ",
        "-p********",
        "bot:********@acme.net",
    ] {
        assert!(text.contains(shown), "no {shown} in {text}");
    }
    for (before, after) in before.findings.iter().zip(&report.findings) {
        assert_eq!(
            (&before.anchor, &before.location.region),
            (&after.anchor, &after.location.region)
        );
    }
}
