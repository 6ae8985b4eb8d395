//! The secrets module as a worker runs it: configuration, notifications, links, cancellation, progress.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use helve_findings::Status;
use helve_modules::{Allowed, Context, ModuleError, Output, Progress, RuleFile, builtin};
use serde_json::{Value, json};

const RULES: &str = "rules:
  - id: demo
    name: Demo token
    severity: high
    confidence: high
    keywords: ['demo_']
    regex: '\\b(?P<secret>demo_[a-z0-9]{20})\\b'
  - id: doubtful
    name: Doubtful token
    severity: low
    confidence: low
    keywords: ['doubt_']
    regex: '\\b(?P<secret>doubt_[a-z0-9]{20})\\b'
";
const TOKEN: &str = "demo_x7kp2mq9vr4tw8zlb3ns";

fn run_with(
    workspace: &Path,
    config: Value,
    cancelled: bool,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Output, ModuleError> {
    let rules = [RuleFile {
        path: "modules/secrets/rules/demo.yaml".into(),
        text: RULES.into(),
    }];
    let module = builtin("secrets", &rules).unwrap().unwrap();
    let cancelled = AtomicBool::new(cancelled);
    module.execute(
        &Context {
            workspace,
            progress,
            cancelled: &cancelled,
            allowed: &Allowed::default(),
        },
        &config,
    )
}

fn run(workspace: &Path, config: Value) -> Output {
    run_with(workspace, config, false, &|_| ()).unwrap()
}

fn workspace(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}

fn places(output: &Output) -> Vec<String> {
    let place = |finding: &helve_findings::Finding| {
        format!(
            "{}:{}",
            finding.location.path,
            finding.location.region.unwrap().start_line
        )
    };
    output.report.findings.iter().map(place).collect()
}

#[test]
fn findings_come_in_path_order_with_a_summary() {
    let line = format!("x = {TOKEN}\n");
    let dir = workspace(&[
        ("b.txt", line.as_bytes()),
        ("a/z.txt", format!("\n{line}").as_bytes()),
        (".env", line.as_bytes()),
    ]);
    let output = run(dir.path(), json!(null));
    assert_eq!(places(&output), [".env:1", "a/z.txt:2", "b.txt:1"]);
    assert_eq!(output.report.status, Status::Completed);
    assert_eq!(output.summary["files_scanned"], 3);
    assert_eq!(output.report.rules.len(), 2);
}

#[test]
fn what_is_not_scanned_is_said() {
    let large = vec![b'a'; 3000];
    let dir = workspace(&[
        ("image.png", b"\x89PNG\0\0\0"),
        ("large.txt", &large),
        ("skipped/x.txt", TOKEN.as_bytes()),
    ]);
    let output = run(dir.path(), json!({"max_file_bytes": 2000, "exclude": ["skipped/**"]}));
    let said: Vec<_> = output
        .report
        .notifications
        .iter()
        .map(|n| (n.path.clone().unwrap(), n.message.clone()))
        .collect();
    assert!(output.report.findings.is_empty());
    for (path, word) in [
        ("image.png", "binary"),
        ("large.txt", "max_file_bytes"),
        ("skipped/x.txt", "excluded"),
    ] {
        assert!(
            said.iter().any(|(p, message)| p == path && message.contains(word)),
            "{path}: {said:?}"
        );
    }
}

#[test]
fn many_skipped_files_of_one_kind_are_counted_and_not_listed() {
    let names: Vec<String> = (0..80).map(|index| format!("{index}.png")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"\0\0"[..])).collect();
    let output = run(workspace(&files).path(), json!({}));
    assert_eq!(output.report.notifications.len(), 51);
    assert!(
        output
            .report
            .notifications
            .iter()
            .any(|n| n.message.starts_with("30 more files"))
    );
    assert_eq!(output.summary["files_skipped"], 80);
}

#[test]
fn configuration_errors_name_the_field() {
    let dir = workspace(&[("a.txt", b"x")]);
    for (config, field) in [
        (json!({"max_file_bytes": "big"}), "max_file_bytes"),
        (json!({"exclude": ["a[b"]}), "exclude"),
        (json!({"rules": {"disable": ["nonsense"]}}), "rules.disable"),
    ] {
        match run_with(dir.path(), config, false, &|_| ()) {
            Err(ModuleError::Config { field: got, .. }) => assert_eq!(got, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(matches!(
        run_with(dir.path(), json!({"colour": 1}), false, &|_| ()),
        Err(ModuleError::Config { .. })
    ));
}

#[test]
fn rules_can_be_disabled_and_doubtful_findings_asked_for() {
    let text = format!("{TOKEN}\ndoubt_x7kp2mq9vr4tw8zlb3ns\n");
    let dir = workspace(&[("a.txt", text.as_bytes())]);
    assert_eq!(places(&run(dir.path(), json!({}))), ["a.txt:1"]);
    assert_eq!(
        places(&run(dir.path(), json!({"min_confidence": "low"}))),
        ["a.txt:1", "a.txt:2"]
    );
    assert!(places(&run(dir.path(), json!({"rules": {"disable": ["secrets/demo"]}}))).is_empty());
}

#[test]
fn a_comment_that_accepts_a_secret_does_not_hide_it() {
    let dir = workspace(&[("a.txt", format!("{TOKEN} # helve:ignore\n").as_bytes())]);
    assert_eq!(
        places(&run(dir.path(), json!({}))),
        ["a.txt:1"],
        "it is the report that marks it"
    );
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_unreadable_places_are_said() {
    let outside = workspace(&[("secret.txt", TOKEN.as_bytes())]);
    let dir = workspace(&[("a.txt", b"nothing")]);
    std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
    std::os::unix::fs::symlink("a.txt", dir.path().join("in.txt")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("broken")).unwrap();
    let output = run(dir.path(), json!({}));
    assert!(output.report.findings.is_empty());
    let said: Vec<_> = output
        .report
        .notifications
        .iter()
        .map(|n| n.path.clone().unwrap())
        .collect();
    assert_eq!(said, ["broken", "out"]);
}

#[test]
fn a_workspace_that_is_not_there_is_a_retryable_error() {
    let error = run_with(Path::new("no/such/place"), json!({}), false, &|_| ()).unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_cancelled_run_stops() {
    let dir = workspace(&[("a.txt", b"x")]);
    assert!(matches!(
        run_with(dir.path(), json!({}), true, &|_| ()),
        Err(ModuleError::Cancelled)
    ));
}

#[test]
fn progress_reaches_the_total() {
    let names: Vec<String> = (0..150).map(|index| format!("{index}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let seen = Mutex::new(Vec::new());
    let told = AtomicBool::new(false);
    run_with(workspace(&files).path(), json!({}), false, &|progress| {
        told.store(true, Ordering::Relaxed);
        seen.lock().unwrap().push((progress.done, progress.total));
    })
    .unwrap();
    assert!(seen.into_inner().unwrap().contains(&(150, Some(150))));
}

#[test]
fn utf16_files_are_read() {
    let bytes: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(format!("\nx {TOKEN}").encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let output = run(workspace(&[("a.ps1", &bytes)]).path(), json!({}));
    assert_eq!(places(&output), ["a.ps1:2"]);
}
