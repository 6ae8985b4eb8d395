//! Which findings of a run count, and how they leave: suppressions, baselines, owners, exports.

use std::path::{Path, PathBuf};

use helve_e2e::checkout;
use helve_e2e::home::Home;
use helve_e2e::tree::write;
use serde_json::Value;

/// A program with one accepted and one open flaw.
const APP: &str =
    "def a(x):\n    eval(x)  # helve:ignore sast/python-eval our own text\n\n\ndef b(y):\n    return eval(y)\n";

fn app(home: &Home) -> PathBuf {
    let root = home.path().join("app");
    write(&root.join("app.py"), APP);
    root
}

/// A scan that fails on anything that counts: its exit code must be `code`.
#[track_caller]
fn scan(home: &Home, root: &Path, more: &[&str], code: i32) -> Value {
    let root = root.to_string_lossy();
    let arguments = [
        &["run", "assessment", &*root, "--json", "--quiet", "--fail-on", "note"],
        more,
    ]
    .concat();
    home.run(&arguments).expect_code(code).json()
}

fn messages(result: &Value) -> String {
    let notices = result["notifications"].as_array().unwrap();
    notices
        .iter()
        .map(|notice| notice["message"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn accepted_findings_stay_in_the_report_and_do_not_count() {
    let home = Home::new();
    let root = app(&home);
    write(&root.join(".github/CODEOWNERS"), "*.py @org/python\n");
    write(
        &root.join(".helve/suppressions.yaml"),
        "suppressions:\n  - {rule: sast, reason: old, expires: 2020-01-01}\n  - {rule: sast}\n",
    );
    let result = scan(&home, &root, &[], 2);
    assert_eq!(
        (
            result["summary"]["total"].as_u64(),
            result["summary"]["suppressed"].as_u64()
        ),
        (Some(1), Some(1))
    );
    let notices = messages(&result);
    assert!(
        notices.contains("line 2, column 40: it expired on 2020-01-01 (old)"),
        "{notices}"
    );
    assert!(notices.contains("line 3, column 5: it needs a `reason`"), "{notices}");
    let findings = result["findings"].as_array().unwrap();
    let accepted = findings
        .iter()
        .find(|finding| finding.get("suppressions").is_some())
        .unwrap();
    assert_eq!(accepted["suppressions"][0]["reason"], "our own text");
    assert_eq!(accepted["owners"][0], "@org/python");

    let entry = "suppressions:\n  - {path: app.py, reason: a demonstration, by: alice}\n";
    write(&root.join(".helve/suppressions.yaml"), entry);
    let result = scan(&home, &root, &[], 0);
    assert_eq!(
        (
            result["summary"]["total"].as_u64(),
            result["summary"]["suppressed"].as_u64()
        ),
        (Some(0), Some(2))
    );
    let run_id = result["run_id"].as_str().unwrap();
    let shown = home.run(&["findings", run_id]).expect_code(0);
    assert!(
        shown.stdout.contains("no findings") && shown.stdout.contains("2 findings are suppressed"),
        "{}",
        shown.stdout
    );
    let shown = home.run(&["findings", run_id, "--suppressed"]).expect_code(0);
    assert!(
        shown
            .stdout
            .contains("a demonstration (alice, .helve/suppressions.yaml:2)"),
        "{}",
        shown.stdout
    );
    scan(&home, &root, &["--no-suppressions"], 2);
}

#[test]
fn no_secret_leaves_in_the_finding_of_another_module() {
    let home = Home::new();
    let root = home.path().join("app");
    // Put together here, so that no scanner finds them in this file.
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5");
    let key = format!("AKIA{}", "QYLPMN5HFZ3XG6WJ");
    let password = format!("S3cr3t{}", "Rk7qWv2");
    let code = format!(
        "import os, subprocess\n\n\ndef run(name):\n    \
         os.system(\"curl -H 'Authorization: token {token}' https://acme.net/\" + name)\n    \
         eval(\"get('https://bot:{password}@acme.net/x')\" + name)\n    \
         eval(\"f('{key}', \" + name)\n    \
         subprocess.run(\"mysqldump -u root -p{password} app; \" + name, shell=True)\n"
    );
    write(&root.join("leak.py"), code);
    let sarif = home.path().join("leak.sarif");
    let result = scan(&home, &root, &["--sarif", &sarif.to_string_lossy()], 2);
    let run = result["run_id"].as_str().unwrap();
    let mut texts = vec![result.to_string(), std::fs::read_to_string(&sarif).unwrap()];
    for format in ["sarif", "json", "csv", "junit", "html"] {
        let exported = home.run(&["findings", run, "--format", format]).expect_code(0);
        texts.push(exported.stdout);
    }
    for text in &texts {
        for secret in [&token[..9], &key[..9], &password[..5]] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for text in &texts[..2] {
        for shown in [
            "ghp_********A5",
            "AKIA********WJ",
            "bot:********@acme.net",
            "-p********",
        ] {
            assert!(text.contains(shown), "no {shown} in {text}");
        }
    }
}

#[test]
fn only_what_a_baseline_does_not_have_counts() {
    let home = Home::new();
    let root = app(&home);
    let sarif = home.path().join("before.sarif").to_string_lossy().into_owned();
    let before = scan(&home, &root, &["--sarif", &sarif], 2);
    let before = before["run_id"].as_str().unwrap();
    for baseline in [before, &sarif] {
        let same = scan(&home, &root, &["--baseline", baseline], 0);
        assert_eq!(same["summary"]["total"], 1, "it is still there");
    }
    write(
        &root.join("app.py"),
        format!("{APP}\n\ndef c(z):\n    return eval(z + z)\n"),
    );
    let after = scan(&home, &root, &["--baseline", before], 2);
    let after = after["run_id"].as_str().unwrap();
    let diff = home
        .run(&["findings", "diff", before, after, "--json"])
        .expect_code(0)
        .json();
    let count = |list: &str| diff[list].as_array().unwrap().len();
    assert_eq!(
        (count("new"), count("unchanged"), count("fixed"), count("unknown")),
        (1, 2, 0, 0)
    );
    let back = home.run(&["findings", "diff", after, before]).expect_code(0);
    assert!(
        back.stdout
            .contains("0 new · 2 unchanged · 1 fixed · 0 not looked at again"),
        "{}",
        back.stdout
    );
    home.run(&[
        "run",
        "assessment",
        &root.to_string_lossy(),
        "--baseline",
        "no-such-run",
    ])
    .expect_clear_error(&["no-such-run"]);
}

#[test]
fn findings_leave_in_every_format() {
    let home = Home::new();
    let example = checkout().join("examples/vulnerable-app");
    let file = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let result = scan(&home, &example, &["--export", &format!("html={}", file("a.html"))], 2);
    let page = std::fs::read_to_string(file("a.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("vulnerable-app"));
    let run_id = result["run_id"].as_str().unwrap();
    for (format, begin) in [
        ("sarif", "{"),
        ("json", "{"),
        ("csv", "record,severity,"),
        ("junit", "<?xml "),
        ("html", "<!DOCTYPE html>"),
        ("vex", "{"),
    ] {
        let printed = home.run(&["findings", run_id, "--format", format]).expect_code(0);
        assert!(printed.stdout.starts_with(begin), "{format}");
        let path = file(format);
        home.run(&["findings", run_id, "--format", format, "--output", &path])
            .expect_code(0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), printed.stdout, "{format}");
    }
    let place = format!("csv={}", file("gone/a.csv"));
    home.run(&["run", "assessment", &example.to_string_lossy(), "--export", &place])
        .expect_clear_error(&["gone"]);
}
